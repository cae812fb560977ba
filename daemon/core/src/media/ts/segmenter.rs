//! Cuts a transport stream into segments and parts.

use std::time::Duration;

use bytes::Bytes;
use libmpegts::pes::{PesHeaderRef, Timestamp};
use libmpegts::slicer::TsSlicer;
use libmpegts::ts::TsPacketRef;

use super::clock::{Timeline, duration, ticks_90khz};
use super::keyframe;
use super::tables::{Main, Tables};
use crate::media::Part;

/// A segment with more bytes is cut wherever it is.
const SEGMENT_BYTES: usize = 64 * 1024 * 1024;
/// What is kept of the tables while nothing is open yet.
const WAITING_BYTES: usize = 64 * 1024;

/// How long segments and parts become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// A segment ends with the first keyframe at or behind this (5 % early counts).
    pub target: Duration,
    /// A segment without such a keyframe ends here, and the next one starts without a keyframe.
    pub longest: Duration,
    /// A part ends with the access unit whose end is nearest to this, and before a keyframe.
    pub part: Duration,
}

/// What the segmenter tells, in order: `Open`, its parts, `Close`, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A segment begins. The first one begins with a keyframe, unless none comes within the longest length; packets
    /// before it are dropped.
    Open {
        /// Whether the time stamps jumped: what follows is another time line.
        discontinuity: bool,
    },
    /// The next packets of the open segment: a whole number of them. The first part begins with PAT and PMT.
    Part(Part),
    /// The segment is whole.
    Close,
}

/// Cuts a transport stream at the keyframes of its first program's video, or anywhere if it has audio only. Every
/// packet comes out once and in order, unchanged but for continuity counters of the tables, which are repeated where
/// a segment would not start with them.
pub struct Segmenter {
    slicer: TsSlicer,
    cutter: Cutter,
}

impl Segmenter {
    /// A segmenter at the start of a stream.
    pub fn new(lengths: Lengths) -> Self {
        Self { slicer: TsSlicer::new(), cutter: Cutter::new(lengths) }
    }

    /// Takes bytes of any number and appends what they complete to `events`.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        for packet in self.slicer.slice(bytes) {
            self.cutter.packet(&packet, events);
        }
    }

    /// Sets [`Lengths::longest`] for what follows.
    pub fn set_longest(&mut self, longest: Duration) {
        self.cutter.longest_90khz = ticks_90khz(longest);
    }

    /// Closes the open segment: nothing follows.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        self.cutter.finish(events);
    }
}

struct Cutter {
    target_90khz: i64,
    longest_90khz: i64,
    part_90khz: i64,
    tables: Tables,
    timeline: Timeline,
    is_open: bool,
    segment_start_90khz: i64,
    segment_bytes: usize,
    part_start_90khz: i64,
    part_is_independent: bool,
    /// The packets of the next part.
    pending: Vec<u8>,
    /// Where the tables begin that stand at the end of `pending`, if it ends with tables.
    tables_at: usize,
}

/// The start of an access unit of the main stream.
struct Unit {
    time: Timestamp,
    is_key: bool,
}

impl Cutter {
    fn new(lengths: Lengths) -> Self {
        Self {
            target_90khz: ticks_90khz(lengths.target.mul_f64(0.95)),
            longest_90khz: ticks_90khz(lengths.longest),
            part_90khz: ticks_90khz(lengths.part),
            tables: Tables::new(),
            timeline: Timeline::default(),
            is_open: false,
            segment_start_90khz: 0,
            segment_bytes: 0,
            part_start_90khz: 0,
            part_is_independent: false,
            pending: Vec::new(),
            tables_at: 0,
        }
    }

    fn packet(&mut self, packet: &TsPacketRef<'_>, events: &mut Vec<Event>) {
        if packet.is_error() {
            return; // its fields mean nothing
        }
        self.tables.observe(packet);
        let main = self.tables.main().filter(|main| main.pid == packet.pid());
        if let Some(unit) = main.and_then(|main| unit(main, packet)) {
            self.unit(&unit, events);
        }
        let is_table = self.tables.is_table(packet.pid());
        if self.is_open || (is_table && self.pending.len() < WAITING_BYTES) {
            self.tables.append(packet, &mut self.pending);
        }
        if !is_table {
            if !self.is_open {
                self.pending.clear();
            }
            self.tables_at = self.pending.len();
        }
        if self.is_open && self.segment_bytes + self.pending.len() >= SEGMENT_BYTES {
            self.tables_at = self.pending.len();
            self.cut(false, false, events);
        }
    }

    fn unit(&mut self, unit: &Unit, events: &mut Vec<Event>) {
        let jumped = self.timeline.advance(unit.time);
        let elapsed = self.timeline.now_90khz - self.segment_start_90khz;
        let is_late = elapsed + self.timeline.step_90khz > self.longest_90khz;
        if !self.is_open {
            if unit.is_key || is_late {
                self.open(unit.is_key, false, events);
            }
        } else if jumped || is_late || (unit.is_key && elapsed >= self.target_90khz) {
            self.cut(unit.is_key, jumped, events);
        } else if unit.is_key {
            self.part(self.tables_at, events);
            self.part_is_independent = true;
        } else if self.timeline.now_90khz - self.part_start_90khz + self.timeline.step_90khz / 2
            > self.part_90khz
        {
            self.part(self.pending.len(), events);
        }
    }

    fn cut(&mut self, is_key: bool, jumped: bool, events: &mut Vec<Event>) {
        self.part(self.tables_at, events);
        events.push(Event::Close);
        self.open(is_key, jumped, events);
    }

    /// Begins a segment with the tables that just came, or else with the last ones once more.
    fn open(&mut self, is_key: bool, discontinuity: bool, events: &mut Vec<Event>) {
        if !self.tables.are_in(&self.pending) {
            let rest = std::mem::take(&mut self.pending);
            self.tables.repeat(&mut self.pending);
            self.pending.extend_from_slice(&rest);
        }
        events.push(Event::Open { discontinuity });
        self.is_open = true;
        self.segment_start_90khz = self.timeline.now_90khz;
        self.segment_bytes = 0;
        self.part_start_90khz = self.timeline.now_90khz;
        self.part_is_independent = is_key;
    }

    /// Gives out the first `end` pending bytes, which last until now.
    fn part(&mut self, end: usize, events: &mut Vec<Event>) {
        let now = self.timeline.now_90khz;
        self.tables_at = 0;
        if end > 0 {
            // copied, so that a part pins no more memory than it has bytes
            let bytes = Bytes::copy_from_slice(&self.pending[..end]);
            self.pending.drain(..end);
            self.segment_bytes += bytes.len();
            let duration = duration(now) - duration(self.part_start_90khz);
            events.push(Event::Part(Part { duration, independent: self.part_is_independent, bytes }));
            self.part_start_90khz = now;
            self.part_is_independent = false;
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.is_open {
            // the last access unit lasts as long as the one before
            self.timeline.now_90khz += self.timeline.step_90khz;
            self.part(self.pending.len(), events);
            events.push(Event::Close);
            self.is_open = false;
        }
    }
}

fn unit(main: Main, packet: &TsPacketRef<'_>) -> Option<Unit> {
    if !packet.is_payload_start() {
        return None;
    }
    let payload = packet.payload()?;
    let times = PesHeaderRef::try_from(payload).ok()?.pts_dts()?;
    let flagged = || packet.adaptation_field().is_some_and(|field| field.random_access_indicator());
    let is_key = !main.is_video || flagged() || keyframe::starts_here(main.stream_type, payload);
    Some(Unit { time: times.dts.unwrap_or(times.pts), is_key })
}

#[cfg(test)]
#[path = "segmenter_tests.rs"]
mod tests;
