//! What a pipeline is doing, and why.

use jiff::Timestamp;
use serde::Serialize;

/// The state of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No segment has come yet.
    Starting,
    /// Segments come.
    Live,
    /// It was live, and nothing new came for three target durations. Viewers go on from the window.
    Stalled,
    /// The source gave up or cannot be used; it is tried again with backoff.
    Failed,
    /// It does not run: disabled, at its end, or the daemon stops.
    Stopped,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Live, Self::Stalled, Self::Failed, Self::Stopped];

    /// The word for metrics, logs and the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A state with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Why, in words for an operator. While live empty, or what a sink cannot do with what comes.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}
