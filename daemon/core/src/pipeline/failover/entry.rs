//! What the chain keeps of each source: its nature, and the rest that follows a failure.

use std::time::Duration;

use tokio::time::Instant;

use super::Verdict;

/// A source, over changes of the chain.
pub(super) type Id = u64;

/// A source that failed rests; each failure without a good run between doubles the rest.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest of a source that has no alternative: viewers wait for it.
const LONGEST_ALONE: Duration = Duration::from_secs(8);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How long an origin that ended its stream is left alone before it is asked whether it goes on.
const AFTER_END: Duration = Duration::from_secs(15);
/// How long a source that does not fit is left alone.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// A run that was live for this long counts as good: the next rest starts from the first again.
const GOOD_RUN: Duration = Duration::from_secs(30);

/// What the chain knows of a source beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) id: Id,
    /// Whether it is a stand-in, as a slate: anything better that works is preferred at once.
    pub(super) stands_in: bool,
    /// Whether it can be proved without more than its playlist.
    pub(super) is_listed: bool,
}

/// Why a source is not tried now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rest {
    /// When it is over; none where there will never be more.
    pub(super) until: Option<Instant>,
    pub(super) why: Verdict,
    /// Whether the source does not fit.
    pub(super) refused: bool,
}

/// How a run went down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Down {
    pub(super) verdict: Verdict,
    /// What the other side asks for, or the stream's nature.
    pub(super) least: Least,
}

/// The shortest rest that a run's end calls for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Least {
    After(Duration),
    AfterEnd,
    AfterRefusal,
    Forever,
}

/// A source of the chain with what became of it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) traits: Traits,
    failures: u32,
    rest: Option<Rest>,
    live_since: Option<Instant>,
}

impl Entry {
    pub(super) fn new(traits: Traits) -> Self {
        Self { traits, failures: 0, rest: None, live_since: None }
    }

    /// Why it is not tried now.
    pub(super) fn rest(&self, now: Instant) -> Option<&Rest> {
        self.rest.as_ref().filter(|rest| rest.until.is_none_or(|until| until > now))
    }

    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rest(now).is_some()
    }

    /// When its rest is over, whether that has passed or not.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rest.as_ref()?.until
    }

    /// It may be tried again.
    pub(super) fn wake(&mut self) {
        self.rest = None;
    }

    /// It feeds the pipeline, and is known to work.
    pub(super) fn works(&mut self, now: Instant) {
        self.rest = None;
        self.live_since = Some(now);
    }

    /// It failed.
    pub(super) fn lay_to_rest(&mut self, now: Instant, down: &Down, alone: bool) {
        if self.live_since.take().is_some_and(|since| now - since >= GOOD_RUN) {
            self.failures = 0;
        }
        let longest = if alone { LONGEST_ALONE } else { LONGEST_REST };
        let wait = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures += 1;
        let (until, refused) = match down.least {
            Least::After(least) => (Some(now + wait.max(least.min(longest))), false),
            Least::AfterEnd => (Some(now + wait.max(AFTER_END)), false),
            Least::AfterRefusal => (Some(now + wait.max(AFTER_REFUSAL)), true),
            Least::Forever => (None, false),
        };
        self.rest = Some(Rest { until, why: down.verdict.clone(), refused });
    }
}
