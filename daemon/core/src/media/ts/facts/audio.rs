//! What the first frame tells of an audio stream.

use super::Audio;
use super::gather::Stream;

/// Sampling rates by index: AAC (ISO/IEC 14496-3, 1.6.3.4) and MPEG-1 audio (ISO/IEC 11172-3, 2.4.2.3).
const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
const MPEG_RATES: [u32; 3] = [44_100, 48_000, 32_000];
/// Of AC-3 (ATSC A/52, table 5.6), and its channels by acmod (table 5.8) without the low frequencies.
const AC3_RATES: [u32; 3] = [48_000, 44_100, 32_000];
const AC3_CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// Reads it.
pub(super) fn read(stream: &Stream) -> Audio {
    let bytes = &stream.bytes[..];
    let has = |tag| stream.tags.contains(&tag);
    let audio = match (stream.stream_type, stream.registered) {
        (0x03 | 0x04, _) => mpeg(bytes),
        (0x0f, _) => adts(bytes),
        (0x11 | 0x1c, _) => named("mp4a.40.2"),
        (0x87, _) | (_, Some([b'E', b'A', b'C', b'3'])) => enhanced_ac3(bytes),
        (0x81, _) | (_, Some([b'A', b'C', b'-', b'3'])) => ac3(bytes),
        (_, Some([b'O', b'p', b'u', b's'])) => {
            Audio { sample_rate_hz: Some(48_000), frame_samples: Some(960), ..named("opus") }
        }
        (0x06, _) if has(0x7a) || has(0xcc) => enhanced_ac3(bytes),
        (0x06, _) if has(0x6a) || has(0x81) => ac3(bytes),
        (0x06, _) if has(0x7c) => named("mp4a.40.2"),
        _ => Audio::default(),
    };
    Audio { language: stream.language.clone(), ..audio }
}

fn named(codec: &str) -> Audio {
    Audio { codec: Some(codec.to_owned()), ..Audio::default() }
}

/// The first place where `pattern` holds for the bytes.
fn frame<const N: usize>(bytes: &[u8], pattern: fn(&[u8; N]) -> bool) -> Option<[u8; N]> {
    bytes.windows(N).filter_map(|window| window.first_chunk::<N>()).find(|head| pattern(head)).copied()
}

/// A header of ADTS (ISO/IEC 13818-7, 6.2).
fn adts(bytes: &[u8]) -> Audio {
    let Some(head) = frame::<4>(bytes, |head| head[0] == 0xff && head[1] & 0xf6 == 0xf0) else {
        return named("mp4a.40.2");
    };
    let channels = (head[2] & 1) << 2 | head[3] >> 6;
    Audio {
        sample_rate_hz: AAC_RATES.get(usize::from(head[2] >> 2 & 0x0f)).copied(),
        frame_samples: Some(1024),
        channels: match channels {
            0 => None,
            7 => Some(8),
            channels => Some(channels),
        },
        ..named(&format!("mp4a.40.{}", (head[2] >> 6) + 1))
    }
}

/// A header of MPEG audio (ISO/IEC 11172-3, 2.4.1.3; 13818-3 halves the rates).
fn mpeg(bytes: &[u8]) -> Audio {
    let is_header = |head: &[u8; 4]| {
        head[0] == 0xff
            && head[1] & 0xe0 == 0xe0
            && head[1] & 0x18 != 0x08
            && head[1] & 0x06 != 0
            && head[2] & 0x0c != 0x0c
    };
    let Some(head) = frame::<4>(bytes, is_header) else { return Audio::default() };
    let (layer, halved) = (
        4 - (head[1] >> 1 & 3),
        match head[1] >> 3 & 3 {
            3 => 0,
            2 => 1,
            _ => 2,
        },
    );
    let rate = MPEG_RATES.get(usize::from(head[2] >> 2 & 3)).map(|rate| rate >> halved);
    let samples = match (layer, halved) {
        (1, _) => 384,
        (3, 1 | 2) => 576,
        _ => 1152,
    };
    Audio {
        sample_rate_hz: rate,
        frame_samples: Some(samples),
        channels: Some(if head[3] >> 6 == 3 { 1 } else { 2 }),
        // layer 1, 2 and 3 are object types 32, 33 and 34
        ..named(&format!("mp4a.40.{}", 31 + layer))
    }
}

/// A syncframe of AC-3 (ATSC A/52, 5.3).
fn ac3(bytes: &[u8]) -> Audio {
    let Some(head) = frame::<7>(bytes, |head| head[..2] == [0x0b, 0x77]) else { return named("ac-3") };
    Audio {
        sample_rate_hz: AC3_RATES.get(usize::from(head[4] >> 6)).copied(),
        frame_samples: Some(1536),
        channels: Some(AC3_CHANNELS[usize::from(head[6] >> 5)]),
        ..named("ac-3")
    }
}

/// A syncframe of enhanced AC-3 (ATSC A/52, E.1.2).
fn enhanced_ac3(bytes: &[u8]) -> Audio {
    let Some(head) = frame::<5>(bytes, |head| head[..2] == [0x0b, 0x77]) else { return named("ec-3") };
    let (rate, blocks) = (head[4] >> 6, head[4] >> 4 & 3);
    let halved = rate == 3;
    let rates = AC3_RATES.get(usize::from(if halved { blocks } else { rate }));
    let blocks = if halved { 6 } else { [1, 2, 3, 6][usize::from(blocks)] };
    Audio {
        sample_rate_hz: rates.map(|rate| if halved { rate / 2 } else { *rate }),
        frame_samples: Some(256 * blocks),
        channels: Some(AC3_CHANNELS[usize::from(head[4] >> 1 & 7)] + (head[4] & 1)),
        ..named("ec-3")
    }
}
