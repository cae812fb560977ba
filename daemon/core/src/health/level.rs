//! When a score becomes news: levels with hysteresis, so that a score beside a limit does not flap.

use serde::{Deserialize, Serialize};

/// So many scores in a row must be below a limit before the level gets worse, and before failover hears of it.
const WORSE_AFTER: u32 = 2;
/// So many scores in a row must be above a limit before the level gets better,
const BETTER_AFTER: u32 = 3;
/// and by this much; a limit near 100 takes 100.
const MARGIN: u32 = 5;

/// How well a stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// At or above `warn-below`.
    #[default]
    Good,
    /// Below it.
    Degraded,
    /// Below `fail-below`.
    Failing,
}

impl Level {
    /// Every level, the best first.
    pub const ALL: [Self; 3] = [Self::Good, Self::Degraded, Self::Failing];

    /// The word for metrics, events and the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

/// The limits of levels, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A score below this is degraded.
    pub warn_below: u32,
    /// A score below this is failing.
    pub fail_below: u32,
}

impl Limits {
    /// The level of a score, where each limit stands `margin` higher.
    fn level(self, score: u8, margin: u32) -> Level {
        let is_below = |limit: u32| limit > 0 && u32::from(score) < (limit + margin).min(100);
        if is_below(self.fail_below) {
            Level::Failing
        } else if is_below(self.warn_below) {
            Level::Degraded
        } else {
            Level::Good
        }
    }
}

/// The level of one stream over its scores. It begins with [`Level::Good`].
///
/// It gets worse with the second score in a row that is below a limit, and better with the third in a row that is at
/// least 5 above it. Of the levels that these scores stand for, the mildest change counts.
#[derive(Debug, Default)]
pub struct Settling {
    level: Level,
    run: u64,
    last: Option<u8>,
    held: Option<u8>,
    worse: Row,
    better: Row,
}

/// Scores in a row that say that the level should change, and the level nearest to the present one that they stand for.
#[derive(Debug, Default)]
struct Row {
    count: u32,
    to: Level,
}

impl Row {
    /// Takes the next score's level, or that it is none of the row; gives the level to change to, once the row is full.
    fn take(
        &mut self,
        wanted: Option<Level>,
        enough: u32,
        nearest: fn(Level, Level) -> Level,
    ) -> Option<Level> {
        let Some(wanted) = wanted else {
            self.count = 0;
            return None;
        };
        self.to = if self.count == 0 { wanted } else { nearest(self.to, wanted) };
        self.count += 1;
        if self.count < enough {
            return None;
        }
        self.count = 0;
        Some(self.to)
    }
}

impl Settling {
    /// The level now.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The better one of the last two scores of a run: what is bad for longer than a moment. None before there are two.
    pub fn held(&self) -> Option<u8> {
        self.held
    }

    /// Takes the next score of a run; gives the level before where it changed.
    pub fn take(&mut self, run: u64, score: u8, limits: Limits) -> Option<Level> {
        if run != self.run {
            (self.run, self.last) = (run, None);
            (self.worse.count, self.better.count) = (0, 0);
        }
        self.held = self.last.replace(score).map(|before| before.max(score));
        let before = self.level;
        let (down, up) = (limits.level(score, 0), limits.level(score, MARGIN));
        let worse = self.worse.take((down > before).then_some(down), WORSE_AFTER, Level::min);
        let better = self.better.take((up < before).then_some(up), BETTER_AFTER, Level::max);
        self.level = worse.or(better).unwrap_or(before);
        (self.level != before).then_some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { warn_below: 70, fail_below: 30 };

    fn levels(limits: Limits, scores: &[u8]) -> Vec<Level> {
        let mut settling = Settling::default();
        scores
            .iter()
            .map(|score| {
                settling.take(1, *score, limits);
                settling.level()
            })
            .collect()
    }

    #[test]
    fn a_level_gets_worse_with_the_second_score_and_better_with_the_third_well_above() {
        use Level::{Degraded as D, Failing as F, Good as G};
        for (scores, expected) in [
            (&[100, 60, 100, 60, 100][..], &[G, G, G, G, G][..]),
            (&[69, 69, 69], &[G, D, D]),
            (&[20, 20], &[G, F]),
            (&[20, 60, 20, 20], &[G, D, D, F]),
            (&[69, 69, 72, 72, 72, 72], &[G, D, D, D, D, D]),
            (&[69, 69, 75, 75, 75], &[G, D, D, D, G]),
            (&[69, 69, 75, 75, 74, 75, 75, 75], &[G, D, D, D, D, D, D, G]),
            (&[9, 9, 90, 50, 90], &[G, F, F, F, D]),
            (&[9, 9, 90, 90, 90], &[G, F, F, F, G]),
        ] {
            assert_eq!(levels(LIMITS, scores), expected, "{scores:?}");
        }
    }

    #[test]
    fn a_score_beside_a_limit_does_not_flap() {
        let mut settling = Settling::default();
        let scores = (0..1000).map(|at| if at % 3 == 0 { 72 } else { 68 });
        let changes = scores.filter(|score| settling.take(1, *score, LIMITS).is_some()).count();
        assert_eq!(changes, 1);
    }

    #[test]
    fn a_limit_near_the_top_can_be_reached_again_and_one_of_0_is_none() {
        let limits = Limits { warn_below: 98, fail_below: 0 };
        let scores = [0, 0, 99, 99, 99, 100, 100, 100];
        use Level::{Degraded as D, Good as G};
        assert_eq!(levels(limits, &scores), [G, D, D, D, D, D, D, G]);
        assert_eq!(levels(Limits { warn_below: 0, fail_below: 0 }, &[0, 0, 0]), [G, G, G]);
    }

    #[test]
    fn what_another_run_scored_counts_for_no_row() {
        let mut settling = Settling::default();
        assert_eq!((settling.take(1, 10, LIMITS), settling.held()), (None, None));
        assert_eq!((settling.take(2, 10, LIMITS), settling.held()), (None, None));
        assert_eq!((settling.take(2, 12, LIMITS), settling.held()), (Some(Level::Good), Some(12)));
        assert_eq!((settling.take(2, 90, LIMITS), settling.held()), (None, Some(90)));
        assert_eq!(settling.level(), Level::Failing, "the level is that of the stream, and stays");
    }
}
