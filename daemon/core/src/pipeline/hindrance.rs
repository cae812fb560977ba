//! What a sink cannot do with what comes, told as the reason of a pipeline that is live.

use std::sync::Arc;

use super::{Shared, State};

impl Shared {
    /// Media comes: the pipeline is live. The reason is what a sink cannot do with it, or nothing.
    pub(super) fn live(&self) {
        let hindrance = self.hindrance.load();
        self.set_state(State::Live, hindrance.as_ref().map_or("", |reason| reason.as_str()));
    }

    /// Says what a sink cannot do with what comes, or that all can do what they are to. The other sinks go on.
    pub(super) fn hinder(&self, reason: Option<String>) {
        let before = self.hindrance.swap(reason.clone().map(Arc::new));
        if before.as_deref() == reason.as_ref() {
            return;
        }
        match &reason {
            Some(reason) => tracing::warn!(pipeline = %self.name, reason, "a sink cannot carry what comes"),
            None => tracing::info!(pipeline = %self.name, "every sink can carry what comes"),
        }
        let state = self.status().borrow().state;
        if state == State::Live {
            self.live();
        }
    }
}
