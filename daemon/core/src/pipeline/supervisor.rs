//! Keeps one pipeline's source running: starts it, catches its panic, starts it again with backoff, and calls
//! the pipeline stalled when nothing new comes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{End, Feed, Shared, SourceContext, State};
use crate::fault::{Fault, FaultKind};
use crate::stage::{SourceSpec, Upstream};

/// The first wait before a source is started again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How long a stream that ended is left alone before the origin is asked whether it goes on.
const AFTER_END: Duration = Duration::from_secs(15);
/// A run that lasted this long counts as good: the wait starts from the first again.
const GOOD_RUN: Duration = Duration::from_secs(30);
/// A source without a sign of life for this long is stuck and started anew.
const STUCK: Duration = Duration::from_secs(90);
const TICK: Duration = Duration::from_millis(500);

/// A source as the supervisor runs it.
pub(super) struct Job {
    pub(super) shared: Arc<Shared>,
    pub(super) spec: Arc<dyn SourceSpec>,
    pub(super) stage: Arc<str>,
    pub(super) upstream: Upstream,
    /// Newer jobs retire older ones; see [`Feed`].
    pub(super) version: u32,
}

impl Job {
    /// Runs the source over and over, until a newer job is in charge. Aborting the task stops the source.
    pub(super) fn spawn(self) -> JoinHandle<()> {
        tokio::spawn(self.keep_running())
    }

    async fn keep_running(self) {
        let metrics = self.shared.metrics.source(&self.stage);
        let mut wait = FIRST_WAIT;
        for attempt in 0_u32.. {
            if attempt > 0 {
                metrics.restarts.inc();
            }
            let started = Instant::now();
            let result = self.run_once(attempt).await;
            if self.is_retired() {
                return;
            }
            if started.elapsed() >= GOOD_RUN {
                wait = FIRST_WAIT;
            }
            let pause = match result {
                Ok(end) => {
                    if self.is_in_charge() {
                        self.shared.set_state(State::Stopped, "the origin ended the stream");
                    }
                    if end == End::ForGood {
                        return;
                    }
                    AFTER_END
                }
                Err(fault) => {
                    self.failed(&fault);
                    wait.max(fault.retry_after.unwrap_or_default().min(LONGEST_WAIT))
                }
            };
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn run_once(&self, attempt: u32) -> Result<End, Fault> {
        let metrics = self.shared.metrics.source(&self.stage);
        let generation = u64::from(self.version) << 32 | u64::from(attempt);
        let feed = Feed::new(self.shared.clone(), metrics, generation);
        let beats = feed.beats();
        let (stage, upstream) = (self.stage.clone(), self.upstream.clone());
        let context = SourceContext { stage, upstream, feed, around: self.shared.around.clone() };
        let source = self.spec.build(context);
        let run = AssertUnwindSafe(source.run()).catch_unwind();
        tokio::select! {
            result = run => result.unwrap_or_else(|panic| Err(Fault::new(FaultKind::Internal(words(&*panic))))),
            () = stuck(beats) => Err(Fault::new(FaultKind::Internal("the source gave no sign of life".into()))),
        }
        .map_err(|fault| fault.at(&self.stage))
    }

    fn failed(&self, fault: &Fault) {
        self.shared.metrics.source(&self.stage).fault(&fault.kind);
        self.shared.remember(fault);
        let before = self.shared.status().borrow().state;
        if self.is_in_charge() || before != State::Live {
            self.shared.set_state(State::Failed, fault.to_string());
        }
        if let FaultKind::Internal(_) = fault.kind {
            tracing::error!(pipeline = %self.shared.name, %fault, "source failed");
        } else {
            tracing::warn!(pipeline = %self.shared.name, %fault, "source failed");
        }
    }

    fn is_in_charge(&self) -> bool {
        self.shared.generation.load(Ordering::Acquire) >> 32 == u64::from(self.version)
    }

    fn is_retired(&self) -> bool {
        self.shared.generation.load(Ordering::Acquire) >> 32 > u64::from(self.version)
    }
}

/// Watches the pipeline: calls it stalled when nothing new came for three target durations, and forgets
/// viewers who left. Runs until it is aborted.
pub(super) async fn watch_over(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let target = shared.renditions().map_or(Duration::from_secs(2), |set| set.target_duration());
        shared.viewers().values().for_each(|viewers| viewers.sweep(3 * target));
        let idle = shared.idle();
        if shared.status().borrow().state == State::Live && idle > 3 * target {
            let fault = shared.last_fault().filter(|fault| fault.0.elapsed_within(idle));
            let why = fault.map(|fault| format!(": {}", fault.1)).unwrap_or_default();
            shared.set_state(State::Stalled, format!("nothing new came for three target durations{why}"));
        }
    }
}

/// Whether something happened within the last while, by the wall clock.
trait ElapsedWithin {
    fn elapsed_within(&self, span: Duration) -> bool;
}

impl ElapsedWithin for jiff::Timestamp {
    fn elapsed_within(&self, span: Duration) -> bool {
        jiff::Timestamp::now().duration_since(*self).unsigned_abs() <= span
    }
}

async fn stuck(mut beats: watch::Receiver<Instant>) {
    loop {
        let last = *beats.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(last + STUCK) => return,
            changed = beats.changed() => if changed.is_err() {
                std::future::pending::<()>().await; // the run is over; its result decides
            },
        }
    }
}

pub(super) fn words(panic: &(dyn std::any::Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("without words")).into()
}
