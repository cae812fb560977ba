//! How sources that bring a transport stream are told to cut it.

use std::ops::RangeInclusive;
use std::time::Duration;

use sluice_core::conf::{Node, Shown};
use sluice_core::pipeline::Cutting;
use sluice_core::stage::Entry;

/// How long segments may be.
const SEGMENTS: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(30);
const SEGMENT: Duration = Duration::from_secs(2);

/// What `segment` means.
pub(super) const SEGMENT_ENTRY: Entry = Entry {
    form: "segment=\"2s\"",
    about: "The length of segments, 500ms to 30s; each ends at the first keyframe behind it.",
    default: "2s",
};

/// What `program` means.
pub(super) const PROGRAM_ENTRY: Entry = Entry {
    form: "program=1",
    about: "The number of the program that is taken, 1 to 65535, where the stream has several.",
    default: "the first",
};

/// Reads `segment` and `program`.
pub(super) fn decode_cutting(node: &Node<'_>) -> Cutting {
    let segment = node.property_within("segment", SEGMENTS);
    let program = node.property_within::<u16>("program", 1..=u16::MAX);
    Cutting { segment: segment.unwrap_or(SEGMENT), program }
}

/// Shows what [`decode_cutting`] reads.
pub(super) fn show_cutting(shown: Shown, cutting: &Cutting) -> Shown {
    shown.property("segment", cutting.segment).optional("program", cutting.program.map(u64::from))
}
