use std::time::Duration;

use libmpegts::psi::PmtSectionMut;
use libmpegts::ts::{PACKET_SIZE, TsPacketMut, TsPacketRef};
use proptest::prelude::*;

use super::output::clock_of;
use super::*;
use crate::media::ts::clock::distance_90khz;
use crate::media::ts::testing::{
    AUDIO, FRAME_90KHZ, Reading, Shape, VIDEO, is_continuous, map_without_streams, multiplexed,
};
use crate::media::ts::{Event, Lengths, Segmenter};

pub(super) const TS: Container = Container::TransportStream;
const AAC: Container = Container::PackedAudio { extension: "aac" };
/// Where the output has the first video and the first audio.
pub(super) const OUT_VIDEO: u16 = 0x100;
pub(super) const OUT_AUDIO: u16 = 0x110;
const PATIENCE: i64 = 3 * 90_000;
const HOUR_90KHZ: u64 = 3600 * 90_000;

pub(super) fn program(inputs: usize) -> Program {
    Program::new(&vec![None; inputs], PATIENCE)
}

/// Runs one muxed input over streams that follow each other behind discontinuities.
pub(super) fn splice(streams: &[&[u8]]) -> (Vec<Chunk>, Tally) {
    let (mut program, mut chunks) = (program(1), Vec::new());
    for (era, bytes) in (0..).zip(streams) {
        program.push(0, (era, true), &TS, bytes, &mut chunks).unwrap();
        program.complete(0, &mut chunks);
    }
    program.flush(&mut chunks);
    (chunks, program.tally())
}

pub(super) fn joined(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect()
}

/// What holds for whatever comes out: whole packets, counters without a gap, clocks and decoding times that rise.
pub(super) fn check(chunks: &[Chunk]) -> Reading {
    let bytes = joined(chunks);
    assert!(is_continuous(&bytes));
    let mut clock = None;
    for pcr in bytes.as_chunks::<PACKET_SIZE>().0.iter().filter_map(clock_of) {
        let before = clock.replace(pcr);
        let step = before.map(|before| libmpegts::pcr::pcr_signed_delta(before, pcr));
        assert!(step.is_none_or(|step| step > 0), "the clock goes from {before:?} to {pcr}");
    }
    assert!(clock.is_some(), "there is a clock");
    for pair in chunks.windows(2) {
        assert!(pair[0].clock_90khz <= pair[1].clock_90khz);
    }
    for chunk in chunks {
        assert_eq!(chunk.bytes.len() % PACKET_SIZE, 0);
        if chunk.is_start {
            let pid =
                |at: usize| TsPacketRef::from(chunk.bytes[at * PACKET_SIZE..].first_chunk().unwrap()).pid();
            assert_eq!([pid(0), pid(1)], [0, 0x1000]);
        }
    }
    let reading = Reading::of(&bytes);
    assert_eq!(reading.continuity_errors, 0);
    for (pid, times) in &reading.times {
        for pair in times.windows(2) {
            let step = distance_90khz(pair[0].into(), pair[1].into());
            assert!(step >= 0, "times of {pid:#x} go from {} to {}", pair[0], pair[1]);
        }
    }
    reading
}

pub(super) fn payload(shape: &Shape) -> Reading {
    Reading::of(&shape.build())
}

#[test]
fn a_stream_alone_comes_out_whole_on_pids_of_the_program() {
    let shape = Shape::default();
    let (chunks, tally) = splice(&[&shape.build()]);
    let (before, after) = (payload(&shape), check(&chunks));
    assert_eq!(before.payload[&VIDEO], after.payload[&OUT_VIDEO]);
    assert_eq!(tally, Tally::default());
    // audio begins with the picture: the frame before it is presented earlier
    assert!(before.payload[&AUDIO].ends_with(&after.payload[&OUT_AUDIO]));
    assert_eq!(before.times[&AUDIO].len() - after.times[&OUT_AUDIO].len(), 1);
    assert_eq!(chunks.iter().filter(|chunk| chunk.is_start).count(), 6);
    let moved = after.times[&OUT_VIDEO][0] - before.times[&VIDEO][0];
    assert!(before.times[&VIDEO].iter().zip(&after.times[&OUT_VIDEO]).all(|(from, to)| to - from == moved));
}

#[test]
fn sources_that_differ_join_to_one_time_line() {
    let first = Shape { start_90khz: 5 * HOUR_90KHZ, ..Shape::default() };
    let wrapping = Shape { start_90khz: (1 << 33) - 100_000, gop: 50, size: 1500, ..Shape::default() };
    let earlier = Shape { start_90khz: 900, flagged: false, ..Shape::default() };
    let (chunks, tally) = splice(&[&first.build(), &wrapping.build(), &earlier.build()]);
    let reading = check(&chunks);
    assert_eq!(tally, Tally { splices: 2, blind: 0 });
    let whole: Vec<u8> = [&first, &wrapping, &earlier]
        .iter()
        .flat_map(|shape| payload(shape).payload[&VIDEO].clone())
        .collect();
    assert_eq!(reading.payload[&OUT_VIDEO], whole, "no picture is lost");
    let steps = reading.times[&OUT_VIDEO].windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.max().unwrap() <= 4 * FRAME_90KHZ, "no splice leaves a hole");
}

#[test]
fn a_splice_waits_for_a_keyframe_and_cuts_audio_to_it() {
    let shape = Shape::default();
    let whole = shape.build();
    let tables = 2 * PACKET_SIZE;
    // the second source begins in the middle of a group of pictures, right behind tables
    let middle = whole.as_chunks::<PACKET_SIZE>().0.iter().enumerate().skip(10);
    let mut at = middle.filter(|(_, packet)| TsPacketRef::from(*packet).pid() == 0).map(|(at, _)| at);
    let late = &whole[at.next().unwrap() * PACKET_SIZE..];
    assert!(late.len() > tables);
    let (chunks, tally) = splice(&[&whole, late]);
    let reading = check(&chunks);
    assert_eq!(tally, Tally { splices: 1, blind: 0 });
    let video = &reading.payload[&OUT_VIDEO];
    let before = payload(&shape);
    let (own, rest) = video.split_at(before.payload[&VIDEO].len());
    assert_eq!(own, before.payload[&VIDEO]);
    assert!(before.payload[&VIDEO].ends_with(rest));
    assert_eq!(&rest[..5], &[0, 0, 0, 1, 0x67], "it begins with a keyframe");
    let (pictures, sounds) = (&reading.times[&OUT_VIDEO], &reading.times[&OUT_AUDIO]);
    let start = pictures[150] + 2 * FRAME_90KHZ;
    let first_sound = sounds.iter().find(|time| **time > pictures[149] + 2 * FRAME_90KHZ).unwrap();
    assert!((start..start + FRAME_90KHZ).contains(first_sound), "{first_sound} at {start}");
}

#[test]
fn an_access_unit_whose_times_cannot_be_read_is_left_out() {
    let shape = Shape::default();
    let mut stream = shape.build();
    let starts = stream.as_chunks_mut::<PACKET_SIZE>().0.iter_mut().filter(|packet| {
        let packet = TsPacketRef::from(&**packet);
        packet.pid() == VIDEO && packet.is_payload_start()
    });
    let broken = starts.into_iter().nth(30).unwrap();
    let header = broken.windows(4).position(|bytes| bytes == [0, 0, 1, 0xe0]).unwrap();
    broken[header + 6] &= 0x3f; // no header any more, for who looks closely
    let (chunks, _) = splice(&[&stream]);
    let (before, after) = (payload(&shape), check(&chunks));
    assert_eq!(after.times[&OUT_VIDEO].len(), before.times[&VIDEO].len() - 1);
}

#[test]
fn a_clock_in_a_damaged_field_does_not_come_out() {
    let stream = Shape::default().build();
    let mut damaged = [0x50; PACKET_SIZE];
    damaged[..6].copy_from_slice(&[0x47, 0x01, 0x00, 0x30, 100, 0x1e]); // flags of more than there is room for
    damaged[6..12].fill(0); // a clock long ago
    damaged[12..24].fill(0xff);
    let (before, after) = stream.split_at(60 * PACKET_SIZE);
    check(&splice(&[&[before, &damaged, after].concat()]).0);
}

#[test]
fn a_jump_without_a_discontinuity_is_a_splice_too() {
    let (first, second) = (Shape::default(), Shape { start_90khz: HOUR_90KHZ, ..Shape::default() });
    let stream = [first.build(), second.build()].concat();
    let (chunks, tally) = splice(&[&stream]);
    check(&chunks);
    assert_eq!(tally.splices, 1);
}

#[test]
fn a_stream_without_keyframes_begins_blind_after_a_while() {
    // a group that is longer than the stream, of which the start is cut off
    let shape = Shape { gop: 1000, frames: 400, flagged: false, ..Shape::default() };
    let whole = shape.build();
    let packets = whole.as_chunks::<PACKET_SIZE>().0;
    let second_pat =
        packets.iter().enumerate().skip(2).find(|(_, packet)| TsPacketRef::from(*packet).pid() == 0);
    let late = &whole[second_pat.unwrap().0 * PACKET_SIZE..];
    let (chunks, tally) = splice(&[late]);
    let reading = check(&chunks);
    assert_eq!(tally.blind, 1);
    let missing = payload(&shape).times[&VIDEO].len() - reading.times[&OUT_VIDEO].len();
    assert!((125..=137).contains(&missing), "{missing} pictures were waited for: five seconds and the cut");
    assert!(chunks.iter().filter(|chunk| chunk.is_start).count() > 5, "viewers can join");
}

#[test]
fn a_clock_on_a_pid_of_its_own_or_none_at_all_becomes_the_programs() {
    for drop_clock in [false, true] {
        let mut stream = Shape::default().build();
        move_clock(&mut stream, drop_clock);
        let (chunks, _) = splice(&[&stream]);
        let reading = check(&chunks);
        assert_eq!(reading.payload[&OUT_VIDEO], payload(&Shape::default()).payload[&VIDEO]);
        let bytes = joined(&chunks);
        let clocks: Vec<u64> = bytes.as_chunks::<PACKET_SIZE>().0.iter().filter_map(clock_of).collect();
        let longest = clocks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= 27_000_000 / 10, "{longest}");
    }
}

/// Moves the clock to a PID of its own, or takes it out.
fn move_clock(stream: &mut Vec<u8>, drop_clock: bool) {
    let mut moved = Vec::new();
    for packet in stream.as_chunks_mut::<PACKET_SIZE>().0 {
        let pid = TsPacketRef::from(&*packet).pid();
        if pid == 0x1000 {
            let length = 3 + usize::from(packet[7]);
            let mut section = PmtSectionMut::try_from(&mut packet[5..5 + length]).unwrap();
            section.set_pcr_pid(if drop_clock { 0x1fff } else { 0x1f0 });
            section.update_crc32();
        } else if clock_of(packet).is_some() {
            TsPacketMut::from(&mut *packet).set_pid(0x1f0);
            if drop_clock {
                continue;
            }
        }
        moved.extend_from_slice(packet);
    }
    *stream = moved;
}

/// AAC frames of 1024 samples at 48 kHz with a time stamp, and `fill` in each.
fn packed(time_90khz: u64, frames: usize, fill: u8) -> Vec<u8> {
    let mut tag =
        b"ID3\x04\0\0\0\0\0\x3fPRIV\0\0\0\x35\0\0com.apple.streaming.transportStreamTimestamp\0".to_vec();
    tag.extend_from_slice(&time_90khz.to_be_bytes());
    for _ in 0..frames {
        tag.extend_from_slice(&[0xff, 0xf1, 0x4c, 0x80, 0x0c, 0x9f, 0xfc]);
        tag.extend_from_slice(&[fill; 93]);
    }
    tag
}

/// How far the two streams of the output are apart, at most, where one follows the other.
fn interleaving_90khz(chunks: &[Chunk]) -> i64 {
    let (mut last, mut worst) = ([None, None], 0);
    for packet in joined(chunks).as_chunks::<PACKET_SIZE>().0 {
        let packet = TsPacketRef::from(packet);
        let header = packet.payload().filter(|_| packet.is_payload_start());
        let header = header.and_then(|payload| libmpegts::pes::PesHeaderRef::try_from(payload).ok());
        let Some(times) = header.and_then(|header| header.pts_dts()) else { continue };
        let own = usize::from(packet.pid() == OUT_AUDIO);
        last[own] = Some(times.dts.unwrap_or(times.pts));
        if let [Some(video), Some(audio)] = last {
            worst = worst.max(distance_90khz(video, audio).abs());
        }
    }
    worst
}

#[test]
fn of_several_programs_the_first_with_media_is_carried() {
    let one = Shape { program: 2, pids: (0x200, 0x201), ..Shape::default() };
    let stream = one.build();
    let listed = [(9, 0x1009), (2, 0x1002)];
    let (chunks, _) = splice(&[&multiplexed(&map_without_streams(9, stream.len()), &stream, &listed)]);
    assert_eq!(check(&chunks).payload[&OUT_VIDEO], payload(&one).payload[&0x200]);
    // a source with `program=` leaves the others out
    let other = Shape::default().build();
    let (mut segmenter, mut events) = (Segmenter::new(Duration::from_secs(2), Some(2)), Vec::new());
    let both = multiplexed(&other, &stream, &[(1, 0x1001), (2, 0x1002)]);
    segmenter.push(&both, &mut events).unwrap();
    let length = Duration::from_secs(5);
    segmenter.start(Lengths { longest: length, part: length }, &mut events);
    segmenter.finish(&mut events);
    let parts = events.iter().filter_map(|event| match event {
        Event::Part(part) => Some(&part.bytes[..]),
        _ => None,
    });
    let (chunks, _) = splice(&[&parts.collect::<Vec<_>>().concat()]);
    assert_eq!(check(&chunks).payload[&OUT_VIDEO], payload(&one).payload[&0x200]);
}

#[test]
fn audio_apart_is_interleaved_in_time() {
    let video = Shape { frames: 300, ..Shape::default() };
    let audio = Shape { frames: 300, gop: 0, ..Shape::default() };
    let (pictures, sounds) = (video.build(), audio.build());
    // the video stream of this test brings audio of its own: it is the first, the one that is apart the second
    let (mut program, mut chunks) = (program(2), Vec::new());
    for (part, other) in pictures.chunks(40_000).zip(sounds.chunks(15_000)) {
        program.push(0, (7, true), &TS, part, &mut chunks).unwrap();
        program.push(1, (7, true), &TS, other, &mut chunks).unwrap();
    }
    (0..2).for_each(|input| program.complete(input, &mut chunks));
    program.flush(&mut chunks);
    let reading = check(&chunks);
    assert_eq!(reading.payload[&OUT_VIDEO], payload(&video).payload[&VIDEO]);
    let apart = &reading.payload[&(OUT_AUDIO + 1)];
    assert!(payload(&audio).payload[&AUDIO].ends_with(apart) && apart.len() > 270 * 120);
    assert!(interleaving_90khz(&chunks) <= 45_000);
}

#[test]
fn packed_audio_gets_its_times_from_its_tags_and_a_language() {
    let video = Shape { frames: 250, ..Shape::default() };
    let mut program = Program::new(&[None, Some("\"de\"".into())], 20 * 90_000);
    let mut chunks = Vec::new();
    program.push(0, (0, true), &TS, &video.build(), &mut chunks).unwrap();
    program.complete(0, &mut chunks);
    // segments of 94 frames, which is 2.005 s
    for at in 0..5 {
        let bytes = packed(126_000 + 180_480 * at, 94, 0x20 + u8::try_from(at).unwrap());
        program.push(1, (0, true), &AAC, &bytes, &mut chunks).unwrap();
    }
    program.flush(&mut chunks);
    let reading = check(&chunks);
    let apart = &reading.payload[&(OUT_AUDIO + 1)];
    assert_eq!(apart.len() % 100, 0, "whole frames");
    assert!(apart.len() >= 460 * 100, "{}", apart.len());
    assert!(interleaving_90khz(&chunks) <= 45_000);
    let times = &reading.times[&(OUT_AUDIO + 1)];
    assert!(times.windows(2).all(|pair| (1920..=3 * 1920).contains(&(pair[1] - pair[0]))), "{times:?}");
    let text = joined(&chunks);
    assert!(text.windows(6).any(|window| window == [0x0a, 4, b'd', b'e', b'u', 0]));
}

#[test]
fn an_input_that_brings_nothing_does_not_hold_up_the_others() {
    let (mut program, mut chunks) = (program(2), Vec::new());
    let stream = Shape { frames: 500, ..Shape::default() }.build();
    program.push(0, (0, true), &TS, &stream, &mut chunks).unwrap();
    let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    assert!(bytes > stream.len() / 2 && bytes < stream.len(), "{bytes} of {}", stream.len());
}

#[test]
fn fragmented_mp4_is_refused_with_its_reason() {
    let init = std::sync::Arc::new(crate::media::Init::new(bytes::Bytes::from_static(b"moov")));
    let container = Container::FragmentedMp4 { init };
    let fault = program(1).push(0, (0, true), &container, b"moof", &mut Vec::new()).unwrap_err();
    assert_eq!(fault.to_string(), "not supported: a transport stream cannot carry fragmented MP4");
}

#[test]
fn other_inputs_go_on_behind_a_splice_on_the_same_pids() {
    let (mut program, mut chunks) = (program(1), Vec::new());
    program.push(0, (3, true), &TS, &Shape::default().build(), &mut chunks).unwrap();
    program.complete(0, &mut chunks);
    program.change(&[None, None], PATIENCE, &mut chunks);
    let second = Shape { start_90khz: HOUR_90KHZ, ..Shape::default() };
    program.push(0, (4, true), &TS, &second.build(), &mut chunks).unwrap();
    program.push(1, (4, true), &AAC, &packed(HOUR_90KHZ, 200, 0x11), &mut chunks).unwrap();
    program.complete(0, &mut chunks);
    program.flush(&mut chunks);
    let reading = check(&chunks);
    assert_eq!(reading.payload[&OUT_VIDEO].len(), 2 * payload(&second).payload[&VIDEO].len());
    assert!(reading.payload.contains_key(&(OUT_AUDIO + 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_packetisation_loses_or_reorders_payload(
        pieces in prop::collection::vec(1_usize..9000, 1..80),
        start in 0_u64..(1 << 33),
        second in 0_u64..(1 << 33),
    ) {
        let shapes = [start, second].map(|start_90khz| Shape { frames: 80, start_90khz, ..Shape::default() });
        let (mut program, mut chunks) = (program(1), Vec::new());
        for (era, shape) in (0..).zip(&shapes) {
            let stream = shape.build();
            let mut rest = stream.as_slice();
            for piece in pieces.iter().cycle() {
                let (piece, behind) = rest.split_at(rest.len().min(*piece));
                program.push(0, (era, false), &TS, piece, &mut chunks).unwrap();
                rest = behind;
                if rest.is_empty() { break }
            }
            program.complete(0, &mut chunks);
        }
        program.flush(&mut chunks);
        let reading = check(&chunks);
        let whole: Vec<u8> = shapes.iter().flat_map(|shape| payload(shape).payload[&VIDEO].clone()).collect();
        prop_assert_eq!(&reading.payload[&OUT_VIDEO], &whole);
        prop_assert_eq!(reading.times[&OUT_AUDIO].len(), 158);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..80),
        era_at: prop::sample::Index,
    ) {
        let mut stream = Shape { frames: 100, ..Shape::default() }.build();
        for (at, byte) in edits {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let (head, tail) = stream.split_at(era_at.index(stream.len()));
        let (chunks, _) = splice(&[head, tail]);
        prop_assert!(is_continuous(&joined(&chunks)));
        for pair in chunks.windows(2) {
            prop_assert!(pair[0].clock_90khz <= pair[1].clock_90khz);
        }
    }
}
