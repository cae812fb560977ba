//! Keeps renditions in step: one that is missing while the others go on gets gaps, so that its playlist moves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The renditions of one run.
pub(super) struct Ladder {
    rungs: Mutex<Vec<Rung>>,
}

#[derive(Clone)]
struct Rung {
    /// Playing time given out.
    end: Duration,
    /// How far it stood behind the foremost when it last brought a segment of its own.
    lag: Duration,
    /// When that was.
    moved: Instant,
}

impl Ladder {
    pub(super) fn new(renditions: usize) -> Self {
        let rung = Rung { end: Duration::ZERO, lag: Duration::ZERO, moved: Instant::now() };
        Self { rungs: Mutex::new(vec![rung; renditions]) }
    }

    /// Rendition `at` gave out a segment of its own.
    pub(super) fn moved(&self, at: usize, duration: Duration) {
        let mut rungs = self.rungs.lock().unwrap_or_else(PoisonError::into_inner);
        rungs[at].end += duration;
        rungs[at].moved = Instant::now();
        rungs[at].lag = foremost(&rungs).saturating_sub(rungs[at].end);
    }

    /// Rendition `at` gave out a gap in place of a segment.
    pub(super) fn filled(&self, at: usize, duration: Duration) {
        let mut rungs = self.rungs.lock().unwrap_or_else(PoisonError::into_inner);
        rungs[at].end += duration;
    }

    /// Whether rendition `at` owes a gap: nothing of its own came for three target durations, while the others
    /// moved on by more than one segment beyond its usual lag.
    pub(super) fn owes(&self, at: usize, target: Duration) -> bool {
        let rungs = self.rungs.lock().unwrap_or_else(PoisonError::into_inner);
        let rung = &rungs[at];
        let behind = foremost(&rungs).saturating_sub(rung.end);
        rung.moved.elapsed() >= 3 * target && behind > rung.lag + target
    }
}

fn foremost(rungs: &[Rung]) -> Duration {
    rungs.iter().map(|rung| rung.end).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_missing_rendition_owes_gaps_and_a_lagging_one_does_not() {
        let ladder = Ladder::new(3);
        (0..3).for_each(|at| ladder.moved(at, TARGET));
        (0..2).for_each(|_| ladder.moved(0, TARGET));
        // rendition 1 lags by two segments all the time, rendition 2 is gone
        for _ in 0..5 {
            tokio::time::advance(TARGET).await;
            ladder.moved(0, TARGET);
            ladder.moved(1, TARGET);
            assert!(!ladder.owes(1, TARGET));
        }
        let mut gaps = 0;
        while ladder.owes(2, TARGET) {
            ladder.filled(2, TARGET);
            gaps += 1;
        }
        assert_eq!(gaps, 6, "as many as the foremost is ahead, less one that may be on its way");
    }
}
