//! Streams to score: whole windows of what the daemon would have seen.

use crate::{Observation, Sample};

/// When the newest segment of each window is complete: Unix time, in milliseconds.
pub const NOW_MS: u64 = 1_760_000_000_000;

/// A stream of six-second segments, each fetched in half a second: video and audio, three viewers.
pub fn healthy(segments: usize) -> Sample {
    of(segments, |_, _| {})
}

/// A stream of which each segment is changed; `change` gets its place from the oldest, 0, and the segment.
///
/// ```
/// use sluice_plugin_sdk::testing::samples;
///
/// let sample = samples::of(10, |place, seen| seen.retries = if place == 9 { 2 } else { 0 });
/// assert_eq!(sample.observations.len(), 10);
/// ```
pub fn of(segments: usize, mut change: impl FnMut(usize, &mut Observation)) -> Sample {
    let observation = |place: usize| {
        let after = segments as u64 - 1 - place as u64;
        let mut seen = Observation {
            sequence: 1000 + place as u64,
            at_ms: NOW_MS - after * 6000,
            duration_ms: 6000,
            download_ms: 500,
            first_byte_ms: 80,
            bytes: 3_000_000,
            status: 200,
            playlist_age_ms: 2000,
            viewers: 3,
            ..Observation::default()
        };
        change(place, &mut seen);
        seen
    };
    Sample {
        pipeline: "news".into(),
        source: "source 1 hls".into(),
        now_ms: NOW_MS,
        target_duration_ms: 6000,
        video: true,
        audio: true,
        viewers: 3,
        observations: (0..segments).map(observation).collect(),
        ..Sample::default()
    }
}

/// Every third segment stalled, and took as long to fetch as it plays.
pub fn stalling(segments: usize) -> Sample {
    of(segments, |place, seen| {
        if place % 3 == 0 {
            (seen.stalls, seen.download_ms, seen.first_byte_ms) = (1, 6500, 3000);
        }
    })
}

/// A transport stream with continuity errors in every second segment, and timestamps that jump.
pub fn corrupt(segments: usize) -> Sample {
    of(segments, |place, seen| {
        if place % 2 == 0 {
            (seen.continuity_errors, seen.pts_gap_ms) = (12, 400);
        }
    })
}

/// Every fourth segment is missing.
pub fn gappy(segments: usize) -> Sample {
    of(segments, |place, seen| {
        if place % 4 == 0 {
            (seen.gap, seen.status, seen.retries, seen.bytes) = (true, 404, 3, 0);
        }
    })
}

/// An origin that is slower and slower, and whose playlist stops growing.
pub fn fading(segments: usize) -> Sample {
    let share = |place: usize| u32::try_from(place * 6000 / segments.max(1)).unwrap_or(6000);
    let mut sample = of(segments, |place, seen| {
        seen.download_ms = 500 + share(place);
        seen.playlist_age_ms = 2000 + share(place) * 2;
    });
    sample.idle_ms = 9000;
    sample
}

/// A stream that was as [`stalling`] in its older half, and as [`healthy`] in its newer one.
pub fn recovered(segments: usize) -> Sample {
    let bad = stalling(segments).observations;
    of(segments, |place, seen| {
        if place < segments / 2 {
            *seen = bad[place].clone();
        }
    })
}

/// A stream of which nothing came for a minute.
pub fn dead(segments: usize) -> Sample {
    Sample { idle_ms: 60_000, now_ms: NOW_MS + 60_000, ..healthy(segments) }
}
