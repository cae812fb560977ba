//! What a source says when it opens its windows.

use std::time::Duration;

use super::RenditionSpec;

/// What a source knows of its origin before the first segment.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The renditions, variants first.
    pub specs: &'a [RenditionSpec],
    /// The origin's target duration.
    pub target: Duration,
    /// Whether every segment can be decoded on its own.
    pub independent_segments: bool,
    /// The longest part (PART-TARGET), where the source is paced in parts. Windows that go on keep theirs.
    pub part_target: Option<Duration>,
}
