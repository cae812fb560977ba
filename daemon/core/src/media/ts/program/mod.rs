//! One transport stream without a seam, made of the renditions of one program: a muxed stream, or video with its
//! audio apart (transport streams or packed audio), over splices of any kind.
//!
//! What comes out has PIDs of its own that never change, its own PAT and PMT, one time line for PTS, DTS and PCR, and
//! continuity counters without a gap. An access unit goes out when all of it is there, so that a source that dies leaves
//! no half of one. It is cut into [`Chunk`]s, so that a reader can start at each that is a start.

mod catalog;
mod frames;
mod input;
mod output;
mod packed;
mod round;
mod routes;
mod splicer;
#[cfg(test)]
mod tests;
mod unfinished;
mod waiting;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use libmpegts::pes::Timestamp;
use libmpegts::ts::{PACKET_SIZE, SYNC_BYTE};

use super::clock::ticks_90khz;
use crate::fault::Fault;
use crate::media::Container;
use input::Input;
use splicer::Splicer;
use waiting::Surplus;

pub(super) use catalog::language_code;
pub use output::Chunk;

/// How far one rendition of a stream with this target duration may be ahead of another before it goes on alone: two
/// segments, and a second for their ways.
pub fn patience_90khz(target: Duration) -> i64 {
    ticks_90khz(2 * target + Duration::from_secs(1))
}

/// A packet that says nothing and counts nothing (ISO/IEC 13818-1, 2.4.3.3): with it a connection stays alive.
pub const NULL_PACKET: Bytes = Bytes::from_static(&NULL_BYTES);

const NULL_BYTES: [u8; PACKET_SIZE] = {
    let mut bytes = [0xff; PACKET_SIZE];
    (bytes[0], bytes[1], bytes[2], bytes[3]) = (SYNC_BYTE, 0x1f, 0xff, 0x10);
    bytes
};

/// What the program counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Splices: discontinuities, and jumps of the time stamps without one.
    pub splices: u64,
    /// Splices that no random access point came for in time, so that decoding began anywhere.
    pub blind: u64,
}

/// The program. The first input is the main one: it brings the clock and the video, or the only audio.
pub struct Program {
    inputs: Vec<Input>,
    splicer: Splicer,
    /// For each discontinuity sequence under way: the first time stamp of any input. All of them count from there.
    references: BTreeMap<u64, Timestamp>,
    /// How much of one input waits for another, at most, in ticks of 90 kHz.
    patience_90khz: i64,
}

impl Program {
    /// A program of so many inputs. `languages` has one entry for each, as a playlist writes it, where it is known.
    /// `patience_90khz` is how far one input may be ahead of another before it goes on alone.
    pub fn new(languages: &[Option<String>], patience_90khz: i64) -> Self {
        let inputs = languages.iter().map(|language| Input::new(language.as_deref())).collect();
        Self { inputs, splicer: Splicer::new(languages.len()), references: BTreeMap::new(), patience_90khz }
    }

    /// Takes bytes of one input. `era` is their discontinuity sequence; it never falls. `starts` says that a segment
    /// starts with them. What they complete is appended to `chunks`.
    ///
    /// # Errors
    /// `Unsupported` for a container that no transport stream can carry.
    pub fn push(
        &mut self,
        input: usize,
        (era, starts): (u64, bool),
        container: &Container,
        bytes: &[u8],
        chunks: &mut Vec<Chunk>,
    ) -> Result<(), Fault> {
        let Some(input) = self.inputs.get_mut(input) else { return Ok(()) };
        input.push(era, starts, container, bytes, &mut self.references)?;
        self.merge(chunks);
        Ok(())
    }

    /// Says that an input brings nothing for a while: a segment that is missing.
    pub fn skip(&mut self, input: usize, era: u64, length_90khz: i64, chunks: &mut Vec<Chunk>) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.skip(era, length_90khz);
            self.merge(chunks);
        }
    }

    /// Says that what came of an input was cut where access units end, as the origin of a whole segment does: the last
    /// of each stream is whole, although no other follows it.
    pub fn complete(&mut self, input: usize, chunks: &mut Vec<Chunk>) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.complete();
            self.merge(chunks);
        }
    }

    /// Leaves out the first `surplus_90khz` of the main input in the discontinuity sequence `era`, which was not pushed
    /// yet: it starts at the last random access point therein, or at the first one behind, where the last one is more
    /// than a second earlier. One behind is waited for no longer than `patience_90khz`.
    pub fn leave_out(&mut self, era: u64, surplus_90khz: i64, patience_90khz: i64) {
        self.splicer.leave_out(era, Surplus { length_90khz: surplus_90khz, patience_90khz });
    }

    /// Takes other inputs from now on, as [`Program::new`] does. What is held back of the old ones goes out before, and
    /// the stream goes on behind a splice.
    pub fn change(&mut self, languages: &[Option<String>], patience_90khz: i64, chunks: &mut Vec<Chunk>) {
        self.flush(chunks);
        self.patience_90khz = patience_90khz;
        self.inputs = languages.iter().map(|language| Input::new(language.as_deref())).collect();
        self.splicer.change(languages.len());
        self.references.clear();
    }

    /// Gives out what waits. Access units that are not whole are dropped.
    pub fn flush(&mut self, chunks: &mut Vec<Chunk>) {
        self.inputs.iter_mut().for_each(Input::abandon);
        while let Some(at) = self.earliest() {
            self.pass(at, chunks);
        }
        self.splicer.flush(chunks);
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        self.splicer.tally()
    }

    fn merge(&mut self, chunks: &mut Vec<Chunk>) {
        while let Some(at) = self.earliest().filter(|at| self.is_due(*at) && self.is_whole(*at)) {
            self.pass(at, chunks);
        }
    }

    fn pass(&mut self, at: usize, chunks: &mut Vec<Chunk>) {
        if let Some(queued) = self.inputs.get_mut(at).and_then(Input::pop) {
            if self.references.first_key_value().is_some_and(|(era, _)| *era < queued.era) {
                self.references = self.references.split_off(&queued.era);
            }
            self.splicer.take(at, queued, chunks);
        }
    }

    /// The input whose next packet is the earliest.
    fn earliest(&self) -> Option<usize> {
        let heads = self.inputs.iter().enumerate().filter_map(|(at, input)| Some((input.head()?, at)));
        heads.min().map(|(_, at)| at)
    }

    /// Whether the next packet belongs to an access unit that is whole, or the others wait for that no longer.
    fn is_whole(&self, at: usize) -> bool {
        let is_ready = self.inputs.get(at).is_some_and(Input::is_ready);
        is_ready || self.inputs.iter().any(|input| input.is_ahead_by(self.patience_90khz))
    }

    /// Whether nothing earlier can come from the others, or they are waited for no longer.
    fn is_due(&self, at: usize) -> bool {
        let Some(input) = self.inputs.get(at) else { return false };
        let others = self.inputs.iter().enumerate().filter(|(other, _)| *other != at);
        let late = |other: &Input| other.head().is_none() && other.reached() < input.head();
        !others.into_iter().any(|(_, other)| late(other)) || input.is_ahead_by(self.patience_90khz)
    }
}
