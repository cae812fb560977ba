//! Cuts a transport stream into segments and parts.

use std::time::Duration;

use libmpegts::slicer::TsSlicer;

use super::clock::ticks_90khz;
use super::cutter::Cutter;
use super::parts::Parts;
use super::profile::Profile;
use super::reader::Reader;
use crate::fault::Fault;
use crate::media::Part;

/// What is held at most before it is told how to go on.
const HELD: Duration = Duration::from_secs(10);
const HELD_BYTES: usize = 16 * 1024 * 1024;

/// What the segmenter tells, in order: `Open`, its parts, `Close`, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A segment begins. The first one, and the first one behind an interruption, begins with a keyframe, unless none
    /// comes for 5 s; packets before it are dropped.
    Open {
        /// Whether what follows is on another time line, or its main stream is another one.
        discontinuity: bool,
        /// How much of the stream behind this point has come already.
        behind: Duration,
    },
    /// The next packets of the open segment: a whole number of them. The first part begins with PAT and PMT.
    Part(Part),
    /// The segment is whole.
    Close,
}

/// What is missing in a stream by its own signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Continuity counters that did not follow (ISO/IEC 13818-1, 2.4.3.3).
    pub continuity_errors: u32,
    /// Playing time that is missing between time stamps of the main stream.
    pub gap: Duration,
}

/// How segments and parts are cut, once the stream is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// A segment without a keyframe where it should end is cut here, and the next one starts without a keyframe.
    pub longest: Duration,
    /// No part is longer.
    pub part: Duration,
}

/// Cuts a transport stream at the keyframes of a program's video, or anywhere if it has audio only. Every packet of
/// the program comes out once and in order, unchanged but for continuity counters of the tables, which are repeated
/// where a segment would not start with them. Stuffing (PID 0x1fff) and other programs are left out.
///
/// It begins by holding back one segment, so that [`Segmenter::measured`] can tell what the stream is like, and gives
/// out nothing before [`Segmenter::start`].
pub struct Segmenter {
    slicer: TsSlicer,
    reader: Reader,
    cutter: Cutter,
    parts: Parts,
}

impl Segmenter {
    /// A segmenter at the start of a stream, for the program of this number or else the first. A segment ends with
    /// the first keyframe at or behind `target` (5 % early counts).
    pub fn new(target: Duration, program: Option<u16>) -> Self {
        Self {
            slicer: TsSlicer::new(),
            reader: Reader::new(program),
            cutter: Cutter::new(target, target + HELD),
            parts: Parts::default(),
        }
    }

    /// Takes bytes of any number and appends what they complete to `events`.
    ///
    /// # Errors
    /// `Unsupported` when the program that is wanted is not in the stream, or is scrambled.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let mut result = Ok(());
        for packet in self.slicer.slice(bytes) {
            result = self.reader.packet(&packet);
            if result.is_err() {
                break;
            }
        }
        self.cut();
        self.cutter.bound(&self.reader, &mut self.parts);
        self.give(events);
        result
    }

    /// What the stream is like, once a segment of it is whole, or 10 s or 16 MiB of it are held.
    pub fn measured(&self) -> Option<Profile> {
        let held_90khz = self.cutter.started_90khz().map(|start| self.parts.newest_90khz() - start);
        let is_full =
            held_90khz.is_some_and(|held| held >= ticks_90khz(HELD) || self.reader.kept.len() >= HELD_BYTES);
        Profile::of(self.parts.waiting(), &self.reader, is_full)
    }

    /// What was missing in the packets that came since this was last asked.
    pub fn take_loss(&mut self) -> Loss {
        let continuity_errors = self.reader.continuity.take_errors();
        Loss { continuity_errors, gap: self.reader.timeline.take_missing() }
    }

    /// Whether [`Segmenter::start`] was called.
    pub fn is_started(&self) -> bool {
        self.parts.is_started()
    }

    /// Whether the stream has a program with video or audio whose time stamps were seen.
    pub fn is_found(&self) -> bool {
        self.cutter.is_open() || !self.parts.waiting().is_empty() || !self.reader.is_idle()
    }

    /// Sets the lengths, and gives out what was held back.
    pub fn start(&mut self, lengths: Lengths, events: &mut Vec<Event>) {
        self.cutter.longest_90khz = ticks_90khz(lengths.longest);
        self.parts.start(ticks_90khz(lengths.part));
        self.give(events);
        self.cut();
        self.give(events);
    }

    /// Says that bytes are missing, or that another stream follows. The open segment ends; the access unit of the main
    /// stream whose end did not come is dropped with what came since, and so is all that was held back.
    pub fn interrupt(&mut self, events: &mut Vec<Event>) {
        self.slicer.reset();
        if self.parts.is_started() {
            if let Some(broken) = self.reader.break_off() {
                self.cutter.break_off(broken, self.reader.kept.end(), &mut self.parts);
            }
            self.reader.reset();
            self.finish(events);
            return;
        }
        self.reader.reset();
        let end = self.reader.kept.end();
        self.reader.units.clear();
        self.cutter.abandon();
        self.parts.clear();
        self.parts.forget(end);
        self.give(events);
    }

    /// Closes the open segment: nothing follows.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        self.reader.settle();
        self.cut();
        if self.parts.is_started() || !self.is_whole() {
            self.cutter.finish(self.reader.kept.end(), &mut self.parts);
        }
        self.give(events);
    }

    /// Whether a segment is held back that ended by itself.
    fn is_whole(&self) -> bool {
        !self.parts.is_started() && Profile::is_whole(self.parts.waiting())
    }

    /// Decides on the access units that were found. While none is given out, the first segment is enough: the lengths
    /// of the next are not known.
    fn cut(&mut self) {
        while !self.is_whole() {
            let Some(unit) = self.reader.units.pop_front() else { return };
            self.cutter.unit(unit, &mut self.parts);
        }
    }

    fn give(&mut self, events: &mut Vec<Event>) {
        if !self.cutter.is_open() && self.reader.is_idle() && self.parts.waiting().is_empty() {
            self.reader.kept.forget(self.reader.kept.unit_at());
        }
        self.parts.run(&mut self.reader.kept, events);
        self.reader.kept.compact();
    }
}

#[cfg(test)]
#[path = "segmenter_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "stream_tests.rs"]
mod stream_tests;
