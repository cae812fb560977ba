//! The program's tables: which streams there are, and the packets to repeat at the start of a segment.

use libmpegts::psi::{PAT_PID, PatSectionRef, PmtSectionRef, Psi};
use libmpegts::ts::{PACKET_SIZE, TsPacketMut, TsPacketRef};

/// A table is at most 1024 bytes: seven packets, if its first one is nearly full of another.
const TABLE_BYTES: usize = 8 * PACKET_SIZE;

/// The stream that segments are cut by: the first video stream, else the first audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Main {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    pub(super) is_video: bool,
}

/// The PAT, and the PMT of its first program.
pub(super) struct Tables {
    pat: Table,
    pmt: Option<Table>,
    main: Option<Main>,
}

impl Tables {
    pub(super) fn new() -> Self {
        Self { pat: Table::new(PAT_PID), pmt: None, main: None }
    }

    /// The main stream, once both tables are known.
    pub(super) fn main(&self) -> Option<Main> {
        self.main
    }

    /// Whether packets of this PID belong before a segment rather than behind one: the tables, and what DVB has
    /// on the PIDs below 0x20.
    pub(super) fn is_table(&self, pid: u16) -> bool {
        pid < 0x20 || self.pmt.as_ref().is_some_and(|pmt| pmt.pid == pid)
    }

    /// Whether `packets` hold the start of both tables.
    pub(super) fn are_in(&self, packets: &[u8]) -> bool {
        let has = |table: &Table| {
            let starts = |packet: TsPacketRef<'_>| packet.pid() == table.pid && packet.is_payload_start();
            packets.as_chunks().0.iter().any(|packet| starts(packet.into()))
        };
        has(&self.pat) && self.pmt.as_ref().is_some_and(has)
    }

    /// Reads a packet of the stream.
    pub(super) fn observe(&mut self, packet: &TsPacketRef<'_>) {
        if packet.pid() == PAT_PID {
            if let Some(pid) = self.pat.collect(packet, program_map_pid)
                && self.pmt.as_ref().is_none_or(|pmt| pmt.pid != pid)
            {
                self.pmt = Some(Table::new(pid));
            }
        } else if let Some(pmt) = self.pmt.as_mut().filter(|pmt| pmt.pid == packet.pid()) {
            self.main = pmt.collect(packet, main_stream).or(self.main);
        }
    }

    /// Appends a packet of the stream. Tables that were repeated moved the continuity counters of theirs on.
    pub(super) fn append(&mut self, packet: &TsPacketRef<'_>, output: &mut Vec<u8>) {
        let at = output.len();
        output.extend_from_slice(packet.as_ref());
        let table = match packet.pid() {
            PAT_PID => Some(&mut self.pat),
            pid => self.pmt.as_mut().filter(|pmt| pmt.pid == pid),
        };
        if let Some(table) = table
            && let Ok(mut packet) = TsPacketMut::try_from(&mut output[at..])
        {
            let counter = table.counter_of(packet.as_ref());
            packet.set_cc(counter);
        }
    }

    /// Appends the last whole PAT and PMT once more.
    pub(super) fn repeat(&mut self, output: &mut Vec<u8>) {
        self.pat.repeat(output);
        if let Some(pmt) = &mut self.pmt {
            pmt.repeat(output);
        }
    }
}

/// One table and its packets.
struct Table {
    pid: u16,
    psi: Box<Psi>,
    /// The packets since a section began, and those of the last whole one.
    collecting: Vec<u8>,
    whole: Vec<u8>,
    /// How far the continuity counter is ahead of the stream's, and where it stands.
    ahead: u8,
    counter: u8,
}

impl Table {
    fn new(pid: u16) -> Self {
        Self { pid, psi: Box::default(), collecting: Vec::new(), whole: Vec::new(), ahead: 0, counter: 0 }
    }

    /// Takes a packet of the table; gives what `read` finds in a section that it completes.
    fn collect<T>(&mut self, packet: &TsPacketRef<'_>, read: fn(&[u8]) -> Option<T>) -> Option<T> {
        self.psi.assemble(packet);
        if packet.is_payload_start() {
            self.collecting.clear();
        }
        if self.collecting.len() < TABLE_BYTES {
            self.collecting.extend_from_slice(packet.as_ref());
        }
        let found = self.psi.sections().iter().find_map(read)?;
        self.whole.clone_from(&self.collecting);
        Some(found)
    }

    fn counter_of(&mut self, packet: &[u8; PACKET_SIZE]) -> u8 {
        self.counter = TsPacketRef::from(packet).cc().wrapping_add(self.ahead) & 0x0f;
        self.counter
    }

    fn repeat(&mut self, output: &mut Vec<u8>) {
        let at = output.len();
        output.extend_from_slice(&self.whole);
        for packet in output[at..].as_chunks_mut().0 {
            let mut packet = TsPacketMut::from(packet);
            if packet.payload_mut().is_some() {
                self.counter = (self.counter + 1) & 0x0f;
                self.ahead = (self.ahead + 1) & 0x0f;
            }
            packet.set_cc(self.counter);
        }
    }
}

fn program_map_pid(section: &[u8]) -> Option<u16> {
    let pat = PatSectionRef::try_from(section).ok()?;
    let mut programs = pat.programs().map_while(Result::ok);
    programs.find(|program| program.program_number() != 0).map(|program| program.pid())
}

fn main_stream(section: &[u8]) -> Option<Main> {
    let pmt = PmtSectionRef::try_from(section).ok().filter(PmtSectionRef::current_next_indicator)?;
    let streams = || pmt.streams().map_while(Result::ok);
    let video = streams().find(|stream| stream.kind().is_video());
    let stream = video.or_else(|| streams().find(|stream| stream.kind().is_audio()))?;
    let is_video = stream.kind().is_video();
    Some(Main { pid: stream.elementary_pid(), stream_type: stream.stream_type(), is_video })
}
