//! A stream as a scorer sees it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Observation, milliseconds};

/// So many observations of a stream are kept, and shown to a scorer.
pub const MOST_OBSERVATIONS: usize = 100;

/// A stream, as it was over its last segments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// The pipeline.
    pub pipeline: String,
    /// The source that feeds it, as `source 1 hls`.
    pub source: String,
    /// The time, in milliseconds of Unix time.
    pub now_ms: u64,
    /// The target duration that is served.
    #[serde(rename = "target_duration_ms", with = "milliseconds")]
    pub target_duration: Duration,
    /// How long ago the last media came.
    #[serde(rename = "idle_ms", with = "milliseconds")]
    pub idle: Duration,
    /// Whether the stream has video.
    pub video: bool,
    /// Whether the stream has audio.
    pub audio: bool,
    /// Viewers now.
    pub viewers: u32,
    /// The newest observations, oldest first; at most [`MOST_OBSERVATIONS`]. Those of a source that was left are not
    /// among them.
    pub observations: Vec<Observation>,
    /// Numbers that later versions add, by name.
    pub measures: Vec<(String, f64)>,
}
