//! Time stamps of 33 bits at 90 kHz, and the time line that they make.

use std::time::Duration;

use libmpegts::pes::Timestamp;

/// Ticks of a second.
const SECOND_90KHZ: i64 = 90_000;
/// A step that is longer, or that goes back, is no time that passed.
const STEP_90KHZ: i64 = 10 * SECOND_90KHZ;

/// From `from` to `to` the short way round, in ticks of 90 kHz.
pub(super) fn distance_90khz(from: Timestamp, to: Timestamp) -> i64 {
    let forward = to.wrapping_sub(from).value().cast_signed();
    if forward > (Timestamp::MAX >> 1).cast_signed() { forward - (1 << 33) } else { forward }
}

/// Ticks as a duration; none for negative ones.
pub(super) fn duration(ticks_90khz: i64) -> Duration {
    let ticks = u64::try_from(ticks_90khz).unwrap_or_default();
    Duration::from_micros(ticks / 9 * 100 + ticks % 9 * 100 / 9)
}

/// A duration in ticks of 90 kHz, rounded down.
pub fn ticks_90khz(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros() * 9 / 100).unwrap_or(i64::MAX)
}

/// Media time that only runs forward, whatever the time stamps do.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Timestamp>,
    /// The last step that made sense: what a step that makes none is taken for.
    pub(super) step_90khz: i64,
    pub(super) now_90khz: i64,
}

impl Timeline {
    /// Takes the next time stamp as the first of another stream, which goes on where this one ended.
    pub(super) fn forget(&mut self) {
        if self.last.take().is_some() {
            self.now_90khz += self.step_90khz;
        }
    }

    /// Goes on to the next access unit. Returns whether its time stamp jumped.
    pub(super) fn advance(&mut self, to: Timestamp) -> bool {
        let Some(last) = self.last.replace(to) else { return false };
        let step = distance_90khz(last, to);
        let jumped = !(0..=STEP_90KHZ).contains(&step);
        if !jumped {
            self.step_90khz = step;
        }
        self.now_90khz += self.step_90khz;
        jumped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_take_the_short_way_round() {
        let distance = |from: u64, to: u64| distance_90khz(from.into(), to.into());
        assert_eq!(distance(5, 8), 3);
        assert_eq!(distance(8, 5), -3);
        assert_eq!(distance(Timestamp::MAX, 1), 2);
        assert_eq!(distance(1, Timestamp::MAX), -2);
    }

    #[test]
    fn a_time_line_runs_over_the_wrap_and_over_jumps() {
        let mut timeline = Timeline::default();
        let mut steps = Vec::new();
        for stamp in [Timestamp::MAX - 2999, 0, 3000, 900_000_000, 900_003_000, 5] {
            steps.push((timeline.advance(stamp.into()), timeline.now_90khz));
        }
        let jumps = [false, false, false, true, false, true];
        assert_eq!(steps, jumps.into_iter().zip((0..).step_by(3000)).collect::<Vec<_>>());
    }

    #[test]
    fn ticks_and_durations_are_each_others_inverse_to_the_microsecond() {
        assert_eq!(duration(90_000), Duration::from_secs(1));
        assert_eq!(duration(-1), Duration::ZERO);
        assert_eq!(duration(1), Duration::from_micros(11));
        assert_eq!(ticks_90khz(Duration::from_millis(200)), 18_000);
    }
}
