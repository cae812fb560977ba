//! What the edge is told: limits of connections, whom to trust, who may read across origins.

use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

/// Limits of one server. A change counts for connections that come after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections at once. One more is accepted and closed at once, and counted: a viewer, and a balancer in
    /// front, learns at once that there is no room, where a full backlog would leave it hanging.
    pub(crate) connections: usize,
    /// The time for a TLS handshake, for the first bytes, and from the first to the last byte of a request's head.
    pub(crate) head: Duration,
    /// How long a connection may stand without a request.
    pub(crate) idle: Duration,
    /// How long a write may stand without progress, and an HTTP/2 stream without window, before it is cut.
    pub(crate) write: Duration,
    /// What a viewer has to take for whom more waits all the time.
    pub(crate) floor: Floor,
    /// The size of a request's head, and of what hyper reads and writes at once.
    pub(crate) head_bytes: usize,
    /// Streams at once on an HTTP/2 connection.
    pub(crate) streams: u32,
    /// The pause between two pings on an HTTP/2 connection, and the time for the answer to one.
    pub(crate) ping: Duration,
}

/// The least that a connection, or an HTTP/2 stream, takes in a span through which something waits for it. One that
/// takes a little within each write limit would else hold its place and its segment for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    /// In the span.
    pub(crate) bytes: u64,
    /// How long it is.
    pub(crate) span: Duration,
}

impl Default for Floor {
    /// About 8.5 KiB/s: no stream that is worth watching is slower.
    fn default() -> Self {
        Self { bytes: 512 * 1024, span: Duration::from_secs(60) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            head: Duration::from_secs(10),
            // longer than any target duration in use, so that a player's connection outlives its pauses
            idle: Duration::from_secs(60),
            write: Duration::from_secs(5),
            floor: Floor::default(),
            head_bytes: 32 * 1024,
            streams: 128, // RFC 9113, 6.5.2 advises against less than 100
            ping: Duration::from_secs(20),
        }
    }
}

/// Which pages may read what is served (the `cors` of `server`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Cors {
    /// None: no header is sent.
    #[default]
    None,
    /// Any.
    Any,
    /// Those of these origins, written as in the header `Origin`: `https://tv.example`.
    Origins(Vec<HeaderValue>),
}

impl Cors {
    /// From the arguments of the node `cors`; `*` among them means any. None where one cannot be a header's value.
    pub(crate) fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut origins = Vec::new();
        for word in words {
            if word == "*" {
                return Some(Self::Any);
            }
            origins.push(HeaderValue::from_str(word).ok()?);
        }
        Some(if origins.is_empty() { Self::None } else { Self::Origins(origins) })
    }

    /// The value of `Access-Control-Allow-Origin` for a request from `origin`.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::None => None,
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Origins(origins) => origins.iter().find(|known| Some(*known) == origin).cloned(),
        }
    }
}

/// What the configuration says of the viewers' side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Limits of connections.
    pub(crate) limits: Limits,
    /// Whose `X-Forwarded-For` counts.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Which pages may read.
    pub(crate) cors: Cors,
}
