//! The sink kind `hls`: serves a pipeline's windows as HLS (RFC 8216), with a small play page.

mod directive;
mod multivariant;
mod object;
mod page;
mod playlist;
mod rendered;
mod response;
mod serve;
mod waiting;

use std::sync::Arc;

use kdl::KdlNode;
use sluice_core::conf::{Node, Shown};
use sluice_core::stage::{
    Configured, Doc, Entry, Goods, LayerContext, Reveal, Serving, ServingSpec, SinkForm, SinkKind, SinkSpec,
};

use serve::Serve;

/// The kind.
pub(crate) const HLS: SinkKind = SinkKind {
    doc: Doc {
        name: "hls",
        about: "Serves HLS under a path: PATH/index.m3u8 for players, PATH/ with a play page for people.",
        example: r#"sink "hls" path="/live/news" window=6 player=#true"#,
        entries: &[
            Entry {
                form: "path=\"/live/NAME\"",
                about: "The prefix of everything that it serves.",
                default: "",
            },
            Entry {
                form: "window=N",
                about: "Segments in a playlist, 3 to 10000; more where they last less than three target durations. Older \
                        ones can be fetched while the buffer has them.",
                default: "6",
            },
            Entry {
                form: "low-latency=#false",
                about: "Whether players can wait for what is to come and take it in parts, where the source is paced in parts. Old players play it too.",
                default: "#false",
            },
            Entry {
                form: "player=#true",
                about: "Whether PATH/ is a play page; without it, it leads to index.m3u8.",
                default: "#true",
            },
        ],
    },
    takes: Goods::Live,
    pushes: false,
    decode,
};

/// A configured `hls` sink.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hls {
    path: String,
    window: usize,
    is_low_latency: bool,
    player: bool,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SinkSpec>> {
    let path = node.required_property::<String>("path");
    let window = node.property_within("window", 3..=10_000);
    let is_low_latency = node.property::<bool>("low-latency").unwrap_or(false);
    let player = node.property::<bool>("player");
    let path = path?;
    if !is_mount(&path) {
        let help =
            "a path starts with a slash, does not end with one, and holds letters, digits and - _ . ~ /";
        node.problem_at("path", "nothing can be served under this path", help);
        return None;
    }
    Some(Box::new(Hls { path, window: window.unwrap_or(6), is_low_latency, player: player.unwrap_or(true) }))
}

/// Whether requests can be told apart by this path as it is written, without percent-encoding.
pub(super) fn is_mount(path: &str) -> bool {
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
    };
    path.strip_prefix('/').is_some_and(|path| path.split('/').all(plain))
}

impl Configured for Hls {
    fn kind(&self) -> &'static str {
        "hls"
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let shown = Shown::new("sink").argument("hls").property("path", self.path.as_str());
        let shown = shown.property("window", self.window).property("low-latency", self.is_low_latency);
        shown.property("player", self.player).into()
    }
}

impl SinkSpec for Hls {
    fn form(&self) -> SinkForm<'_> {
        SinkForm::Serves(self)
    }

    fn shown_segments(&self) -> usize {
        self.window
    }
}

impl ServingSpec for Hls {
    fn path(&self) -> &str {
        &self.path
    }

    fn build(&self, context: &LayerContext) -> Serving {
        let serve = Arc::new(Serve::new(self, context));
        Serving::from_fn(move |viewing| serve.answer(viewing))
    }
}

#[cfg(test)]
mod tests {
    use super::is_mount;

    #[test]
    fn a_mount_is_a_plain_absolute_path() {
        for (path, good) in [
            ("/live/news", true),
            ("/news.hd", true),
            ("live", false),
            ("/live/", false),
            ("/", false),
            ("/a//b", false),
            ("/a/../b", false),
            ("/caf\u{e9}", false),
            ("/a%20b", false),
        ] {
            assert_eq!(is_mount(path), good, "{path}");
        }
    }
}
