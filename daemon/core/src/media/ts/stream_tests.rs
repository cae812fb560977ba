//! Streams that are not plain: several programs, changes in mid-stream, odd frames.

use libmpegts::ts::{NULL_PACKET, PACKET_SIZE, TsPacketMut, TsPacketRef};
use proptest::prelude::*;

use super::super::testing::{AUDIO, Reading, Shape, VIDEO, is_continuous, map_without_streams, multiplexed};
use super::*;

const TARGET: Duration = Duration::from_secs(2);
const SECOND_90KHZ: u64 = 90_000;

/// A segment as a reader puts it together.
#[derive(Debug, Default)]
struct Whole {
    discontinuity: bool,
    parts: Vec<Part>,
}

impl Whole {
    fn bytes(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.bytes.iter().copied()).collect()
    }
}

fn wholes(events: Vec<Event>) -> Vec<Whole> {
    let mut wholes = Vec::new();
    for event in events {
        match event {
            Event::Open { discontinuity, .. } => wholes.push(Whole { discontinuity, parts: Vec::new() }),
            Event::Part(part) => wholes.last_mut().unwrap().parts.push(part),
            Event::Close => {}
        }
    }
    wholes
}

/// Cuts as the intake does: measures the first segment, and goes on by what it tells.
fn cut(bytes: &[u8], program: Option<u16>) -> Result<(Vec<Whole>, Duration), Fault> {
    let (mut segmenter, mut events) = (Segmenter::new(TARGET, program), Vec::new());
    let mut part = Duration::ZERO;
    let mut start = |segmenter: &mut Segmenter, events: &mut Vec<Event>| {
        if let Some(profile) = segmenter.measured().filter(|_| !segmenter.is_started()) {
            part = profile.part_target;
            segmenter.start(Lengths { longest: Duration::from_secs(5), part }, events);
        }
    };
    for chunk in bytes.chunks(1316) {
        segmenter.push(chunk, &mut events)?;
        start(&mut segmenter, &mut events);
    }
    segmenter.finish(&mut events);
    start(&mut segmenter, &mut events);
    segmenter.finish(&mut events);
    Ok((wholes(events), part))
}

fn joined(wholes: &[Whole]) -> Vec<u8> {
    wholes.iter().flat_map(Whole::bytes).collect()
}

fn pids(bytes: &[u8]) -> std::collections::BTreeSet<u16> {
    bytes.as_chunks().0.iter().map(|packet| TsPacketRef::from(packet).pid()).collect()
}

#[test]
fn a_program_is_chosen_by_its_number_and_comes_alone() {
    let one = Shape::default().build();
    let two = Shape { program: 2, pids: (0x200, 0x201), ..Shape::default() }.build();
    let both = multiplexed(&one, &two, &[(1, 0x1001), (2, 0x1002)]);
    for (wanted, program, alone) in [(None, 1, &one), (Some(1), 1, &one), (Some(2), 2, &two)] {
        let (segments, _) = cut(&both, wanted).unwrap();
        let output = joined(&segments);
        assert_eq!(pids(&output), [0, 0x1000 | program, 0x100 * program, 0x100 * program + 1].into());
        assert!(is_continuous(&output));
        let (before, after) = (Reading::of(alone), Reading::of(&output));
        assert_eq!(before.payload, after.payload, "program {wanted:?}");
    }
    let fault = cut(&both, Some(7)).err().unwrap();
    assert_eq!(fault.to_string(), "not supported: there is no program 7 in the stream; its programs: 1, 2");
}

#[test]
fn a_program_without_media_is_passed_over() {
    let one = Shape::default().build();
    let with_ghost = multiplexed(&one, &one, &[(9, 0x1009), (1, 0x1001)]);
    // its PMT never comes, and it was asked for
    assert!(cut(&with_ghost, Some(9)).unwrap().0.is_empty());
    let empty = multiplexed(&map_without_streams(9, one.len()), &one, &[(9, 0x1009), (1, 0x1001)]);
    assert!(pids(&joined(&cut(&empty, None).unwrap().0)).contains(&VIDEO));
}

#[test]
fn another_main_stream_begins_a_segment_behind_a_discontinuity() {
    let first = Shape { frames: 110, ..Shape::default() };
    let start_90khz = first.start_90khz + first.frames * first.step_90khz;
    let second = Shape { version: 1, pids: (0x300, 0x301), start_90khz, frames: 60, ..Shape::default() };
    let stream = [first.build(), second.build()].concat();
    let (segments, _) = cut(&stream, None).unwrap();
    let told: Vec<_> = segments.iter().map(|segment| segment.discontinuity).collect();
    assert_eq!(told, [false, false, false, true, false]);
    assert_eq!(pids(&segments[2].bytes()), [0, 0x1001, VIDEO, AUDIO].into());
    assert_eq!(pids(&segments[3].bytes()), [0, 0x1001, 0x300, 0x301].into());
    assert!(is_continuous(&joined(&segments)));
    assert_eq!(Reading::of(&stream).payload, Reading::of(&joined(&segments)).payload);
}

#[test]
fn a_main_stream_that_never_began_leaves_nothing_however_the_bytes_come() {
    let is_video = |packet: &&[u8]| TsPacketRef::from(packet.first_chunk().unwrap()).pid() == VIDEO;
    let first = Shape { frames: 20, ..Shape::default() }.build();
    let announced: Vec<u8> =
        first.chunks(PACKET_SIZE).filter(|packet| !is_video(packet)).flatten().copied().collect();
    let mut second = Shape { version: 1, pids: (0x300, 0x301), ..Shape::default() }.build();
    // audio between the change and the first picture, whose tables come later
    let sound: Vec<u8> = announced.chunks(PACKET_SIZE).skip(3).take(6).flatten().copied().collect();
    second.splice(2 * PACKET_SIZE..2 * PACKET_SIZE, sound);
    let stream = [announced, second].concat();
    let lengths = Lengths { longest: Duration::from_secs(5), part: Duration::from_millis(200) };
    let cut_in = |size: usize| {
        let (mut segmenter, mut events) = (Segmenter::new(TARGET, None), Vec::new());
        segmenter.start(lengths, &mut events);
        stream.chunks(size).for_each(|chunk| segmenter.push(chunk, &mut events).unwrap());
        segmenter.finish(&mut events);
        joined(&wholes(events))
    };
    let whole = cut_in(stream.len());
    assert!(!whole.is_empty());
    for size in [1, 188, 1316, 5000] {
        assert!(cut_in(size) == whole, "in pieces of {size}");
    }
}

#[test]
fn another_audio_stream_applies_in_place() {
    let first = Shape { frames: 75, ..Shape::default() };
    let start_90khz = first.start_90khz + first.frames * first.step_90khz;
    let second = Shape { version: 1, pids: (VIDEO, 0x301), start_90khz, frames: 75, ..Shape::default() };
    let (segments, _) = cut(&[first.build(), second.build()].concat(), None).unwrap();
    assert!(segments.iter().all(|segment| !segment.discontinuity));
    assert_eq!(segments.len(), 3);
    let payload = Reading::of(&joined(&segments)).payload;
    assert!(payload.contains_key(&0x301) && payload.contains_key(&AUDIO));
}

#[test]
fn stuffing_is_left_out() {
    let stream = Shape::default().build();
    let stuffed: Vec<u8> =
        stream.chunks(PACKET_SIZE).flat_map(|packet| [packet, NULL_PACKET.as_ref()].concat()).collect();
    let (plain, _) = cut(&stream, None).unwrap();
    assert_eq!(joined(&cut(&stuffed, None).unwrap().0), joined(&plain));
}

#[test]
fn a_scrambled_stream_is_a_fault_that_says_so() {
    let mut stream = Shape { size: 3000, ..Shape::default() }.build();
    for packet in stream.as_chunks_mut::<PACKET_SIZE>().0 {
        if TsPacketRef::from(&*packet).pid() == VIDEO {
            packet[3] |= 0x80;
        }
    }
    assert_eq!(cut(&stream, None).err().unwrap().to_string(), "not supported: the stream is scrambled");
}

#[test]
fn a_keyframe_is_found_behind_the_first_packet() {
    let shape = Shape { flagged: false, preamble: 700, size: 2000, ..Shape::default() };
    let (segments, _) = cut(&shape.build(), None).unwrap();
    assert_eq!(segments.len(), 3);
    assert!(segments.iter().all(|segment| segment.parts[0].independent));
}

#[test]
fn packets_with_an_error_are_no_part_of_it() {
    let stream = Shape::default().build();
    let mut broken = [0x47; PACKET_SIZE];
    (broken[1], broken[2], broken[3]) = (0xc1, 0x00, 0x10);
    TsPacketMut::from(&mut broken).set_cc(3);
    let with: Vec<u8> =
        stream.chunks(PACKET_SIZE * 7).flat_map(|packets| [packets, &broken].concat()).collect();
    assert_eq!(joined(&cut(&with, None).unwrap().0), joined(&cut(&stream, None).unwrap().0));
}

/// Holds the rule of RFC 8216bis, 4.4.4.9.
fn assert_parts(segments: &[Whole], target: Duration) {
    for segment in segments {
        let (last, parts) = segment.parts.split_last().unwrap();
        assert!(last.duration <= target);
        for part in parts {
            assert!(part.duration <= target, "{:?} of {target:?}", part.duration);
            assert!(
                part.independent || part.duration * 100 >= target * 85,
                "{:?} of {target:?}",
                part.duration
            );
        }
    }
}

#[test]
fn the_part_target_is_a_whole_number_of_frames() {
    let target =
        |step_90khz, gop| cut(&Shape { step_90khz, gop, ..Shape::default() }.build(), None).unwrap().1;
    assert_eq!(target(3600, 25), Duration::from_millis(200));
    assert_eq!(target(3003, 30), Duration::from_micros(200_200));
    assert_eq!(target(1500, 60), Duration::from_millis(200));
    assert_eq!(target(3750, 24), Duration::from_micros(208_334));
    assert_eq!(target(30_000, 3), Duration::from_micros(333_334));
    // audio of 44.1 kHz: nine frames
    assert_eq!(target(3600, 0), Duration::from_micros(208_989));
}

#[test]
fn audio_in_large_packets_is_cut_into_parts_within_them() {
    // eight frames in a packet, as ffmpeg packs them
    let shape = Shape { gop: 0, frames: 60, step_90khz: 15_360, ..Shape::default() };
    let (segments, target) = cut(&shape.build(), None).unwrap();
    assert!(segments.len() >= 4);
    assert_parts(&segments, target);
}

#[test]
fn a_packet_that_lasts_longer_than_a_part_is_followed_by_stuffing() {
    // pictures of one packet, the first ones 40 ms apart, then with nothing for 1.1 s
    let shape = |frames, gop, start_90khz, size| Shape { frames, gop, start_90khz, size, ..Shape::default() };
    let usual = shape(110, 25, 126_000, 700).build();
    let alone = |at: u64| {
        let one = shape(1, 1, 126_000 + at, 20).build();
        let is_video = |packet: &&[u8]| TsPacketRef::from(packet.first_chunk().unwrap()).pid() == VIDEO;
        let packets = one.chunks(PACKET_SIZE).filter(is_video);
        packets.skip(1).flatten().copied().collect::<Vec<_>>()
    };
    let times: Vec<u64> = (0..6).map(|at| 110 * 3600 + at * 99_000).collect();
    let rare: Vec<u8> = times.into_iter().flat_map(alone).collect();
    let (segments, target) = cut(&[usual.clone(), rare.clone()].concat(), None).unwrap();
    assert_parts(&segments, target);
    let total: Duration = segments.iter().flat_map(|segment| &segment.parts).map(|part| part.duration).sum();
    assert_eq!(total, Duration::from_millis(110 * 40 + 6 * 1100), "no time is lost");
    let is_stuffing = |part: &&Part| *part.bytes == *NULL_PACKET.as_ref();
    let stuffing: Vec<_> = segments.iter().flat_map(|segment| &segment.parts).filter(is_stuffing).collect();
    assert!(stuffing.len() >= 20 && stuffing.iter().all(|part| !part.independent), "{}", stuffing.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn parts_keep_to_their_target_when_the_frame_rate_changes(
        before in 1500..9000_u64, after in 1500..20_000_u64, gop in 5..60_u64, size in 800..3000_usize,
    ) {
        let first = Shape { frames: 5 * SECOND_90KHZ / before, gop, step_90khz: before, size, ..Shape::default() };
        let second = Shape {
            frames: 5 * SECOND_90KHZ / after,
            step_90khz: after,
            start_90khz: 900_000_000,
            pids: (0x300, 0x301),
            version: 1,
            ..first.clone()
        };
        let stream = [first.build(), second.build()].concat();
        let (segments, target) = cut(&stream, None).unwrap();
        prop_assert!(segments.iter().any(|segment| segment.discontinuity));
        assert_parts(&segments, target);
        let output = joined(&segments);
        prop_assert!(is_continuous(&output));
        prop_assert_eq!(Reading::of(&stream).payload, Reading::of(&output).payload);
    }
}
