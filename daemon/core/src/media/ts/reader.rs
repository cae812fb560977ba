//! Takes packets, keeps those of the program, and finds its access units.

use std::collections::VecDeque;
use std::sync::Arc;

use libmpegts::pes::{PesHeaderError, PesHeaderRef, PtsDts};
use libmpegts::ts::TsPacketRef;

use super::clock::Timeline;
use super::continuity::Continuity;
use super::kept::Kept;
use super::keyframe::{Verdict, judge};
use super::tables::{Class, Main, Tables};
use crate::fault::Fault;

/// A PES header is not longer (ISO/IEC 13818-1, 2.4.3.7).
const PES_HEADER_BYTES: usize = 9 + 255;
/// So many scrambled packets of the main stream in a row are a stream that cannot be used.
const SCRAMBLED_PACKETS: u32 = 500;

/// The start of an access unit of the main stream.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// The position of its first packet, with the tables right before it.
    pub(super) at: u64,
    /// On the time line of the reader.
    pub(super) time_90khz: i64,
    /// The distance to the one before, as far as known.
    pub(super) step_90khz: i64,
    /// Whether a decoder can start with it.
    pub(super) is_key: bool,
    pub(super) is_video: bool,
    /// Whether the time stamps jumped, or the main stream is another one than before.
    pub(super) is_other: bool,
    /// Whether the tables stand right before it, and those in force.
    pub(super) has_tables: bool,
    pub(super) tables: Arc<[u8]>,
    /// Where the main stream became the one of this unit, if it is its first. A segment that is open ends there.
    pub(super) changed_at: Option<u64>,
}

/// An access unit that began and is not understood yet. Its head is in [`Reader::head`].
struct Candidate {
    at: u64,
    is_flagged: bool,
    has_tables: bool,
}

/// Takes packets and finds access units.
pub(super) struct Reader {
    pub(super) tables: Tables,
    pub(super) kept: Kept,
    pub(super) units: VecDeque<Unit>,
    pub(super) timeline: Timeline,
    pub(super) continuity: Continuity,
    wanted: Option<u16>,
    main: Option<Main>,
    candidate: Option<Candidate>,
    /// Where the newest access unit began that was understood.
    last_at: Option<u64>,
    head: Vec<u8>,
    /// Where the main stream changed.
    changed_at: Option<u64>,
    scrambled: u32,
}

impl Reader {
    pub(super) fn new(wanted: Option<u16>) -> Self {
        Self {
            tables: Tables::new(wanted),
            kept: Kept::default(),
            units: VecDeque::new(),
            timeline: Timeline::default(),
            continuity: Continuity::default(),
            wanted,
            main: None,
            candidate: None,
            last_at: None,
            head: Vec::new(),
            changed_at: None,
            scrambled: 0,
        }
    }

    /// Forgets the stream: another one may follow. What is kept stays.
    pub(super) fn reset(&mut self) {
        self.settle();
        self.tables = Tables::new(self.wanted);
        self.timeline.forget();
        self.continuity.forget();
        (self.main, self.changed_at, self.scrambled) = (None, None, 0);
        self.last_at = None;
    }

    /// Gives up the access unit under way, the rest of which will not come: where it begins, and whether it was among
    /// [`Reader::units`].
    pub(super) fn break_off(&mut self) -> Option<(u64, bool)> {
        let untold = self.candidate.take().map(|candidate| (candidate.at, false));
        untold.or(self.last_at.map(|at| (at, true)))
    }

    /// Whether nothing that is kept can be the start of a segment.
    pub(super) fn is_idle(&self) -> bool {
        self.candidate.is_none() && self.units.is_empty()
    }

    /// Takes the next packet.
    ///
    /// # Errors
    /// `Unsupported` when the program that is wanted is not there, or is scrambled.
    pub(super) fn packet(&mut self, packet: &TsPacketRef<'_>) -> Result<(), Fault> {
        if packet.is_error() {
            return Ok(()); // its fields mean nothing
        }
        let class = self.tables.class(packet.pid());
        if class != Class::Dropped {
            self.continuity.packet(packet);
        }
        match class {
            Class::Dropped => {}
            Class::Carried => self.kept.push(packet),
            Class::Service => self.kept.push_aside(packet),
            Class::Table => self.table(packet)?,
            Class::Main if packet.scrambling_control() != 0 => self.scrambled(packet)?,
            Class::Main if packet.is_payload_start() => self.begin(packet),
            Class::Main => self.go_on(packet),
        }
        Ok(())
    }

    fn table(&mut self, packet: &TsPacketRef<'_>) -> Result<(), Fault> {
        self.tables.observe(packet)?;
        if let Some(rewritten) = self.tables.rewritten(packet) {
            self.kept.push_table(rewritten, Tables::is_pat(packet.pid()));
        }
        let main = self.tables.main();
        if main != self.main {
            self.settle();
            if self.main.is_some() {
                self.changed_at.get_or_insert(self.kept.unit_at());
            }
            self.main = main;
        }
        Ok(())
    }

    fn scrambled(&mut self, packet: &TsPacketRef<'_>) -> Result<(), Fault> {
        self.kept.push(packet);
        self.scrambled += 1;
        if self.scrambled < SCRAMBLED_PACKETS {
            Ok(())
        } else {
            Err(Fault::unsupported("the stream is scrambled"))
        }
    }

    fn begin(&mut self, packet: &TsPacketRef<'_>) {
        self.settle();
        self.scrambled = 0;
        let is_flagged = packet.adaptation_field().is_some_and(|field| field.random_access_indicator());
        let (at, has_tables) = (self.kept.unit_at(), self.kept.has_tables());
        self.candidate = Some(Candidate { at, is_flagged, has_tables });
        self.head.clear();
        self.kept.push(packet);
        self.look(packet);
    }

    fn go_on(&mut self, packet: &TsPacketRef<'_>) {
        let Some(payload) = packet.payload() else {
            self.kept.push_aside(packet);
            return;
        };
        self.kept.push(packet);
        if self.candidate.is_some() && !payload.is_empty() {
            self.look(packet);
        }
    }

    /// Looks at one more packet of the candidate.
    fn look(&mut self, packet: &TsPacketRef<'_>) {
        self.head.extend_from_slice(packet.payload().unwrap_or_default());
        let (Some(candidate), Some(main)) = (&self.candidate, self.main) else { return };
        match PesHeaderRef::try_from(&*self.head) {
            Err(PesHeaderError::InvalidHeaderLength) if self.head.len() < PES_HEADER_BYTES => {}
            Err(_) => self.candidate = None,
            Ok(header) => match header.pts_dts() {
                None => self.candidate = None,
                Some(times) => {
                    let body = self.head.get(header.header_len()..).unwrap_or_default();
                    let surely = !main.is_video || candidate.is_flagged;
                    match if surely { Verdict::Start } else { judge(main.stream_type, body) } {
                        Verdict::Open => {}
                        verdict => self.unit(main, times, verdict == Verdict::Start),
                    }
                }
            },
        }
    }

    /// Takes a candidate that is cut short as no random access.
    pub(super) fn settle(&mut self) {
        let times = PesHeaderRef::try_from(&*self.head).ok().and_then(|header| header.pts_dts());
        if let (Some(_), Some(main), Some(times)) = (&self.candidate, self.main, times) {
            self.unit(main, times, false);
        }
        self.candidate = None;
    }

    fn unit(&mut self, main: Main, times: PtsDts, is_key: bool) {
        let Some(candidate) = self.candidate.take() else { return };
        let has_jumped = self.timeline.advance(times.timestamp());
        // unless a segment of too many bytes ended behind it
        let changed_at = self.changed_at.take().map(|at| at.max(self.kept.start()));
        self.last_at = changed_at.or(Some(candidate.at));
        self.units.push_back(Unit {
            at: candidate.at,
            time_90khz: self.timeline.now_90khz,
            step_90khz: self.timeline.step_90khz,
            is_key,
            is_video: main.is_video,
            is_other: has_jumped || changed_at.is_some(),
            has_tables: candidate.has_tables,
            tables: self.tables.whole().clone(),
            changed_at,
        });
    }
}
