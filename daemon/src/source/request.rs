//! What an operator writes about asking an origin: headers, and the hosts that answers may lead to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use kdl::KdlNode;
use sluice_core::conf::{HostRule, Node, Secret, Shown, show_secret};
use sluice_core::stage::Reveal;
use url::Url;

/// The children `header` and `allow-hosts` of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Asking {
    /// Sent to the operator's own origin, `User-Agent` also to other hosts.
    pub(super) headers: Vec<(HeaderName, Secret)>,
    /// Hosts that answers may lead to besides public ones.
    pub(super) allow_hosts: Vec<HostRule>,
}

impl Asking {
    /// Reads them. `None` after at least one problem.
    pub(super) fn decode(node: &Node<'_>) -> Option<Self> {
        let headers: Vec<_> = node.children("header").iter().map(decode_header).collect();
        let allow_hosts = node.child("allow-hosts").map(|hosts| hosts.arguments::<HostRule>("HOST"));
        let headers = headers.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Self { headers, allow_hosts: allow_hosts.unwrap_or_default() })
    }

    /// The nodes that [`Self::decode`] reads as the same.
    pub(super) fn show(&self, reveal: Reveal) -> Vec<KdlNode> {
        let header = |(name, value): &(HeaderName, Secret)| {
            Shown::new("header").argument(name.as_str()).argument(show_secret(value, reveal)).node()
        };
        let mut shown: Vec<KdlNode> = self.headers.iter().map(header).collect();
        if !self.allow_hosts.is_empty() {
            let hosts = self.allow_hosts.iter();
            let hosts = hosts.fold(Shown::new("allow-hosts"), |hosts, host| hosts.argument(host.to_string()));
            shown.push(hosts.node());
        }
        shown
    }

    /// The headers as they are sent, marked as sensitive.
    pub(super) fn header_map(&self) -> Arc<HeaderMap> {
        let pairs = self.headers.iter().filter_map(|(name, value)| {
            let mut value = HeaderValue::try_from(value.expose()).ok()?;
            value.set_sensitive(true);
            Some((name.clone(), value))
        });
        Arc::new(pairs.collect())
    }

    /// A hash of all that decides what the origin of `url` answers to this source, and what the source may ask for.
    pub(super) fn audience(&self, url: &Url) -> u64 {
        let mut hasher = DefaultHasher::new();
        (url.scheme(), url.host_str(), url.port_or_known_default()).hash(&mut hasher);
        (url.username(), url.password()).hash(&mut hasher);
        for (name, value) in &self.headers {
            (name, value.expose()).hash(&mut hasher);
        }
        self.allow_hosts.hash(&mut hasher);
        hasher.finish()
    }
}

fn decode_header(node: &Node<'_>) -> Option<(HeaderName, Secret)> {
    let name = node.argument::<String>("NAME");
    let value = node.argument::<Secret>("VALUE");
    let (name, value) = (name?, value?);
    let Ok(name) = HeaderName::try_from(name) else {
        let help = "letters, digits and dashes, as \"User-Agent\"";
        node.problem_at_argument(0, "this is no header name", help);
        return None;
    };
    if HeaderValue::try_from(value.expose()).is_err() {
        node.problem_at_argument(1, "this is no header value", "printable characters, no line breaks");
        return None;
    }
    Some((name, value))
}
