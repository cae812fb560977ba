//! A channel on the air: a transport stream in real time for whoever connects, until the test breaks it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt};
use http_body::Frame;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Answer;

/// The size of a transport stream packet, ISO/IEC 13818-1.
const PACKET: usize = 188;
/// How often bytes leave.
const STEP: Duration = Duration::from_millis(20);
/// How often a trickle drips.
const DRIP: Duration = Duration::from_millis(500);

/// How a channel does, for those who are connected and those who will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Well,
    /// Connections stay open and nothing comes.
    Silent,
    /// The same, and who connects gets no head of an answer.
    Hanging,
    /// The body ends, and each new one at once.
    Ended,
    /// Connections are reset.
    Cut,
    /// The body ends, and who asks again gets 404.
    Gone,
    /// As many bytes as should, and noise.
    Noise,
    /// A byte now and then.
    Trickle,
}

/// A transport stream of a constant rate on the air since this was made.
#[derive(Debug)]
pub struct Airing {
    bytes: Bytes,
    bytes_per_second: u32,
    began: Instant,
    mode: watch::Sender<Mode>,
    listeners: AtomicUsize,
}

/// Someone who is connected.
struct Listener(Arc<Airing>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Airing {
    /// Puts whole packets of this rate on the air. When they are over, they begin again.
    pub fn new(bytes: impl Into<Bytes>, bytes_per_second: u32) -> Arc<Self> {
        let (bytes, began, mode) = (bytes.into(), Instant::now(), watch::Sender::new(Mode::Well));
        assert_eq!(bytes.len() % PACKET, 0, "whole packets");
        Arc::new(Self { bytes, bytes_per_second, began, mode, listeners: AtomicUsize::new(0) })
    }

    /// Changes how it does; gives when that was.
    pub fn turn(&self, mode: Mode) -> Instant {
        self.mode.send_replace(mode);
        Instant::now()
    }

    /// How long it has been on the air.
    pub fn on_air(&self) -> Duration {
        self.began.elapsed()
    }

    /// How many are connected.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// The answer to someone who connects now.
    pub fn answer(self: &Arc<Self>) -> Answer {
        match *self.mode.borrow() {
            Mode::Gone => Answer::status(404),
            Mode::Hanging => Answer::status(200).after(Duration::from_secs(3600)),
            _ => Answer::aired(self.clone()),
        }
    }

    pub(super) fn frames(self: Arc<Self>) -> BoxStream<'static, io::Result<Frame<Bytes>>> {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        let sent = self.due();
        stream::unfold((Listener(self), sent), |(listener, sent)| async move {
            let (frame, sent) = listener.0.next(sent).await?;
            Some((frame.map(Frame::data), (listener, sent)))
        })
        .boxed()
    }

    /// The next bytes behind those that were sent.
    async fn next(&self, sent: usize) -> Option<(io::Result<Bytes>, usize)> {
        let mut wait = STEP;
        loop {
            tokio::time::sleep(wait).await;
            let due = self.due();
            let mode = *self.mode.borrow();
            match mode {
                Mode::Silent | Mode::Hanging => {}
                Mode::Ended | Mode::Gone => return None,
                Mode::Cut => return Some((Err(io::Error::other("as the test asks")), due)),
                Mode::Trickle if wait == DRIP => return Some((Ok(Bytes::from_static(&[0x47])), due)),
                Mode::Trickle => wait = DRIP,
                Mode::Well if due > sent => return Some((Ok(self.between(sent, due)), due)),
                Mode::Noise if due > sent => return Some((Ok(noise(sent, due)), due)),
                Mode::Well | Mode::Noise => {}
            }
        }
    }

    /// How many bytes went out since it began, in whole packets.
    fn due(&self) -> usize {
        let due = self.began.elapsed().as_millis() * u128::from(self.bytes_per_second) / 1000;
        usize::try_from(due).unwrap() / PACKET * PACKET
    }

    fn between(&self, from: usize, to: usize) -> Bytes {
        let mut bytes = BytesMut::with_capacity(to - from);
        for packet in (from..to).step_by(PACKET) {
            let at = packet % self.bytes.len();
            bytes.extend_from_slice(&self.bytes[at..at + PACKET]);
        }
        bytes.freeze()
    }
}

/// Bytes without any structure.
fn noise(from: usize, to: usize) -> Bytes {
    let mut word = from as u64 | 1;
    let byte = |_| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.to_be_bytes()[0]
    };
    (from..to).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;
    use crate::get;

    #[tokio::test]
    async fn a_channel_is_joined_in_mid_air_and_ends_when_the_test_says() {
        let origin = Origin::start().await;
        let airing = Airing::new(super::super::packets("x", 1_880_000), 188_000);
        origin.air("/x.ts", &airing);
        let ending = airing.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            ending.turn(Mode::Ended);
        });
        let taken = get(&origin.url("/x.ts")).await.body;
        assert!((18_800..100_000).contains(&taken.len()), "{}", taken.len());
        assert_eq!((taken.len() % PACKET, taken[0]), (0, 0x47));
        airing.turn(Mode::Gone);
        assert_eq!(get(&origin.url("/x.ts")).await.status, 404);
        assert_eq!(airing.listeners(), 0);
    }
}
