//! Watches a pipeline beside its sources: calls it stalled when nothing new comes, and forgets viewers who left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Shared, State};

const TICK_MS: i64 = 500;
const TICK: Duration = Duration::from_millis(TICK_MS.unsigned_abs());

/// A pipeline without news for so long has stalled.
pub(super) fn stalled_after(target: Duration) -> Duration {
    3 * target
}

/// Watches the pipeline: calls it stalled when nothing new came for three target durations, and forgets
/// viewers who left. Runs until it is aborted.
pub(super) async fn watch_over(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval_at(Instant::now() + until_tick(), TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let target = shared.renditions().map_or(Duration::from_secs(2), |set| set.target_duration());
        let viewers = shared.viewers();
        viewers.values().for_each(|viewers| viewers.sweep(3 * target));
        let watching = shared.on_air().map_or(0, |broadcast| broadcast.audience.all().len());
        shared.note_viewers(watching + viewers.values().map(|viewers| viewers.count()).sum::<usize>());
        let idle = shared.idle();
        if shared.status().borrow().state == State::Live && idle > stalled_after(target) {
            let fault = shared.last_fault().filter(|fault| fault.0.elapsed_within(idle));
            let why = fault.map(|fault| format!(": {}", fault.1)).unwrap_or_default();
            shared.set_state(State::Stalled, format!("nothing new came for three target durations{why}"));
        }
    }
}

/// The wait for the next tick of the wall clock: all pipelines look at once, so that hundreds of them wake the processor
/// twice a second and not a thousand times.
fn until_tick() -> Duration {
    let into = jiff::Timestamp::now().as_millisecond().rem_euclid(TICK_MS);
    Duration::from_millis((TICK_MS - into).unsigned_abs())
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

/// What a panic said.
pub(super) fn words(panic: &(dyn std::any::Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("without words")).into()
}
