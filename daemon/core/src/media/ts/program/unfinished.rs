//! Access units whose end has not come yet: what is held back of them, so that a source that dies in the middle of one
//! leaves nothing of it behind.

use libmpegts::pes::PesHeaderRef;
use libmpegts::ts::TsPacketRef;

use super::catalog::{Announced, Kind};
use crate::media::ts::keyframe::{self, Verdict};

/// The bytes of a PES packet before those that its length counts (ISO/IEC 13818-1, 2.4.3.7).
const UNCOUNTED_BYTES: usize = 6;

/// The access unit under way on each PID. The memory for one is used again for the next.
#[derive(Default)]
pub(super) struct Unfinished {
    streams: Vec<Stream>,
}

struct Stream {
    pid: u16,
    /// The unit that has not ended; none between two of them, and where one is not held back.
    open: Option<Open>,
    /// The head of its elementary stream, for as long as it does not tell whether decoding can start with it.
    head: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Open {
    /// The number of its first packet.
    from: u64,
    /// Its time.
    since_90khz: i64,
    /// What is to come; none where only the start of the next one tells the end.
    missing_bytes: Option<usize>,
    is_untold: bool,
}

impl Unfinished {
    /// Takes the packet of this number on `stream`, in the clear. Gives the number of the packet that begins an access
    /// unit if this one shows that decoding can start with that.
    pub(super) fn take(
        &mut self,
        packet: &TsPacketRef<'_>,
        stream: &Announced,
        (number, time_90khz): (u64, i64),
    ) -> Option<u64> {
        let payload = packet.payload()?;
        let at = self.streams.iter().position(|known| known.pid == stream.pid).unwrap_or_else(|| {
            self.streams.push(Stream { pid: stream.pid, open: None, head: Vec::new() });
            self.streams.len() - 1
        });
        let known = &mut self.streams[at];
        if packet.is_payload_start() {
            known.begin(payload, stream, (number, time_90khz))
        } else {
            known.go_on(payload, stream)
        }
    }

    /// Since when the packet of this number and PID is held back: the time of its unit. None where it is not.
    pub(super) fn holds(&self, pid: u16, number: u64) -> Option<i64> {
        let stream = self.streams.iter().find(|stream| stream.pid == pid)?;
        stream.open.filter(|open| number >= open.from).map(|open| open.since_90khz)
    }

    /// Holds the unit under way on this PID back no longer.
    pub(super) fn let_go(&mut self, pid: u16) {
        self.streams.iter_mut().filter(|stream| stream.pid == pid).for_each(|stream| stream.open = None);
    }

    /// What came was cut where units end: those that do not tell their length are whole.
    pub(super) fn complete(&mut self) {
        for stream in &mut self.streams {
            stream.open.take_if(|open| open.missing_bytes.is_none());
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
    }

    /// Lets go of the PIDs that are not announced any more.
    pub(super) fn keep_only(&mut self, is_announced: impl Fn(u16) -> bool) {
        self.streams.retain(|stream| is_announced(stream.pid));
    }
}

impl Stream {
    fn begin(
        &mut self,
        payload: &[u8],
        stream: &Announced,
        (number, since_90khz): (u64, i64),
    ) -> Option<u64> {
        (self.open, _) = (None, self.head.clear());
        let length_bytes = match payload {
            [0, 0, 1, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => return None, // no PES packet
        };
        let whole_bytes = (length_bytes > 0).then_some(UNCOUNTED_BYTES + length_bytes);
        let missing_bytes = whole_bytes.map(|whole| whole.saturating_sub(payload.len()));
        // what comes rarely would hold up the others until its next one
        let is_held = missing_bytes.map_or(stream.kind != Kind::Other, |missing| missing > 0);
        let body = PesHeaderRef::try_from(payload).ok().and_then(|header| payload.get(header.header_len()..));
        let verdict = body.filter(|_| stream.kind == Kind::Video).map(|body| self.look(body, stream));
        let is_untold = verdict == Some(Verdict::Open);
        self.open = is_held.then_some(Open { from: number, since_90khz, missing_bytes, is_untold });
        (verdict == Some(Verdict::Start)).then_some(number)
    }

    fn go_on(&mut self, payload: &[u8], stream: &Announced) -> Option<u64> {
        let Open { from, is_untold, .. } = self.open?;
        let verdict = is_untold.then(|| self.look(payload, stream));
        let open = self.open.as_mut()?;
        open.is_untold &= verdict == Some(Verdict::Open);
        if let Some(missing) = &mut open.missing_bytes {
            *missing = missing.saturating_sub(payload.len());
            if *missing == 0 {
                self.open = None;
            }
        }
        (verdict == Some(Verdict::Start)).then_some(from)
    }

    fn look(&mut self, more: &[u8], stream: &Announced) -> Verdict {
        self.head.extend_from_slice(more);
        keyframe::judge(stream.stream_type, &self.head)
    }
}

#[cfg(test)]
#[path = "unfinished_tests.rs"]
mod tests;
