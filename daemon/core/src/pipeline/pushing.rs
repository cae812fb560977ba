//! Sinks that push: each is a task that follows the windows, started again with backoff after a fault or a panic,
//! told to finish when it stops, and changed without touching other sinks.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::ServiceExt;

use super::stack::{around_pushing, context, sink_name};
use super::{Mark, Shared};
use crate::fault::{Fault, FaultKind};
use crate::plan::StagePlan;
use crate::stage::{Operation, Outlet, SinkForm, SinkSpec, States, outlet};

/// The first wait before a sink is started again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A run that lasted this long counts as good: the wait starts from the first again.
const GOOD_RUN: Duration = Duration::from_secs(60);
/// How long a sink that is told to stop may take to finish what it has begun.
const FINISHING: Duration = Duration::from_secs(8);

/// The work of a sink that pushes.
pub trait Pusher: Send {
    /// Runs until [`PushContext::stopped`], then finishes what it has begun and returns. Faults that can pass are its
    /// own to wait out. Dropping the future leaves off at once.
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<(), Fault>>;
}

/// What a sink that pushes is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PushState {
    /// Nothing came yet.
    Waiting,
    /// What comes is pushed.
    Running,
    /// It cannot push now, and tries again.
    Paused,
    /// It came to an end by a defect, and is started again.
    Failed,
    /// It does not run any more.
    Stopped,
}

impl PushState {
    /// The word for logs and the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// How a sink that pushes stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PushStatus {
    /// What it is doing.
    pub state: PushState,
    /// Why, in words for an operator; empty while it runs.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// The object that is being written.
    pub current: Option<String>,
    /// The bytes of all that is kept.
    pub bytes: u64,
    /// The objects that are kept, finished ones.
    pub objects: u64,
    /// When the oldest of them began.
    pub oldest: Option<Timestamp>,
    /// Seconds of media that were lost since it started.
    pub lost_seconds: f64,
}

impl Default for PushStatus {
    fn default() -> Self {
        Self {
            state: PushState::Waiting,
            reason: String::new(),
            since: Timestamp::now(),
            current: None,
            bytes: 0,
            objects: 0,
            oldest: None,
            lost_seconds: 0.0,
        }
    }
}

/// A sink that pushes, for those who look.
#[derive(Clone)]
pub struct Pushed {
    /// The stage, as `sink 2 record`.
    pub stage: Arc<str>,
    /// What it writes to.
    pub target: String,
    /// How it stands.
    pub status: watch::Receiver<PushStatus>,
}

/// How far each rendition was pushed, for the run that goes on where another left off.
#[derive(Default)]
pub struct Marks(Mutex<BTreeMap<String, Mark>>);

impl Marks {
    /// How far this rendition was pushed.
    pub fn get(&self, rendition: &str) -> Option<Mark> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(rendition).cloned()
    }

    /// Keeps it.
    pub fn set(&self, rendition: &str, mark: Mark) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(rendition.to_owned(), mark);
    }
}

/// What a sink that pushes gets when it is built.
#[derive(Clone)]
pub struct PushContext {
    /// The pipeline, with its windows.
    pub pipeline: Arc<Shared>,
    /// The stage, as `sink 2 record`.
    pub stage: Arc<str>,
    /// How far it came.
    pub marks: Arc<Marks>,
    status: watch::Sender<PushStatus>,
    outlet: Arc<ArcSwap<Outlet>>,
    stop: watch::Receiver<bool>,
}

impl PushContext {
    /// Carries out `operation` inside the layers that hold now.
    ///
    /// # Errors
    /// What the work or a layer fails with.
    pub async fn carry_out(&self, operation: Operation) -> Result<(), Fault> {
        let stack = Outlet::clone(&self.outlet.load());
        stack.oneshot(operation).await.map(drop).map_err(|fault| fault.at(&self.stage))
    }

    /// Waits until the sink is to finish.
    pub async fn stopped(&self) {
        if self.stop.clone().wait_for(|stop| *stop).await.is_err() {
            tracing::debug!(stage = %self.stage, "its pipeline is gone");
        }
    }

    /// Changes how it stands.
    pub fn report(&self, change: impl FnOnce(&mut PushStatus)) {
        self.status.send_modify(|status| {
            let before = status.state;
            change(status);
            if status.state != before {
                status.since = Timestamp::now();
            }
        });
    }

    /// How it stands.
    pub fn status(&self) -> PushStatus {
        self.status.borrow().clone()
    }
}

/// A sink that pushes, and its task.
struct Running {
    stage: Arc<str>,
    sink: StagePlan<dyn SinkSpec>,
    /// What its layers know.
    states: Arc<States>,
    context: PushContext,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The sinks of one pipeline that push. Dropping them stops them at once.
#[derive(Default)]
pub(super) struct Pushers {
    running: Vec<Running>,
    /// Those that are to finish.
    leaving: Vec<JoinHandle<()>>,
}

impl Pushers {
    /// Brings them in line with `sinks`: those that are equal run on, with other layers where those differ. One that
    /// takes the place of another begins where that one left off, once it has finished.
    pub(super) fn bring(&mut self, sinks: &[StagePlan<dyn SinkSpec>], shared: &Arc<Shared>) {
        let mut before = std::mem::take(&mut self.running);
        self.leaving.retain(|task| !task.is_finished());
        for (at, sink) in sinks.iter().enumerate() {
            let SinkForm::Pushes(spec) = sink.spec.form() else { continue };
            let stage = sink_name(at, sink);
            let same_target = |one: &Running| one.sink.spec.form().target() == Some(spec.target());
            let place = before.iter().position(same_target);
            let place = place.or_else(|| before.iter().position(|one| one.stage == stage));
            let next = match place.map(|place| before.remove(place)) {
                Some(same) if same.stage == stage && same.sink.same_spec(sink) => same.with_layers(sink),
                Some(other) => {
                    let (marks, finished) = (other.context.marks.clone(), other.finish());
                    Running::start(stage, sink.clone(), shared, marks, Some(finished))
                }
                None => Running::start(stage, sink.clone(), shared, Arc::default(), None),
            };
            self.running.push(next);
        }
        self.leaving.extend(before.into_iter().map(Running::finish));
    }

    /// Every one of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Pushed> {
        self.running.iter().map(|one| Pushed {
            stage: one.stage.clone(),
            target: one.sink.spec.form().target().unwrap_or_default().to_owned(),
            status: one.context.status.subscribe(),
        })
    }

    /// Lets all of them finish, for a bounded time.
    pub(super) async fn stop(&mut self) {
        let mut tasks = std::mem::take(&mut self.leaving);
        tasks.extend(std::mem::take(&mut self.running).into_iter().map(Running::finish));
        let deadline = Instant::now() + FINISHING;
        for task in &mut tasks {
            finished(task, deadline).await;
        }
    }
}

impl Drop for Pushers {
    fn drop(&mut self) {
        self.running.iter().for_each(|one| one.task.abort());
        self.leaving.iter().for_each(JoinHandle::abort);
    }
}

/// Waits for a task that is to finish, and ends it at the deadline.
async fn finished(task: &mut JoinHandle<()>, deadline: Instant) {
    match tokio::time::timeout_at(deadline, &mut *task).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_cancelled() => {}
        Ok(Err(error)) => tracing::error!(%error, "task failed"),
        Err(_) => {
            tracing::warn!(within = ?FINISHING, "a sink did not finish in time and is ended");
            task.abort();
        }
    }
}

impl Running {
    fn start(
        stage: Arc<str>,
        sink: StagePlan<dyn SinkSpec>,
        shared: &Arc<Shared>,
        marks: Arc<Marks>,
        before: Option<JoinHandle<()>>,
    ) -> Self {
        let states = Arc::<States>::default();
        let stack = stack(&stage, &sink, shared, &states);
        let stop = watch::Sender::new(false);
        let context = PushContext {
            pipeline: shared.clone(),
            stage: stage.clone(),
            marks,
            status: watch::Sender::default(),
            outlet: Arc::new(ArcSwap::from_pointee(stack)),
            stop: stop.subscribe(),
        };
        let job = Job { spec: sink.spec.clone(), context: context.clone() };
        let task = tokio::spawn(async move {
            if let Some(mut before) = before {
                finished(&mut before, Instant::now() + FINISHING).await;
            }
            job.keep_running().await;
        });
        Self { stage, sink, states, context, stop, task }
    }

    fn with_layers(mut self, sink: &StagePlan<dyn SinkSpec>) -> Self {
        if !self.sink.same_layers(sink) {
            let stack = stack(&self.stage, sink, &self.context.pipeline, &self.states);
            self.context.outlet.store(Arc::new(stack));
            self.sink = sink.clone();
        }
        self
    }

    fn finish(self) -> JoinHandle<()> {
        self.stop.send_replace(true);
        self.task
    }
}

fn stack(
    stage: &Arc<str>,
    sink: &StagePlan<dyn SinkSpec>,
    shared: &Arc<Shared>,
    states: &Arc<States>,
) -> Outlet {
    around_pushing(outlet(), &sink.layers, &context(shared, stage.clone(), states))
}

/// A sink as its task runs it.
struct Job {
    spec: Arc<dyn SinkSpec>,
    context: PushContext,
}

impl Job {
    async fn keep_running(self) {
        let mut wait = FIRST_WAIT;
        loop {
            let started = Instant::now();
            let Err(fault) = self.run_once().await else { break };
            if started.elapsed() >= GOOD_RUN {
                wait = FIRST_WAIT;
            }
            tracing::error!(pipeline = %self.context.pipeline.name, %fault, "sink failed");
            self.context.report(|status| {
                status.state = PushState::Failed;
                status.reason = fault.to_string();
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                () = self.context.stopped() => break,
            }
        }
        self.context.report(|status| status.state = PushState::Stopped);
    }

    async fn run_once(&self) -> Result<(), Fault> {
        let SinkForm::Pushes(spec) = self.spec.form() else { return Ok(()) };
        let pusher = spec.build(self.context.clone());
        let run = AssertUnwindSafe(pusher.run()).catch_unwind().await;
        let run = run
            .unwrap_or_else(|panic| Err(Fault::new(FaultKind::Internal(super::supervisor::words(&*panic)))));
        run.map_err(|fault| fault.at(&self.context.stage))
    }
}

#[cfg(test)]
mod tests;
