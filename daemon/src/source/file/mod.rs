//! The source kind `file`: plays a transport stream from a file as live.

mod play;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use kdl::KdlNode;
use sluice_core::conf::{Node, Shown};
use sluice_core::pipeline::{Cutting, Source, SourceContext};
use sluice_core::stage::{Configured, Doc, Entry, Goods, Reveal, SourceKind, SourceSpec};

use super::cutting::{PROGRAM_ENTRY, SEGMENT_ENTRY, decode_cutting, show_cutting};
use play::Player;

/// The kind.
pub(crate) const FILE: SourceKind = SourceKind {
    doc: Doc {
        name: "file",
        about: "Plays a transport stream from a file at real time, over and over on one time line without a seam.",
        example: r#"source "file" "media/slate.ts" loop=#true segment="2s""#,
        entries: &[
            Entry {
                form: "PATH",
                about: "An MPEG transport stream; a relative path starts at the daemon's working directory.",
                default: "",
            },
            Entry {
                form: "loop=#true",
                about: "Whether the file starts anew at its end. #false plays it once, and the playlists end.",
                default: "#true",
            },
            PROGRAM_ENTRY,
            SEGMENT_ENTRY,
        ],
    },
    gives: Goods::Live,
    exchanges: false,
    decode,
};

/// A configured `file` source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    path: PathBuf,
    is_looped: bool,
    cutting: Cutting,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    let path = node.argument::<PathBuf>("PATH");
    let is_looped = node.property::<bool>("loop").unwrap_or(true);
    let cutting = decode_cutting(node);
    Some(Box::new(File { path: path?, is_looped, cutting }))
}

impl Configured for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let shown = Shown::new("source").argument("file").argument(self.path.as_path());
        show_cutting(shown.property("loop", self.is_looped), &self.cutting).into()
    }

    fn files(&self) -> Vec<(PathBuf, &'static str)> {
        vec![(self.path.clone(), "transport stream")]
    }
}

impl SourceSpec for File {
    fn build(&self, context: SourceContext) -> Box<dyn Source> {
        Box::new(Player::new(self.clone(), context.feed))
    }

    fn segment(&self) -> Option<Duration> {
        Some(self.cutting.segment)
    }

    fn stands_in(&self) -> bool {
        self.is_looped
    }
}
