//! Where the bytes of an endless transport stream become segments and parts of a feed: one way for every source that
//! brings one.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Feed, Opening, RenditionSpec, Role, Writer};
use crate::fault::Fault;
use crate::media::ts::{Event, Lengths, Segmenter};
use crate::media::{Container, Media};

/// What is held back at most, before the target duration is declared.
const HELD_BYTES: usize = 16 * 1024 * 1024;
const HELD: Duration = Duration::from_secs(10);
/// How much may come without a program in it.
const BARREN_BYTES: u64 = 8 * 1024 * 1024;
const BARREN: Duration = Duration::from_secs(10);
/// A segment may be longer than the target duration by what rounding hides (RFC 8216, 4.3.3.1).
const ROUNDING: Duration = Duration::from_millis(499);
const PART: Duration = Duration::from_millis(200);

/// How a transport stream is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutting {
    /// The length of segments: each ends with the first keyframe at or behind it.
    pub segment: Duration,
    /// The number of the program that is taken; none takes the first.
    pub program: Option<u16>,
}

/// Turns a transport stream into the segments and parts of the rendition `main`.
///
/// The target duration must be known before the first segment, so nothing is published until that one is whole, or
/// until 10 s or 16 MiB are held. What is published then grows by parts as the bytes come.
pub struct Intake {
    feed: Feed,
    cutting: Cutting,
    segmenter: Segmenter,
    events: Vec<Event>,
    writer: Option<Writer>,
    era: u64,
    is_broken: bool,
    played: Duration,
    /// What came before the first event, and when.
    barren_bytes: u64,
    barren_since: Option<Instant>,
}

impl Intake {
    /// An intake at the start of a stream.
    pub fn new(feed: Feed, cutting: Cutting) -> Self {
        Self {
            segmenter: segmenter(cutting, HELD),
            feed,
            cutting,
            events: Vec::new(),
            writer: None,
            era: 0,
            is_broken: false,
            played: Duration::ZERO,
            barren_bytes: 0,
            barren_since: None,
        }
    }

    /// Takes the next bytes of the stream, of any number, and is a sign of life of the feed.
    ///
    /// # Errors
    /// `Malformed` after 10 s of pushes or 8 MiB without a program in them; `Stopped` when a newer run is live.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.feed.beat();
        self.segmenter.push(bytes, &mut self.events);
        if self.writer.is_none() && self.events.is_empty() {
            return self.barren(bytes.len() as u64);
        }
        if self.writer.is_some() || self.is_known() { self.deliver() } else { Ok(()) }
    }

    /// Says that bytes are missing: the connection was lost, or packets are known to be. The open segment ends; what
    /// follows is another era, and begins where a decoder can start.
    pub fn interrupted(&mut self) {
        self.segmenter.finish(&mut self.events);
        self.segmenter = segmenter(self.cutting, self.longest());
        self.is_broken = true;
    }

    /// Publishes what is left: nothing follows.
    ///
    /// # Errors
    /// `Malformed` when there was no program in all of it; `Stopped` when a newer run is live.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.segmenter.finish(&mut self.events);
        if self.events.is_empty() && self.writer.is_none() {
            return Err(no_program());
        }
        self.deliver()
    }

    /// How much was published, in media time.
    pub fn played(&self) -> Duration {
        self.played
    }

    fn barren(&mut self, bytes: u64) -> Result<(), Fault> {
        self.barren_bytes += bytes;
        let since = *self.barren_since.get_or_insert_with(Instant::now);
        if self.barren_bytes >= BARREN_BYTES || since.elapsed() >= BARREN {
            return Err(no_program());
        }
        Ok(())
    }

    /// Whether enough came to tell how long segments are.
    fn is_known(&self) -> bool {
        let held = self.events.iter().map(|event| match event {
            Event::Part(part) => part.bytes.len(),
            Event::Open { .. } | Event::Close => 0,
        });
        self.events.contains(&Event::Close) || held.sum::<usize>() >= HELD_BYTES
    }

    fn longest(&self) -> Duration {
        self.writer.as_ref().map_or(HELD, |writer| writer.target_duration() + ROUNDING)
    }

    /// Declares the rendition.
    fn open(&mut self) -> Option<Writer> {
        let parts = || {
            self.events
                .iter()
                .filter_map(|event| if let Event::Part(part) = event { Some(part) } else { None })
        };
        let first = self.events.split(|event| *event == Event::Close).next().unwrap_or_default();
        let length = first
            .iter()
            .map(|event| if let Event::Part(part) = event { part.duration } else { Duration::ZERO });
        let opening = Opening {
            specs: &[rendition()],
            target: self.cutting.segment.max(length.sum()),
            independent_segments: false,
            part_target: Some(parts().map(|part| part.duration).max().unwrap_or_default().max(PART)),
        };
        self.feed.open(&opening).pop()
    }

    fn deliver(&mut self) -> Result<(), Fault> {
        if self.writer.is_none() {
            self.writer = self.open();
            self.segmenter.set_longest(self.longest());
        }
        let Some(writer) = &self.writer else { return Ok(()) };
        for event in self.events.drain(..) {
            match event {
                Event::Open { discontinuity } => {
                    self.era += u64::from(discontinuity || self.is_broken);
                    self.is_broken = false;
                    writer.open(blank(self.era))?;
                }
                Event::Part(part) => {
                    self.played += part.duration;
                    writer.grow(part)?;
                }
                Event::Close => writer.close()?,
            }
        }
        Ok(())
    }
}

fn segmenter(cutting: Cutting, longest: Duration) -> Segmenter {
    Segmenter::new(Lengths { target: cutting.segment, longest, part: PART })
}

fn no_program() -> Fault {
    Fault::malformed("no transport stream with video or audio")
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
        program_date_time: Some(Timestamp::now()),
        container: Container::TransportStream,
        origin: None,
        parts: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Around, Bounds, Setup, Shared, Snapshot};
    use super::*;
    use crate::event::Events;
    use crate::media::ts::testing::Shape;
    use crate::metrics::Metrics;
    use crate::port::{Ledger, Numbering};

    struct NoLedger;

    impl Ledger for NoLedger {
        fn load(&self, _: &str) -> Option<Numbering> {
            None
        }

        fn store(&self, _: &str, _: Numbering) {}
    }

    fn intake() -> (Arc<Shared>, Intake) {
        let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
        let setup = Setup {
            name: "demo".into(),
            metrics: metrics.pipeline("demo"),
            events: Events::default(),
            ledger: Arc::new(NoLedger),
            states: Arc::default(),
            around: Around::default(),
        };
        let shared = Arc::new(Shared::new(setup, Bounds { segments: 1000, bytes: 1 << 30 }));
        let feed = Feed::new(shared.clone(), shared.metrics.source("source 1 mpegts"), 1);
        (shared, Intake::new(feed, Cutting { segment: Duration::from_secs(2), program: None }))
    }

    fn snapshot(shared: &Shared) -> Arc<Snapshot> {
        shared.renditions().unwrap().renditions[0].window.snapshot()
    }

    fn lengths(snapshot: &Snapshot) -> Vec<(u128, u64)> {
        let segments = snapshot.segments.iter();
        segments.map(|segment| (segment.media.duration.as_millis(), segment.discontinuities)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn segments_are_published_from_the_first_whole_one_on_and_grow_by_parts() {
        let (shared, mut intake) = intake();
        let stream = Shape::default().build();
        let mut chunks = stream.chunks(1316);
        for chunk in &mut chunks {
            intake.push(chunk).unwrap();
            if shared.renditions().is_some() {
                break;
            }
        }
        assert_eq!(lengths(&snapshot(&shared)), [(2000, 0)]);
        let mut grown = 0;
        for chunk in chunks {
            intake.push(chunk).unwrap();
            grown = grown.max(snapshot(&shared).open.as_ref().map_or(0, |open| open.media.parts.len()));
        }
        assert!(grown >= 9, "{grown}");
        intake.finish().unwrap();
        assert_eq!(lengths(&snapshot(&shared)), [(2000, 0), (2000, 0), (2000, 0)]);
        assert_eq!(shared.renditions().unwrap().target_duration(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_the_segment_and_begins_another_era_at_a_keyframe() {
        let (shared, mut intake) = intake();
        let stream = Shape::default().build();
        intake.push(&stream[..stream.len() / 2 + 100]).unwrap();
        intake.interrupted();
        intake.push(&stream[stream.len() / 4..]).unwrap();
        intake.finish().unwrap();
        let snapshot = snapshot(&shared);
        let eras: Vec<_> = lengths(&snapshot).iter().map(|(_, discontinuities)| *discontinuities).collect();
        assert_eq!(eras, [0, 0, 1, 0]);
        assert!(snapshot.segments[2].media.parts[0].independent);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_without_a_program_are_a_fault_after_a_while() {
        let chunk = vec![0x11; 64 * 1024];
        let (_, mut many) = intake();
        let fault = (0..1000).find_map(|_| many.push(&chunk).err()).unwrap();
        assert_eq!(fault.kind.label(), "malformed");
        let (_, mut long) = intake();
        long.push(&chunk).unwrap();
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(long.push(&chunk).unwrap_err().kind.label(), "malformed");
        assert_eq!(intake().1.finish().unwrap_err().kind.label(), "malformed");
    }
}
