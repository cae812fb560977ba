//! The chain as operators see it.

use std::sync::Arc;

use jiff::Timestamp;

/// The chain of a pipeline.
#[derive(Debug, Clone, Default)]
pub struct ChainStatus {
    /// Its sources, in order.
    pub sources: Vec<SourceStatus>,
    /// The last switch; none since the start.
    pub last_switch: Option<LastSwitch>,
    /// How many switches the budget has left.
    pub switches_left: u32,
}

/// A source of the chain.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    /// Its name, as `source 1 hls`.
    pub stage: Arc<str>,
    /// What it does.
    pub state: SourceState,
    /// Whether it feeds the pipeline, which it may do while it is proving itself.
    pub feeds: bool,
    /// Why it rests or was refused; empty otherwise.
    pub reason: String,
    /// Until when it rests; none for ever, and where it does not rest.
    pub until: Option<Timestamp>,
}

/// What a source of a chain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// It feeds the pipeline, and is known to work.
    Active,
    /// It is started and brought nothing yet.
    Starting,
    /// It is ready to be taken.
    Standby,
    /// It is watched, and taken when it proves itself; or it feeds the pipeline already, with what may be old.
    Proving,
    /// It failed and is left alone for a while.
    Resting,
    /// It cannot take the place of the first source that went live.
    Refused,
}

impl SourceState {
    /// The word for the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Proving => "proving",
            Self::Resting => "resting",
            Self::Refused => "refused",
        }
    }
}

/// A switch of sources.
#[derive(Debug, Clone)]
pub struct LastSwitch {
    /// When.
    pub time: Timestamp,
    /// The source that was left; none where it is no longer known.
    pub from: Option<Arc<str>>,
    /// The source that was taken.
    pub to: Arc<str>,
    /// The reason's label.
    pub reason: &'static str,
    /// The reason in words.
    pub words: String,
    /// How long no media came, in seconds.
    pub gap_seconds: f64,
}
