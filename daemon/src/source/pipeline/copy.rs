//! Copying windows: each new segment and part of one set of renditions into another, in order.

use std::sync::Arc;
use std::time::Duration;

use sluice_core::fault::{Fault, FaultKind};
use sluice_core::health::Delivery;
use sluice_core::media::{Media, Origin, Segment};
use sluice_core::pipeline::{Feed, Opening, RenditionSet, RenditionSpec, Snapshot, Writer};

/// How many whole segments are taken at the start: a player needs three (RFC 8216, 6.3.3).
const AT_START: u64 = 3;

/// What is followed, and how far.
pub(super) struct Copy {
    set: Arc<RenditionSet>,
    renditions: Vec<Rendition>,
    /// The discontinuity sequence of the set at the era `shift`.
    zero: u64,
    shift: u64,
    last_era: u64,
}

struct Rendition {
    writer: Writer,
    /// The name of what is copied, so that a later run finds its place.
    object: Arc<str>,
    /// The number of the next segment.
    next: u64,
    /// Whether anything was taken: from there on no number may be missing.
    is_under_way: bool,
    /// How many parts of segment `next` were taken, where it was still open.
    parts: Option<usize>,
}

impl Copy {
    /// Opens the feed for the renditions of `set`. Goes on behind the newest segment that an earlier run took from the
    /// same windows, else begins a few segments before their end.
    pub(super) fn begin(feed: &Feed, set: Arc<RenditionSet>) -> Self {
        let specs: Vec<RenditionSpec> = specs(&set).cloned().collect();
        let writers = feed.open(&Opening {
            specs: &specs,
            target: set.target_duration(),
            independent_segments: set.independent_segments,
            part_target: set.part_target,
        });
        let first = first(&set);
        let renditions = writers.into_iter().zip(objects(&set)).map(|(writer, object)| Rendition {
            writer,
            object,
            next: first,
            is_under_way: false,
            parts: None,
        });
        let mut copy =
            Self { renditions: renditions.collect(), zero: zero(&set, first), set, shift: 0, last_era: 0 };
        if let Some((numbers, zero)) = copy.places() {
            feed.resume();
            copy.zero = zero;
            for (rendition, number) in copy.renditions.iter_mut().zip(numbers) {
                rendition.next = number + 1;
                rendition.is_under_way = true;
            }
        }
        copy
    }

    /// Whether this is the set that is followed, or one with the same windows.
    pub(super) fn follows(&self, set: &RenditionSet) -> bool {
        self.set.epoch == set.epoch && self.is_like(set)
    }

    /// Follows another set from now on, behind a discontinuity.
    ///
    /// # Errors
    /// `Pipeline` where its renditions are others: they need a run of their own.
    pub(super) fn turn_to(&mut self, set: Arc<RenditionSet>) -> Result<(), Fault> {
        if !self.is_like(&set) {
            return Err(FaultKind::Pipeline("the other pipeline brings other renditions now".into()).into());
        }
        let first = first(&set);
        self.zero = zero(&set, first);
        self.shift = self.last_era + 1;
        for (rendition, object) in self.renditions.iter_mut().zip(objects(&set)) {
            (rendition.object, rendition.next) = (object, first);
            (rendition.is_under_way, rendition.parts) = (false, None);
        }
        self.set = set;
        Ok(())
    }

    /// Takes what came since the last time.
    ///
    /// # Errors
    /// `Pipeline` where the window moved on too fast; those of [`Writer`].
    pub(super) fn take(&mut self) -> Result<(), Fault> {
        let place = Place { zero: self.zero, shift: self.shift };
        for (rendition, from) in self.renditions.iter_mut().zip(&self.set.renditions) {
            let era = rendition.take(&from.window.snapshot(), place)?;
            self.last_era = self.last_era.max(era);
        }
        Ok(())
    }

    /// Whether everything was taken and nothing will follow.
    pub(super) fn is_ended(&self) -> bool {
        self.set.renditions.iter().all(|rendition| rendition.window.snapshot().ended)
    }

    fn is_like(&self, set: &RenditionSet) -> bool {
        // names and roles; what is said of them (CODECS, BANDWIDTH) may differ
        let shape = |spec: &RenditionSpec| (spec.name.clone(), std::mem::discriminant(&spec.role));
        specs(&self.set).map(shape).eq(specs(set).map(shape))
    }

    /// The numbers of the newest segments that an earlier run took, and their discontinuity sequence; none where one of
    /// them is unknown, or may have been taken in part.
    fn places(&self) -> Option<(Vec<u64>, u64)> {
        if self.set.part_target.is_some() {
            return None;
        }
        let mut numbers = Vec::new();
        let mut zero = 0;
        for (rendition, from) in self.renditions.iter().zip(&self.set.renditions) {
            let last = rendition.writer.last_origin().filter(|last| last.object == rendition.object)?;
            zero = zero.max(from.window.snapshot().find(last.number)?.discontinuity_sequence);
            numbers.push(last.number);
        }
        Some((numbers, zero))
    }
}

/// Where eras count from.
#[derive(Clone, Copy)]
struct Place {
    zero: u64,
    shift: u64,
}

impl Place {
    fn era(self, segment: &Segment) -> u64 {
        self.shift + segment.discontinuity_sequence.saturating_sub(self.zero)
    }
}

impl Rendition {
    /// Takes what is new; gives the era of the last segment.
    fn take(&mut self, from: &Snapshot, place: Place) -> Result<u64, Fault> {
        let mut era = 0;
        let next = self.next;
        for segment in from.segments.iter().filter(|segment| segment.sequence >= next) {
            self.expect(segment.sequence)?;
            era = place.era(segment);
            match self.parts.take() {
                Some(taken) => {
                    self.grow(segment, taken)?;
                    self.writer.close(Delivery::default())?;
                }
                None => self.writer.append(self.media(segment, era))?,
            }
            self.next = segment.sequence + 1;
        }
        if let Some(open) = from.open.as_ref().filter(|open| open.sequence >= self.next) {
            self.expect(open.sequence)?;
            self.next = open.sequence;
            era = place.era(open);
            let taken = match self.parts {
                Some(taken) => taken,
                None => {
                    let media = self.media(open, era);
                    self.writer.open(Media { parts: Vec::new(), duration: Duration::ZERO, ..media })?;
                    0
                }
            };
            self.parts = Some(self.grow(open, taken)?);
        }
        Ok(era)
    }

    /// No number may be missing once the first was taken.
    fn expect(&mut self, sequence: u64) -> Result<(), Fault> {
        if self.is_under_way && sequence != self.next {
            return Err(FaultKind::Pipeline("the window of the other pipeline moved on".into()).into());
        }
        self.is_under_way = true;
        Ok(())
    }

    /// Adds the parts behind the first `taken`; gives how many there are now.
    fn grow(&self, segment: &Segment, taken: usize) -> Result<usize, Fault> {
        for part in segment.media.parts.iter().skip(taken) {
            self.writer.grow(part.clone())?;
        }
        Ok(segment.media.parts.len())
    }

    fn media(&self, segment: &Segment, era: u64) -> Media {
        let origin = Origin { object: self.object.clone(), number: segment.sequence };
        Media { era, origin: Some(origin), ..segment.media.clone() }
    }
}

fn specs(set: &RenditionSet) -> impl Iterator<Item = &RenditionSpec> {
    set.renditions.iter().map(|rendition| &rendition.spec)
}

fn objects(set: &RenditionSet) -> impl Iterator<Item = Arc<str>> {
    specs(set).map(|spec| Arc::from(format!("{}/{}", set.epoch, spec.name)))
}

/// The number to begin with, the same in every rendition, for equal content has equal numbers.
fn first(set: &RenditionSet) -> u64 {
    let newest = |snapshot: &Snapshot| match (snapshot.segments.last(), &snapshot.open) {
        (Some(last), _) => Some((last.sequence + 1).saturating_sub(AT_START)),
        (None, Some(open)) => Some(open.sequence),
        (None, None) => None,
    };
    let first = set.renditions.iter().filter_map(|rendition| newest(&rendition.window.snapshot())).min();
    first.unwrap_or(0)
}

/// The discontinuity sequence at segment `first`, the smallest of all renditions.
fn zero(set: &RenditionSet, first: u64) -> u64 {
    let zeros = set.renditions.iter().filter_map(|rendition| {
        let snapshot = rendition.window.snapshot();
        let segments = snapshot.segments.iter().chain(&snapshot.open);
        segments
            .filter(|segment| segment.sequence >= first)
            .map(|segment| segment.discontinuity_sequence)
            .next()
    });
    zeros.min().unwrap_or(0)
}
