//! What the first segment of a stream tells of the whole.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::duration;
use super::facts::Facts;
use super::parts::Operation;
use super::reader::Reader;

/// What parts should be at least.
const PART_90KHZ: i64 = 18_000;

/// What the first segment of a stream tells of the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// How long it is.
    pub length: Duration,
    /// What every part can be at most, so that it holds a whole number of frames: 200 ms, rounded up.
    pub part_target: Duration,
    /// What it holds.
    pub facts: Facts,
}

impl Profile {
    /// Whether a segment that ended is among what waits.
    pub(super) fn is_whole(waiting: &VecDeque<Operation>) -> bool {
        waiting.iter().rev().take(3).any(|operation| matches!(operation, Operation::Close { .. }))
    }

    /// Measures the first segment that waits, if it ended or `is_enough`.
    pub(super) fn of(waiting: &VecDeque<Operation>, reader: &Reader, is_enough: bool) -> Option<Self> {
        if !is_enough && !Self::is_whole(waiting) {
            return None;
        }
        let mut times = Vec::new();
        let (mut from, mut to) = (None, reader.kept.end());
        for operation in waiting {
            match *operation {
                Operation::Forget { .. } => {}
                Operation::Open { at, time_90khz, .. } => {
                    from.get_or_insert(at);
                    times.push(time_90khz);
                }
                Operation::Unit { time_90khz, .. } => times.push(time_90khz),
                Operation::Close { at, time_90khz } => {
                    times.push(time_90khz);
                    to = at;
                    break;
                }
            }
        }
        let length_90khz = times.last()? - times.first()?;
        let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let facts = Facts::of(reader.kept.between(from?, to), &reader.tables, &steps);
        let frame = facts.audio_frame().filter(|_| facts.video.is_none());
        let part_90khz = frame.and_then(audio_part_90khz).unwrap_or_else(|| video_part_90khz(&steps));
        Some(Self { length: duration(length_90khz), part_target: ceil(part_90khz), facts })
    }
}

/// The time of the frames that fill 200 ms, at its longest: steps of frames are rounded to ticks, or to worse.
fn video_part_90khz(steps: &[i64]) -> i64 {
    let median = median(steps).unwrap_or(PART_90KHZ).max(1);
    let frames = (PART_90KHZ + median - 1 - median / 50) / median;
    let frames = usize::try_from(frames.max(1)).unwrap_or(1);
    let sums = steps.windows(frames).map(|steps| steps.iter().sum::<i64>());
    let usual = i64::try_from(frames).unwrap_or(1) * median;
    sums.filter(|sum| *sum * 20 <= usual * 21).max().unwrap_or(usual).max(usual)
}

/// The time of the frames of audio that fill 200 ms, rounded up to a tick.
fn audio_part_90khz((samples, rate_hz): (u32, u32)) -> Option<i64> {
    let (samples, rate_hz) = (u64::from(samples), u64::from(rate_hz));
    let frames = (rate_hz / 5).div_ceil(samples.max(1));
    i64::try_from((frames * samples * 90_000).div_ceil(rate_hz.max(1))).ok()
}

pub(super) fn median(steps: &[i64]) -> Option<i64> {
    let mut steps: Vec<i64> = steps.iter().copied().filter(|step| *step > 0).collect();
    let middle = steps.len() / 2;
    (!steps.is_empty()).then(|| *steps.select_nth_unstable(middle).1)
}

/// Rounded up to a microsecond, as parts are rounded down.
fn ceil(ticks_90khz: i64) -> Duration {
    let exact = duration(ticks_90khz);
    if ticks_90khz % 9 == 0 { exact } else { exact + Duration::from_micros(1) }
}
