//! Cuts segments into parts, and gives both out.

use std::collections::VecDeque;
use std::sync::Arc;

use libmpegts::ts::PACKET_SIZE;

use super::Event;
use super::clock::duration;
use super::kept::Kept;
use super::program::NULL_PACKET;
use crate::media::Part;

/// A part is at least this much of the longest (RFC 8216bis, 4.4.4.9), with exceptions.
const LEAST_PERCENT: i64 = 85;

/// What becomes of the packets that are kept.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Open {
        at: u64,
        time_90khz: i64,
        discontinuity: bool,
        is_key: bool,
        /// The tables to begin with, where they do not come by themselves.
        tables: Option<Arc<[u8]>>,
    },
    /// An access unit within a segment.
    Unit {
        at: u64,
        time_90khz: i64,
        is_key: bool,
    },
    Close {
        at: u64,
        time_90khz: i64,
    },
    /// What is before this is not needed.
    Forget {
        at: u64,
    },
}

/// A place in the stream.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: u64,
    time_90khz: i64,
    /// Whether a decoder can start here.
    is_key: bool,
}

/// Cuts segments into parts. Operations wait until the longest part is known.
///
/// A part ends with an access unit where whole ones fill it to 85 %; else, as where a PES packet of audio holds many
/// frames or the frame rate changed, between two packets of a unit, and time is taken to pass evenly over its bytes.
/// Where a single packet lasts longer than a part may, parts of stuffing follow it.
#[derive(Default)]
pub(super) struct Parts {
    waiting: VecDeque<Operation>,
    longest_90khz: Option<i64>,
    /// The newest access unit that was told.
    newest_90khz: i64,
    start: Option<Mark>,
    /// Whether the open segment has a part.
    has_part: bool,
    /// The access units behind the start, and the distance of the last two.
    marks: VecDeque<Mark>,
    step_90khz: i64,
    tables: Option<Arc<[u8]>>,
}

impl Parts {
    /// What waits, for as long as the longest part is not known.
    pub(super) fn waiting(&self) -> &VecDeque<Operation> {
        &self.waiting
    }

    pub(super) fn is_started(&self) -> bool {
        self.longest_90khz.is_some()
    }

    pub(super) fn start(&mut self, longest_90khz: i64) {
        self.longest_90khz = Some(longest_90khz.max(1));
    }

    /// The newest access unit that was told.
    pub(super) fn newest_90khz(&self) -> i64 {
        self.newest_90khz
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn take(&mut self, operation: Operation) {
        match operation {
            Operation::Open { time_90khz, .. }
            | Operation::Unit { time_90khz, .. }
            | Operation::Close { time_90khz, .. } => self.newest_90khz = time_90khz,
            Operation::Forget { .. } => {}
        }
        self.waiting.push_back(operation);
    }

    pub(super) fn forget(&mut self, at: u64) {
        if let Some(Operation::Forget { at: last }) = self.waiting.back_mut() {
            *last = at;
        } else {
            self.waiting.push_back(Operation::Forget { at });
        }
    }

    /// Carries out what waits.
    pub(super) fn run(&mut self, kept: &mut Kept, events: &mut Vec<Event>) {
        while let Some(operation) = self.waiting.front() {
            if let Operation::Forget { at } = *operation {
                kept.forget(at);
            } else if !self.is_started() {
                return;
            }
            let Some(operation) = self.waiting.pop_front() else { return };
            self.carry_out(operation, &mut Output { kept, events });
        }
    }

    fn carry_out(&mut self, operation: Operation, output: &mut Output<'_>) {
        match operation {
            Operation::Open { at, time_90khz, discontinuity, is_key, tables } => {
                output.kept.forget(at);
                self.tables = tables;
                self.start = Some(Mark { at, time_90khz, is_key });
                self.has_part = false;
                let behind = duration(self.newest_90khz - time_90khz);
                output.events.push(Event::Open { discontinuity, behind });
            }
            Operation::Unit { at, time_90khz, is_key } => self.mark(Mark { at, time_90khz, is_key }, output),
            Operation::Close { at, time_90khz } => {
                self.cut_to(Mark { at, time_90khz, is_key: false }, output);
                self.start = None;
                self.marks.clear();
                output.events.push(Event::Close);
            }
            Operation::Forget { .. } => {}
        }
    }

    fn mark(&mut self, mark: Mark, output: &mut Output<'_>) {
        let before = self.marks.back().copied().or(self.start);
        self.step_90khz = before.map_or(0, |before| mark.time_90khz - before.time_90khz);
        self.marks.push_back(mark);
        while let Some(end) = self.next_end() {
            self.part(end, output);
        }
    }

    /// Gives out all before `mark`, however short its last part is.
    fn cut_to(&mut self, mark: Mark, output: &mut Output<'_>) {
        self.marks.push_back(mark);
        self.step_90khz = 0;
        while let Some(end) = self.next_end() {
            self.part(end, output);
        }
        self.part(mark, output);
    }

    /// Where the next part ends, if enough is there to say so: before a keyframe where that leaves enough, so that the
    /// part behind it can be decoded from its start.
    fn next_end(&self) -> Option<Mark> {
        let (start, longest) = (self.start?, self.longest_90khz?);
        let elapsed = |mark: &Mark| mark.time_90khz - start.time_90khz;
        let is_enough = |mark: &Mark| elapsed(mark) * 100 >= longest * LEAST_PERCENT;
        let within = self.marks.iter().take_while(|mark| elapsed(mark) <= longest).count();
        let last_within = within.checked_sub(1).and_then(|at| self.marks.get(at)).copied();
        let key = self.marks.iter().take(within).rfind(|mark| mark.is_key && is_enough(mark)).copied();
        let key = key.filter(|mark| mark.at > start.at);
        let Some(beyond) = self.marks.get(within) else {
            let is_full = |mark: &Mark| is_enough(mark) && elapsed(mark) + self.step_90khz > longest;
            let ends = |mark: &Mark| elapsed(mark) == longest || (self.step_90khz > 0 && is_full(mark));
            return last_within.filter(ends).map(|last| key.unwrap_or(last));
        };
        let last_within = last_within.filter(|mark| mark.at > start.at);
        Some(key.or(last_within.filter(is_enough)).unwrap_or_else(|| {
            between(last_within.unwrap_or(start), *beyond, start, start.time_90khz + longest)
        }))
    }

    /// Gives out what is before `end` as a part; where nothing is, the time that passed.
    fn part(&mut self, end: Mark, output: &mut Output<'_>) {
        let Some(start) = self.start else { return };
        let is_empty = end.at <= start.at;
        // a unit without packets before any part: its time goes to what follows
        let is_nothing = is_empty && (!self.has_part || end.time_90khz <= start.time_90khz);
        // what counts is that it contains a keyframe, not where (4.4.4.9)
        let mut independent = start.is_key && !is_empty;
        let mut next_is_key = end.is_key || (start.is_key && is_empty);
        // a unit at the end whose time is not reached waits for that
        let is_due = |mark: &Mark| is_nothing || mark.at < end.at || mark.time_90khz <= end.time_90khz;
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.at <= end.at && is_due(mark)) {
            independent |= mark.is_key && mark.at < end.at;
            next_is_key |= mark.is_key && mark.at == end.at;
        }
        let next_90khz = if is_nothing { start.time_90khz } else { end.time_90khz };
        self.start = Some(Mark { at: end.at, time_90khz: next_90khz, is_key: next_is_key });
        if is_nothing {
            return;
        }
        self.has_part = true;
        let bytes = if is_empty {
            NULL_PACKET
        } else {
            let tables = self.tables.take();
            output.kept.take(tables.as_deref().unwrap_or_default(), end.at)
        };
        // each rounded from the start of the time line, so that no error adds up
        let duration = duration(end.time_90khz) - duration(start.time_90khz);
        output.events.push(Event::Part(Part { duration, independent, bytes }));
    }
}

/// Where what is cut goes.
struct Output<'o> {
    kept: &'o mut Kept,
    events: &'o mut Vec<Event>,
}

/// The packet between two places that stands at a time, at least one packet behind `start` where there is one.
fn between(from: Mark, to: Mark, start: Mark, time_90khz: i64) -> Mark {
    let packets = (to.at - from.at) / PACKET_SIZE as u64;
    let (passed, span) = (time_90khz - from.time_90khz, (to.time_90khz - from.time_90khz).max(1));
    let share = u128::from(packets) * u128::from(passed.unsigned_abs()) / u128::from(span.unsigned_abs());
    let at = from.at + u64::try_from(share).unwrap_or(packets) * PACKET_SIZE as u64;
    let at = at.max(start.at + PACKET_SIZE as u64);
    Mark { at: at.min(to.at), time_90khz, is_key: false }
}
