//! How sources that bring a transport stream are told to cut it.

use std::ops::RangeInclusive;
use std::time::Duration;

use sluice_core::conf::{Node, Shown};
use sluice_core::pipeline::Cutting;

/// How long segments may be.
const SEGMENTS: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(30);
const SEGMENT: Duration = Duration::from_secs(2);

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
