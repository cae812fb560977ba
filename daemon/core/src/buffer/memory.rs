//! The buffer kind `memory`: the window alone.

use kdl::KdlNode;

use crate::conf::{ByteSize, Node, Reveal, Shown};
use crate::stage::{BufferKind, BufferSpec, Configured, Doc, Entry, Goods};

const SEGMENTS: usize = 100;
const BYTES: ByteSize = ByteSize(256 << 20);
const MOST_SEGMENTS: usize = 100_000;

/// The kind.
pub const MEMORY: BufferKind = BufferKind {
    doc: Doc {
        name: "memory",
        about: "Keeps the newest segments of each rendition in memory; what a pipeline has when it names no buffer.",
        example: r#"buffer "memory" segments=100 bytes="256MiB""#,
        entries: &[
            Entry {
                form: "segments=N",
                about: "Segments of each rendition, 3 to 100000; those of the newest three target durations stay in any case.",
                default: "100",
            },
            Entry {
                form: "bytes=\"256MiB\"",
                about: "Bytes of each rendition, at least 1MiB; whichever bound is reached first holds.",
                default: "256MiB",
            },
        ],
    },
    holds: Goods::Live,
    decode,
};

/// A configured `memory` buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    segments: usize,
    bytes: ByteSize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { segments: SEGMENTS, bytes: BYTES }
    }
}

fn decode(node: &Node<'_>) -> Option<Box<dyn BufferSpec>> {
    let segments = node.property_within("segments", 3..=MOST_SEGMENTS);
    let bytes = node.property_within("bytes", ByteSize(1 << 20)..=ByteSize(u64::MAX));
    Some(Box::new(Memory { segments: segments.unwrap_or(SEGMENTS), bytes: bytes.unwrap_or(BYTES) }))
}

impl Configured for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let shown = Shown::new("buffer").argument("memory");
        shown.property("segments", self.segments).property("bytes", self.bytes).into()
    }
}

impl BufferSpec for Memory {
    fn segments(&self) -> usize {
        self.segments
    }

    fn bytes(&self) -> u64 {
        self.bytes.0
    }
}
