use proptest::prelude::*;

use super::super::testing::{AUDIO, FRAME_90KHZ, Reading, Shape, VIDEO, is_continuous};
use super::*;

fn looped(stream: &[u8], rounds: usize, chunk: usize) -> Vec<u8> {
    let (mut rebase, mut output) = (Rebase::default(), Vec::new());
    for round in 0..rounds {
        if round > 0 {
            rebase.restart();
        }
        stream.chunks(chunk).for_each(|chunk| rebase.push(chunk, &mut output));
    }
    output
}

fn clock_references(bytes: &[u8]) -> Vec<u64> {
    let packets = bytes.as_chunks().0.iter().map(TsPacketRef::from);
    packets.filter_map(|packet| packet.adaptation_field()?.pcr()).collect()
}

#[test]
fn the_first_round_is_left_as_it_is() {
    let stream = Shape::default().build();
    assert_eq!(looped(&stream, 1, 777), stream);
}

#[test]
fn rounds_become_one_time_line_even_over_the_wrap() {
    let start_90khz = (1 << 33) - 700_000;
    let output = looped(&Shape { start_90khz, ..Shape::default() }.build(), 3, 5000);
    assert!(is_continuous(&output));
    let reading = Reading::of(&output);
    assert_eq!(reading.continuity_errors, 0);
    for pid in [VIDEO, AUDIO] {
        let times = &reading.times[&pid];
        assert_eq!(times.len(), 450);
        let steps = times.windows(2).map(|pair| distance_90khz(pair[0].into(), pair[1].into()));
        assert!(steps.into_iter().all(|step| step == FRAME_90KHZ.cast_signed()), "PID {pid:#x}");
    }
    let steps = clock_references(&output)
        .windows(2)
        .map(|pair| libmpegts::pcr::pcr_delta(pair[0], pair[1]))
        .collect::<Vec<_>>();
    assert_eq!(steps, vec![FRAME_90KHZ * PCR_TICKS; 449]);
}

#[test]
fn the_last_audio_packet_plays_as_long_as_its_bytes_tell() {
    let clock =
        |bytes| Clock { last: 0.into(), step_90khz: 900, span_90khz: 9000, bytes, bytes_before: 8000 };
    let rests = [0, 100, 400, 8000].map(|bytes| clock(bytes).rest_90khz());
    assert_eq!(rests, [0, 126, 506, 900]);
}

#[test]
fn what_the_input_lost_stays_lost_in_the_counters() {
    let stream = Shape::default().build();
    let broken = [&stream[..188 * 30], &stream[188 * 33..]].concat();
    assert!(!is_continuous(&looped(&broken, 1, 9999)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn payload_stays_whole_over_rounds_whatever_the_chunks(chunk in 1..3000_usize, gop in 0..30_u64, size in 1..900_usize) {
        let stream = Shape { frames: 30, gop, size, ..Shape::default() }.build();
        let (before, after) = (Reading::of(&stream), Reading::of(&looped(&stream, 3, chunk)));
        prop_assert_eq!(after.continuity_errors, 0);
        for (pid, payload) in &before.payload {
            prop_assert_eq!(payload.repeat(3), after.payload[pid].as_slice());
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in prop::collection::vec(prop_oneof![Just(0x47_u8), any::<u8>()], 0..2000)) {
        let mut stream = Shape { frames: 10, ..Shape::default() }.build();
        stream.extend(bytes);
        prop_assert_eq!(looped(&stream, 3, 500).len() % PACKET_SIZE, 0);
    }
}
