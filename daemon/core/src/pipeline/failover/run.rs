//! One run of a source as a task of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::detector::Detector;
use super::entry::{Down, Id, Least};
use super::link::Link;
use super::{Observed, Reason, Verdict};
use crate::fault::{Fault, FaultKind};
use crate::pipeline::feed::Purpose;
use crate::pipeline::observing::Lineage;
use crate::pipeline::supervisor::words;
use crate::pipeline::{End, Feed, Shared, Source, SourceContext};
use crate::plan::Stall;

/// A run. Dropping it aborts it.
pub(super) struct Run {
    pub(super) id: Id,
    pub(super) stage: Arc<str>,
    /// Its number: what a run brings retires those of lower numbers.
    pub(super) generation: u64,
    pub(super) detector: Detector,
    pub(super) observed: watch::Receiver<Observed>,
    /// Whether it began with a trial.
    was_tried: bool,
    /// Whether it has still to show that it is well before it serves.
    trial: Arc<AtomicBool>,
    task: JoinHandle<Result<End, Fault>>,
    /// Whether its result was given.
    is_over: bool,
}

impl Run {
    /// Starts the source of `link`.
    pub(super) fn start(
        link: &Link,
        shared: &Arc<Shared>,
        generation: u64,
        purpose: Purpose,
        stall: Stall,
    ) -> Self {
        let metrics = shared.metrics.source(&link.stage);
        let lineage = Lineage { id: link.id, stage: link.stage.clone() };
        let feed = Feed::of_run(shared.clone(), metrics, lineage, generation, purpose);
        let (observed, trial) = (feed.observed(), feed.trial());
        let (stage, upstream, around) = (link.stage.clone(), link.upstream(), shared.around.clone());
        let context = SourceContext { stage, upstream, feed, around };
        let spec = &link.plan.spec;
        let source = match purpose {
            Purpose::Probe => spec.probe(context.clone()).unwrap_or_else(|| spec.build(context)),
            Purpose::Serve(_) | Purpose::Try(_) => spec.build(context),
        };
        let (stage, was_tried) = (link.stage.clone(), matches!(purpose, Purpose::Try(_)));
        let detector = Detector { liveness: spec.liveness(), stall, started: Instant::now() };
        let task = tokio::spawn(caught(source, stage.clone()));
        Self { id: link.id, stage, generation, detector, observed, was_tried, trial, task, is_over: false }
    }

    /// Waits until it ends, and gives its result, or until it reports something that is worth a look.
    pub(super) async fn heard(&mut self) -> Option<Result<End, Fault>> {
        let joined = tokio::select! {
            joined = &mut self.task => joined,
            changed = self.observed.changed() => match changed {
                Ok(()) => return None,
                Err(_) => (&mut self.task).await, // it is over; its result decides
            },
        };
        self.is_over = true;
        Some(ended(joined))
    }

    /// Ends the run; it is gone a moment later.
    pub(super) fn abort(&self) {
        self.task.abort();
    }

    /// Whether it has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.task.is_finished()
    }

    /// Whether it brought media, into the windows.
    pub(super) fn is_live(&self, shared: &Shared) -> bool {
        self.live_since().is_some() && (!self.was_tried || shared.run() == self.generation)
    }

    /// Whether it is on trial.
    pub(super) fn is_on_trial(&self) -> bool {
        self.trial.load(Ordering::Acquire)
    }

    /// It serves from its next segment on.
    pub(super) fn pass(&self) {
        self.trial.store(false, Ordering::Release);
    }

    /// Whether what it brings is new: a list that was not seen to move may be an old one.
    pub(super) fn works(&self) -> bool {
        let seen = self.observed.borrow();
        seen.media.is_some() && !seen.awaits_news()
    }

    /// When its first media came.
    pub(super) fn live_since(&self) -> Option<Instant> {
        self.observed.borrow().first_media
    }

    /// Ends the run and waits until it is gone.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        if !self.is_over
            && let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!(stage = %self.stage, %error, "task failed");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ended(joined: Result<Result<End, Fault>, tokio::task::JoinError>) -> Result<End, Fault> {
    joined
        .unwrap_or_else(|error| Err(Fault::new(FaultKind::Internal("the run was cut".into())).because(error)))
}

async fn caught(source: Box<dyn Source>, stage: Arc<str>) -> Result<End, Fault> {
    let result = AssertUnwindSafe(source.run()).catch_unwind().await;
    let result = result.unwrap_or_else(|panic| Err(Fault::new(FaultKind::Internal(words(&*panic)))));
    result.map_err(|fault| fault.at(&stage))
}

/// What the end of a run means for the chain.
pub(super) fn down(result: &Result<End, Fault>, refused: Option<&Arc<str>>) -> Down {
    match (refused, result) {
        (Some(why), _) => {
            let kind = FaultKind::Unsupported(why.clone());
            let verdict = Verdict::new(Reason::Fault(kind), &**why);
            Down { verdict, least: Least::AfterRefusal }
        }
        (None, Ok(end)) => {
            let verdict = Verdict::new(Reason::Ended, "the origin ended the stream");
            let least = if *end == End::ForGood { Least::Forever } else { Least::AfterEnd };
            Down { verdict, least }
        }
        (None, Err(fault)) => {
            let least = Least::After(fault.retry_after.unwrap_or_default());
            Down { verdict: Verdict::fault(fault), least }
        }
    }
}
