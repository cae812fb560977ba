//! When what is due: the clock of the program against real time.

use std::time::Duration;

use tokio::time::Instant;

/// So long the spare time is watched before the pace is changed.
const WATCHED: Duration = Duration::from_secs(30);
/// What there may be too much before it is used up, and how fast that goes: nobody notices either.
const TOLERANCE_90KHZ: i64 = 90_000;
const FASTER_PER_MILLE: i64 = 5;

/// Tells which clock is due. It runs as real time does, and waits where nothing is there to release.
#[derive(Debug, Default)]
pub(super) struct Pace {
    anchor: Option<Anchor>,
    /// The least spare since the watch began.
    least_90khz: i64,
    watched: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: Instant,
    clock_90khz: i64,
    faster_per_mille: i64,
}

impl Pace {
    /// Whether it runs.
    pub(super) fn runs(&self) -> bool {
        self.anchor.is_some()
    }

    /// Begins, or begins again behind a pause, at this clock.
    pub(super) fn begin(&mut self, now: Instant, clock_90khz: i64) {
        self.anchor = Some(Anchor { at: now, clock_90khz, faster_per_mille: 0 });
        self.watched = None;
    }

    /// Nothing is there to release: it waits until it is begun again.
    pub(super) fn pause(&mut self) {
        self.anchor = None;
    }

    /// The clock that is due now.
    pub(super) fn due_90khz(&self, now: Instant) -> Option<i64> {
        let anchor = self.anchor?;
        let passed = i64::try_from(now.duration_since(anchor.at).as_micros()).unwrap_or(i64::MAX);
        let ticks = passed.saturating_mul(9) / 100;
        Some(anchor.clock_90khz + ticks + ticks / 1000 * anchor.faster_per_mille)
    }

    /// When this clock is due.
    pub(super) fn when(&self, clock_90khz: i64) -> Option<Instant> {
        let anchor = self.anchor?;
        let ticks = (clock_90khz - anchor.clock_90khz) * 1000 / (1000 + anchor.faster_per_mille);
        let micros = u64::try_from(ticks * 100 / 9).unwrap_or_default();
        Some(anchor.at + Duration::from_micros(micros))
    }

    /// Watches how much there is to release beyond what is wanted, and runs a little faster while it is too much: the
    /// source's clock is not ours, and a pause makes everything later.
    pub(super) fn watch(&mut self, now: Instant, edge_90khz: i64, wanted_90khz: i64) {
        let Some(due) = self.due_90khz(now) else { return };
        let spare = edge_90khz - due - wanted_90khz;
        let Some(since) = self.watched else {
            (self.watched, self.least_90khz) = (Some(now), spare);
            return;
        };
        self.least_90khz = self.least_90khz.min(spare);
        if now.duration_since(since) >= WATCHED {
            let faster_per_mille = if self.least_90khz > TOLERANCE_90KHZ { FASTER_PER_MILLE } else { 0 };
            self.anchor = Some(Anchor { at: now, clock_90khz: due, faster_per_mille });
            self.watched = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_runs_as_real_time_and_waits_in_a_pause() {
        let mut pace = Pace::default();
        let start = Instant::now();
        assert_eq!(pace.due_90khz(start), None);
        pace.begin(start, 500);
        assert_eq!(pace.due_90khz(start + Duration::from_secs(10)), Some(900_500));
        assert_eq!(pace.when(900_500), Some(start + Duration::from_secs(10)));
        assert_eq!(pace.when(0), Some(start), "what is late is due at once");
        pace.pause();
        assert!(!pace.runs());
    }

    #[tokio::test(start_paused = true)]
    async fn too_much_is_used_up_slowly() {
        let mut pace = Pace::default();
        let start = Instant::now();
        pace.begin(start, 0);
        let at = |secs: u64| start + Duration::from_secs(secs);
        for secs in 0..=31 {
            // an edge that is always five seconds ahead, where two are wanted
            pace.watch(at(secs), 90_000 * (i64::try_from(secs).unwrap() + 5), 180_000);
        }
        let ten_seconds = pace.due_90khz(at(41)).unwrap() - pace.due_90khz(at(31)).unwrap();
        assert_eq!(ten_seconds, 904_500);
    }
}
