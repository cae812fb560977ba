//! One instance of a plugin, and calls of it within their limits.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Store, UpdateDeadline};

use super::clock::Clock;
use super::contract::v0_1::{any, handling, scoring};
use super::fault::{CallFault, FaultKind, OverDeadline, classify};
use super::grants::{Grants, HANDLER_WAIT, SCORER_WAIT};
use super::guest::{Environment, Guest};
use super::meter::Meter;
use super::program::{Exports, Kind, Program};
use super::settings::{Configured, Description};
use super::slots::Slot;
use super::translate;
use super::usage::{Answered, Asked};
use crate::store::Namespace;

/// What a plugin may hand over in one call of the daemon, or give back, in bytes: a request with a body of 1 MiB.
const HANDED_OVER_BYTES: usize = 2 << 20;

/// A call that lasts so much longer than all that it may wait and work for does not end by itself.
const SLACK: Duration = Duration::from_secs(1);

/// An instance. One that faulted is thrown away.
pub(super) struct Instance {
    store: Store<Guest>,
    lifecycle: any::Any,
    bound: Bound,
    grants: Arc<Grants>,
    /// The program that it was made of.
    pub(super) program: Arc<Program>,
    // after the store, which gives its memory back first
    _slot: Slot,
}

enum Bound {
    Scorer(scoring::Scoring),
    Handler(handling::Handling),
}

/// Whom an instance is for.
pub(super) struct Purpose {
    pub(super) space: Namespace,
    pub(super) grants: Arc<Grants>,
    pub(super) configured: Arc<Configured>,
}

/// What a call gave where it did not fault: what the plugin made, or why it refused, in its words.
pub(super) type Given<T> = Result<Result<T, String>, CallFault>;

/// The same as the engine brings it.
type Outcome<T> = Result<wasmtime::Result<Result<T, String>>, CallFault>;

impl Instance {
    /// Makes one. Nothing of it runs yet but its start function, within the limits of a call.
    pub(super) async fn new(
        program: &Arc<Program>,
        environment: &Arc<Environment>,
        purpose: &Purpose,
        slot: Slot,
    ) -> Result<Self, CallFault> {
        let Purpose { space, grants, configured } = purpose;
        let guest = Guest::new(environment.clone(), space.clone(), grants.clone(), configured.clone());
        let mut store = Store::new(program.instances.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(HANDED_OVER_BYTES);
        let (meter, deadline) = (store.data().meter.clone(), grants.deadline);
        store.epoch_deadline_callback(move |_| {
            if meter.spent() >= deadline {
                return Err(OverDeadline(deadline).into());
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store.set_epoch_deadline(1);
        let meter = store.data().meter.clone();
        let bounds = Bounds { meter, clock: program.clock.clone(), longest: deadline + SLACK };
        let made = bounds.within(program.instances.instantiate_async(&mut store)).await?;
        let instance = made.map_err(|error| classify(&error, store.data().complaint()))?;
        let invalid = |error: wasmtime::Error| classify(&error, None);
        let lifecycle = program.lifecycle.load(&mut store, &instance).map_err(invalid)?;
        let bound = match &program.exports {
            Exports::Scorer(found) => Bound::Scorer(found.load(&mut store, &instance).map_err(invalid)?),
            Exports::Handler(found) => Bound::Handler(found.load(&mut store, &instance).map_err(invalid)?),
        };
        let (program, grants) = (program.clone(), grants.clone());
        Ok(Self { store, lifecycle, bound, grants, program, _slot: slot })
    }

    /// Makes one that has read its configuration.
    pub(super) async fn start(
        program: &Arc<Program>,
        environment: &Arc<Environment>,
        purpose: &Purpose,
        slot: Slot,
    ) -> Result<Self, CallFault> {
        let mut instance = Self::new(program, environment, purpose, slot).await?;
        instance.init().await?;
        Ok(instance)
    }

    /// The memory that it has, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory.used_bytes()
    }

    /// The plugin's own time in the last call.
    pub(super) fn spent(&self) -> Duration {
        self.store.data().meter.spent()
    }

    /// Log lines of the last call that were more than may be.
    pub(super) fn lines_left_out(&self) -> u32 {
        self.store.data().lines_left_out()
    }

    /// What the plugin says of itself.
    pub(super) async fn describe(&mut self) -> Result<Description, CallFault> {
        let bounds = self.begin(Duration::ZERO);
        let calling = self.lifecycle.sluice_plugin_lifecycle().call_describe(&mut self.store);
        let outcome = bounds.within(calling).await;
        let description = translate::description(self.end(outcome)?);
        description.check().map_err(|words| CallFault::new(FaultKind::Invalid, words))?;
        Ok(description)
    }

    /// Lets it read its configuration. Where it refuses that, the fault says why in its words.
    pub(super) async fn init(&mut self) -> Result<(), CallFault> {
        let bounds = self.begin(self.wait());
        let calling = self.lifecycle.sluice_plugin_lifecycle().call_init(&mut self.store);
        let outcome = bounds.within(calling).await;
        let refusal =
            |words: String| CallFault::new(FaultKind::Init, brief(&self.store.data().strike(&words)));
        match outcome {
            Ok(Ok(Err(words))) => Err(refusal(words)),
            other => self.end(other).map(|_| ()),
        }
    }

    /// Calls it. What makes no sense of what it gives is a fault.
    pub(super) async fn ask(&mut self, asked: &Asked) -> Given<Answered> {
        let bounds = self.begin(self.wait());
        let store = &mut self.store;
        match (asked, &self.bound) {
            (Asked::Score(sample), Bound::Scorer(scorer)) => {
                let sample = translate::sample(sample);
                let calling = scorer.sluice_plugin_scorer().call_score(store, &sample);
                let outcome = bounds.within(calling).await;
                self.verdict(outcome)
            }
            (Asked::Handle(event), Bound::Handler(handler)) => {
                let event = translate::event(event);
                let calling = handler.sluice_plugin_handler().call_handle(store, &event);
                let outcome = bounds.within(calling).await;
                self.reaction(outcome)
            }
            (Asked::Wake, Bound::Handler(handler)) => {
                let outcome = bounds.within(handler.sluice_plugin_handler().call_wake(store)).await;
                self.reaction(outcome)
            }
            _ => Err(CallFault::new(FaultKind::Invalid, format!("it is a {}", self.program.kind.word()))),
        }
    }

    fn verdict(&self, outcome: Outcome<translate::WitHealth>) -> Given<Answered> {
        match self.end(outcome)? {
            Err(words) => Ok(Err(self.strike(&words))),
            Ok(health) => {
                let verdict = translate::verdict(health, |words| self.strike(words)).checked();
                let invalid = |words| CallFault::new(FaultKind::Invalid, words);
                verdict.map(|verdict| Ok(Answered::Verdict(verdict))).map_err(invalid)
            }
        }
    }

    fn reaction(&self, outcome: Outcome<translate::WitReaction>) -> Given<Answered> {
        match self.end(outcome)? {
            Err(words) => Ok(Err(self.strike(&words))),
            Ok(reaction) => {
                let invalid = |words| CallFault::new(FaultKind::Invalid, words);
                translate::reaction(reaction)
                    .map(|reaction| Ok(Answered::Reaction(reaction)))
                    .map_err(invalid)
            }
        }
    }

    fn wait(&self) -> Duration {
        match self.program.kind {
            Kind::Scorer => SCORER_WAIT,
            Kind::Handler => HANDLER_WAIT,
        }
    }

    fn strike(&self, words: &str) -> String {
        brief(&self.store.data().strike(words))
    }

    /// A call begins, which may wait for servers for `wait`.
    fn begin(&mut self, wait: Duration) -> Bounds {
        self.store.data_mut().begin(wait);
        self.store.set_epoch_deadline(1);
        let (meter, clock) = (self.store.data().meter.clone(), self.program.clock.clone());
        Bounds { meter, clock, longest: wait + self.grants.deadline + SLACK }
    }

    fn end<T>(&self, outcome: Result<wasmtime::Result<T>, CallFault>) -> Result<T, CallFault> {
        let guest = self.store.data();
        outcome?.map_err(|error| {
            let CallFault { kind, words } = classify(&error, guest.complaint());
            CallFault { kind, words: guest.strike(&words) }
        })
    }
}

/// What measures and ends a call.
struct Bounds {
    meter: Arc<Meter>,
    clock: Clock,
    /// In all, what it waits for included: the clock does not interrupt a plugin that waits.
    longest: Duration,
}

impl Bounds {
    async fn within<F: Future>(self, call: F) -> Result<F::Output, CallFault> {
        let _running = self.clock.run();
        let called = tokio::time::timeout(self.longest, self.meter.measure(call)).await;
        let late =
            |_| CallFault::new(FaultKind::Deadline, format!("it had no answer after {:?}", self.longest));
        called.map_err(late)
    }
}

/// The longest sentence of a plugin that is passed on.
const WORDS_BYTES: usize = 1 << 10;

fn brief(words: &str) -> String {
    words.get(..words.floor_char_boundary(WORDS_BYTES)).unwrap_or_default().to_owned()
}
