//! How far viewers are behind what is live, over switches of sources.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libmpegts::ts::{PACKET_SIZE, TsPacketRef};
use tokio::time::Instant;

use super::super::tests::{Kept, setup};
use super::super::{Bounds, Cutting, Feed, Intake, Shared};
use super::*;
use crate::media::ts::testing::Shape;
use crate::stage::{Endless, Flow};

const FRAME: Duration = Duration::from_millis(40);
const BEHIND: Duration = Duration::from_secs(2);

/// A stream that goes on whoever takes it in: picture `n` is there `n` frames after the beginning.
struct Live {
    began: Instant,
    frames: Vec<Vec<u8>>,
}

impl Live {
    fn new(gop: u64, frames: u64) -> Self {
        let shape = Shape { frames, gop, tables: gop, numbered: true, ..Shape::default() };
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for packet in shape.build().as_chunks::<PACKET_SIZE>().0 {
            // a picture begins with the tables or with the clock
            let read = TsPacketRef::from(packet);
            let has_clock = read.adaptation_field().is_some_and(|field| field.pcr().is_some());
            let is_behind_tables = frames.last().is_some_and(|frame| frame.len() == 2 * PACKET_SIZE);
            if read.pid() == 0 || (has_clock && !is_behind_tables) {
                frames.push(Vec::new());
            }
            frames.last_mut().unwrap().extend_from_slice(packet);
        }
        Self { began: Instant::now(), frames }
    }

    /// Brings what is live from now on.
    async fn bring(&self, intake: &mut Intake, length: Duration) {
        let end = Instant::now() + length;
        let mut next = self.began.elapsed().as_millis() / FRAME.as_millis();
        while Instant::now() < end {
            let at = usize::try_from(next).unwrap();
            intake.push(&self.frames[at]).unwrap();
            next += 1;
            tokio::time::sleep_until(self.began + FRAME * u32::try_from(next).unwrap()).await;
        }
    }
}

/// The numbers of the pictures that begin in these packets.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<PACKET_SIZE>().0.iter().filter_map(|packet| {
        let read = TsPacketRef::from(packet);
        let payload = read.payload().filter(|_| read.pid() == 0x100 && read.is_payload_start())?;
        let start = payload.windows(4).position(|window| window == [0, 0, 0, 1])?;
        let digits = payload.get(start + 5..start + 13)?;
        Some(digits.iter().fold(0, |number, digit| number << 4 | u64::from(digit & 0x0f)))
    })
}

/// The age of the newest picture that went out, at the end of each of `runs` runs. Each is cut into segments of four
/// seconds, and comes 2.5 s after the one before was lost.
async fn ages(gop: u64, runs: u64) -> Vec<Duration> {
    let shared =
        Arc::new(Shared::new(setup(&Arc::new(Kept::default())), Bounds { segments: 20, bytes: 1 << 30 }));
    let hold = shared.broadcast(BEHIND);
    let broadcast = hold.broadcast().clone();
    let metrics = shared.metrics.sink("sink 1 mpegts");
    let sink = (&"sink 1 mpegts".into(), &metrics);
    let seat = broadcast.audience.admit(sink, [192, 0, 2, 1].into(), None, &broadcast.ring);
    let mut reader = Reader::new(&broadcast.ring, seat, BEHIND);
    let newest = Arc::new(AtomicU64::new(0));
    let seen = newest.clone();
    let viewer = tokio::spawn(async move {
        while let Flow::Data(bytes) = poll_fn(|context| reader.poll_flow(context)).await {
            numbers(&bytes).for_each(|number| seen.store(number, Ordering::Relaxed));
        }
    });
    let live = Live::new(gop, 25 * 18 * runs);
    let mut ages = Vec::new();
    for run in 1..=runs {
        let feed = Feed::new(shared.clone(), shared.metrics.source("source 1 mpegts"), run);
        let mut intake = Intake::new(feed, Cutting { segment: Duration::from_secs(4), program: None });
        live.bring(&mut intake, Duration::from_secs(15)).await;
        let shown = FRAME * u32::try_from(newest.load(Ordering::Relaxed)).unwrap();
        ages.push(live.began.elapsed() - shown);
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    viewer.abort();
    ages
}

#[tokio::test(start_paused = true)]
async fn viewers_are_no_further_behind_after_any_number_of_switches() {
    for (gop, most) in [(25, 3300), (60, 3300), (100, 2500)] {
        let ages = ages(gop, 6).await;
        let wanted = BEHIND - FRAME..=Duration::from_millis(most);
        assert!(ages[1..].iter().all(|age| wanted.contains(age)), "a keyframe every {gop}: {ages:?}");
    }
}
