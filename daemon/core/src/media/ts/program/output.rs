//! The stream that comes out: counters, tables, and the chunks that it is cut into.

use bytes::Bytes;
use libmpegts::psi::{
    PAT_PID, PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream, PsiPacketizer, Sections,
};
use libmpegts::ts::{PACKET_SIZE, TsPacketMut, TsPacketRef, build_pcr_packet};

use super::catalog::Announced;

/// The PID of the PMT.
const PMT_PID: u16 = 0x1000;
/// A chunk ends with the packet that reaches this size, or this time: as long as a part. Each chunk wakes each viewer
/// once, so that half the length costs nearly twice the processor time.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNK_90KHZ: i64 = 18_000;
/// The discontinuity indicator within the flags of an adaptation field.
const DISCONTINUITY: u8 = 0x80;

/// A whole number of packets of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The packets.
    pub bytes: Bytes,
    /// Whether a reader can begin with it: it starts with PAT and PMT, and a decoder can start behind them.
    pub is_start: bool,
    /// For a start: the packets that a reader sends before it when it left something out, so that decoders notice.
    pub signal: Bytes,
    /// The clock (PCR) at its end, in ticks of 90 kHz. It only rises, and does not wrap.
    pub clock_90khz: i64,
}

/// Takes packets and cuts them into chunks.
pub(super) struct Output {
    /// The last counter of each PID.
    counters: Vec<(u16, u8)>,
    pat: Vec<[u8; PACKET_SIZE]>,
    pmt: Vec<[u8; PACKET_SIZE]>,
    announced: Option<(u16, Vec<Announced>)>,
    version: u8,
    pending: Vec<u8>,
    /// Set where the pending chunk is a start.
    signal: Option<Bytes>,
    clock_27mhz: i64,
    cut_90khz: i64,
}

impl Output {
    /// Nothing came out yet; the clock stands at `clock_90khz`.
    pub(super) fn new(clock_90khz: i64) -> Self {
        let programs = vec![PatProgram { program_number: 1, pid: PMT_PID }];
        let pat = PatBuilder::build(PatConfig { transport_stream_id: 1, version: 0, programs });
        Self {
            counters: Vec::new(),
            pat: packets(PAT_PID, pat),
            pmt: Vec::new(),
            announced: None,
            version: 0,
            pending: Vec::with_capacity(CHUNK_BYTES + PACKET_SIZE),
            signal: None,
            clock_27mhz: clock_90khz * 300,
            cut_90khz: clock_90khz,
        }
    }

    /// The clock, in ticks of 27 MHz; it does not wrap.
    pub(super) fn clock_27mhz(&self) -> i64 {
        self.clock_27mhz
    }

    /// Says what the stream carries from now on: PIDs of the output. Returns whether that changed.
    pub(super) fn announce(&mut self, clock_pid: u16, streams: Vec<Announced>) -> bool {
        let announced = Some((clock_pid, streams));
        if self.announced == announced {
            return false;
        }
        if self.announced.is_some() {
            self.version = (self.version + 1) & 0x1f;
        }
        let streams = announced.iter().flat_map(|(_, streams)| streams).map(|stream| PmtStream {
            stream_type: stream.stream_type,
            elementary_pid: stream.pid,
            stream_descriptors: stream.descriptors.clone(),
        });
        self.pmt = packets(
            PMT_PID,
            PmtBuilder::build(PmtConfig {
                program_number: 1,
                pcr_pid: clock_pid,
                version: self.version,
                program_descriptors: Vec::new(),
                streams: streams.collect(),
            }),
        );
        self.announced = announced;
        true
    }

    /// The PID that carries the clock.
    pub(super) fn clock_pid(&self) -> Option<u16> {
        self.announced.as_ref().map(|(pid, _)| *pid)
    }

    /// What follows is a place to start: a chunk of its own, with the tables first.
    pub(super) fn start(&mut self, chunks: &mut Vec<Chunk>) {
        self.cut(chunks);
        let mut signal = Vec::with_capacity(self.counters.len() * PACKET_SIZE);
        for (pid, counter) in &self.counters {
            signal.extend_from_slice(&discontinuity(*pid, *counter));
        }
        self.signal = Some(signal.into());
        self.tables();
    }

    /// Repeats PAT and PMT.
    pub(super) fn tables(&mut self) {
        let (pat, pmt) = (std::mem::take(&mut self.pat), std::mem::take(&mut self.pmt));
        pat.iter().for_each(|packet| self.packet(PAT_PID, packet));
        pmt.iter().for_each(|packet| self.packet(PMT_PID, packet));
        (self.pat, self.pmt) = (pat, pmt);
    }

    /// Appends a packet on a PID of the output, with the counter that is due there.
    pub(super) fn packet(&mut self, pid: u16, packet: &[u8; PACKET_SIZE]) {
        let mut packet = *packet;
        let has_payload = packet[3] & 0x10 != 0;
        let counter = self.count(pid, has_payload);
        let mut rewritten = TsPacketMut::from(&mut packet);
        rewritten.set_pid(pid);
        rewritten.set_cc(counter);
        if packet[3] & 0x20 != 0 && packet[4] > 0 {
            packet[5] &= !DISCONTINUITY; // the time line goes on, whatever the source's did
        }
        self.pending.extend_from_slice(&packet);
    }

    /// Moves the clock to where the next packet has it.
    pub(super) fn move_clock(&mut self, clock_27mhz: i64) {
        self.clock_27mhz = clock_27mhz;
    }

    /// Appends a packet that carries nothing but the clock, and says where a time base changed.
    pub(super) fn clock(&mut self, is_splice: bool) {
        let Some(pid) = self.clock_pid() else { return };
        let counter = self.count(pid, false);
        let mut packet = [0; PACKET_SIZE];
        build_pcr_packet(&mut packet, pid, counter, pcr(self.clock_27mhz), is_splice);
        self.pending.extend_from_slice(&packet);
    }

    /// Ends the chunk if it is large or long enough. Called where a packet ends.
    pub(super) fn settle(&mut self, chunks: &mut Vec<Chunk>) {
        let is_long = self.clock_27mhz / 300 - self.cut_90khz >= CHUNK_90KHZ;
        if self.pending.len() >= CHUNK_BYTES || (is_long && !self.pending.is_empty()) {
            self.cut(chunks);
        }
    }

    /// Ends the chunk.
    pub(super) fn cut(&mut self, chunks: &mut Vec<Chunk>) {
        self.cut_90khz = self.clock_27mhz / 300;
        if self.pending.is_empty() {
            return;
        }
        let signal = self.signal.take();
        chunks.push(Chunk {
            bytes: Bytes::copy_from_slice(&self.pending),
            is_start: signal.is_some(),
            signal: signal.unwrap_or_default(),
            clock_90khz: self.cut_90khz,
        });
        self.pending.clear();
    }

    /// The counter that the next packet of a PID has.
    fn count(&mut self, pid: u16, has_payload: bool) -> u8 {
        let Some((_, counter)) = self.counters.iter_mut().find(|(own, _)| *own == pid) else {
            let first = if has_payload { 0 } else { 0x0f };
            self.counters.push((pid, first));
            return first;
        };
        *counter = (*counter + u8::from(has_payload)) & 0x0f;
        *counter
    }
}

/// The clock as a packet has it.
pub(super) fn pcr(clock_27mhz: i64) -> u64 {
    const WRAP: i64 = (1 << 33) * 300;
    clock_27mhz.rem_euclid(WRAP).unsigned_abs()
}

/// A packet without payload that says that its PID goes on elsewhere.
fn discontinuity(pid: u16, counter: u8) -> [u8; PACKET_SIZE] {
    let mut bytes = [0xff; PACKET_SIZE];
    let mut packet = TsPacketMut::from(&mut bytes);
    packet.init(pid, counter);
    packet.set_adaptation_field(PACKET_SIZE - 4);
    packet.set_discontinuity();
    bytes
}

fn packets(pid: u16, sections: Sections) -> Vec<[u8; PACKET_SIZE]> {
    let mut packetizer = PsiPacketizer::new(pid);
    packetizer.set_sections(sections);
    let (mut packets, mut packet) = (Vec::new(), [0; PACKET_SIZE]);
    while packetizer.next(&mut packet) {
        packets.push(packet);
    }
    packets
}

/// The clock that a packet carries.
pub(super) fn clock_of(packet: &[u8; PACKET_SIZE]) -> Option<u64> {
    TsPacketRef::from(packet).adaptation_field().and_then(|field| field.pcr())
}
