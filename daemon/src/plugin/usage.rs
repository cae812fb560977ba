//! One use of a plugin: its settings, its kept instance, and what happens when that faults.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_core::event::Event;
use sluice_core::health::{Sample, Verdict};
use sluice_core::plugin::{PluginFault, Reaction, Use};
use tokio::time::Instant;

use super::fault::{CallFault, FaultKind};
use super::grants::Grants;
use super::host::Inner;
use super::instance::{Instance, Purpose};
use super::metrics::Live;
use super::program::{Kind, Program};
use super::record::Record;
use super::settings::Configured;
use crate::store::Namespace;

/// After a fault the next instance is made no sooner than this, twice as long with each further one.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// What is asked of a plugin.
pub(super) enum Asked {
    Score(Arc<Sample>),
    Handle(Arc<Event>),
    Wake,
}

/// What a plugin gave.
pub(super) enum Answered {
    Verdict(Verdict),
    Reaction(Reaction),
}

/// An instance between two calls.
pub(super) struct Kept {
    instance: Instance,
    live: Live,
}

/// A use.
pub(super) struct Usage {
    id: u64,
    inner: Arc<Inner>,
    record: Arc<Record>,
    pub(super) kind: Kind,
    pub(super) pipeline: Option<Arc<str>>,
    pub(super) of: Use,
    trouble: Mutex<Trouble>,
}

/// The faults in a row.
#[derive(Default)]
struct Trouble {
    faults: u32,
    not_before: Option<Instant>,
    words: Option<Arc<str>>,
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.inner.slots.forget(self.id);
    }
}

impl Usage {
    pub(super) fn new(inner: &Arc<Inner>, kind: Kind, of: &Use, pipeline: Option<&str>) -> Self {
        Self {
            id: inner.next_use(),
            inner: inner.clone(),
            record: inner.record(&of.plugin),
            kind,
            pipeline: pipeline.map(Arc::from),
            of: of.clone(),
            trouble: Mutex::default(),
        }
    }

    /// Calls the newest version of the plugin. Runs to its end also where nobody waits for it any more.
    pub(super) async fn call(self: &Arc<Self>, asked: Asked) -> Result<Answered, PluginFault> {
        let usage = self.clone();
        let running = self.inner.runtime.spawn(async move { usage.run(&asked).await });
        running.await.unwrap_or_else(|error| {
            Err(PluginFault::Broken(format!("a defect of the daemon: {error}").into()))
        })
    }

    async fn run(&self, asked: &Asked) -> Result<Answered, PluginFault> {
        let began = Instant::now();
        let (metrics, name) = (&self.inner.metrics, &*self.record.name);
        let outcome = self.attempt(asked).await;
        if let Err(Attempt::NotCalled(why)) = outcome {
            metrics.not_called(name);
            return Err(why);
        }
        self.record.state().calls += 1;
        let took = began.elapsed();
        match outcome {
            Ok(answered) => {
                metrics.called(name, "ok", took);
                Ok(answered)
            }
            Err(Attempt::NotCalled(why)) => Err(why),
            Err(Attempt::Refused(words)) => {
                metrics.called(name, "refused", took);
                Err(PluginFault::Refused(words.into()))
            }
            Err(Attempt::Fault(fault)) => {
                metrics.called(name, fault.kind.word(), took);
                self.faulted(&fault);
                Err(match fault.kind {
                    FaultKind::Deadline => PluginFault::Deadline,
                    FaultKind::Init => {
                        PluginFault::Unavailable(format!("it refuses its configuration: {fault}").into())
                    }
                    _ => PluginFault::Broken(fault.words.into()),
                })
            }
        }
    }

    async fn attempt(&self, asked: &Asked) -> Result<Answered, Attempt> {
        let (program, grants) = self.record.program().map_err(Attempt::NotCalled)?;
        if program.kind != self.kind {
            let (is, wanted) = (program.kind.word(), self.kind.word());
            return Err(Attempt::unavailable(format!("it is a {is}, and a {wanted} is wanted here")));
        }
        let kept = self.inner.slots.take(self.id);
        let current = kept.filter(|kept| Arc::ptr_eq(&kept.instance.program, &program));
        let mut kept = match current {
            Some(kept) => kept,
            None => self.start(&program, grants).await?,
        };
        let given = kept.instance.ask(asked).await;
        kept.live.holds(kept.instance.memory_bytes());
        self.inner.metrics.left_out(&self.record.name, kept.instance.lines_left_out());
        let answered = given.map_err(Attempt::Fault)?;
        self.inner.slots.keep(self.id, kept);
        *self.trouble() = Trouble::default();
        answered.map_err(Attempt::Refused)
    }

    async fn start(&self, program: &Arc<Program>, grants: Arc<Grants>) -> Result<Kept, Attempt> {
        if let Some(words) = self.backing_off() {
            return Err(Attempt::unavailable(words));
        }
        let configured = self.configured(program)?;
        let space = Namespace { plugin: self.record.name.clone(), pipeline: self.pipeline.clone() };
        let purpose = Purpose { space, grants, configured };
        let slot = self.inner.slots.slot().await;
        let slot = slot.ok_or_else(|| Attempt::unavailable("all places for plugins are taken"))?;
        let live = self.inner.metrics.live(&self.record.name);
        let started = Instance::start(program, &self.inner.environment, &purpose, slot).await;
        let instance = started.map_err(Attempt::Fault)?;
        let mut kept = Kept { instance, live };
        kept.live.holds(kept.instance.memory_bytes());
        Ok(kept)
    }

    fn configured(&self, program: &Program) -> Result<Arc<Configured>, Attempt> {
        let configured = program.description.configure(&self.of).map_err(|problems| {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Attempt::unavailable(words.join("; "))
        });
        configured.map(Arc::new)
    }

    /// Why no instance is made now.
    fn backing_off(&self) -> Option<Arc<str>> {
        let trouble = self.trouble();
        let waits = trouble.not_before.is_some_and(|not_before| Instant::now() < not_before);
        waits.then(|| trouble.words.clone()).flatten()
    }

    fn faulted(&self, fault: &CallFault) {
        {
            let mut trouble = self.trouble();
            let backoff = SHORTEST_BACKOFF.saturating_mul(1 << trouble.faults.min(16)).min(LONGEST_BACKOFF);
            trouble.faults += 1;
            trouble.not_before = Some(Instant::now() + backoff);
            trouble.words = Some(format!("it waits after a fault: {fault}").into());
        }
        let (plugin, pipeline) = (&*self.record.name, self.pipeline.as_deref());
        tracing::warn!(plugin, pipeline, kind = fault.kind.word(), %fault, "a plugin faulted");
        self.inner.faulted(&self.record, self.pipeline.as_ref(), fault);
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a call gave nothing.
enum Attempt {
    /// The plugin was not called.
    NotCalled(PluginFault),
    /// It said so.
    Refused(String),
    Fault(CallFault),
}

impl Attempt {
    fn unavailable(why: impl Into<Arc<str>>) -> Self {
        Self::NotCalled(PluginFault::Unavailable(why.into()))
    }
}
