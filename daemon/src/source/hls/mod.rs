//! The source kind `hls`: follows an HLS origin, live or on demand played as live.

mod choose;
mod cursor;
mod fetch;
mod follow;
mod ladder;
mod latest;
mod origin;
mod probe;
mod run;
mod sniff;
#[cfg(test)]
mod tests;

use kdl::KdlNode;
use sluice_core::conf::{Code, HostRule, HttpUrl, Node, Problem, Shown, show_url};
use sluice_core::pipeline::{Source, SourceContext};
use sluice_core::stage::{Configured, Doc, Entry, Goods, Liveness, Reveal, SourceKind, SourceSpec};

use super::request::Asking;
use choose::Choice;
use probe::Probe;
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
                about: "Segments fetched at once at most, 1 to 16; delivered in order. An origin that brings one within \
                        a quarter of the target duration is asked for one at a time.",
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
    asking: Asking,
    parallel: usize,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    let url = node.argument::<HttpUrl>("URL");
    if url.as_ref().is_some_and(|url| url.0.path().to_ascii_lowercase().ends_with(".ts")) {
        let place = node.place_of_argument(1, "a transport stream, by its name");
        let problem = Problem::new(Code::Value, place, "this looks like a transport stream, not a playlist");
        node.add(problem.help("use source \"mpegts\"").warning());
    }
    let choice = node.child("variant").map_or(Some(Choice::Highest), |variant| Choice::decode(&variant));
    let asking = Asking::decode(node);
    let parallel = node.child("parallel").map_or(Some(3), |parallel| parallel.argument_within("N", 1..=16));
    Some(Box::new(Hls { url: url?, choice: choice?, asking: asking?, parallel: parallel? }))
}

impl Configured for Hls {
    fn kind(&self) -> &'static str {
        "hls"
    }

    fn show(&self, reveal: Reveal) -> KdlNode {
        let mut shown = Shown::new("source").argument("hls").argument(show_url(&self.url.0, reveal));
        shown = shown.child(self.choice.show()).children(self.asking.show(reveal));
        shown.child(Shown::new("parallel").argument(self.parallel)).into()
    }
}

impl SourceSpec for Hls {
    fn build(&self, context: SourceContext) -> Box<dyn Source> {
        Box::new(Run::new(self.clone(), context))
    }

    fn liveness(&self) -> Liveness {
        Liveness::Playlist
    }

    fn probe(&self, context: SourceContext) -> Option<Box<dyn Source>> {
        Some(Box::new(Probe::new(self.clone(), context)))
    }

    fn allowed_hosts(&self) -> &[HostRule] {
        &self.asking.allow_hosts
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
