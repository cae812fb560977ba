//! The sink kind `mpegts`: the program of a pipeline as one endless transport stream over HTTP.

mod serve;

use std::time::Duration;

use kdl::KdlNode;
use sluice_core::conf::{Node, Shown};
use sluice_core::stage::{
    Configured, Doc, Entry, Goods, LayerContext, Reveal, Served, Serving, ServingSpec, SinkForm, SinkKind,
    SinkSpec,
};

use super::hls::is_mount;
use serve::Serve;

/// How far the release lags what comes, where nothing else is said.
const BEHIND: Duration = Duration::from_secs(2);
/// The longest: the ring holds twice as much.
const LONGEST: Duration = Duration::from_secs(60);

/// The kind.
pub(crate) const MPEGTS: SinkKind = SinkKind {
    doc: Doc {
        name: "mpegts",
        about: "Serves one endless MPEG transport stream on a path: without a seam, whatever the sources do.",
        example: r#"sink "mpegts" path="/live/news.ts" behind="2s""#,
        entries: &[
            Entry { form: "path=\"/live/NAME.ts\"", about: "Where it is served.", default: "" },
            Entry {
                form: "behind=\"2s\"",
                about: "How far the stream lags what comes, so that it goes out smoothly, and how much a viewer gets \
                        at once to begin with. 0s to 60s.",
                default: "2s",
            },
        ],
    },
    takes: Goods::Live,
    pushes: false,
    decode,
};

/// A configured `mpegts` sink.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mpegts {
    path: String,
    behind: Duration,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SinkSpec>> {
    let path = node.required_property::<String>("path");
    let behind = node.property_within("behind", Duration::ZERO..=LONGEST);
    let path = path?;
    if !is_mount(&path) {
        let help =
            "a path starts with a slash, does not end with one, and holds letters, digits and - _ . ~ /";
        node.problem_at("path", "nothing can be served under this path", help);
        return None;
    }
    Some(Box::new(Mpegts { path, behind: behind.unwrap_or(BEHIND) }))
}

impl Configured for Mpegts {
    fn kind(&self) -> &'static str {
        "mpegts"
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let shown = Shown::new("sink").argument("mpegts").property("path", self.path.as_str());
        shown.property("behind", self.behind).into()
    }
}

impl SinkSpec for Mpegts {
    fn form(&self) -> SinkForm<'_> {
        SinkForm::Serves(self)
    }
}

impl ServingSpec for Mpegts {
    fn path(&self) -> &str {
        &self.path
    }

    fn build(&self, context: &LayerContext) -> Serving {
        let serve = Serve::new(self.behind, context);
        Serving::from_fn(move |viewing| Served::now(serve.answer(&viewing)))
    }
}
