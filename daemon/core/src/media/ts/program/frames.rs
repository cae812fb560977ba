//! The frames of packed audio (RFC 8216, 3.4): where each ends, and how long it plays.

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) len_bytes: usize,
    pub(super) samples: u64,
    pub(super) rate_hz: u64,
}

/// The longest header that is looked at.
pub(super) const HEADER_BYTES: usize = 8;

/// Reads the header of a frame of the codec that `extension` names.
pub(super) fn frame(extension: &str, header: &[u8]) -> Option<Frame> {
    let header = header.first_chunk::<HEADER_BYTES>()?;
    let frame = match extension {
        "mp3" => mpeg_audio(header),
        "ac3" | "ec3" => dolby(header),
        _ => adts(header),
    };
    frame.filter(|frame| frame.len_bytes >= HEADER_BYTES && frame.rate_hz > 0)
}

/// ISO/IEC 13818-7, 6.2.
fn adts(header: &[u8; HEADER_BYTES]) -> Option<Frame> {
    const RATES_HZ: [u64; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
    let [0xff, second, third, fourth, fifth, sixth, seventh, _] = *header else { return None };
    if second & 0xf6 != 0xf0 {
        return None;
    }
    let rate_hz = *RATES_HZ.get(usize::from(third >> 2 & 0x0f))?;
    let len_bytes = usize::from(fourth & 0x03) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
    Some(Frame { len_bytes, samples: 1024 * (u64::from(seventh & 0x03) + 1), rate_hz })
}

/// ISO/IEC 11172-3, 2.4.2.3, layer III; and its lower rates in ISO/IEC 13818-3.
fn mpeg_audio(header: &[u8; HEADER_BYTES]) -> Option<Frame> {
    const KBPS_1: [u64; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const KBPS_2: [u64; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let [0xff, second, third, ..] = *header else { return None };
    if second & 0xe6 != 0xe2 {
        return None; // no sync, or another layer
    }
    let (halving, is_first) = match second >> 3 & 0x03 {
        3 => (1, true),
        2 => (2, false),
        0 => (4, false),
        _ => return None,
    };
    let base_hz = *[44_100, 48_000, 32_000].get(usize::from(third >> 2 & 0x03))?;
    let rate_hz = base_hz / halving;
    let table = if is_first { KBPS_1 } else { KBPS_2 };
    let kbps = *table.get(usize::from(third >> 4).checked_sub(1)?)?;
    let samples = if is_first { 1152 } else { 576 };
    let len = samples / 8 * kbps * 1000 / rate_hz + u64::from(third >> 1 & 1);
    Some(Frame { len_bytes: usize::try_from(len).ok()?, samples, rate_hz })
}

/// ETSI TS 102 366, 4.3 (AC-3) and E.1.2 (E-AC-3).
fn dolby(header: &[u8; HEADER_BYTES]) -> Option<Frame> {
    const RATES_HZ: [u64; 3] = [48_000, 44_100, 32_000];
    const KBPS: [u64; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let [0x0b, 0x77, third, fourth, fifth, sixth, ..] = *header else { return None };
    if sixth >> 3 <= 10 {
        let rate_hz = *RATES_HZ.get(usize::from(fifth >> 6))?;
        let kbps = *KBPS.get(usize::from(fifth >> 1 & 0x1f))?;
        let words = 1536 * kbps * 1000 / rate_hz / 16 + u64::from(fifth & 1);
        return Some(Frame { len_bytes: usize::try_from(words * 2).ok()?, samples: 1536, rate_hz });
    }
    let len_bytes = ((usize::from(third & 0x07) << 8 | usize::from(fourth)) + 1) * 2;
    let (rate_hz, blocks) = match fifth >> 6 {
        3 => (RATES_HZ.get(usize::from(fifth >> 4 & 0x03))? / 2, 6),
        code => (*RATES_HZ.get(usize::from(code))?, *[1, 2, 3, 6].get(usize::from(fifth >> 4 & 0x03))?),
    };
    // a dependent substream (type 1) plays along with the frame before it
    let samples = if third >> 6 == 1 { 0 } else { 256 * blocks };
    Some(Frame { len_bytes, samples, rate_hz })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_length_and_duration() {
        let frame_of = |extension, bytes: [u8; 8]| frame(extension, &bytes);
        let made = |len_bytes, samples, rate_hz| Some(Frame { len_bytes, samples, rate_hz });
        for (extension, bytes, expected) in [
            // AAC-LC, 48 kHz, stereo, 371 bytes
            ("aac", [0xff, 0xf1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc, 0x21], made(371, 1024, 48_000)),
            // MPEG-1 layer III, 128 kbit/s at 44.1 kHz, without and with padding
            ("mp3", [0xff, 0xfb, 0x90, 0x64, 0, 0, 0, 0], made(417, 1152, 44_100)),
            ("mp3", [0xff, 0xfb, 0x92, 0x64, 0, 0, 0, 0], made(418, 1152, 44_100)),
            // AC-3, 192 kbit/s at 48 kHz
            ("ac3", [0x0b, 0x77, 0, 0, 0x14, 0x40, 0x43, 0xe1], made(768, 1536, 48_000)),
            // E-AC-3, six blocks at 48 kHz, 768 bytes
            ("ec3", [0x0b, 0x77, 0x01, 0x7f, 0x3f, 0x86, 0, 0], made(768, 1536, 48_000)),
            ("aac", [0; 8], None),
            ("mp3", [0xff, 0xfb, 0xf0, 0, 0, 0, 0, 0], None),
        ] {
            assert_eq!(frame_of(extension, bytes), expected, "{extension} {bytes:x?}");
        }
    }
}
