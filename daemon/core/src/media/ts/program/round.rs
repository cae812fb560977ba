//! The time of a source on the time line of the output, from one splice to the next.

use libmpegts::pcr::pcr_signed_delta;
use libmpegts::pes::Timestamp;

use super::input::Unit;
use crate::media::ts::clock::distance_90khz;

/// A step of the main stream that is longer, or that goes back, is another time line.
const JUMP_90KHZ: i64 = 10 * 90_000;
/// By how much the clock is ahead of decoding, where a source does not tell.
const USUAL_LEAD_90KHZ: i64 = 45_000;
/// A clock that is further ahead, or behind, is none.
const LONGEST_LEAD_90KHZ: i64 = 5 * 90_000;

/// Where each PID of the output has come to.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<(u16, Mark)>);

#[derive(Debug, Clone, Copy)]
struct Mark {
    dts_90khz: i64,
    step_90khz: i64,
    /// The latest presentation time.
    pts_90khz: i64,
}

impl Marks {
    pub(super) fn last(&self, pid: u16) -> Option<i64> {
        self.0.iter().find(|(own, _)| *own == pid).map(|(_, mark)| mark.dts_90khz)
    }

    pub(super) fn set(&mut self, pid: u16, dts_90khz: i64, pts_90khz: i64) {
        match self.0.iter_mut().find(|(own, _)| *own == pid) {
            Some((_, mark)) => {
                let step = dts_90khz - mark.dts_90khz;
                if (1..=JUMP_90KHZ).contains(&step) {
                    mark.step_90khz = step;
                }
                mark.dts_90khz = dts_90khz;
                mark.pts_90khz = mark.pts_90khz.max(pts_90khz);
            }
            None => self.0.push((pid, Mark { dts_90khz, step_90khz: 0, pts_90khz })),
        }
    }

    /// The earliest DTS of a start on `pid`, presented `delay_90khz` later, behind which no time of any PID is.
    fn end(&self, pid: u16, delay_90khz: i64) -> Option<i64> {
        let ends = self.0.iter().map(|(own, mark)| {
            let dts = mark.dts_90khz + mark.step_90khz;
            if *own == pid { dts.max(mark.pts_90khz + mark.step_90khz - delay_90khz) } else { dts }
        });
        ends.max()
    }
}

/// What all rounds have in common.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) marks: Marks,
    /// By how much the clock is ahead of decoding at splices: it grows with sources that need more, so that the clock
    /// never goes back.
    lead_90khz: Option<i64>,
}

/// One source's time on the line.
#[derive(Debug)]
pub(super) struct Round {
    base_in: Timestamp,
    base_out_90khz: i64,
    /// Where presentation began; none once that is long ago.
    start_pts: Option<Timestamp>,
    /// What is added to the source's clock; none where it cannot be used.
    shift_27mhz: Option<i64>,
    lead_90khz: i64,
    /// The main stream's time at the last clock.
    ticked_90khz: i64,
}

impl Round {
    /// Begins at `unit` of the main stream, which goes out on `pid`. `clock` is the source's clock there, and the
    /// output's stands at `clock_27mhz`.
    pub(super) fn begin(
        line: &mut Line,
        (pid, unit): (u16, &Unit),
        clock: Option<u64>,
        clock_27mhz: i64,
    ) -> Self {
        let own = clock.map(|pcr| distance_90khz(Timestamp::new(pcr / 300), unit.dts));
        let own = own.filter(|lead| (0..=LONGEST_LEAD_90KHZ).contains(lead));
        let lead_90khz = line.lead_90khz.unwrap_or(0).max(own.unwrap_or(USUAL_LEAD_90KHZ));
        line.lead_90khz = Some(lead_90khz);
        let delay = distance_90khz(unit.dts, unit.pts).clamp(0, JUMP_90KHZ);
        let behind_all = line.marks.end(pid, delay).unwrap_or(0);
        let base_out_90khz = behind_all.max(clock_27mhz / 300 + 1 + lead_90khz);
        Self {
            base_in: unit.dts,
            base_out_90khz,
            start_pts: Some(unit.pts),
            shift_27mhz: own.map(|own| (own - lead_90khz) * 300),
            lead_90khz,
            ticked_90khz: base_out_90khz,
        }
    }

    /// A time of the source on the line.
    pub(super) fn place(&self, time: Timestamp) -> i64 {
        self.base_out_90khz + distance_90khz(self.base_in, time)
    }

    /// Where the main stream has come to.
    pub(super) fn now_90khz(&self) -> i64 {
        self.base_out_90khz
    }

    /// The clock at the start.
    pub(super) fn clock_27mhz(&self) -> i64 {
        (self.base_out_90khz - self.lead_90khz) * 300
    }

    /// Whether the main stream cannot go on so.
    pub(super) fn is_jump(&self, dts: Timestamp) -> bool {
        !(0..=JUMP_90KHZ).contains(&distance_90khz(self.base_in, dts))
    }

    /// Whether a time stamp of another stream belongs to this time line, and lies behind the start.
    pub(super) fn holds(&self, unit: &Unit) -> bool {
        let away = distance_90khz(self.base_in, unit.dts);
        away.abs() <= JUMP_90KHZ && self.start_pts.is_none_or(|start| distance_90khz(start, unit.pts) >= 0)
    }

    /// The main stream goes on, so that times are measured from near by, over any number of wraps.
    pub(super) fn advance(&mut self, dts: Timestamp) {
        let now = self.place(dts);
        // long ago it would be out of the reach of a comparison
        self.start_pts.take_if(|start| distance_90khz(*start, dts) > 2 * JUMP_90KHZ);
        (self.base_in, self.base_out_90khz) = (dts, now);
    }

    /// The source's clock on the line. None where it goes back or leaps, or cannot be used at all.
    pub(super) fn clock(&mut self, pcr: u64, last_27mhz: i64) -> Option<i64> {
        let away = pcr_signed_delta(self.base_in.value() * 300, pcr);
        let clock = self.base_out_90khz * 300 + away + self.shift_27mhz?;
        let is_sound = clock > last_27mhz && clock - last_27mhz <= JUMP_90KHZ * 300;
        if is_sound {
            self.ticked_90khz = self.base_out_90khz;
        }
        is_sound.then_some(clock)
    }

    /// A clock of our own, where the source's has been silent for `longest_90khz`.
    pub(super) fn make_clock(&mut self, longest_90khz: i64, last_27mhz: i64) -> Option<i64> {
        let longest = if self.shift_27mhz.is_some() { longest_90khz } else { longest_90khz / 4 };
        if self.base_out_90khz - self.ticked_90khz < longest {
            return None;
        }
        self.ticked_90khz = self.base_out_90khz;
        Some((self.base_out_90khz - self.lead_90khz) * 300).filter(|clock| *clock > last_27mhz)
    }
}
