//! What cutting a transport stream allocates.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::Path;
use std::time::Duration;

use sluice_core::media::ts::{Event, Lengths, Rebase, Segmenter};

const SEGMENT: Duration = Duration::from_secs(2);
const LOOPS: usize = 8;
const CHUNK_BYTES: usize = 64 * 1024;
const PACKET_BYTES: usize = 188;

/// The demo on one time line.
fn stream() -> Vec<u8> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf.d/media/demo.ts");
    let demo = std::fs::read(demo).unwrap();
    let (mut rebase, mut stream) = (Rebase::default(), Vec::new());
    for _ in 0..LOOPS {
        rebase.push(&demo, &mut stream);
        rebase.restart();
    }
    stream
}

/// Cuts the stream; gives how many parts and other events came.
fn cut(stream: &[u8]) -> (u64, u64) {
    let (mut segmenter, mut events) = (Segmenter::new(SEGMENT, None), Vec::new());
    let (mut parts, mut others) = (0, 0);
    for chunk in stream.chunks(CHUNK_BYTES) {
        segmenter.push(chunk, &mut events).unwrap();
        if !segmenter.is_started()
            && let Some(profile) = segmenter.measured()
        {
            let lengths = Lengths { longest: 2 * SEGMENT, part: profile.part_target };
            segmenter.start(lengths, &mut events);
        }
        for event in events.drain(..) {
            match event {
                Event::Part(_) => parts += 1,
                _ => others += 1,
            }
        }
    }
    (parts, others)
}

#[test]
fn cutting_allocates_for_what_it_makes_and_not_for_packets() {
    let stream = stream();
    let (mut parts, mut others) = (0, 0);
    let counted = allocation_counter::measure(|| (parts, others) = cut(&stream));
    assert!(parts > 100 && others > 10, "{parts} parts, {others} other events");
    let packets = (stream.len() / PACKET_BYTES) as u64;
    assert!(packets > 20 * (parts + others), "{packets} packets are too few to tell");
    // a buffer for each part, and the lists that grow
    let made = parts + others;
    assert!(counted.count_total < 2 * made, "{} allocations for {made} events", counted.count_total);
}
