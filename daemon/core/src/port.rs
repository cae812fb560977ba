//! What the domain asks of the outside. Adapters implement these; tests bring fakes.

use serde::{Deserialize, Serialize};

/// Where the numbers of a pipeline go on after a restart of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbering {
    /// No media sequence at or above this was ever given out.
    pub media_sequence: u64,
    /// No discontinuity sequence at or above this was ever given out.
    pub discontinuity_sequence: u64,
    /// The target duration that was published, in seconds.
    pub target_duration_secs: u64,
}

/// Keeps the numbers of pipelines over restarts.
pub trait Ledger: Send + Sync {
    /// What stands for this pipeline; none when nothing was kept or it cannot be read (logged by the adapter).
    fn load(&self, pipeline: &str) -> Option<Numbering>;

    /// Keeps it. Returns at once: the adapter writes behind the caller's back, newest last, and logs failures.
    fn store(&self, pipeline: &str, numbering: Numbering);
}
