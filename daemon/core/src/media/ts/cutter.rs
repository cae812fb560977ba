//! Decides where segments begin and end.

use std::time::Duration;

use super::clock::ticks_90khz;
use super::parts::{Operation, Parts};
use super::reader::{Reader, Unit};

/// A segment with more bytes is cut wherever it is.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Without a keyframe for so long, or for two intervals of keyframes where these are known, any access unit will do.
const PATIENCE_90KHZ: i64 = 5 * 90_000;
const INTERVALS: i64 = 2;

/// Decides where segments begin and end, from the access units of the main stream.
pub(super) struct Cutter {
    target_90khz: i64,
    pub(super) longest_90khz: i64,
    open: Option<Open>,
    /// The last keyframe, or the first access unit that was seen without one.
    last_key_90khz: Option<i64>,
    interval_90khz: Option<i64>,
    /// Whether what follows is on another time line than the last segment.
    is_broken: bool,
    has_opened: bool,
}

struct Open {
    at: u64,
    start_90khz: i64,
    now_90khz: i64,
    step_90khz: i64,
}

impl Open {
    /// Where it ends behind its newest access unit, which lasts as long as the one before.
    fn end_90khz(&self, longest_90khz: i64) -> i64 {
        (self.now_90khz + self.step_90khz).min(self.start_90khz + longest_90khz).max(self.now_90khz)
    }
}

impl Cutter {
    pub(super) fn new(target: Duration, longest: Duration) -> Self {
        Self {
            target_90khz: ticks_90khz(target.mul_f64(0.95)),
            longest_90khz: ticks_90khz(longest),
            open: None,
            last_key_90khz: None,
            interval_90khz: None,
            is_broken: false,
            has_opened: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When the open segment began.
    pub(super) fn started_90khz(&self) -> Option<i64> {
        self.open.as_ref().map(|open| open.start_90khz)
    }

    /// Takes the next access unit.
    pub(super) fn unit(&mut self, unit: Unit, parts: &mut Parts) {
        let is_cut = self.is_key(&unit);
        let Some(open) = &mut self.open else {
            if is_cut {
                self.open(&unit, self.is_broken, parts);
            } else {
                parts.forget(unit.at);
            }
            return;
        };
        let elapsed = unit.time_90khz - open.start_90khz;
        let is_late = elapsed + unit.step_90khz > self.longest_90khz;
        // nothing came for so long that no segment can hold it: the last access unit ends as long as the one before
        let is_hole = elapsed > self.longest_90khz;
        let end_90khz = if is_hole { open.end_90khz(self.longest_90khz) } else { unit.time_90khz };
        let step_90khz = if is_hole { open.step_90khz } else { unit.step_90khz };
        let (at, has_tables) = unit.changed_at.map_or((unit.at, unit.has_tables), |at| (at, false));
        let unit = Unit { at, has_tables, step_90khz, ..unit };
        (open.now_90khz, open.step_90khz) = (unit.time_90khz, unit.step_90khz);
        if unit.is_other || is_late || (is_cut && elapsed >= self.target_90khz) {
            parts.take(Operation::Close { at: unit.at, time_90khz: end_90khz });
            self.open(&unit, unit.is_other || is_hole, parts);
        } else {
            let Unit { at, time_90khz, is_key, .. } = unit;
            parts.take(Operation::Unit { at, time_90khz, is_key });
        }
    }

    /// Cuts a segment that has too many bytes.
    pub(super) fn bound(&mut self, reader: &Reader, parts: &mut Parts) {
        let (at, whole) = (reader.kept.end(), reader.tables.whole());
        let Some(open) = self.open.as_mut().filter(|open| at - open.at >= SEGMENT_BYTES) else { return };
        let time_90khz = open.now_90khz;
        (open.at, open.start_90khz) = (at, time_90khz);
        parts.take(Operation::Close { at, time_90khz });
        let tables = Some(whole.clone());
        parts.take(Operation::Open { at, time_90khz, discontinuity: false, is_key: false, tables });
    }

    /// Ends the open segment at `end`; its last access unit lasts as long as the one before.
    pub(super) fn finish(&mut self, end: u64, parts: &mut Parts) {
        if let Some(open) = self.open.take() {
            parts.take(Operation::Close { at: end, time_90khz: open.end_90khz(self.longest_90khz) });
        } else {
            parts.forget(end);
        }
        self.is_broken = self.has_opened;
        self.last_key_90khz = None;
    }

    /// Ends the open segment before the access unit at `at`, which is not whole, and leaves out what came since, up to
    /// `end`. `is_told` says whether that unit was taken already.
    pub(super) fn break_off(&mut self, (at, is_told): (u64, bool), end: u64, parts: &mut Parts) {
        if let Some(open) = &mut self.open
            && is_told
        {
            open.step_90khz = 0;
        }
        self.finish(at, parts);
        parts.forget(end);
    }

    /// Forgets the open segment, of which nothing was given out.
    pub(super) fn abandon(&mut self) {
        (self.open, self.last_key_90khz) = (None, None);
        (self.is_broken, self.has_opened) = (false, false);
    }

    fn open(&mut self, unit: &Unit, discontinuity: bool, parts: &mut Parts) {
        let Unit { at, time_90khz, step_90khz, is_key, .. } = *unit;
        let tables = (!unit.has_tables).then(|| unit.tables.clone());
        self.open = Some(Open { at, start_90khz: time_90khz, now_90khz: time_90khz, step_90khz });
        (self.is_broken, self.has_opened) = (false, true);
        parts.take(Operation::Open { at, time_90khz, discontinuity, is_key, tables });
    }

    /// Whether a segment may begin here: with a keyframe, or anywhere where these are too rare.
    fn is_key(&mut self, unit: &Unit) -> bool {
        let now = unit.time_90khz;
        let last = *self.last_key_90khz.get_or_insert(now);
        if unit.is_key {
            if unit.is_video && now > last {
                self.interval_90khz = Some(now - last);
            }
            self.last_key_90khz = Some(now);
            return true;
        }
        now - last >= self.interval_90khz.map_or(PATIENCE_90KHZ, |interval| INTERVALS * interval)
    }
}
