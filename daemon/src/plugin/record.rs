//! One plugin by its name: what is in force of it, and how it fares.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sluice_core::plugin::PluginFault;
use tokio::time::Instant;

use super::fault::{CallFault, FaultKind};
use super::grants::Grants;
use super::program::{Compiled, Program};

/// So many faults a plugin may have at once; one more of them each minute.
const FAULTS: u32 = 10;
const REFILL: Duration = Duration::from_secs(60);

/// A plugin.
pub(super) struct Record {
    pub(super) name: Arc<str>,
    state: Mutex<State>,
}

/// What stands of it.
#[derive(Default)]
pub(super) struct State {
    /// What is called, with what it was linked to.
    pub(super) program: Option<(Arc<Program>, Arc<Grants>)>,
    /// What it was linked from.
    pub(super) compiled: Option<Arc<Compiled>>,
    /// When that was taken up.
    pub(super) loaded: Option<Timestamp>,
    /// Why the newest file is not what is called.
    pub(super) refusal: Option<Arc<str>>,
    pub(super) disabled: Option<Disabled>,
    pub(super) calls: u64,
    pub(super) faults: BTreeMap<FaultKind, u64>,
    pub(super) last_fault: Option<LastFault>,
    spent: u32,
    refilled: Option<Instant>,
}

/// Since when and why a plugin is not called.
#[derive(Debug, Clone)]
pub(super) struct Disabled {
    pub(super) since: Timestamp,
    pub(super) reason: Arc<str>,
}

/// The newest fault.
#[derive(Debug, Clone)]
pub(super) struct LastFault {
    pub(super) time: Timestamp,
    pub(super) fault: CallFault,
    pub(super) pipeline: Option<Arc<str>>,
}

impl Record {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, state: Mutex::default() }
    }

    /// What stands of it. Hold it for a look only.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be called.
    ///
    /// # Errors
    /// `Missing` or `Unavailable`, with why.
    pub(super) fn program(&self) -> Result<(Arc<Program>, Arc<Grants>), PluginFault> {
        let state = self.state();
        if let Some(disabled) = &state.disabled {
            return Err(PluginFault::Unavailable(disabled.reason.clone()));
        }
        match (&state.program, &state.refusal) {
            (Some(program), _) => Ok(program.clone()),
            (None, Some(refusal)) => Err(PluginFault::Unavailable(refusal.clone())),
            (None, None) => {
                let words = format!("there is no {}.wasm, or it is not loaded yet", self.name);
                Err(PluginFault::Missing(words.into()))
            }
        }
    }

    /// A newer program takes its place; earlier faults are forgotten.
    pub(super) fn install(&self, compiled: Arc<Compiled>, program: Arc<Program>, grants: Arc<Grants>) {
        let mut state = self.state();
        state.compiled = Some(compiled);
        state.program = Some((program, grants));
        state.loaded = Some(Timestamp::now());
        state.refusal = None;
        state.enable();
    }

    /// The newest file is not taken up.
    pub(super) fn refuse(&self, why: &str) {
        self.state().refusal = Some(why.into());
    }

    /// What was linked is not to be called any more; the file stays known.
    pub(super) fn withdraw(&self) {
        self.state().program = None;
    }

    /// The file is gone.
    pub(super) fn remove(&self) {
        let mut state = self.state();
        (state.program, state.compiled, state.loaded, state.refusal) = (None, None, None, None);
        state.enable();
    }

    /// Is called again. Returns whether it was not.
    pub(super) fn enable(&self) -> bool {
        self.state().enable()
    }

    /// Counts a fault. Returns why the plugin is disabled, where this fault was one too many.
    pub(super) fn faulted(&self, fault: &CallFault, pipeline: Option<Arc<str>>) -> Option<Arc<str>> {
        let mut state = self.state();
        *state.faults.entry(fault.kind).or_default() += 1;
        state.last_fault = Some(LastFault { time: Timestamp::now(), fault: fault.clone(), pipeline });
        if fault.kind == FaultKind::Init || state.disabled.is_some() || !state.is_spent() {
            return None; // what a use writes is no fault of the others
        }
        let reason: Arc<str> = format!("disabled after {FAULTS} faults; the last one: {fault}").into();
        state.disabled = Some(Disabled { since: Timestamp::now(), reason: reason.clone() });
        Some(reason)
    }
}

impl State {
    fn enable(&mut self) -> bool {
        (self.spent, self.refilled) = (0, None);
        self.disabled.take().is_some()
    }

    /// Takes one fault from the budget. Returns whether that was the last one.
    fn is_spent(&mut self) -> bool {
        let now = Instant::now();
        let since = *self.refilled.get_or_insert(now);
        let more = u32::try_from(now.duration_since(since).as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
        self.spent = self.spent.saturating_sub(more);
        self.refilled = Some(since + REFILL * more);
        self.spent += 1;
        self.spent >= FAULTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> CallFault {
        CallFault::new(kind, "it broke")
    }

    #[tokio::test(start_paused = true)]
    async fn a_plugin_that_faults_too_often_is_disabled_until_it_is_enabled() {
        let record = Record::new("x".into());
        for number in 1..10 {
            assert_eq!(record.faulted(&fault(FaultKind::Trap), None), None, "{number}");
        }
        let reason = record.faulted(&fault(FaultKind::Deadline), None).unwrap();
        assert_eq!(&*reason, "disabled after 10 faults; the last one: it broke");
        assert_eq!(record.program().err().unwrap(), PluginFault::Unavailable(reason));
        assert!(record.enable() && !record.enable());
        assert!(matches!(record.program(), Err(PluginFault::Missing(_))));
        assert_eq!(record.faulted(&fault(FaultKind::Trap), None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_a_minute_and_refused_configurations_are_borne() {
        let record = Record::new("x".into());
        for _ in 0..100 {
            assert_eq!(record.faulted(&fault(FaultKind::Trap), None), None);
            assert_eq!(record.faulted(&fault(FaultKind::Init), None), None);
            tokio::time::advance(REFILL).await;
        }
    }
}
