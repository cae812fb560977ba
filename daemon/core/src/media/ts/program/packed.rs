//! Packed audio as a transport stream: its frames in PES packets, at the times that its ID3 tag gives.

use libmpegts::pes::{
    EsFrame, PesHeader, PesPacketizer, PtsDts, STREAM_ID_AUDIO, STREAM_ID_PRIVATE_1, Timestamp,
};
use libmpegts::ts::PACKET_SIZE;

use super::catalog::{Announced, Catalog, Kind, language_descriptor};
use super::frames::{HEADER_BYTES, frame};
use super::input::Unit;

/// The owner of the ID3 PRIV frame that has the time of the first sample (RFC 8216, 3.4).
const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";
/// The PID within the input; it never leaves.
const PID: u16 = 0x100;
/// A PES packet ends with the frame that reaches this playing time, or this size.
const UNIT_90KHZ: u64 = 4500;
const UNIT_BYTES: usize = 8 * 1024;
/// A tag that is longer is none.
const TAG_BYTES: usize = 1024 * 1024;

/// Turns packed audio into packets.
pub(super) struct Packed {
    extension: &'static str,
    packetizer: PesPacketizer,
    /// The time of the next frame, and the samples since then.
    time: Option<Timestamp>,
    samples: u64,
    /// Bytes that make no whole frame yet.
    rest: Vec<u8>,
}

impl Default for Packed {
    fn default() -> Self {
        Self { extension: "", packetizer: PesPacketizer::new(PID), time: None, samples: 0, rest: Vec::new() }
    }
}

impl Packed {
    /// A segment starts with `bytes`. Gives what it carries, when that changed.
    pub(super) fn start(
        &mut self,
        extension: &'static str,
        language: Option<[u8; 3]>,
        bytes: &[u8],
    ) -> Option<Catalog> {
        self.rest.clear();
        if let Some(time) = time_of(bytes) {
            (self.time, self.samples) = (Some(time), 0);
        }
        if std::mem::replace(&mut self.extension, extension) == extension {
            return None;
        }
        let (stream_type, mut descriptors) = match extension {
            "mp3" => (0x03, Vec::new()),
            "ac3" => (0x81, vec![0x05, 4, b'A', b'C', b'-', b'3']),
            "ec3" => (0x87, vec![0x05, 4, b'E', b'A', b'C', b'3']),
            _ => (0x0f, Vec::new()),
        };
        descriptors.extend(language.into_iter().flat_map(language_descriptor));
        let stream = Announced { pid: PID, stream_type, kind: Kind::Audio, descriptors };
        Some(Catalog { clock_pid: None, streams: vec![stream] })
    }

    /// Takes bytes and appends the packets that their whole frames make. Without a time there are none.
    pub(super) fn push(&mut self, bytes: &[u8], made: &mut Vec<(Option<Unit>, [u8; PACKET_SIZE])>) {
        let mut input = std::mem::take(&mut self.rest);
        input.extend_from_slice(bytes);
        let mut rest = input.as_slice();
        let mut payload = Vec::new();
        let mut began = self.time;
        let mut last_rate_hz = 0;
        while let Some(skipped) = next_frame(self.extension, &mut rest) {
            let Some((header, bytes)) = skipped else { continue };
            if header.rate_hz != last_rate_hz && last_rate_hz > 0 {
                self.settle(last_rate_hz);
            }
            last_rate_hz = header.rate_hz;
            payload.extend_from_slice(bytes);
            self.samples += header.samples;
            let now = self.at_90khz(last_rate_hz);
            let lasted = began.zip(now).map_or(0, |(began, now)| now.wrapping_sub(began).value());
            if lasted >= UNIT_90KHZ || payload.len() >= UNIT_BYTES {
                self.packetize(began, std::mem::take(&mut payload), made);
                began = now;
            }
        }
        self.packetize(began, payload, made);
        if last_rate_hz > 0 {
            self.settle(last_rate_hz);
        }
        self.rest = rest.to_vec();
    }

    /// The time behind the samples so far.
    fn at_90khz(&self, rate_hz: u64) -> Option<Timestamp> {
        Some(self.time?.wrapping_add((self.samples * 90_000 / rate_hz).into()))
    }

    /// Takes the samples so far into the time; what is less than a tick is lost, once for each segment.
    fn settle(&mut self, rate_hz: u64) {
        self.time = self.at_90khz(rate_hz);
        self.samples = 0;
    }

    fn packetize(
        &mut self,
        time: Option<Timestamp>,
        payload: Vec<u8>,
        made: &mut Vec<(Option<Unit>, [u8; PACKET_SIZE])>,
    ) {
        let Some(time) = time.filter(|_| !payload.is_empty()) else { return };
        let is_dolby = matches!(self.extension, "ac3" | "ec3");
        let stream_id = if is_dolby { STREAM_ID_PRIVATE_1 } else { STREAM_ID_AUDIO };
        let header = PesHeader::new(stream_id).with_pts_dts(PtsDts::new(time)).with_data_alignment(true);
        self.packetizer.set_frame(EsFrame { header, payload, rai: true });
        let mut unit = Some(Unit { pts: time, dts: time, is_start: true });
        let mut packet = [0; PACKET_SIZE];
        while self.packetizer.next(&mut packet) {
            made.push((unit.take(), packet));
        }
    }
}

/// Takes the next frame, or passes over a tag or a byte that is none (`Some(None)`). None where more is needed.
fn next_frame<'a>(extension: &str, rest: &mut &'a [u8]) -> Option<Option<(super::frames::Frame, &'a [u8])>> {
    if rest.starts_with(b"ID3") {
        let length = tag_len(rest)?;
        if length > TAG_BYTES {
            *rest = rest.get(1..)?;
        } else {
            *rest = rest.get(length..)?;
        }
        return Some(None);
    }
    let header = rest.get(..HEADER_BYTES)?;
    let Some(found) = frame(extension, header) else {
        *rest = rest.get(1..)?;
        return Some(None);
    };
    let (bytes, behind) = rest.split_at_checked(found.len_bytes)?;
    *rest = behind;
    Some(Some((found, bytes)))
}

/// The length of an ID3 tag with its header (ID3v2.4, 3.1).
fn tag_len(bytes: &[u8]) -> Option<usize> {
    let size = bytes.get(6..10)?;
    Some(size.iter().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f)) + 10)
}

/// The time stamp in the tag that a segment starts with.
fn time_of(bytes: &[u8]) -> Option<Timestamp> {
    let tag = bytes.get(..tag_len(bytes).filter(|_| bytes.starts_with(b"ID3"))?)?;
    let at = tag.windows(OWNER.len()).position(|window| window == OWNER)?;
    let stamp = tag.get(at + OWNER.len()..)?.first_chunk::<8>()?;
    Some(Timestamp::new(u64::from_be_bytes(*stamp) & Timestamp::MAX))
}
