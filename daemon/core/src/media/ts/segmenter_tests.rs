use proptest::prelude::*;

use super::super::testing::{AUDIO, Reading, Shape, VIDEO, is_continuous};
use super::*;

const TARGET: Duration = Duration::from_secs(2);
const LENGTHS: Lengths = Lengths { longest: Duration::from_secs(5), part: Duration::from_millis(200) };

/// A segment as a reader puts it together.
#[derive(Debug, Default, PartialEq)]
struct Whole {
    duration: Duration,
    bytes: Vec<u8>,
    parts: Vec<(Duration, bool)>,
    discontinuity: bool,
}

fn segments(events: &[Event]) -> Vec<Whole> {
    let (mut segments, mut open) = (Vec::new(), None);
    for event in events {
        match (event, &mut open) {
            (Event::Open { discontinuity, .. }, None) => {
                open = Some(Whole { discontinuity: *discontinuity, ..Whole::default() })
            }
            (Event::Part(part), Some(whole)) => {
                assert!(!part.bytes.is_empty() && part.bytes.len() % 188 == 0);
                whole.duration += part.duration;
                whole.bytes.extend_from_slice(&part.bytes);
                whole.parts.push((part.duration, part.independent));
            }
            (Event::Close, Some(_)) => segments.extend(open.take()),
            other => panic!("out of order: {other:?}"),
        }
    }
    assert_eq!(open, None);
    segments
}

/// Cuts with these lengths once a segment was measured.
fn cut_in(lengths: Lengths, chunks: &mut dyn Iterator<Item = &[u8]>) -> Vec<Whole> {
    let (mut segmenter, mut events) = (Segmenter::new(TARGET, None), Vec::new());
    for chunk in chunks {
        segmenter.push(chunk, &mut events).unwrap();
        if !segmenter.is_started() && segmenter.measured().is_some() {
            segmenter.start(lengths, &mut events);
        }
    }
    segmenter.finish(&mut events);
    segmenter.start(lengths, &mut events);
    segmenter.finish(&mut events);
    segments(&events)
}

fn cut(bytes: &[u8]) -> Vec<Whole> {
    cut_in(LENGTHS, &mut bytes.chunks(1000))
}

fn durations(segments: &[Whole]) -> Vec<f64> {
    segments.iter().map(|segment| segment.duration.as_secs_f64()).collect()
}

fn joined(segments: &[Whole]) -> Vec<u8> {
    segments.iter().flat_map(|segment| segment.bytes.iter().copied()).collect()
}

#[test]
fn segments_end_at_the_first_keyframe_behind_the_target() {
    for (gop, expected) in [
        (25, vec![2.0, 2.0, 2.0]),
        (40, vec![3.2, 2.8]),
        (48, vec![1.92, 1.92, 1.92, 0.24]),
        (150, vec![5.0, 1.0]),
        (0, vec![1.92, 1.92, 1.92, 0.24]),
    ] {
        let segments = cut(&Shape { gop, ..Shape::default() }.build());
        assert_eq!(durations(&segments), expected, "a keyframe every {gop} frames");
        let independent: Vec<_> = segments.iter().map(|segment| segment.parts[0].1).collect();
        assert_eq!(
            independent,
            (0..expected.len()).map(|at| gop != 150 || at == 0).collect::<Vec<_>>(),
            "{gop}"
        );
    }
}

#[test]
fn keyframes_are_found_without_a_flag() {
    assert_eq!(durations(&cut(&Shape { flagged: false, ..Shape::default() }.build())), [2.0, 2.0, 2.0]);
}

#[test]
fn parts_are_as_long_as_asked_and_tell_where_a_keyframe_is() {
    let parts_of = |shape: Shape| -> Vec<_> {
        let segments = cut(&shape.build());
        segments[0].parts.iter().map(|(duration, key)| (duration.as_millis(), *key)).collect()
    };
    // a keyframe each 920 ms: a part that would be too short before it goes on behind it
    let parts = parts_of(Shape { gop: 23, ..Shape::default() });
    let keys: Vec<_> = (0..parts.len()).filter(|at| parts[*at].1).collect();
    assert_eq!(keys, [0, 4, 9]);
    let (last, others) = parts.split_last().unwrap();
    assert!(others.iter().all(|(millis, _)| *millis == 200) && last.0 == 160, "{parts:?}");
    // each 380 ms: 180 ms are enough before it
    let parts = parts_of(Shape { gop: 19, step_90khz: 1800, frames: 300, ..Shape::default() });
    let gop = [(200, true), (180, false)];
    assert_eq!(parts, gop.repeat(parts.len())[..parts.len()]);
}

#[test]
fn every_segment_starts_with_the_tables_whether_they_came_or_not() {
    for tables in [1, 7, 25, 1000] {
        let segments = cut(&Shape { tables, ..Shape::default() }.build());
        assert_eq!(segments.len(), 3);
        for segment in &segments {
            let pids: Vec<_> =
                segment.bytes.chunks(188).map(|packet| [packet[1] & 0x1f, packet[2]]).take(2).collect();
            assert_eq!(pids, [[0, 0], [0x10, 1]], "tables every {tables} frames");
        }
        assert!(is_continuous(&joined(&segments)), "tables every {tables} frames");
    }
}

#[test]
fn a_jump_of_the_time_stamps_starts_another_segment() {
    let mut bytes = Shape { frames: 60, ..Shape::default() }.build();
    bytes.extend(Shape { frames: 60, start_90khz: 900_000_000, ..Shape::default() }.build());
    let segments = cut(&bytes);
    let told: Vec<_> =
        segments.iter().map(|segment| (segment.duration.as_secs_f64(), segment.discontinuity)).collect();
    assert_eq!(told, [(2.0, false), (0.4, false), (2.0, true), (0.4, false)]);
}

#[test]
fn the_33_bits_may_wrap() {
    let start_90khz = (1 << 33) - 200_000;
    assert_eq!(durations(&cut(&Shape { start_90khz, ..Shape::default() }.build())), [2.0, 2.0, 2.0]);
}

#[test]
fn what_comes_before_the_first_keyframe_is_dropped() {
    let whole = Shape::default().build();
    let segments = cut(&whole[188 * 40..]);
    assert_eq!(durations(&segments), [2.0, 2.0, 1.0]);
    assert!(segments.iter().all(|segment| segment.parts[0].1));
}

#[test]
fn a_stream_without_a_keyframe_is_cut_all_the_same() {
    let segments = cut(&Shape { gop: 1000, ..Shape::default() }.build()[188 * 20..]);
    assert!(durations(&segments).iter().all(|seconds| *seconds <= 5.0));
    assert!(!segments.is_empty() && !segments[0].parts[0].1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_or_reordered_whatever_the_chunks(
        gop in 0..60_u64,
        tables in 1..40_u64,
        size in 1..2000_usize,
        chunks in prop::collection::vec(1..5000_usize, 1..20),
        garbage in prop::option::of(0..150_usize),
    ) {
        let stream = Shape { frames: 80, gop, tables, size, ..Shape::default() }.build();
        let bytes = [vec![0x11; garbage.unwrap_or_default()], stream.clone()].concat();
        let (mut rest, mut pieces) = (bytes.as_slice(), Vec::new());
        for size in chunks.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let segments = cut_in(LENGTHS, &mut pieces.into_iter());
        let output = joined(&segments);
        prop_assert!(is_continuous(&output));
        let (before, after) = (Reading::of(&stream), Reading::of(&output));
        prop_assert_eq!(after.continuity_errors, 0);
        for pid in [VIDEO, AUDIO] {
            prop_assert_eq!(before.payload.get(&pid), after.payload.get(&pid));
            prop_assert_eq!(before.times.get(&pid), after.times.get(&pid));
        }
        let total: Duration = segments.iter().map(|segment| segment.duration).sum();
        prop_assert_eq!(total, Duration::from_millis(80 * 40));
    }

    #[test]
    fn an_interruption_anywhere_leaves_whole_access_units_only(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        flagged: bool,
    ) {
        const VIDEO_UNIT: usize = 705;
        const AUDIO_UNIT: usize = 122;
        let stream = Shape { flagged, ..Shape::default() }.build();
        let (mut segmenter, mut events) = (Segmenter::new(TARGET, None), Vec::new());
        segmenter.push(&stream, &mut events).unwrap();
        segmenter.start(LENGTHS, &mut events);
        for cut in &cuts {
            segmenter.interrupt(&mut events);
            segmenter.push(&stream[..cut.index(stream.len())], &mut events).unwrap();
        }
        segmenter.interrupt(&mut events);
        let segments = segments(&events);
        let reading = Reading::of(&joined(&segments));
        prop_assert_eq!(reading.payload[&VIDEO].len() % VIDEO_UNIT, 0, "half a picture");
        prop_assert_eq!(reading.payload[&AUDIO].len() % AUDIO_UNIT, 0, "half a frame of audio");
        let pictures = reading.times[&VIDEO].len();
        let lasted: Duration = segments.iter().map(|segment| segment.duration).sum();
        prop_assert_eq!(lasted, Duration::from_millis(40) * u32::try_from(pictures).unwrap());
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..60),
        cut_at: prop::sample::Index,
    ) {
        let mut bytes = Shape { frames: 60, ..Shape::default() }.build();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.drain(..cut_at.index(4000));
        for segment in cut(&bytes) {
            // one broken time stamp may end a segment, but no segment is longer than allowed by much
            prop_assert!(segment.duration <= LENGTHS.longest + Duration::from_secs(10));
        }
    }
}
