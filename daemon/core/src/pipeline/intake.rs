//! Where the bytes of an endless transport stream become segments and parts of a feed: one way for every source that
//! brings one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Feed, Opening, RenditionSpec, Role, Writer};
use crate::fault::Fault;
use crate::health::Delivery;
use crate::media::ts::{Event, Lengths, Probe, Profile, Segmenter};
use crate::media::{Container, Media};

/// How much may come without a program in it.
const BARREN_BYTES: u64 = 8 * 1024 * 1024;
const BARREN: Duration = Duration::from_secs(10);
/// How long and how much may come of a program, before the first segment is whole.
const HELD: Duration = Duration::from_secs(30);
const HELD_BYTES: u64 = 64 * 1024 * 1024;
/// A segment may be longer than the target duration by what rounding hides (RFC 8216, 4.3.3.1).
const ROUNDING: Duration = Duration::from_millis(499);

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
    known: Option<Probe>,
    segmenter: Segmenter,
    events: Vec<Event>,
    writer: Option<Writer>,
    era: u64,
    is_broken: bool,
    calendar: Calendar,
    played: Duration,
    /// What came before anything was published, and since when.
    waiting_bytes: u64,
    waiting_since: Option<Instant>,
}

impl Intake {
    /// An intake at the start of a stream.
    pub fn new(feed: Feed, cutting: Cutting) -> Self {
        Self {
            feed,
            cutting,
            known: None,
            segmenter: Segmenter::new(cutting.segment, cutting.program),
            events: Vec::new(),
            writer: None,
            era: 0,
            is_broken: false,
            calendar: Calendar::default(),
            played: Duration::ZERO,
            waiting_bytes: 0,
            waiting_since: None,
        }
    }

    /// Takes what is known of the whole stream instead of what its first segment tells.
    #[must_use]
    pub fn knowing(self, probe: Probe) -> Self {
        Self { known: Some(probe), ..self }
    }

    /// Takes the next bytes of the stream, of any number, and is a sign of life of the feed.
    ///
    /// # Errors
    /// `Malformed` after 10 s of pushes or 8 MiB without a program in them, or 30 s or 64 MiB of one that cannot be
    /// cut; `Unsupported` when the wanted program is not there or is scrambled, and as [`Writer::append`]; `Stopped`
    /// when a newer run is live.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.feed.received(bytes.len());
        self.segmenter.push(bytes, &mut self.events)?;
        if self.writer.is_none() {
            self.begin();
        }
        if self.writer.is_none() {
            return self.wait(bytes.len() as u64);
        }
        self.deliver()
    }

    /// Says that bytes are missing: the connection was lost, or packets are known to be. The open segment ends; what
    /// follows is another era, and begins where a decoder can start. What is held back and was never published is
    /// dropped.
    pub fn interrupted(&mut self) {
        self.segmenter.interrupt(&mut self.events);
        self.is_broken |= self.writer.is_some();
        // a newer run that is live is found at the next push
        self.deliver().ok();
    }

    /// Publishes what is left: nothing follows.
    ///
    /// # Errors
    /// `Malformed` when there was no program in all of it; `Stopped` when a newer run is live.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.segmenter.finish(&mut self.events);
        if self.writer.is_none() {
            self.begin();
            self.segmenter.finish(&mut self.events);
        }
        if self.writer.is_none() {
            return Err(no_program());
        }
        self.deliver()
    }

    /// How much was published, in media time.
    pub fn played(&self) -> Duration {
        self.played
    }

    fn wait(&mut self, bytes: u64) -> Result<(), Fault> {
        self.waiting_bytes += bytes;
        let waited = self.waiting_since.get_or_insert_with(Instant::now).elapsed();
        let is_found = self.segmenter.is_found();
        let (most, longest) = if is_found { (HELD_BYTES, HELD) } else { (BARREN_BYTES, BARREN) };
        match self.waiting_bytes >= most || waited >= longest {
            true if is_found => Err(Fault::malformed("no time stamps that make a segment")),
            true => Err(no_program()),
            false => Ok(()),
        }
    }

    /// Declares the rendition, once the stream was measured.
    fn begin(&mut self) {
        let Some(profile) = self.segmenter.measured() else { return };
        let opening = Opening {
            specs: &[rendition(&profile)],
            target: self.cutting.segment.max(self.known.map_or(profile.length, |known| known.longest)),
            independent_segments: self.known.is_some_and(|known| known.independent_segments),
            part_target: Some(profile.part_target),
        };
        self.writer = self.feed.open(&opening).pop();
        let Some(writer) = &self.writer else { return };
        let longest = writer.target_duration() + ROUNDING;
        let part = writer.part_target().unwrap_or(profile.part_target);
        self.segmenter.start(Lengths { longest, part }, &mut self.events);
    }

    fn deliver(&mut self) -> Result<(), Fault> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let segmenter = &mut self.segmenter;
        let mut delivery = || {
            let loss = segmenter.take_loss();
            let (continuity_errors, pts_gap) = (loss.continuity_errors, loss.gap);
            Delivery { continuity_errors, pts_gap, ..Delivery::default() }
        };
        let mut events = self.events.drain(..).peekable();
        while let Some(event) = events.next() {
            match event {
                Event::Open { discontinuity, behind } => {
                    let is_other = discontinuity || self.is_broken;
                    self.era += u64::from(is_other);
                    self.is_broken = false;
                    let date_time = self.calendar.date(self.played, behind, is_other);
                    writer.open(blank(self.era, date_time))?;
                }
                Event::Part(part) => {
                    self.played += part.duration;
                    match events.next_if_eq(&Event::Close) {
                        Some(_) => writer.grow_last(part, delivery())?,
                        None => writer.grow(part)?,
                    }
                }
                Event::Close => writer.close(delivery())?,
            }
        }
        Ok(())
    }
}

/// How far dates may be behind the clock before they jump to it, and by how much they follow it with each segment.
const LATE: SignedDuration = SignedDuration::from_secs(1);
const FOLLOWS: SignedDuration = SignedDuration::from_millis(10);

/// The dates of segments: the clock at the arrival of the first one, and the time of the media from there, so that
/// neither jitter nor bursts of the network show in them.
#[derive(Debug, Default)]
struct Calendar {
    last: Option<(Timestamp, Duration)>,
}

impl Calendar {
    /// The date of what begins at `played`, where as much as `behind` has come after it.
    fn date(&mut self, played: Duration, behind: Duration, is_other: bool) -> Timestamp {
        let now = Timestamp::now();
        let came = now.checked_sub(behind).unwrap_or(now);
        let expected =
            self.last.filter(|_| !is_other).and_then(|(date, at)| date.checked_add(played - at).ok());
        let date = expected.map_or(came, |expected| {
            let late = came.duration_since(expected);
            if late > LATE {
                came
            } else {
                expected.checked_add(late.clamp(-FOLLOWS, FOLLOWS)).unwrap_or(came)
            }
        });
        self.last = Some((date, played));
        date
    }
}

fn no_program() -> Fault {
    Fault::malformed("no transport stream with video or audio")
}

fn rendition(profile: &Profile) -> RenditionSpec {
    let bandwidth_bps = profile.facts.bitrate_bps.unwrap_or_default();
    let attributes = profile.facts.attributes();
    let role = Role::Variant { bandwidth_bps, attributes, audio: None, subtitles: None, muxed: Vec::new() };
    RenditionSpec { name: "main".into(), role }
}

fn blank(era: u64, date_time: Timestamp) -> Media {
    Media {
        duration: Duration::ZERO,
        era,
        gap: false,
        program_date_time: Some(date_time),
        container: Container::TransportStream,
        origin: None,
        parts: Vec::new(),
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
