//! Joins what comes in order of time to one time line: waits at each splice for a place to start, and goes on from
//! there as if nothing had been.

use libmpegts::pes::{PesHeaderMut, PesHeaderRef, PtsDts, Timestamp};
use libmpegts::ts::{PACKET_SIZE, TsPacketMut, TsPacketRef};

use super::Tally;
use super::catalog::{Catalog, Kind};
use super::input::{Item, Queued, Unit};
use super::output::{Chunk, Output, clock_of, pcr};
use super::round::{Line, Round};
use super::routes::Routes;
use super::waiting::{Start, Surplus, Waiting};

/// Where the time line begins: times before it are never needed, not even for a clock that is ahead.
const FIRST_90KHZ: i64 = 10 * 90_000;
/// The longest wait for a place to start.
const LONGEST_WAIT_90KHZ: i64 = 5 * 90_000;
/// The tables come at least this often.
const TABLES_90KHZ: i64 = 8_500;
/// So long the source's clock may be silent.
const CLOCK_90KHZ: i64 = 18_000;
/// A stream without places to start is joined so often, and an audio-only one.
const JOIN_90KHZ: i64 = 90_000;

/// The random access indicator within the flags of an adaptation field.
const RANDOM_ACCESS: u8 = 0x40;

/// See the module.
pub(super) struct Splicer {
    catalogs: Vec<Option<Catalog>>,
    routes: Routes,
    output: Output,
    line: Line,
    era: Option<u64>,
    /// What is left out at the splice to this discontinuity sequence.
    surplus: Option<(u64, Surplus)>,
    phase: Phase,
    /// From one start of the main stream to the next.
    gop_90khz: Option<i64>,
    started_90khz: i64,
    tabled_90khz: i64,
    tally: Tally,
}

enum Phase {
    Waiting(Waiting),
    Running {
        round: Round,
        /// Whether decoding did not begin with a start, and none came since.
        blind: bool,
    },
}

impl Splicer {
    pub(super) fn new(inputs: usize) -> Self {
        Self {
            catalogs: vec![None; inputs],
            routes: Routes::default(),
            output: Output::new(FIRST_90KHZ),
            line: Line::default(),
            era: None,
            surplus: None,
            phase: Phase::Waiting(Waiting::default()),
            gop_90khz: None,
            started_90khz: 0,
            tabled_90khz: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes the next item of all inputs.
    pub(super) fn take(&mut self, input: usize, queued: Queued, chunks: &mut Vec<Chunk>) {
        if self.era != Some(queued.era) {
            self.era = Some(queued.era);
            self.catalogs.fill(None);
            self.wait();
            let surplus = self.surplus.take_if(|(era, _)| *era <= queued.era);
            let surplus = surplus.filter(|(era, _)| *era == queued.era).map(|(_, surplus)| surplus);
            self.phase = Phase::Waiting(Waiting::leaving_out(surplus));
        }
        match queued.item {
            Item::Catalog(catalog) => self.announce(input, *catalog),
            Item::Packet { bytes, unit } => self.packet(input, bytes, unit, chunks),
        }
    }

    /// Leaves out the surplus of what comes with the discontinuity sequence `era`.
    pub(super) fn leave_out(&mut self, era: u64, surplus: Surplus) {
        self.surplus = Some((era, surplus));
    }

    /// Other inputs from now on; what comes out goes on.
    pub(super) fn change(&mut self, inputs: usize) {
        self.catalogs = vec![None; inputs];
        self.era = None;
        self.wait();
    }

    /// Gives out what is pending.
    pub(super) fn flush(&mut self, chunks: &mut Vec<Chunk>) {
        self.output.cut(chunks);
    }

    fn wait(&mut self) {
        self.routes.stop();
        self.phase = Phase::Waiting(Waiting::default());
    }

    fn announce(&mut self, input: usize, catalog: Catalog) {
        let Some(known) = self.catalogs.get_mut(input) else { return };
        *known = Some(catalog);
        let before = self.routes.main().cloned();
        self.routes = Routes::new(&self.catalogs, &self.routes);
        let same = |main: &super::routes::Route| {
            before.as_ref().is_some_and(|before| before.from == main.from && before.input == main.input)
        };
        if let Phase::Running { .. } = self.phase {
            if self.routes.main().is_some_and(same) {
                self.tell();
                self.output.tables();
            } else {
                self.wait();
            }
        }
    }

    fn tell(&mut self) {
        if let Some(main) = self.routes.main() {
            self.output.announce(main.to, self.routes.announced());
        }
    }

    fn packet(
        &mut self,
        input: usize,
        bytes: [u8; PACKET_SIZE],
        unit: Option<Unit>,
        chunks: &mut Vec<Chunk>,
    ) {
        let is_main = self.routes.is_main(input, TsPacketRef::from(&bytes).pid());
        match (&mut self.phase, unit.filter(|_| is_main)) {
            (Phase::Running { round, .. }, Some(unit)) if round.is_jump(unit.dts) => self.wait(),
            _ => {}
        }
        if let Phase::Running { .. } = self.phase {
            self.pass(input, bytes, unit, chunks);
            return;
        }
        let is_clock = self.is_clock(input, &bytes);
        let longest = self.gop_90khz.map_or(LONGEST_WAIT_90KHZ, |gop| LONGEST_WAIT_90KHZ.min(2 * gop));
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        if let Some(clock) = clock_of(&bytes).filter(|_| is_clock) {
            waiting.clock = Some(clock);
        }
        let routes = &self.routes;
        let start = match unit.filter(|_| is_main) {
            Some(unit) => waiting.unit((input, bytes, unit), longest, |(input, bytes, _)| {
                routes.is_main(*input, TsPacketRef::from(bytes).pid())
            }),
            None => waiting.hold((input, bytes, unit), is_main),
        };
        if let Some(start) = start {
            self.start(start, chunks);
        }
    }

    /// Whether the packet is on the PID that carries the clock of the main input.
    fn is_clock(&self, input: usize, bytes: &[u8; PACKET_SIZE]) -> bool {
        let pid = TsPacketRef::from(bytes).pid();
        let main = self.routes.main().is_some_and(|main| main.input == input);
        let catalog = self.catalogs.get(input).and_then(Option::as_ref);
        main && catalog.is_some_and(|catalog| catalog.clock_pid == Some(pid))
    }

    /// Goes on with what waited.
    fn start(&mut self, Start { unit, clock, held }: Start, chunks: &mut Vec<Chunk>) {
        let Some(main) = self.routes.main().map(|main| main.to) else { return };
        let is_splice = self.output.clock_pid().is_some();
        let round = Round::begin(&mut self.line, (main, &unit), clock, self.output.clock_27mhz());
        self.tally.splices += u64::from(is_splice);
        self.tally.blind += u64::from(!unit.is_start);
        self.tell();
        self.output.cut(chunks);
        self.output.move_clock(round.clock_27mhz());
        self.output.start(chunks);
        self.output.clock(is_splice);
        (self.started_90khz, self.tabled_90khz) = (round.now_90khz(), round.now_90khz());
        self.phase = Phase::Running { round, blind: !unit.is_start };
        for (input, bytes, unit) in held {
            self.pass(input, bytes, unit, chunks);
        }
    }

    /// A packet within a round.
    fn pass(
        &mut self,
        input: usize,
        mut bytes: [u8; PACKET_SIZE],
        unit: Option<Unit>,
        chunks: &mut Vec<Chunk>,
    ) {
        let pid = TsPacketRef::from(&bytes).pid();
        if let Some(unit) = unit {
            if self.routes.is_main(input, pid) {
                self.advance(unit, chunks);
            }
            self.place(input, pid, unit, &mut bytes);
        } else {
            self.begin_without_time(input, pid, &bytes);
        }
        let has_clock = self.take_clock(input, &bytes);
        let route = self.routes.find(input, pid).filter(|route| route.passes).map(|route| route.to);
        let carries = has_clock && route.is_some() && route == self.output.clock_pid();
        if has_clock && !carries {
            self.output.clock(false);
        }
        if let Some(to) = route {
            let mut packet = TsPacketMut::from(&mut bytes);
            if carries {
                packet.set_pcr(pcr(self.output.clock_27mhz()));
            } else {
                packet.clear_pcr();
                if clock_of(&bytes).is_some() {
                    bytes[5] &= RANDOM_ACCESS; // an adaptation field that is damaged, with a clock in it
                }
            }
            // a packet with nothing but another clock has nothing to say
            if bytes[3] & 0x10 != 0 || carries {
                self.output.packet(to, &bytes);
            }
        }
        self.output.settle(chunks);
    }

    /// The main stream goes on: places to start, tables and clock go before it.
    fn advance(&mut self, unit: Unit, chunks: &mut Vec<Chunk>) {
        let is_video = self.routes.main().is_some_and(|main| main.from.kind == Kind::Video);
        let Phase::Running { round, blind } = &mut self.phase else { return };
        round.advance(unit.dts);
        let now = round.now_90khz();
        let since = now - self.started_90khz;
        *blind &= !unit.is_start;
        let is_start = if is_video && !*blind { unit.is_start } else { since >= JOIN_90KHZ };
        if is_start && since > 0 {
            if is_video && unit.is_start {
                self.gop_90khz = Some(since);
            }
            (self.started_90khz, self.tabled_90khz) = (now, now);
            self.output.start(chunks);
        } else if now - self.tabled_90khz >= TABLES_90KHZ {
            self.tabled_90khz = now;
            self.output.tables();
        }
        if let Some(clock) = round.make_clock(CLOCK_90KHZ, self.output.clock_27mhz()) {
            self.output.move_clock(clock);
            self.output.clock(false);
        }
    }

    /// Decides whether an access unit passes, and gives it its times.
    fn place(&mut self, input: usize, pid: u16, unit: Unit, bytes: &mut [u8; PACKET_SIZE]) {
        let is_main = self.routes.is_main(input, pid);
        let Phase::Running { round, .. } = &self.phase else { return };
        let Some(route) = self.routes.find_mut(input, pid) else { return };
        let (pts, dts) = (round.place(unit.pts), round.place(unit.dts));
        let is_due = self.line.marks.last(route.to).is_none_or(|last| dts >= last);
        route.passes = is_due && (is_main || round.holds(&unit));
        if !route.passes {
            return;
        }
        self.line.marks.set(route.to, dts, pts);
        let mut packet = TsPacketMut::from(bytes);
        let payload = packet.payload_mut();
        if let Some(mut header) = payload.and_then(|payload| PesHeaderMut::try_from(payload).ok()) {
            let has_dts = unit.pts != unit.dts;
            header.set_pts_dts(PtsDts { pts: stamp(pts), dts: has_dts.then(|| stamp(dts)) });
        }
    }

    /// Sections, as of splice information, begin without a time, and so may access units. One whose times cannot be read
    /// would keep those of its source, and is left out.
    fn begin_without_time(&mut self, input: usize, pid: u16, bytes: &[u8; PACKET_SIZE]) {
        let packet = TsPacketRef::from(bytes);
        if packet.is_payload_start()
            && packet.scrambling_control() == 0
            && let Some(payload) = packet.payload()
            && let Some(route) = self.routes.find_mut(input, pid)
        {
            if route.from.kind == Kind::Other {
                route.passes |= !payload.starts_with(&[0, 0, 1]);
            } else {
                route.passes &= is_timeless(payload);
            }
        }
    }

    /// Takes the source's clock into the output's; whether there is one to be sent.
    fn take_clock(&mut self, input: usize, bytes: &[u8; PACKET_SIZE]) -> bool {
        let Some(clock) = clock_of(bytes).filter(|_| self.is_clock(input, bytes)) else { return false };
        let Phase::Running { round, .. } = &mut self.phase else { return false };
        let Some(clock) = round.clock(clock, self.output.clock_27mhz()) else { return false };
        self.output.move_clock(clock);
        true
    }
}

/// Whether a PES packet begins here that is whole in its header and has no times.
fn is_timeless(payload: &[u8]) -> bool {
    PesHeaderRef::try_from(payload).is_ok() && payload.get(7).is_none_or(|flags| flags >> 6 == 0)
}

/// A time of the line as a header has it.
fn stamp(time_90khz: i64) -> Timestamp {
    const WRAP: i64 = 1 << 33;
    Timestamp::new(time_90khz.rem_euclid(WRAP).unsigned_abs())
}
