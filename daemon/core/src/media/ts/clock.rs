//! Time stamps of 33 bits at 90 kHz, and the time line that they make.

use std::time::Duration;

use libmpegts::pes::Timestamp;

/// Ticks of a second.
const SECOND_90KHZ: i64 = 90_000;
/// A step that is longer, or that goes back, is no time that passed.
const STEP_90KHZ: i64 = 10 * SECOND_90KHZ;
/// A step of a stream that is longer by this, and by so many times, than the one before is a gap: frames are missing.
const GAP_90KHZ: i64 = SECOND_90KHZ / 4;
const GAP_STEPS: i64 = 4;

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
    /// The time that is missing between time stamps, since it was last taken.
    missing_90khz: i64,
}

impl Timeline {
    /// Takes the next time stamp as the first of another stream, which goes on where this one ended.
    pub(super) fn forget(&mut self) {
        if self.last.take().is_some() {
            self.now_90khz += self.step_90khz;
        }
    }

    /// The time that was missing between time stamps since this was last asked.
    pub(super) fn take_missing(&mut self) -> Duration {
        duration(std::mem::take(&mut self.missing_90khz))
    }

    /// Goes on to the next access unit. Returns whether its time stamp jumped.
    pub(super) fn advance(&mut self, to: Timestamp) -> bool {
        let Some(last) = self.last.replace(to) else { return false };
        let step = distance_90khz(last, to);
        let jumped = !(0..=STEP_90KHZ).contains(&step);
        if !jumped {
            let usual = self.step_90khz;
            if usual > 0 && step > usual * GAP_STEPS && step > usual + GAP_90KHZ {
                self.missing_90khz += step - usual;
            }
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
    fn a_step_that_is_far_longer_than_the_one_before_is_a_gap_of_the_difference() {
        for (steps, missing) in [
            (&[3000, 3000, 3000][..], 0),
            (&[3000, 93_000, 3000], 90_000),
            (&[3000, 6000, 12_000, 18_000], 0),
            (&[90_000, 180_000, 90_000], 0),
            (&[90_000, 480_000, 90_000], 390_000),
            (&[3000, 10_000_000, 3000], 0),
        ] {
            let (mut timeline, mut at) = (Timeline::default(), 1000_u64);
            timeline.advance(at.into());
            for step in steps {
                at += step;
                timeline.advance(at.into());
            }
            assert_eq!(timeline.take_missing(), duration(missing), "{steps:?}");
            assert_eq!(timeline.take_missing(), Duration::ZERO);
        }
    }

    #[test]
    fn ticks_and_durations_are_each_others_inverse_to_the_microsecond() {
        assert_eq!(duration(90_000), Duration::from_secs(1));
        assert_eq!(duration(-1), Duration::ZERO);
        assert_eq!(duration(1), Duration::from_micros(11));
        assert_eq!(ticks_90khz(Duration::from_millis(200)), 18_000);
    }
}
