//! A run of the source: reads, moves in time, takes in, and waits for the time of each part.

use std::fmt::Display;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::ts::{Probe, Rebase, probe};
use sluice_core::pipeline::{Cutting, End, Feed, Intake, Source};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::File;

/// How much is read at once.
const CHUNK_BYTES: usize = 32 * 1024;
/// How much of the file is looked at before it plays.
const HEAD_BYTES: u64 = 8 * 1024 * 1024;
/// How much is taken in at once.
const PUSH_BYTES: usize = 10 * 188;
/// So many segments come at once where there are none, because a player needs three to start (RFC 8216, 6.3.3).
const AHEAD: u32 = 3;
/// Later than this by itself, as after a suspended machine, the clock starts anew instead of catching up.
const LATE: Duration = Duration::from_secs(5);

/// A run of the source.
pub(super) struct Player {
    file: File,
    feed: Feed,
}

impl Player {
    pub(super) fn new(file: File, feed: Feed) -> Self {
        Self { file, feed }
    }

    async fn play(self) -> Result<End, Fault> {
        let probe = self.probe().await?;
        let cutting = self.file.cutting;
        let mut intake = Intake::new(self.feed.clone(), cutting).knowing(probe);
        let ahead = AHEAD * probe.longest.max(cutting.segment);
        // into a window that has media it brings what is missing since, so that viewers come no later behind each time
        let ahead = self.feed.idle().map_or(ahead, |idle| idle.min(ahead));
        let mut clock = Clock { start: None, ahead };
        let mut rebase = Rebase::default();
        loop {
            let played = intake.played();
            self.play_once(&mut rebase, &mut intake, &mut clock).await?;
            if !self.file.is_looped {
                intake.finish()?;
                self.feed.end();
                return Ok(End::ForGood);
            }
            if intake.played() == played {
                return Err(self.unreadable("nothing in it plays"));
            }
            rebase.restart();
        }
    }

    /// Plays the file from start to end. It is opened anew each time, so that another file can take its place.
    async fn play_once(
        &self,
        rebase: &mut Rebase,
        intake: &mut Intake,
        clock: &mut Clock,
    ) -> Result<(), Fault> {
        let mut file = self.open().await?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut packets = Vec::with_capacity(CHUNK_BYTES);
        loop {
            let length = file.read(&mut chunk).await.map_err(|error| self.unreadable(error))?;
            let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            packets.clear();
            rebase.push(bytes, &mut packets);
            // so few at once that no two parts come together
            for packets in packets.chunks(PUSH_BYTES) {
                let played = intake.played();
                intake.push(packets)?;
                if intake.played() != played {
                    clock.wait_until(intake.played()).await;
                }
            }
        }
    }

    /// Looks at the head, for the target duration must be known before the first segment.
    async fn probe(&self) -> Result<Probe, Fault> {
        let mut head = Vec::new();
        let file = self.open().await?;
        file.take(HEAD_BYTES).read_to_end(&mut head).await.map_err(|error| self.unreadable(error))?;
        let Cutting { segment, program } = self.file.cutting;
        let probed = tokio::task::spawn_blocking(move || probe(&head, segment, program)).await;
        probed.map_err(|error| self.unreadable(error))?.map_err(|fault| self.unreadable(fault))
    }

    async fn open(&self) -> Result<tokio::fs::File, Fault> {
        tokio::fs::File::open(&self.file.path).await.map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, why: impl Display) -> Fault {
        Fault::new(FaultKind::File(format!("cannot play {}: {why}", self.file.path.display()).into()))
    }
}

impl Source for Player {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        self.play().boxed()
    }
}

/// Real time beside the time that was played.
struct Clock {
    start: Option<Instant>,
    /// How far the played time may run ahead.
    ahead: Duration,
}

impl Clock {
    /// Waits until so much is due.
    async fn wait_until(&mut self, played: Duration) {
        let now = Instant::now();
        let start = *self.start.get_or_insert(now);
        let due = start + played.saturating_sub(self.ahead);
        if now > due + LATE {
            self.start = Some(start + (now - due));
        }
        tokio::time::sleep_until(due).await;
    }
}
