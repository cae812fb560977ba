//! How fast a transport stream is cut into segments and parts, on one core and without a network.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use sluice_core::media::ts::{Event, Lengths, Rebase, Segmenter};
use tokio::time::Instant;

use crate::Effort;
use crate::report::{Bar, Figure, Report};

/// What is cut in a round.
const BYTES: usize = 128 * 1024 * 1024;
/// As a connection brings it.
const CHUNK_BYTES: usize = 64 * 1024;
const SEGMENT: Duration = Duration::from_secs(2);
const GIGABYTE: f64 = 1e9;

/// Segmenting and checking beside the least that any segmenter must do: look at each sync byte, copy each packet.
pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let stream = stream();
    let (mut own, mut bare) = (Figure::default(), Figure::default());
    for _ in 0..effort.rounds {
        bare.push(rate(&stream, copied));
        own.push(rate(&stream, segmented));
    }
    report.compare("segmenting", &own, ("memcpy", &bare), Bar::AtLeast(0.2), (GIGABYTE, "GB/s"));
}

/// The demo on one time line, again and again.
fn stream() -> Vec<u8> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf.d/media/demo.ts");
    let demo = std::fs::read(demo).unwrap();
    let (mut rebase, mut stream) = (Rebase::default(), Vec::with_capacity(BYTES + demo.len()));
    while stream.len() < BYTES {
        rebase.push(&demo, &mut stream);
        rebase.restart();
    }
    stream
}

/// Bytes in a second.
fn rate(stream: &[u8], run: fn(&[u8]) -> usize) -> f64 {
    let start = Instant::now();
    let out = black_box(run(black_box(stream)));
    assert!(out > BYTES / 2, "{out} bytes came out");
    stream.len() as f64 / start.elapsed().as_secs_f64()
}

/// The least: every packet is looked at and copied.
fn copied(stream: &[u8]) -> usize {
    let mut total = 0;
    for chunk in stream.chunks(CHUNK_BYTES / 188 * 188) {
        let mut part = Vec::with_capacity(chunk.len());
        for packet in chunk.as_chunks::<188>().0 {
            assert_eq!(packet[0], 0x47);
            part.extend_from_slice(packet);
        }
        total += black_box(part).len();
    }
    total
}

fn segmented(stream: &[u8]) -> usize {
    let (mut segmenter, mut events) = (Segmenter::new(SEGMENT, None), Vec::new());
    let mut total = 0;
    for chunk in stream.chunks(CHUNK_BYTES) {
        segmenter.push(chunk, &mut events).unwrap();
        if !segmenter.is_started()
            && let Some(profile) = segmenter.measured()
        {
            let lengths = Lengths { longest: 2 * SEGMENT, part: profile.part_target };
            segmenter.start(lengths, &mut events);
        }
        for event in events.drain(..) {
            if let Event::Part(part) = black_box(event) {
                total += part.bytes.len();
            }
        }
    }
    total
}
