//! The source kind `mpegts`: a transport stream without end, over HTTP or in datagrams.

mod address;
mod listen;
mod pauses;
mod pull;
mod rtp;
mod sniff;
mod socket;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use kdl::KdlNode;
use sluice_core::conf::{Backoff, Code, HostRule, HttpUrl, Node, Problem, Shown, show_url};
use sluice_core::pipeline::{Cutting, Source, SourceContext};
use sluice_core::stage::{Configured, Doc, Entry, Goods, Reveal, SourceKind, SourceSpec};

use super::cutting::{PROGRAM_ENTRY, SEGMENT_ENTRY, decode_cutting, show_cutting};
use super::request::Asking;
use address::{Address, Datagrams};
use listen::Listen;
use pull::Pull;

const RECONNECT: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(8) };
const LONGEST_RECONNECT: Duration = Duration::from_secs(60);

/// The kind.
pub(crate) const MPEGTS: SourceKind = SourceKind {
    doc: Doc {
        name: "mpegts",
        about: "Takes in a transport stream without end, from an HTTP origin or in UDP datagrams, unicast or multicast.",
        example: r#"source "mpegts" "http://origin.example/news.ts" segment="2s" program=1 reconnect="500ms..8s" {
    header "User-Agent" "sluice"
    allow-hosts "cdn.example"
}"#,
        entries: &[
            Entry {
                form: "URL",
                about: "http or https, or udp://@GROUP:PORT for multicast, udp://ADDRESS:PORT for an address of this \
                        machine.",
                default: "",
            },
            SEGMENT_ENTRY,
            PROGRAM_ENTRY,
            Entry {
                form: "reconnect=\"500ms..8s\"",
                about: "The waits between connections to an HTTP origin that ends or breaks the stream, at most 60s; the \
                        first is made at once.",
                default: "500ms..8s",
            },
            Entry {
                form: "interface=\"eth0\"",
                about: "The interface, by name or address, on which a multicast group is joined.",
                default: "by the routing table",
            },
            Entry {
                form: "from=\"10.0.0.9\"",
                about: "The only sender whose datagrams are taken; an IPv4 group is joined for this sender alone.",
                default: "any",
            },
            Entry {
                form: "header NAME VALUE",
                about: "Sent to the HTTP origin itself; User-Agent also to other hosts.",
                default: "none",
            },
            Entry {
                form: "allow-hosts HOST...",
                about: "Hosts, *.domains or networks that redirects may lead to besides public ones.",
                default: "none",
            },
        ],
    },
    gives: Goods::Live,
    exchanges: true,
    decode,
};

/// A configured `mpegts` source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MpegTs {
    from: Origin,
    cutting: Cutting,
}

#[derive(Debug, Clone, PartialEq)]
enum Origin {
    Http { url: HttpUrl, asking: Asking, reconnect: Backoff },
    Datagrams(Listening),
}

/// Where datagrams are taken, and whose.
#[derive(Debug, Clone, PartialEq)]
struct Listening {
    address: Datagrams,
    interface: Option<String>,
    from: Option<IpAddr>,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    let address = node.argument::<Address>("URL");
    let cutting = decode_cutting(node);
    let from = match address {
        Some(Address::Http(url)) => decode_http(node, url),
        Some(Address::Datagrams(address)) => decode_datagrams(node, address),
        None => {
            node.ignore_rest(); // what else may stand there depends on the address
            None
        }
    };
    Some(Box::new(MpegTs { from: from?, cutting }))
}

fn decode_http(node: &Node<'_>, url: HttpUrl) -> Option<Origin> {
    let asking = Asking::decode(node);
    let reconnect = node.property::<Backoff>("reconnect").unwrap_or(RECONNECT);
    if reconnect.most > LONGEST_RECONNECT {
        node.problem_at("reconnect", "`reconnect` of `source` is out of bounds", "at most 60s");
        return None;
    }
    for key in ["interface", "from"] {
        if node.free_property::<String>(key).is_some() {
            let message = format!("`{key}` has no effect on an HTTP origin");
            node.problem_at(key, message, "it is for udp:// addresses; leave it out");
            return None;
        }
    }
    if url.0.path().to_ascii_lowercase().ends_with(".m3u8") {
        let place = node.place_of_argument(1, "a playlist, by its name");
        let problem =
            Problem::new(Code::Value, place, "this looks like an HLS playlist, not a transport stream");
        node.add(problem.help("use source \"hls\"").warning());
    }
    Some(Origin::Http { url, asking: asking?, reconnect })
}

fn decode_datagrams(node: &Node<'_>, address: Datagrams) -> Option<Origin> {
    let interface = node.property::<String>("interface");
    let from = node.property::<Sender>("from").map(|sender| sender.0);
    if from.is_some_and(|from| from.is_ipv4() != address.0.is_ipv4()) {
        node.problem_at(
            "from",
            "the sender is of another address family than the address",
            "write both as IPv4 or IPv6",
        );
        return None;
    }
    if interface.is_some() && !address.0.ip().is_multicast() {
        let help = "write the address of that interface into the URL";
        node.problem_at("interface", "`interface` has no effect on an address of this machine", help);
        return None;
    }
    let children = node.children_in(&["header", "allow-hosts"]);
    for child in &children {
        child.ignore_rest();
        child.problem(format!("`{}` has no effect on datagrams", child.name()), "leave it out");
    }
    if node.free_property::<String>("reconnect").is_some() {
        node.problem_at("reconnect", "`reconnect` has no effect on datagrams", "leave it out");
        return None;
    }
    children.is_empty().then_some(Origin::Datagrams(Listening { address, interface, from }))
}

/// A single address.
struct Sender(IpAddr);

impl sluice_core::conf::Scalar for Sender {
    const EXPECTED: &'static str = "an address, as \"10.0.0.9\"";

    fn read(value: &kdl::KdlValue) -> Result<Self, Option<String>> {
        value.as_string().and_then(|text| text.parse().ok()).map(Self).ok_or(None)
    }
}

impl Configured for MpegTs {
    fn kind(&self) -> &'static str {
        MPEGTS.doc.name
    }

    fn show(&self, reveal: Reveal) -> KdlNode {
        let shown = Shown::new("source").argument("mpegts");
        match &self.from {
            Origin::Http { url, asking, reconnect } => {
                let shown = show_cutting(shown.argument(show_url(&url.0, reveal)), &self.cutting);
                shown.property("reconnect", *reconnect).children(asking.show(reveal)).node()
            }
            Origin::Datagrams(Listening { address, interface, from }) => {
                let shown = show_cutting(shown.argument(address.to_string()), &self.cutting);
                let shown = shown.optional("interface", interface.as_deref());
                shown.optional("from", from.map(|from| from.to_string())).node()
            }
        }
    }
}

impl SourceSpec for MpegTs {
    fn build(&self, context: SourceContext) -> Box<dyn Source> {
        let cutting = self.cutting;
        match self.from.clone() {
            Origin::Http { url, asking, reconnect } => {
                Box::new(Pull { url, asking, reconnect, cutting, context })
            }
            Origin::Datagrams(listening) => Box::new(Listen { listening, cutting, context }),
        }
    }

    fn segment(&self) -> Option<Duration> {
        Some(self.cutting.segment)
    }

    fn listens(&self) -> Option<String> {
        match &self.from {
            // a group can be joined by many
            Origin::Datagrams(Listening { address, .. }) if !address.0.ip().is_multicast() => {
                Some(address.to_string())
            }
            _ => None,
        }
    }

    fn asks_origin(&self) -> bool {
        self.operator_url().is_some()
    }

    fn operator_url(&self) -> Option<&url::Url> {
        match &self.from {
            Origin::Http { url, .. } => Some(&url.0),
            Origin::Datagrams(_) => None,
        }
    }

    fn allowed_hosts(&self) -> &[HostRule] {
        match &self.from {
            Origin::Http { asking, .. } => &asking.allow_hosts,
            Origin::Datagrams(_) => &[],
        }
    }
}
