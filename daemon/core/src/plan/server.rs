//! The node `server`: the daemon itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::conf::{ByteSize, Code, HttpUrl, Node, Problem, Secret};

const LEVELS: &[(&str, &str)] =
    &[("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];
const FORMATS: &[(&str, LogFormat)] =
    &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json), ("logfmt", LogFormat::Logfmt)];

/// The daemon itself, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Where viewers connect; at least one address.
    pub listen: Vec<SocketAddr>,
    /// The control side.
    pub admin: Admin,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// Where the files of plugins are.
    pub plugins: PathBuf,
    /// What is logged, and how.
    pub log: Log,
    /// The certificate, where viewers connect by TLS.
    pub tls: Option<Tls>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// The base of absolute URLs.
    pub public_url: Option<HttpUrl>,
    /// Which pages may read what is served: origins, or `*`.
    pub cors: Vec<String>,
    /// How long a stop lets viewers finish.
    pub drain: Duration,
    /// Limits of connections and requests.
    pub limits: Limits,
}

/// The control side.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What a changing request must bring. Always there unless `listen` is on loopback.
    pub token: Option<Secret>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
}

impl LogFormat {
    /// The word in KDL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
            Self::Logfmt => "logfmt",
        }
    }
}

/// A certificate with its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Limits of connections and requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// The size of a request's head.
    pub headers: ByteSize,
    /// From the first byte of a connection or request to the end of its head.
    pub head_timeout: Duration,
    /// How long a connection may stand without a request.
    pub idle_timeout: Duration,
    /// How long a write may stand without progress.
    pub write_timeout: Duration,
    /// HTTP/2 streams at once on a connection.
    pub streams: u32,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))],
            admin: Admin { listen: SocketAddr::from(([127, 0, 0, 1], 9090)), token: None },
            state_dir: "var".into(),
            plugins: "plugins".into(),
            log: Log { level: "info", format: LogFormat::Pretty },
            tls: None,
            trusted_proxies: Vec::new(),
            public_url: None,
            cors: Vec::new(),
            drain: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            headers: ByteSize(32 << 10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(5),
            streams: 128,
        }
    }
}

impl Server {
    /// Files that must exist, each with what it is.
    pub fn files(&self) -> Vec<(PathBuf, &'static str)> {
        self.tls
            .iter()
            .flat_map(|tls| [(tls.cert.clone(), "certificate"), (tls.key.clone(), "private key")])
            .collect()
    }
}

/// Reads the node. What has a problem keeps its default.
pub(super) fn server(node: &Node<'_>) -> Server {
    let mut server = Server::default();
    let listen: Vec<SocketAddr> =
        node.children("listen").iter().flat_map(|listen| listen.arguments("address")).collect();
    if !listen.is_empty() {
        server.listen = listen;
    }
    if let Some(admin) = node.child("admin").and_then(|node| admin(&node)) {
        server.admin = admin;
    }
    if let Some(log) = node.child("log") {
        server.log.level = log.property_among("level", LEVELS).unwrap_or(server.log.level);
        server.log.format = log.property_among("format", FORMATS).unwrap_or(server.log.format);
    }
    server.state_dir = child_argument(node, "state-dir", "path").unwrap_or(server.state_dir);
    server.plugins = child_argument(node, "plugins", "path").unwrap_or(server.plugins);
    server.tls = node.child("tls").and_then(|tls| {
        let (cert, key) = (tls.required_property("cert"), tls.required_property("key"));
        Some(Tls { cert: cert?, key: key? })
    });
    server.trusted_proxies =
        node.children("trusted-proxies").iter().flat_map(|proxies| proxies.arguments("network")).collect();
    server.public_url = child_argument(node, "public-url", "URL");
    server.cors = node.children("cors").iter().flat_map(cors).collect();
    server.drain = child_within(node, "drain", 0..=3600).unwrap_or(server.drain);
    if let Some(node) = node.child("limits") {
        server.limits = limits(&node);
    }
    server
}

fn admin(node: &Node<'_>) -> Option<Admin> {
    let listen = node.argument::<SocketAddr>("address");
    let token = node.child("token").map(|token| token.argument::<Secret>("token"));
    let listen = listen?;
    if token.is_none() && !listen.ip().is_loopback() {
        let place = node.place_of_argument(0, "not on loopback");
        let message = "an admin that others can reach needs a token";
        let help = "add { token (env)\"ADMIN_TOKEN\" }, or listen on \"127.0.0.1:9090\"";
        node.add(Problem::new(Code::Missing, place, message).help(help));
        return None;
    }
    Some(Admin { listen, token: token.flatten() })
}

fn cors(node: &Node<'_>) -> Vec<String> {
    let origins = node.arguments::<String>("origin");
    for (at, origin) in origins.iter().enumerate() {
        let scheme = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
        let plain = scheme.is_some_and(|host| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        });
        if origin != "*" && !plain {
            node.problem_at_argument(
                at,
                "this is no origin",
                "\"*\", or scheme and host as \"https://tv.example\"",
            );
        }
    }
    origins
}

fn limits(node: &Node<'_>) -> Limits {
    let usual = Limits::default();
    let size = |name, most: u64| {
        let bounds = ByteSize(1 << 10)..=ByteSize(most);
        node.child(name).and_then(|node| node.argument_within("size", bounds))
    };
    Limits {
        connections: node
            .child("connections")
            .and_then(|node| node.argument_within("number", 1..=1_000_000))
            .unwrap_or(usual.connections),
        headers: size("headers", 1 << 20).unwrap_or(usual.headers),
        head_timeout: child_within(node, "head-timeout", 1..=600).unwrap_or(usual.head_timeout),
        idle_timeout: child_within(node, "idle-timeout", 1..=3600).unwrap_or(usual.idle_timeout),
        write_timeout: child_within(node, "write-timeout", 1..=600).unwrap_or(usual.write_timeout),
        streams: node
            .child("streams")
            .and_then(|node| node.argument_within("number", 1..=10_000))
            .unwrap_or(usual.streams),
    }
}

fn child_argument<T: crate::conf::Scalar>(
    node: &Node<'_>,
    name: &'static str,
    what: &'static str,
) -> Option<T> {
    node.child(name)?.argument(what)
}

fn child_within(
    node: &Node<'_>,
    name: &'static str,
    secs: std::ops::RangeInclusive<u64>,
) -> Option<Duration> {
    let bounds = Duration::from_secs(*secs.start())..=Duration::from_secs(*secs.end());
    node.child(name)?.argument_within("duration", bounds)
}
