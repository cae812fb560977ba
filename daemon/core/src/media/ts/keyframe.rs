//! Whether a decoder can start with an access unit.

/// `stream_type` of ITU-T H.262, H.264 and H.265 (ISO/IEC 13818-1, table 2-34).
const MPEG2_VIDEO: u8 = 0x02;
const AVC: u8 = 0x1b;
const HEVC: u8 = 0x24;

/// Looks at the first bytes of an access unit for what stands before or in a random access point. Encoders repeat
/// the parameter sets there, so the first packet tells.
pub(super) fn starts_here(stream_type: u8, payload: &[u8]) -> bool {
    let is_start: fn(u8) -> bool = match stream_type {
        // sequence header
        MPEG2_VIDEO => |code| code == 0xb3,
        // IDR slice, sequence parameter set
        AVC => |header| matches!(header & 0x1f, 5 | 7),
        // random access pictures, video and sequence parameter set
        HEVC => |header| matches!((header >> 1) & 0x3f, 16..=21 | 32 | 33),
        _ => return false,
    };
    payload.windows(4).any(|window| matches!(window, [0, 0, 1, header] if is_start(*header)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_and_random_access_pictures_are_starts() {
        for (stream_type, payload, expected) in [
            (AVC, &[0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 0x64][..], true),
            (AVC, &[0, 0, 1, 0x65, 0x88], true),
            (AVC, &[0, 0, 1, 0x41, 0x9a], false),
            (AVC, &[0, 0, 1], false),
            (HEVC, &[0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x40, 1], true),
            (HEVC, &[0, 0, 1, 0x28, 1], true),
            (HEVC, &[0, 0, 1, 0x02, 1], false),
            (MPEG2_VIDEO, &[0, 0, 1, 0xb3, 0x16], true),
            (MPEG2_VIDEO, &[0, 0, 1, 0x00, 0x16], false),
            (0x0f, &[0, 0, 1, 0x65], false),
        ] {
            assert_eq!(starts_here(stream_type, payload), expected, "{stream_type:#x} {payload:x?}");
        }
    }
}
