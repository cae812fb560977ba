use libmpegts::ts::{PACKET_SIZE, TsPacketRef};
use proptest::prelude::*;

use super::super::Tally;
use super::super::tests::{OUT_AUDIO, OUT_VIDEO, TS, check, joined, payload, program, splice};
use crate::media::ts::testing::{AUDIO, Reading, Shape, VIDEO, is_continuous};

/// The bytes of an access unit of the default shape, of video and of audio.
const VIDEO_UNIT: usize = 705;
const AUDIO_UNIT: usize = 122;

/// Writes into each PES packet how long it is.
fn tell_lengths(stream: &mut [u8]) {
    for packet in stream.as_chunks_mut::<PACKET_SIZE>().0 {
        let read = TsPacketRef::from(&*packet);
        let unit_bytes = match read.pid() {
            VIDEO => VIDEO_UNIT,
            AUDIO => AUDIO_UNIT,
            _ => continue,
        };
        let Some(payload) = read.payload().filter(|_| read.is_payload_start()) else { continue };
        let header = libmpegts::pes::PesHeaderRef::try_from(payload).unwrap().header_len();
        let at = PACKET_SIZE - payload.len() + 4;
        let length = u16::try_from(unit_bytes + header - 6).unwrap();
        packet[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

#[test]
fn a_keyframe_is_found_beyond_the_first_packet_of_its_access_unit() {
    for preamble in [400, 3000] {
        let shape = Shape { flagged: false, preamble, ..Shape::default() };
        let (chunks, tally) = splice(&[&shape.build()]);
        let reading = check(&chunks);
        assert_eq!(tally, Tally::default(), "{preamble}");
        assert_eq!(reading.payload[&OUT_VIDEO], payload(&shape).payload[&VIDEO]);
        assert_eq!(chunks.iter().filter(|chunk| chunk.is_start).count(), 6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_source_that_dies_anywhere_leaves_whole_access_units_only(
        pieces in prop::collection::vec(1_usize..9000, 1..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        tells_lengths: bool,
        ends: bool,
    ) {
        let mut whole = Shape { frames: 80, ..Shape::default() }.build();
        if tells_lengths {
            tell_lengths(&mut whole);
        }
        let (mut program, mut chunks) = (program(1), Vec::new());
        for (era, cut) in (0..).zip(&cuts) {
            let mut rest = &whole[..cut.index(whole.len())];
            for piece in pieces.iter().cycle() {
                let (piece, behind) = rest.split_at(rest.len().min(*piece));
                program.push(0, (era, false), &TS, piece, &mut chunks).unwrap();
                rest = behind;
                if rest.is_empty() { break }
            }
        }
        if !ends {
            program.push(0, (9, false), &TS, &whole, &mut chunks).unwrap();
        }
        program.flush(&mut chunks);
        let bytes = joined(&chunks);
        prop_assert!(is_continuous(&bytes));
        let reading = Reading::of(&bytes);
        let source = Reading::of(&whole);
        for (from, to, unit_bytes) in [(VIDEO, OUT_VIDEO, VIDEO_UNIT), (AUDIO, OUT_AUDIO, AUDIO_UNIT)] {
            let (own, out) = (&source.payload[&from], reading.payload.get(&to));
            let out = out.map_or(&[][..], |out| out);
            prop_assert_eq!(out.len() % unit_bytes, 0, "half a unit on {:#x}", to);
            for unit in out.chunks(unit_bytes) {
                prop_assert!(own.chunks(unit_bytes).any(|known| known == unit));
            }
        }
    }
}
