//! The packets that were taken in and not given out yet.

use std::collections::VecDeque;

use bytes::Bytes;
use libmpegts::ts::{PACKET_SIZE, TsPacketMut, TsPacketRef};

/// Packets in order, each at its position: the number of bytes kept before it since the start. Positions are whole
/// numbers of packets.
#[derive(Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// How many bytes at the front have gone out, and the position of the first byte in memory.
    gone: usize,
    base: u64,
    /// The packets of PAT and PMT among them, whose continuity counters are numbered anew.
    tables: VecDeque<u64>,
    /// By PID, the last counter that went out.
    counters: Vec<(u16, u8)>,
    run: Option<Run>,
}

/// A run of tables at the end, which belongs to the access unit that follows.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: u64,
    has_pat: bool,
    has_pmt: bool,
}

impl Kept {
    /// The position behind the last packet.
    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// The position of the first byte that waits.
    pub(super) fn start(&self) -> u64 {
        self.base + self.gone as u64
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.gone
    }

    /// The bytes that wait between two positions.
    pub(super) fn between(&self, from: u64, to: u64) -> &[u8] {
        &self.bytes[self.index(from)..self.index(to)]
    }

    /// Where an access unit begins whose first packet comes next: with the tables before it.
    pub(super) fn unit_at(&self) -> u64 {
        self.run.map_or(self.end(), |run| run.at)
    }

    /// Whether both tables stand right before the next packet.
    pub(super) fn has_tables(&self) -> bool {
        self.run.is_some_and(|run| run.has_pat && run.has_pmt)
    }

    pub(super) fn push(&mut self, packet: &TsPacketRef<'_>) {
        self.bytes.extend_from_slice(packet.as_ref());
        self.run = None;
    }

    /// A packet that ends no run of tables: it is about the multiplex, or carries a clock only.
    pub(super) fn push_aside(&mut self, packet: &TsPacketRef<'_>) {
        self.bytes.extend_from_slice(packet.as_ref());
    }

    pub(super) fn push_table(&mut self, packet: &[u8; PACKET_SIZE], is_pat: bool) {
        let at = self.end();
        let starts = TsPacketRef::from(packet).is_payload_start();
        let run = self.run.get_or_insert(Run { at, has_pat: false, has_pmt: false });
        run.has_pat |= is_pat && starts;
        run.has_pmt |= !is_pat && starts;
        self.tables.push_back(at);
        self.bytes.extend_from_slice(packet);
    }

    /// Gives out what waits before `end`, behind `before`, which are packets of tables. Copied, so that a part pins
    /// no more memory than it has bytes.
    pub(super) fn take(&mut self, before: &[u8], end: u64) -> Bytes {
        let (from, to) = (self.gone, self.index(end));
        let mut out = Vec::with_capacity(before.len() + to - from);
        out.extend_from_slice(before);
        out.as_chunks_mut().0.iter_mut().for_each(|packet| number(&mut self.counters, packet));
        out.extend_from_slice(&self.bytes[from..to]);
        while let Some(at) = self.tables.pop_front_if(|at| *at < end) {
            let offset = usize::try_from(at - self.base).unwrap_or(usize::MAX);
            let offset = offset.checked_sub(from).map(|offset| before.len() + offset);
            let packet = offset.and_then(|offset| out.get_mut(offset..)?.first_chunk_mut());
            packet.into_iter().for_each(|packet| number(&mut self.counters, packet));
        }
        self.gone = to;
        out.into()
    }

    /// Drops what waits before `end`.
    pub(super) fn forget(&mut self, end: u64) {
        self.gone = self.index(end);
        while self.tables.pop_front_if(|at| *at < end).is_some() {}
    }

    /// Makes room of what has gone out.
    pub(super) fn compact(&mut self) {
        self.bytes.drain(..self.gone);
        self.base += self.gone as u64;
        self.gone = 0;
    }

    /// Where a position is in memory: never before what waits, never behind the end.
    fn index(&self, position: u64) -> usize {
        let at = usize::try_from(position.saturating_sub(self.base)).unwrap_or(usize::MAX);
        at.clamp(self.gone, self.bytes.len())
    }
}

/// Gives a packet the continuity counter that is due for its PID. The first one keeps its own.
fn number(counters: &mut Vec<(u16, u8)>, packet: &mut [u8; PACKET_SIZE]) {
    let read = TsPacketRef::from(&*packet);
    let (pid, own, has_payload) = (read.pid(), read.cc(), read.payload().is_some());
    let counter = match counters.iter_mut().find(|counter| counter.0 == pid) {
        Some((_, counter)) => {
            *counter = (*counter + u8::from(has_payload)) & 0x0f;
            *counter
        }
        None => {
            counters.push((pid, own));
            own
        }
    };
    TsPacketMut::from(packet).set_cc(counter);
}
