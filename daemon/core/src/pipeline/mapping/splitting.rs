//! A rendition that is fed by some streams of a transport stream.

use std::time::Duration;

use super::Operation;
use crate::fault::Fault;
use crate::media::ts::program::NULL_PACKET;
use crate::media::ts::{Pick, Split};
use crate::media::{Container, Media, Part};

/// Takes what a rendition of a source brings, and gives the same with some of its streams alone. Every segment comes out
/// with its length, as a gap where nothing is in it.
pub(super) struct Splitting {
    pick: Pick,
    split: Split,
    /// The era of what came last.
    era: u64,
    /// A segment that begins, until something is in it.
    begun: Option<Media>,
    /// Whether one was opened.
    is_open: bool,
    /// Tables and clocks, and the time of parts without anything else.
    held: Vec<u8>,
    held_length: Duration,
}

impl Splitting {
    pub(super) fn new(pick: Pick) -> Self {
        Self {
            pick,
            split: Split::new(pick),
            era: 0,
            begun: None,
            is_open: false,
            held: Vec::new(),
            held_length: Duration::ZERO,
        }
    }

    /// # Errors
    /// `Unsupported` for anything but a transport stream.
    pub(super) fn take(&mut self, operation: &Operation) -> Result<Vec<Operation>, Fault> {
        let mut made = Vec::new();
        match operation {
            Operation::Append(media) => {
                self.close(&mut made);
                self.enter(media)?;
                made.push(Operation::Append(self.whole(media)));
            }
            Operation::Open(media) => {
                self.close(&mut made);
                self.enter(media)?;
                self.begun = Some(media.clone());
            }
            Operation::Grow(part) => {
                let part = self.part(part);
                made.extend(part.into_iter().flat_map(|part| self.grown(Operation::Grow(part))));
            }
            Operation::GrowLast(part) => match self.part(part) {
                Some(part) => {
                    made.extend(self.grown(Operation::GrowLast(part)));
                    self.is_open = false;
                }
                None => self.close(&mut made),
            },
            Operation::Close => self.close(&mut made),
        }
        Ok(made)
    }

    /// A segment that has something in it now.
    fn grown(&mut self, operation: Operation) -> impl Iterator<Item = Operation> + use<> {
        let opened = self.begun.take().map(Operation::Open);
        self.is_open = true;
        opened.into_iter().chain([operation])
    }

    fn enter(&mut self, media: &Media) -> Result<(), Fault> {
        if media.gap {
            return Ok(());
        }
        if media.container != Container::TransportStream {
            let why = format!(
                "video and audio are served apart, and it brings both in {}",
                media.container.words()
            );
            return Err(Fault::unsupported(why));
        }
        if std::mem::replace(&mut self.era, media.era) != media.era {
            self.split.restart();
        }
        Ok(())
    }

    fn whole(&mut self, media: &Media) -> Media {
        let mut parts: Vec<Part> = media.parts.iter().filter_map(|part| self.part(part)).collect();
        let rest = std::mem::take(&mut self.held_length);
        match parts.last_mut() {
            Some(last) => last.duration += rest,
            None => self.held.clear(),
        }
        Media { gap: parts.is_empty(), origin: None, parts, ..media.clone() }
    }

    /// What a part becomes; none where nothing has come of the segment so far.
    fn part(&mut self, part: &Part) -> Option<Part> {
        self.held_length += part.duration;
        let has_media = self.split.push(&part.bytes, &mut self.held);
        if !has_media && !self.is_open {
            return None;
        }
        if self.held.is_empty() {
            self.held.extend_from_slice(&NULL_PACKET); // time without anything in it passes too
        }
        let independent = has_media && (part.independent || self.pick != Pick::Video);
        let duration = std::mem::take(&mut self.held_length);
        Some(Part { duration, independent, bytes: std::mem::take(&mut self.held).into() })
    }

    /// Ends the segment that is open.
    fn close(&mut self, made: &mut Vec<Operation>) {
        self.held.clear();
        let length = std::mem::take(&mut self.held_length);
        if std::mem::take(&mut self.is_open) {
            made.push(Operation::Close);
        } else if let Some(begun) = self.begun.take().filter(|_| !length.is_zero()) {
            made.push(Operation::Append(gap(&begun, length)));
        }
    }
}

/// A gap in place of a segment.
pub(super) fn gap(media: &Media, duration: Duration) -> Media {
    Media { duration, gap: true, origin: None, parts: Vec::new(), ..media.clone() }
}
