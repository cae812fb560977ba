//! The source kind `pipeline`: the window of another pipeline of this daemon.

mod copy;
mod follow;
#[cfg(test)]
mod tests;

use kdl::KdlNode;
use sluice_core::conf::{Node, Shown};
use sluice_core::pipeline::{Source, SourceContext};
use sluice_core::stage::{Configured, Doc, Entry, Goods, Liveness, Reveal, SourceKind, SourceSpec};

use follow::Follow;

/// The kind.
pub(crate) const PIPELINE: SourceKind = SourceKind {
    doc: Doc {
        name: "pipeline",
        about: "Follows the window of another pipeline of this daemon, with all its renditions, so that several \
                pipelines share one connection. Bytes are shared, not copied.",
        example: r#"source "pipeline" "news""#,
        entries: &[Entry { form: "NAME", about: "The other pipeline.", default: "" }],
    },
    gives: Goods::Live,
    exchanges: false,
    decode,
};

/// A configured `pipeline` source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Other {
    name: String,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    Some(Box::new(Other { name: node.argument("NAME")? }))
}

impl Configured for Other {
    fn kind(&self) -> &'static str {
        PIPELINE.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        Shown::new("source").argument("pipeline").argument(&*self.name).node()
    }
}

impl SourceSpec for Other {
    fn build(&self, context: SourceContext) -> Box<dyn Source> {
        Box::new(Follow::new(self.name.clone(), context))
    }

    /// Whole segments, where the other one has no parts.
    fn liveness(&self) -> Liveness {
        Liveness::Playlist
    }

    fn follows(&self) -> Option<&str> {
        Some(&self.name)
    }
}
