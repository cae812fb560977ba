//! A rendition that is fed by video and audio that come apart.

use std::time::Duration;

use super::Operation;
use crate::fault::Fault;
use crate::media::ts::program::{Chunk, Program, patience_90khz};
use crate::media::ts::{Event, Lengths, Segmenter, ticks_90khz};
use crate::media::{Container, Media};

/// Makes one transport stream of two, and cuts it anew. Discontinuities of its inputs do not show in it.
pub(super) struct Joining {
    program: Program,
    segmenter: Segmenter,
    /// What each input brings in the segment that is open there: its era and container, and whether it is at its start.
    inputs: [Option<(u64, Container, bool)>; 2],
    chunks: Vec<Chunk>,
    events: Vec<Event>,
    era: u64,
}

impl Joining {
    /// Segments end with the first keyframe behind `segment`, and are never longer than `longest`; parts are as long as
    /// `part`.
    pub(super) fn new(segment: Duration, longest: Duration, part: Duration) -> Self {
        let mut segmenter = Segmenter::new(segment, None);
        let mut events = Vec::new();
        segmenter.start(Lengths { longest, part }, &mut events);
        let program = Program::new(&[None, None], patience_90khz(longest));
        Self { program, segmenter, inputs: [None, None], chunks: Vec::new(), events, era: 0 }
    }

    /// Takes what comes to an input: 0 is video, 1 audio.
    ///
    /// # Errors
    /// `Unsupported` for what no transport stream can carry.
    pub(super) fn take(&mut self, input: usize, operation: &Operation) -> Result<Vec<Operation>, Fault> {
        match operation {
            Operation::Append(media) if media.gap => {
                self.program.skip(input, media.era, ticks_90khz(media.duration), &mut self.chunks);
            }
            Operation::Append(media) => {
                self.begin(input, media);
                media.parts.iter().try_for_each(|part| self.push(input, &part.bytes))?;
            }
            Operation::Open(media) => self.begin(input, media),
            Operation::Grow(part) | Operation::GrowLast(part) => self.push(input, &part.bytes)?,
            Operation::Close => {}
        }
        for chunk in self.chunks.drain(..) {
            self.segmenter.push(&chunk.bytes, &mut self.events)?;
        }
        Ok(self.made())
    }

    fn begin(&mut self, input: usize, media: &Media) {
        if let Some(state) = self.inputs.get_mut(input) {
            *state = Some((media.era, media.container.clone(), true));
        }
    }

    fn push(&mut self, input: usize, bytes: &[u8]) -> Result<(), Fault> {
        let Some(Some((era, container, starts))) = self.inputs.get_mut(input) else { return Ok(()) };
        let at = (*era, std::mem::take(starts));
        self.program.push(input, at, container, bytes, &mut self.chunks)
    }

    fn made(&mut self) -> Vec<Operation> {
        let mut made = Vec::new();
        let mut events = self.events.drain(..).peekable();
        while let Some(event) = events.next() {
            match event {
                Event::Open { discontinuity, .. } => {
                    self.era += u64::from(discontinuity);
                    made.push(Operation::Open(blank(self.era)));
                }
                Event::Part(part) => made.push(match events.next_if_eq(&Event::Close) {
                    Some(_) => Operation::GrowLast(part),
                    None => Operation::Grow(part),
                }),
                Event::Close => made.push(Operation::Close),
            }
        }
        made
    }
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
