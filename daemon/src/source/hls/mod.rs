//! The source kind `hls`: follows an HLS origin, live or on demand played as live.

mod choose;
mod cursor;
mod fetch;
mod follow;
mod ladder;
mod latest;
mod origin;
mod run;
mod sniff;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use kdl::KdlNode;
use sluice_core::conf::{HostRule, HttpUrl, Node, Secret, Shown, show_url};
use sluice_core::pipeline::{Source, SourceContext};
use sluice_core::stage::{Configured, Doc, Entry, Goods, Reveal, SourceKind, SourceSpec};

use choose::Choice;
use run::Run;

/// The kind.
pub(crate) const HLS: SourceKind = SourceKind {
    doc: Doc {
        name: "hls",
        about: "Follows an HLS origin: takes every segment, byte for byte, decrypts AES-128, keeps its place over faults.",
        example: r#"source "hls" "https://origin.example/news/master.m3u8" {
    variant "highest"
    header "User-Agent" "sluice"
    allow-hosts "cdn.example"
    parallel 3
}"#,
        entries: &[
            Entry { form: "URL", about: "The multivariant or media playlist, http or https.", default: "" },
            Entry {
                form: "variant \"highest\"",
                about: "Which variant of a multivariant playlist: highest, lowest, all, bandwidth=BITS (the best that \
                        fits), or resolution=\"1280x720\" (the nearest). Its audio and subtitle groups come along.",
                default: "highest",
            },
            Entry {
                form: "header NAME VALUE",
                about: "Sent to the origin itself; User-Agent also to other hosts.",
                default: "none",
            },
            Entry {
                form: "allow-hosts HOST...",
                about: "Hosts, *.domains or networks that playlists may lead to besides public ones.",
                default: "none",
            },
            Entry {
                form: "parallel N",
                about: "Segments fetched at once, 1 to 16; delivered in order.",
                default: "3",
            },
        ],
    },
    gives: Goods::Live,
    exchanges: true,
    decode,
};

/// A configured `hls` source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hls {
    url: HttpUrl,
    choice: Choice,
    headers: Vec<(HeaderName, Secret)>,
    allow_hosts: Vec<HostRule>,
    parallel: usize,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    let url = node.argument::<HttpUrl>("URL");
    let choice = node.child("variant").map_or(Some(Choice::Highest), |variant| Choice::decode(&variant));
    let headers: Vec<_> = node.children("header").iter().map(decode_header).collect();
    let allow_hosts =
        node.child("allow-hosts").map(|hosts| hosts.arguments::<HostRule>("HOST")).unwrap_or_default();
    let parallel = node.child("parallel").map_or(Some(3), |parallel| parallel.argument_within("N", 1..=16));
    let headers = headers.into_iter().collect::<Option<Vec<_>>>();
    Some(Box::new(Hls { url: url?, choice: choice?, headers: headers?, allow_hosts, parallel: parallel? }))
}

fn decode_header(node: &Node<'_>) -> Option<(HeaderName, Secret)> {
    let name = node.argument::<String>("NAME");
    let value = node.argument::<Secret>("VALUE");
    let (name, value) = (name?, value?);
    let Ok(name) = HeaderName::try_from(name) else {
        node.problem_at_argument(
            0,
            "this is no header name",
            "letters, digits and dashes, as \"User-Agent\"",
        );
        return None;
    };
    if HeaderValue::try_from(value.expose()).is_err() {
        node.problem_at_argument(1, "this is no header value", "printable characters, no line breaks");
        return None;
    }
    Some((name, value))
}

impl Configured for Hls {
    fn kind(&self) -> &'static str {
        "hls"
    }

    fn show(&self, reveal: Reveal) -> KdlNode {
        let mut shown = Shown::new("source").argument("hls").argument(show_url(&self.url.0, reveal));
        shown = shown.child(self.choice.show());
        for (name, value) in &self.headers {
            let value = if reveal == Reveal::Whole { value.expose() } else { "***" };
            shown = shown.child(Shown::new("header").argument(name.as_str()).argument(value));
        }
        if !self.allow_hosts.is_empty() {
            let hosts = self
                .allow_hosts
                .iter()
                .fold(Shown::new("allow-hosts"), |hosts, host| hosts.argument(host.to_string()));
            shown = shown.child(hosts);
        }
        shown.child(Shown::new("parallel").argument(self.parallel)).into()
    }
}

impl SourceSpec for Hls {
    fn build(&self, context: SourceContext) -> Box<dyn Source> {
        Box::new(Run::new(self.clone(), context))
    }

    fn allowed_hosts(&self) -> &[HostRule] {
        &self.allow_hosts
    }

    fn idle_connections(&self) -> usize {
        match self.choice {
            Choice::All => 8, // the polls of a ladder come together
            _ => 3,           // a poll, a segment, and one of an audio group
        }
    }

    fn operator_url(&self) -> Option<&url::Url> {
        Some(&self.url.0)
    }
}

impl Hls {
    fn header_map(&self) -> Arc<HeaderMap> {
        let pairs = self.headers.iter().filter_map(|(name, value)| {
            let mut value = HeaderValue::try_from(value.expose()).ok()?;
            value.set_sensitive(true);
            Some((name.clone(), value))
        });
        Arc::new(pairs.collect())
    }
}
