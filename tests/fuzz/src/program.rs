//! Packets of any kind through the program of a transport-stream sink: over any splice, what comes out is one stream
//! without a seam.

use std::collections::BTreeMap;

use sluice_core::media::Container;
use sluice_core::media::ts::program::{Chunk, Program};

use crate::stream::{Counters, Packet, distance_90khz, packets};

const PATIENCE_90KHZ: i64 = 3 * 90_000;
const PMT_PID: u16 = 0x1000;

/// How many inputs, the size of pushes, when the source is another; then the streams.
pub(crate) fn run(input: &[u8]) {
    let Some((&[inputs, chunk, cut], bytes)) = input.split_first_chunk::<3>() else { return };
    let inputs = usize::from(inputs % 3) + 1;
    let (chunk, cut) = (usize::from(chunk) * 16 + 1, usize::from(cut) + 2);
    let mut program = Program::new(&vec![None; inputs], PATIENCE_90KHZ);
    let (mut chunks, mut era) = (Vec::new(), 0);
    for (at, piece) in bytes.chunks(chunk).enumerate() {
        let starts = at % cut == 0;
        era += u64::from(starts);
        let container = match (at / inputs) % 7 {
            6 if inputs > 2 => Container::PackedAudio { extension: "aac" },
            _ => Container::TransportStream,
        };
        // what cannot be carried is refused, and the others go on
        program.push(at % inputs, (era, starts), &container, piece, &mut chunks).ok();
        if at % 29 == 28 {
            program.skip(at % inputs, era, 90_000, &mut chunks);
        }
    }
    program.flush(&mut chunks);
    assert_stream(&chunks);
}

fn assert_stream(chunks: &[Chunk]) {
    let (mut counters, mut clock) = (Counters::default(), None);
    let mut times = BTreeMap::new();
    for chunk in chunks {
        if chunk.is_start {
            let heads: Vec<_> = packets(&chunk.bytes).take(2).map(Packet::pid).collect();
            assert_eq!(heads, [0, PMT_PID], "a start without its tables");
        }
        assert_eq!(packets(&chunk.signal).count() > 0, !chunk.signal.is_empty());
        for packet in packets(&chunk.bytes) {
            counters.take(packet);
            if let Some(now) = packet.clock_90khz() {
                let before = clock.replace(now);
                let step = before.map(|before| distance_90khz(before, now));
                assert!(
                    step.is_none_or(|step| step >= 0),
                    "the clock goes back by {step:?}, to {now}: {:02x?}",
                    packet.0
                );
            }
            if let Some(time) = packet.time_90khz() {
                let before = times.insert(packet.pid(), time);
                let step = before.map(|before| distance_90khz(before, time));
                assert!(step.is_none_or(|step| step >= 0), "{:#x} goes back by {step:?}", packet.pid());
            }
        }
    }
    for pair in chunks.windows(2) {
        assert!(pair[0].clock_90khz <= pair[1].clock_90khz, "chunks whose clock runs back");
    }
}
