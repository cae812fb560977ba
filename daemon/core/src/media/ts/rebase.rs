//! Moves a transport stream in time, so that one that starts anew goes on where it was.

use std::collections::HashMap;

use libmpegts::pcr::pcr_add;
use libmpegts::pes::{PesHeaderMut, PesHeaderRef, PtsDts, STREAM_ID_VIDEO, Timestamp};
use libmpegts::slicer::TsSlicer;
use libmpegts::ts::{PACKET_SIZE, TsPacketMut, TsPacketRef};

use super::clock::distance_90khz;

/// Ticks of the PCR for one of a PTS.
const PCR_TICKS: u64 = 300;

/// Rewrites PTS, DTS, PCR and continuity counters, so that a stream that is fed again and again becomes one without
/// an end and without a seam.
///
/// Within a round nothing changes but the constant that is added; what the input lost stays visible in the
/// counters. A PES header that is split over packets keeps its times.
#[derive(Default)]
pub struct Rebase {
    slicer: TsSlicer,
    /// By PID.
    streams: HashMap<u16, Stream>,
    offset_90khz: u64,
}

/// What is known of one PID.
#[derive(Default)]
struct Stream {
    /// What is added to continuity counters in this round; none before its first packet.
    ahead: Option<u8>,
    /// The last counter that went out.
    counter: Option<u8>,
    /// The access units of this round, and its PCRs.
    units: Option<Clock>,
    references: Option<Clock>,
    is_video: bool,
}

/// The times of one stream in this round.
#[derive(Clone, Copy)]
struct Clock {
    last: Timestamp,
    step_90khz: i64,
    span_90khz: i64,
    /// The bytes since the last time, and before it.
    bytes: i64,
    bytes_before: i64,
}

impl Rebase {
    /// Takes bytes of any number and appends the packets that they complete, rewritten.
    pub fn push(&mut self, bytes: &[u8], output: &mut Vec<u8>) {
        for packet in self.slicer.slice(bytes) {
            let stream = self.streams.entry(packet.pid()).or_default();
            let at = output.len();
            output.extend_from_slice(packet.as_ref());
            if let Ok(rewritten) = <&mut [u8; PACKET_SIZE]>::try_from(&mut output[at..]) {
                stream.rewrite(&packet, rewritten, self.offset_90khz);
            }
        }
    }

    /// Says that the input starts anew. What follows is moved behind the longest of its streams, so that the time of
    /// none runs back. An unfinished packet is dropped.
    pub fn restart(&mut self) {
        self.slicer.reset();
        let length = self.streams.values().map(Stream::length_90khz).max().unwrap_or_default();
        self.offset_90khz = self.offset_90khz.wrapping_add(u64::try_from(length).unwrap_or_default());
        for stream in self.streams.values_mut() {
            (stream.ahead, stream.units, stream.references) = (None, None, None);
        }
    }
}

impl Stream {
    fn rewrite(&mut self, packet: &TsPacketRef<'_>, output: &mut [u8; PACKET_SIZE], offset_90khz: u64) {
        let mut rewritten = TsPacketMut::from(output);
        rewritten.set_cc(self.next_counter(packet));
        if let Some(pcr) = packet.adaptation_field().and_then(|field| field.pcr()) {
            Clock::tick(&mut self.references, (pcr / PCR_TICKS).into());
            rewritten.set_pcr(pcr_add(pcr, (offset_90khz & Timestamp::MAX) * PCR_TICKS));
        }
        if packet.is_payload_start() && packet.scrambling_control() == 0 {
            self.move_times(packet, &mut rewritten, offset_90khz);
        }
        if let (Some(clock), Some(payload)) = (&mut self.units, packet.payload()) {
            clock.bytes += i64::try_from(payload.len()).unwrap_or_default();
        }
    }

    fn move_times(&mut self, packet: &TsPacketRef<'_>, rewritten: &mut TsPacketMut<'_>, offset_90khz: u64) {
        let header = packet.payload().and_then(|payload| PesHeaderRef::try_from(payload).ok());
        let Some((header, times)) = header.and_then(|header| Some((header, header.pts_dts()?))) else {
            return;
        };
        Clock::tick(&mut self.units, times.dts.unwrap_or(times.pts));
        self.is_video = header.stream_id() & 0xf0 == STREAM_ID_VIDEO;
        let header = rewritten.payload_mut().and_then(|payload| PesHeaderMut::try_from(payload).ok());
        if let Some(mut header) = header {
            let moved = |time: Timestamp| time.wrapping_add(offset_90khz.into());
            header.set_pts_dts(PtsDts { pts: moved(times.pts), dts: times.dts.map(moved) });
        }
    }

    /// How long this round is, to the end of the last access unit.
    fn length_90khz(&self) -> i64 {
        let unit = |clock: Clock| {
            clock.span_90khz + if self.is_video { clock.step_90khz } else { clock.rest_90khz() }
        };
        let reference = |clock: Clock| clock.span_90khz + clock.step_90khz;
        self.units.map(unit).max(self.references.map(reference)).unwrap_or_default()
    }

    /// The first packet of a round takes the counter that is due, and the others keep their distance to it.
    fn next_counter(&mut self, packet: &TsPacketRef<'_>) -> u8 {
        let due = match self.counter {
            Some(last) => last.wrapping_add(u8::from(packet.payload().is_some())),
            None => packet.cc(),
        };
        let ahead = *self.ahead.get_or_insert(due.wrapping_sub(packet.cc()));
        let counter = packet.cc().wrapping_add(ahead) & 0x0f;
        self.counter = Some(counter);
        counter
    }
}

impl Clock {
    /// How long the bytes since the last time play, where bytes are time, as with audio: a PES packet holds many
    /// frames, and the last one fewer. An eighth on top, so that a gap is more likely than an overlap.
    fn rest_90khz(&self) -> i64 {
        let rest = self.bytes.saturating_mul(self.span_90khz).saturating_mul(9);
        rest.checked_div(self.bytes_before.saturating_mul(8)).unwrap_or_default().clamp(0, self.step_90khz)
    }

    fn tick(clock: &mut Option<Self>, time: Timestamp) {
        let before =
            clock.unwrap_or(Self { last: time, step_90khz: 0, span_90khz: 0, bytes: 0, bytes_before: 0 });
        let step = distance_90khz(before.last, time);
        *clock = Some(Self {
            last: time,
            step_90khz: if step > 0 { step } else { before.step_90khz },
            span_90khz: before.span_90khz + step,
            bytes: 0,
            bytes_before: before.bytes_before + before.bytes,
        });
    }
}

#[cfg(test)]
#[path = "rebase_tests.rs"]
mod tests;
