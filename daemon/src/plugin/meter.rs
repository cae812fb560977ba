//! The processor time that a plugin itself spends: not that which it waits for the daemon, for its turn, or for a processor
//! that others use.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Runs while a call of a plugin is polled.
#[derive(Debug, Default)]
pub(super) struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spent: Duration,
    /// The time of the thread when it took the call up; a poll stays on its thread.
    since: Option<Duration>,
}

impl Meter {
    /// Forgets what was spent.
    pub(super) fn reset(&self) {
        *self.state() = State::default();
    }

    /// The time spent since the last reset, up to now.
    pub(super) fn spent(&self) -> Duration {
        let state = self.state();
        state.spent + state.since.map(since).unwrap_or_default()
    }

    /// Does `work` and measures it.
    pub(super) async fn measure<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.state().since = Some(of_thread());
            let polled = work.as_mut().poll(context);
            let mut state = self.state();
            let more = state.since.take().map(since);
            state.spent += more.unwrap_or_default();
            polled
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The processor time of this thread. A system without such a clock bounds the time of calls as a whole only.
fn of_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

fn since(before: Duration) -> Duration {
    of_thread().saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_costs_nothing_and_working_does() {
        let meter = Meter::default();
        meter.measure(tokio::time::sleep(Duration::from_millis(200))).await;
        assert!(meter.spent() < Duration::from_millis(100), "{:?}", meter.spent());
        meter.reset();
        let work = async {
            let began = of_thread();
            while since(began) < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
        };
        meter.measure(work).await;
        assert!(meter.spent() >= Duration::from_millis(20));
    }
}
