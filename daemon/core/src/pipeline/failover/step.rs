//! What goes into the chain and what comes out of it.

use super::Verdict;
use super::entry::{Down, Id};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// The run of this source brought its first media.
    Live(Id),
    /// The source that serves brings what is new.
    Works(Id),
    /// The source that is coming keeps viewers waiting.
    Late(Id),
    /// The run or probe of this source is over, or to be left.
    Down(Id, Down),
    /// A probe showed the source well for long enough.
    Proved(Id),
    /// An operator or a plugin wants this source.
    Order(Id, Verdict),
    /// The source that serves is to be started anew: under another id, beside its run.
    Renew(Id, Verdict),
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Run this source; it serves when it is live.
    Start(Id),
    /// Run this source; it serves when it has been live for long enough.
    Try(Id),
    /// Run this stand-in beside the source that is coming; it serves when it is live, unless the other one does.
    Bridge(Id),
    /// End the run of this source.
    Stop(Id),
    /// Look whether this source is well, beside the one that serves.
    Probe(Id),
    /// End the probe.
    Unprobe,
    /// Another source serves than before: tell.
    Switched { from: Option<Id>, to: Id, why: Verdict },
}
