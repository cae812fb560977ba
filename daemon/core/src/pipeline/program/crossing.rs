//! Where the program goes over to another run of a source: when, and how much of what that brought is left out, so that
//! viewers come no further behind what is live with each switch.

use std::time::Duration;

use tokio::time::Instant;

use crate::media::ts::ticks_90khz;

/// A run that is found is looked at for so long, at least: it may bring much at once.
const LOOK: Duration = Duration::from_millis(100);
/// And for so long at most.
const LONGEST: Duration = Duration::from_secs(3);
/// The program goes over when no more than this of what was before waits for its release.
const NEAR_90KHZ: i64 = 22_500;
/// What there may be too much.
const TOLERANCE_90KHZ: i64 = 90_000;

/// What there is on both sides, in ticks of 90 kHz.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    /// What was taken in of the run before and is not released.
    pub(super) before: i64,
    /// What the new run has brought.
    pub(super) behind: i64,
    /// What there should be in all.
    pub(super) wanted: i64,
}

/// A run that was found, and is not taken in yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crossing {
    run: u64,
    found: Instant,
    /// What it had brought then.
    first_90khz: i64,
}

impl Crossing {
    /// A run was found.
    pub(super) fn new(run: u64, found: Instant, sides: Sides) -> Self {
        Self { run, found, first_90khz: sides.behind }
    }

    pub(super) fn is_to(&self, run: u64) -> bool {
        self.run == run
    }

    /// Whether the program goes over now: what was before is nearly out, and the new run has what is wanted, or would
    /// have it if it brought no more than real time does.
    pub(super) fn is_due(&self, now: Instant, sides: Sides) -> bool {
        let passed = now.duration_since(self.found);
        if passed >= LONGEST {
            return true;
        }
        let grown = self.first_90khz + ticks_90khz(passed);
        let is_enough = sides.before > 0 || sides.behind.max(grown) >= sides.wanted;
        passed >= LOOK && sides.is_near() && is_enough
    }
}

impl Sides {
    /// Whether nearly all of what was before is out.
    pub(super) fn is_near(&self) -> bool {
        self.before <= NEAR_90KHZ
    }

    /// How much of the new run's content is left out.
    pub(super) fn surplus_90khz(&self) -> Option<i64> {
        let surplus = self.before + self.behind - self.wanted;
        (surplus > TOLERANCE_90KHZ).then(|| surplus.min(self.behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 90_000;

    fn sides(before: i64, behind: i64) -> Sides {
        Sides { before: before * SECOND, behind: behind * SECOND, wanted: 2 * SECOND }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_taken_in_when_the_one_before_is_out_and_there_is_enough() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        for (found, now, ms, expected) in [
            (sides(0, 4), sides(0, 4), 50, false),
            (sides(0, 4), sides(0, 4), 100, true),
            (sides(2, 4), sides(1, 6), 1000, false),
            (sides(2, 4), sides(0, 6), 2000, true),
            // what trickles in gets no longer than its own time
            (sides(0, 1), sides(0, 1), 900, false),
            (sides(0, 1), sides(0, 1), 1000, true),
            // a long lag does not wait for ever
            (sides(60, 1), sides(57, 4), 3000, true),
        ] {
            let crossing = Crossing::new(1, start, found);
            assert_eq!(crossing.is_due(at(ms), now), expected, "{now:?} after {ms} ms");
        }
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        assert_eq!(sides(0, 4).surplus_90khz(), Some(2 * SECOND));
        assert_eq!(sides(1, 2).surplus_90khz(), None, "a second more is nothing");
        assert_eq!(sides(5, 2).surplus_90khz(), Some(2 * SECOND), "no more than there is");
        assert_eq!(sides(0, 1).surplus_90khz(), None);
    }
}
