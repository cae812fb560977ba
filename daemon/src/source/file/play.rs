//! A run of the source: reads, moves in time, cuts, and waits for the time of each part.

use std::fmt::Display;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::ts::{Event, Lengths, Probe, Rebase, Segmenter, probe};
use sluice_core::media::{Container, Media, RenditionSpec, Role};
use sluice_core::pipeline::{End, Feed, Opening, Source, Writer};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::File;

/// How much is read at once.
const CHUNK_BYTES: usize = 32 * 1024;
/// How much of the file is looked at before it plays.
const HEAD_BYTES: u64 = 8 * 1024 * 1024;
const PART: Duration = Duration::from_millis(200);
/// So many segments come at once, because a player needs three to start (RFC 8216, 6.3.3).
const AHEAD: u32 = 3;
/// Later than this by itself, as after a suspended machine, the clock starts anew instead of catching up.
const LATE: Duration = Duration::from_secs(5);
/// A segment may be longer than the target duration by what rounding hides (RFC 8216, 4.3.3.1).
const ROUNDING: Duration = Duration::from_millis(499);

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
        let target = probe.longest.max(self.file.segment);
        let mut writers = self.feed.open(&Opening {
            specs: &[rendition()],
            target,
            independent_segments: probe.independent_segments,
            part_target: Some(PART + PART / 4),
        });
        let writer = writers.pop().ok_or_else(|| self.unreadable("no rendition"))?;
        let longest = writer.target_duration() + ROUNDING;
        let lengths = Lengths { target: self.file.segment, longest, part: PART };
        let mut cut =
            Cut { rebase: Rebase::default(), segmenter: Segmenter::new(lengths), events: Vec::new() };
        let mut delivery = Delivery { writer, era: 0, clock: Clock::ahead(AHEAD * target) };
        loop {
            let played = delivery.clock.played;
            self.play_once(&mut cut, &mut delivery).await?;
            if !self.file.is_looped {
                cut.segmenter.finish(&mut cut.events);
                delivery.deliver(&mut cut.events).await?;
                self.feed.end();
                return Ok(End::ForGood);
            }
            if delivery.clock.played == played {
                return Err(self.unreadable("nothing in it plays"));
            }
            cut.rebase.restart();
        }
    }

    /// Plays the file from start to end. It is opened anew each time, so that another file can take its place.
    async fn play_once(&self, cut: &mut Cut, delivery: &mut Delivery) -> Result<(), Fault> {
        let mut file = self.open().await?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut packets = Vec::with_capacity(CHUNK_BYTES);
        loop {
            let length = file.read(&mut chunk).await.map_err(|error| self.unreadable(error))?;
            let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            packets.clear();
            cut.rebase.push(bytes, &mut packets);
            cut.segmenter.push(&packets, &mut cut.events);
            delivery.deliver(&mut cut.events).await?;
            self.feed.beat();
        }
    }

    /// Looks at the head, for the target duration must be known before the first segment.
    async fn probe(&self) -> Result<Probe, Fault> {
        let mut head = Vec::new();
        let file = self.open().await?;
        file.take(HEAD_BYTES).read_to_end(&mut head).await.map_err(|error| self.unreadable(error))?;
        let segment = self.file.segment;
        let probed = tokio::task::spawn_blocking(move || probe(&head, segment)).await;
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

/// What turns bytes into events.
struct Cut {
    rebase: Rebase,
    segmenter: Segmenter,
    events: Vec<Event>,
}

/// What brings events to the window, each at its time.
struct Delivery {
    writer: Writer,
    era: u64,
    clock: Clock,
}

impl Delivery {
    async fn deliver(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        for event in events.drain(..) {
            match event {
                Event::Open { discontinuity } => {
                    self.era += u64::from(discontinuity);
                    self.writer.open(blank(self.era))?;
                }
                Event::Part(part) => {
                    self.clock.wait_for(part.duration).await;
                    self.writer.grow(part)?;
                }
                Event::Close => self.writer.close()?,
            }
        }
        Ok(())
    }
}

/// Real time beside the time that was played.
struct Clock {
    start: Option<Instant>,
    /// How far the played time may run ahead.
    ahead: Duration,
    played: Duration,
}

impl Clock {
    fn ahead(ahead: Duration) -> Self {
        Self { start: None, ahead, played: Duration::ZERO }
    }

    /// Waits for the end of a part of this length.
    async fn wait_for(&mut self, duration: Duration) {
        let now = Instant::now();
        let start = *self.start.get_or_insert(now);
        self.played += duration;
        let due = start + self.played.saturating_sub(self.ahead);
        if now > due + LATE {
            self.start = Some(start + (now - due));
        }
        tokio::time::sleep_until(due).await;
    }
}

fn rendition() -> RenditionSpec {
    let role = Role::only();
    RenditionSpec { name: "main".into(), role }
}

fn blank(era: u64) -> Media {
    Media {
        duration: Duration::ZERO,
        era,
        gap: false,
        program_date_time: None,
        container: Container::TransportStream,
        origin: None,
        parts: Vec::new(),
    }
}
