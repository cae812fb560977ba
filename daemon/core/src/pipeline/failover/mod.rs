//! Failover: the chain of a pipeline's sources. What a run of a source did is *observed*; the *detector* judges it; the
//! *chain* decides what is started and stopped. These three are pure: the clock is an argument. The *director* is the
//! task that brings them together with runs.

mod budget;
mod chain;
#[cfg(test)]
mod chain_tests;
mod detector;
#[cfg(test)]
mod detector_tests;
mod director;
mod entry;
mod link;
mod observed;
mod run;
mod status;
mod step;

pub use director::{Asker, Ordered, Switcher};
pub(super) use director::{Director, Wanted};
pub use observed::Listed;
pub(super) use observed::Observed;
pub use status::{ChainStatus, LastSwitch, SourceState, SourceStatus};

use crate::fault::{Fault, FaultKind};

/// Why a source was left, or another taken. The labels are a closed set, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing came for too long.
    Stall,
    /// Media came slower than it plays.
    Slow,
    /// The origin ended the stream.
    Ended,
    /// A fault that did not pass.
    Fault(FaultKind),
    /// The health score fell below the limit.
    Health,
    /// A monitor's verdict.
    Monitor,
    /// An operator asked for it.
    Manual,
    /// A plugin asked for it.
    Plugin,
    /// A better source proved itself.
    Return,
    /// The configuration changed.
    Reload,
}

impl Reason {
    /// The label under which metrics count it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Stall => "stall",
            Self::Slow => "slow",
            Self::Ended => "ended",
            Self::Fault(kind) => kind.label(),
            Self::Health => "health",
            Self::Monitor => "monitor",
            Self::Manual => "manual",
            Self::Plugin => "plugin",
            Self::Return => "return",
            Self::Reload => "reload",
        }
    }

    /// The labels besides those of faults.
    pub const LABELS: &[&str] =
        &["stall", "slow", "ended", "health", "monitor", "manual", "plugin", "return", "reload"];

    /// Whether something is wrong, rather than wanted or due.
    fn is_trouble(&self) -> bool {
        !matches!(self, Self::Ended | Self::Manual | Self::Plugin | Self::Return | Self::Reload)
    }

    /// Whether the source still brings something, so that it is left only where another can be taken.
    fn is_soft(&self) -> bool {
        matches!(self, Self::Slow | Self::Health | Self::Monitor)
    }
}

/// Why a source is to be left, for machines and for people.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) reason: Reason,
    pub(super) words: String,
}

impl Verdict {
    fn new(reason: Reason, words: impl Into<String>) -> Self {
        Self { reason, words: words.into() }
    }

    fn fault(fault: &Fault) -> Self {
        Self::new(Reason::Fault(fault.kind.clone()), fault.to_string())
    }
}
