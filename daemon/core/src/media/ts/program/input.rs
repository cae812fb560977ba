//! One input: packets with their place in time, in the order in which they came.

use std::collections::{BTreeMap, VecDeque};

use libmpegts::pes::{PesHeaderRef, Timestamp};
use libmpegts::slicer::TsSlicer;
use libmpegts::ts::{PACKET_SIZE, PID_NULL, TsPacketRef};

use super::catalog::{Announced, Catalog, Kind, Tables, language_code};
use super::packed::Packed;
use super::unfinished::Unfinished;
use crate::fault::Fault;
use crate::media::Container;
use crate::media::ts::clock::distance_90khz;

/// The end of a packet that tells a repeated one (ISO/IEC 13818-1, 2.4.3.3) from one behind a loss of fifteen.
const TAIL_BYTES: usize = 32;
/// The time of what comes before the first time stamp.
const BEFORE_ALL: i64 = i64::MIN;
/// Packets that one input waits with for another, at most.
const MOST_QUEUED: usize = 100_000;
/// An access unit without an end is held back for so long, at most, in time and in packets.
const HELD_90KHZ: i64 = 90_000;
const HELD_PACKETS: usize = 40_000;
/// A longer step is no time that passed.
const JUMP_90KHZ: i64 = 10 * 90_000;

/// The start of an access unit, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) pts: Timestamp,
    pub(super) dts: Timestamp,
    /// Whether a decoder can start here.
    pub(super) is_start: bool,
}

/// What waits for its turn.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are packets, and a box for each would be an allocation"
)]
pub(super) enum Item {
    /// From here on the input carries this.
    Catalog(Box<Catalog>),
    Packet {
        bytes: [u8; PACKET_SIZE],
        unit: Option<Unit>,
    },
}

/// An item with its place.
pub(super) struct Queued {
    pub(super) era: u64,
    pub(super) time_90khz: i64,
    pub(super) item: Item,
}

/// The discontinuity sequence, and the time since its reference. Items are in this order, over all inputs.
pub(super) type Place = (u64, i64);

/// An input.
pub(super) struct Input {
    language: Option<[u8; 3]>,
    slicer: TsSlicer,
    tables: Tables,
    packed: Packed,
    queue: VecDeque<Queued>,
    /// How many items left the queue: the number of its first.
    popped: u64,
    unfinished: Unfinished,
    /// The place of what comes next, and the time stamp that it was taken from.
    place: Option<Place>,
    last: Option<Timestamp>,
    /// Of each PID: the last counter, and how the packet ended.
    seen: Vec<(u16, u8, [u8; TAIL_BYTES])>,
}

impl Input {
    pub(super) fn new(language: Option<&str>) -> Self {
        Self {
            language: language.and_then(language_code),
            slicer: TsSlicer::new(),
            tables: Tables::new(),
            packed: Packed::default(),
            queue: VecDeque::new(),
            popped: 0,
            unfinished: Unfinished::default(),
            place: None,
            last: None,
            seen: Vec::new(),
        }
    }

    /// The place of the next item.
    pub(super) fn head(&self) -> Option<Place> {
        self.queue.front().map(|queued| (queued.era, queued.time_90khz))
    }

    /// The place that everything before has come up to.
    pub(super) fn reached(&self) -> Option<Place> {
        self.place
    }

    /// Takes the next item, whether it is ready or not.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let next = self.queue.pop_front()?;
        if let Some(pid) = next.item.pid().filter(|pid| self.unfinished.holds(*pid, self.popped).is_some()) {
            self.unfinished.let_go(pid);
        }
        self.popped += 1;
        Some(next)
    }

    /// Whether the next item may go: the access unit that it belongs to is whole, or is waited for no longer.
    pub(super) fn is_ready(&self) -> bool {
        let pid = self.queue.front().and_then(|queued| queued.item.pid());
        let Some(since) = pid.and_then(|pid| self.unfinished.holds(pid, self.popped)) else { return true };
        let now = self.place.map_or(BEFORE_ALL, |(_, time)| time);
        now.saturating_sub(since) > HELD_90KHZ || self.queue.len() > HELD_PACKETS
    }

    /// See [`super::Program::complete`].
    pub(super) fn complete(&mut self) {
        self.unfinished.complete();
    }

    /// Drops what is held back of access units without an end: it will not come.
    pub(super) fn abandon(&mut self) {
        let (unfinished, mut number) = (&self.unfinished, self.popped);
        self.queue.retain(|queued| {
            let is_part = queued.item.pid().is_some_and(|pid| unfinished.holds(pid, number).is_some());
            number += 1;
            !is_part
        });
        self.unfinished.clear();
    }

    /// Whether more than this waits.
    pub(super) fn is_ahead_by(&self, span_90khz: i64) -> bool {
        let Some(first) = self.queue.iter().find(|queued| queued.time_90khz > BEFORE_ALL) else {
            return false;
        };
        let newest = self.queue.iter().rev().find(|queued| queued.era == first.era);
        newest.is_some_and(|newest| newest.time_90khz - first.time_90khz > span_90khz)
            || self.queue.len() > MOST_QUEUED
    }

    /// Takes bytes; see [`super::Program::push`].
    pub(super) fn push(
        &mut self,
        era: u64,
        starts: bool,
        container: &Container,
        bytes: &[u8],
        references: &mut BTreeMap<u64, Timestamp>,
    ) -> Result<(), Fault> {
        self.enter(era);
        match container {
            Container::TransportStream => {
                let mut slicer = std::mem::take(&mut self.slicer);
                for packet in slicer.slice(bytes) {
                    self.packet(&packet, era, references);
                }
                self.slicer = slicer;
            }
            Container::PackedAudio { extension } => {
                if starts {
                    let language = self.language;
                    if let Some(catalog) = self.packed.start(extension, language, bytes) {
                        self.queue(era, Item::Catalog(Box::new(catalog)));
                    }
                }
                let mut made = Vec::new();
                self.packed.push(bytes, &mut made);
                for (unit, bytes) in made {
                    self.enqueue(bytes, unit, era, references);
                }
            }
            Container::FragmentedMp4 { .. } => {
                return Err(Fault::unsupported("a transport stream cannot carry fragmented MP4"));
            }
            Container::WebVtt => {}
        }
        Ok(())
    }

    /// See [`super::Program::skip`].
    pub(super) fn skip(&mut self, era: u64, length_90khz: i64) {
        self.enter(era);
        if let Some((_, time)) = &mut self.place {
            *time += length_90khz;
        }
    }

    /// Begins another time line: nothing of the one before says anything about it.
    fn enter(&mut self, era: u64) {
        if self.place.is_some_and(|(own, _)| own == era) {
            return;
        }
        self.abandon();
        self.place = Some((era, BEFORE_ALL));
        self.last = None;
        self.slicer.reset();
        self.tables = Tables::new();
        self.packed = Packed::default();
        self.seen.clear();
    }

    fn packet(&mut self, packet: &TsPacketRef<'_>, era: u64, references: &mut BTreeMap<u64, Timestamp>) {
        let pid = packet.pid();
        if packet.is_error() || pid == PID_NULL || self.is_repeated(packet) {
            return;
        }
        if self.tables.owns(pid) {
            if let Some(catalog) = self.tables.read(packet, self.language.as_ref()) {
                self.unfinished.keep_only(|pid| catalog.find(pid).is_some());
                self.queue(era, Item::Catalog(Box::new(catalog)));
            }
            return;
        }
        let Some(catalog) = self.tables.catalog() else { return };
        let is_clock = catalog.clock_pid == Some(pid);
        let stream = catalog.find(pid);
        if stream.is_none() && !is_clock {
            return;
        }
        let unit = stream.and_then(|stream| unit(packet, stream));
        self.enqueue(*packet.as_ref(), unit, era, references);
        self.hold(packet);
    }

    /// Holds the access unit of the newest packet back until it is whole.
    fn hold(&mut self, packet: &TsPacketRef<'_>) {
        let catalog = self.tables.catalog();
        let Some(stream) = catalog.and_then(|catalog| catalog.find(packet.pid())) else { return };
        if packet.scrambling_control() != 0 {
            return;
        }
        let number = self.popped + self.queue.len() as u64 - 1;
        let time_90khz = self.place.map_or(BEFORE_ALL, |(_, time)| time);
        let Some(start) = self.unfinished.take(packet, stream, (number, time_90khz)) else { return };
        let at = start.checked_sub(self.popped).and_then(|at| usize::try_from(at).ok());
        if let Some(Item::Packet { unit: Some(unit), .. }) =
            at.and_then(|at| self.queue.get_mut(at)).map(|queued| &mut queued.item)
        {
            unit.is_start = true;
        }
    }

    fn enqueue(
        &mut self,
        bytes: [u8; PACKET_SIZE],
        unit: Option<Unit>,
        era: u64,
        references: &mut BTreeMap<u64, Timestamp>,
    ) {
        if let Some(unit) = unit {
            let reference = *references.entry(era).or_insert(unit.dts);
            let now = match (self.last, self.place) {
                (Some(last), Some((_, time))) if time > BEFORE_ALL => {
                    // a jump is another time line: it goes on where the one before was
                    let step = distance_90khz(last, unit.dts);
                    if step.abs() > JUMP_90KHZ {
                        self.last = Some(unit.dts);
                    }
                    if step.abs() > JUMP_90KHZ { time } else { time + step }
                }
                _ => distance_90khz(reference, unit.dts),
            };
            // streams of one input overlap: the time is that of the latest, and only ever rises
            if self.place.is_none_or(|(_, time)| now > time) {
                self.place = Some((era, now));
                self.last = Some(unit.dts);
            }
        }
        self.queue(era, Item::Packet { bytes, unit });
    }

    fn queue(&mut self, era: u64, item: Item) {
        let time_90khz = self.place.map_or(BEFORE_ALL, |(_, time)| time);
        self.queue.push_back(Queued { era, time_90khz, item });
    }

    fn is_repeated(&mut self, packet: &TsPacketRef<'_>) -> bool {
        if packet.payload().is_none() {
            return false;
        }
        let mut tail = [0; TAIL_BYTES];
        tail.copy_from_slice(&packet.as_ref()[PACKET_SIZE - TAIL_BYTES..]);
        let now = (packet.pid(), packet.cc(), tail);
        match self.seen.iter_mut().find(|(pid, ..)| *pid == now.0) {
            Some(last) => std::mem::replace(last, now) == now,
            None => {
                self.seen.push(now);
                false
            }
        }
    }
}

impl Item {
    fn pid(&self) -> Option<u16> {
        match self {
            Self::Packet { bytes, .. } => Some(TsPacketRef::from(bytes).pid()),
            Self::Catalog(_) => None,
        }
    }
}

/// The start of an access unit of `stream`. Whether decoding can start there is not known of video without the flag.
fn unit(packet: &TsPacketRef<'_>, stream: &Announced) -> Option<Unit> {
    if !packet.is_payload_start() || packet.scrambling_control() != 0 {
        return None;
    }
    let times = PesHeaderRef::try_from(packet.payload()?).ok()?.pts_dts()?;
    let flagged = || packet.adaptation_field().is_some_and(|field| field.random_access_indicator());
    let is_start = stream.kind != Kind::Video || flagged();
    Some(Unit { pts: times.pts, dts: times.dts.unwrap_or(times.pts), is_start })
}
