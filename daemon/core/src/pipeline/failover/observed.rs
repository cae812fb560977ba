//! What a run of a source did, as its feed noted it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Fault;

/// A stream may lag behind the clock by so much of the time that passes, as clocks differ, and still count as in time.
const TOLERANCE: u32 = 20;

/// What the list of an origin brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// What stood in it when it was first read: it may be old.
    Start,
    /// Something that was not there before.
    More,
}

/// What one run did so far.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Observed {
    /// The last sign of life; the start of the run before the first.
    pub(super) beat: Instant,
    /// Whether there was one.
    pub(super) has_beaten: bool,
    /// When what is brought came from the origin, where the source says so: its last byte.
    came: Option<Instant>,
    /// When the origin's list last brought something, where it has one.
    listed: Option<Instant>,
    /// Whether its list says that nothing more will come.
    pub(super) is_list_over: bool,
    /// Whether its list has still to show that it moves; none before it was read.
    awaits: Option<bool>,
    /// When media last came, and when it first did.
    pub(super) media: Option<Instant>,
    pub(super) first_media: Option<Instant>,
    /// When an object of the origin was last taken in whole, in whatever order.
    pub(super) arrived: Instant,
    /// The target duration.
    pub(super) target: Duration,
    /// Media time beside the clock.
    pub(in crate::pipeline) pace: Pace,
    /// Bytes that came, whatever is in them, in all and until the last media.
    pub(super) received: u64,
    pub(super) received_at_media: u64,
    /// The last fault, and when it was.
    pub(super) fault: Option<(Instant, Fault)>,
    /// Rises with each fault and falls with each segment.
    pub(super) trouble: u32,
    /// The era of the segment that grows.
    pub(in crate::pipeline) era: u64,
    /// Why the run cannot take the place of the one before.
    pub(in crate::pipeline) refused: Option<Arc<str>>,
}

impl Observed {
    /// Nothing yet.
    pub(in crate::pipeline) fn new(now: Instant) -> Self {
        Self {
            beat: now,
            has_beaten: false,
            came: None,
            listed: None,
            is_list_over: false,
            awaits: None,
            media: None,
            first_media: None,
            arrived: now,
            target: Duration::from_secs(2),
            pace: Pace::new(now),
            received: 0,
            received_at_media: 0,
            fault: None,
            trouble: 0,
            era: 0,
            refused: None,
        }
    }

    /// A sign of life.
    pub(in crate::pipeline) fn beat(&mut self, now: Instant) {
        (self.beat, self.has_beaten) = (now.max(self.beat), true);
    }

    /// Bytes came.
    pub(in crate::pipeline) fn received(&mut self, now: Instant, bytes: u64) {
        self.beat(now);
        self.came = Some(now);
        self.received += bytes;
    }

    /// What is brought from now on came at this time.
    pub(in crate::pipeline) fn came(&mut self, at: Instant) {
        self.came = Some(at);
    }

    /// When what is brought now came: a source may hold something back, and that is no news.
    pub(in crate::pipeline) fn came_at(&self, now: Instant) -> Instant {
        self.came.map_or(now, |came| came.min(now))
    }

    /// The last byte of an endless stream, or the last media of a source that counts no bytes.
    pub(super) fn last_byte(&self) -> Option<Instant> {
        self.came.or(self.media)
    }

    /// The origin's list brought something. Returns whether that shows for the first time that it moves.
    pub(in crate::pipeline) fn listed(&mut self, now: Instant, what: Listed) -> bool {
        (self.listed, self.is_list_over) = (Some(now), false);
        let awaited = self.awaits;
        self.awaits = Some(what == Listed::Start && awaited != Some(false));
        awaited == Some(true) && what == Listed::More
    }

    /// The origin's list says that nothing more will come.
    pub(in crate::pipeline) fn list_over(&mut self) {
        self.is_list_over = true;
    }

    /// Whether what it brought may be old: its list was not seen to move.
    pub(in crate::pipeline) fn awaits_news(&self) -> bool {
        self.awaits == Some(true)
    }

    /// An object was taken in, in whatever order.
    pub(in crate::pipeline) fn arrived(&mut self, now: Instant) {
        self.arrived = now;
    }

    /// Media came. Returns whether it is the first.
    pub(in crate::pipeline) fn media(&mut self, now: Instant) -> bool {
        self.beat(now);
        self.arrived = now;
        self.received_at_media = self.received;
        self.first_media.get_or_insert(now);
        self.media.replace(now).is_none()
    }

    /// A fault that the source waits out.
    pub(in crate::pipeline) fn fault(&mut self, now: Instant, fault: &Fault) {
        self.fault = Some((now, fault.clone()));
        self.trouble += 1;
    }

    /// The run cannot take the place of the one before.
    pub(in crate::pipeline) fn refused(&mut self, why: &str) {
        self.refused = Some(why.into());
    }

    /// The target duration is this.
    pub(in crate::pipeline) fn targets(&mut self, target: Duration) {
        self.target = target;
    }

    /// A whole segment came.
    pub(in crate::pipeline) fn eased(&mut self) {
        self.trouble = self.trouble.saturating_sub(1);
    }

    /// When there was last something new at the origin.
    pub(super) fn changed(&self) -> Option<Instant> {
        self.listed.or(self.media)
    }

    /// The last fault since `then`.
    pub(super) fn fault_since(&self, then: Instant) -> Option<&Fault> {
        self.fault.as_ref().filter(|(at, _)| *at >= then).map(|(_, fault)| fault)
    }
}

/// Media time beside the clock: how far a stream fell behind where it was at its best.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Pace {
    since: Instant,
    played: Duration,
    best: Option<(Instant, Duration)>,
    era: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, played: Duration::ZERO, best: None, era: 0 }
    }

    /// Media of this length came. Another era means that media is missing, and begins anew.
    pub(in crate::pipeline) fn add(&mut self, now: Instant, duration: Duration, era: u64) {
        self.played += duration;
        if self.era != era || self.best.is_none() || self.lag(now).is_zero() {
            (self.era, self.best) = (era, Some((now, self.played)));
        }
    }

    /// How far it is behind now.
    pub(super) fn lag(&self, now: Instant) -> Duration {
        let Some((then, played)) = self.best else { return Duration::ZERO };
        let passed = now.saturating_duration_since(then);
        Self::less_tolerance(passed).saturating_sub(self.played.saturating_sub(played))
    }

    /// So much lag is seen in a stream that brings nothing for this long.
    pub(super) fn less_tolerance(span: Duration) -> Duration {
        span - span / TOLERANCE
    }

    /// Media time in all, and since when.
    pub(super) fn played(&self) -> (Duration, Instant) {
        (self.played, self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag_of(seconds_each: f64, every: Duration, count: u32) -> Duration {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut now = start;
        for _ in 0..count {
            now += every;
            pace.add(now, Duration::from_secs_f64(seconds_each), 0);
        }
        pace.lag(now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_in_time_never_lags_and_a_slow_one_does_more_and_more() {
        let second = Duration::from_secs(1);
        assert_eq!(lag_of(1.0, second, 10_000), Duration::ZERO);
        assert_eq!(lag_of(0.97, second, 10_000), Duration::ZERO, "clocks differ");
        assert!(lag_of(0.5, second, 10) > Duration::from_secs(4));
        assert!(lag_of(0.8, second, 100) > Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_and_at_once_makes_up_for_the_wait() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.add(now, Duration::from_secs(2), 0);
        let later = now + Duration::from_secs(6);
        assert!(pace.lag(later) > Duration::from_secs(5));
        pace.add(later, Duration::from_secs(6), 0);
        assert_eq!(pace.lag(later), Duration::ZERO);
        pace.add(later + Duration::from_secs(9), Duration::from_secs(1), 1);
        assert_eq!(pace.lag(later + Duration::from_secs(9)), Duration::ZERO, "a hole is no slowness");
    }
}
