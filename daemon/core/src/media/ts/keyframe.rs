//! Whether a decoder can start with an access unit, by what stands in it.

use super::start_code::NalUnits;

/// `stream_type` of ITU-T H.262, H.264 and H.265 (ISO/IEC 13818-1, table 2-34).
pub(super) const MPEG2_VIDEO: u8 = 0x02;
pub(super) const AVC: u8 = 0x1b;
pub(super) const HEVC: u8 = 0x24;

/// The recovery point message (H.264, D.1.8; H.265, D.2.8).
const RECOVERY_POINT: usize = 6;
/// An access unit that does not tell within so many bytes is none to start with.
pub(super) const HEAD_BYTES: usize = 4096;

/// What the head of an access unit tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A decoder can start here.
    Start,
    NoStart,
    /// More of it has to come.
    Open,
}

/// Looks at the head of an access unit for what stands before or in a random access point: parameter sets, which
/// encoders repeat there, a recovery point, or such a picture itself.
pub(super) fn judge(stream_type: u8, head: &[u8]) -> Verdict {
    let look: fn(&[u8], bool) -> Verdict = match stream_type {
        MPEG2_VIDEO => mpeg2,
        AVC => avc,
        HEVC => hevc,
        _ => return Verdict::NoStart,
    };
    let found = NalUnits::of(head).map(|nal| look(nal.bytes, nal.is_whole));
    let told = found.into_iter().find(|verdict| *verdict != Verdict::Open);
    told.unwrap_or(if head.len() > HEAD_BYTES { Verdict::NoStart } else { Verdict::Open })
}

fn mpeg2(unit: &[u8], _: bool) -> Verdict {
    match unit.first() {
        // sequence header, picture
        Some(0xb3) => Verdict::Start,
        Some(0x00) => Verdict::NoStart,
        _ => Verdict::Open,
    }
}

fn avc(nal: &[u8], is_whole: bool) -> Verdict {
    let Some((header, rest)) = nal.split_first() else { return Verdict::Open };
    match header & 0x1f {
        // IDR slice, sequence parameter set
        5 | 7 => Verdict::Start,
        1..=4 => Verdict::NoStart,
        6 if is_whole && recovers(rest) => Verdict::Start,
        _ => Verdict::Open,
    }
}

fn hevc(nal: &[u8], is_whole: bool) -> Verdict {
    let [header, _, rest @ ..] = nal else { return Verdict::Open };
    match (header >> 1) & 0x3f {
        // random access pictures, video and sequence parameter set
        16..=23 | 32 | 33 => Verdict::Start,
        0..=15 => Verdict::NoStart,
        39 if is_whole && recovers(rest) => Verdict::Start,
        _ => Verdict::Open,
    }
}

/// Whether a recovery point is among the messages of an SEI (H.264, 7.3.2.3.1).
fn recovers(messages: &[u8]) -> bool {
    let mut rest = messages;
    while rest.len() > 2 {
        let Some((kind, after)) = number(rest) else { return false };
        if kind == RECOVERY_POINT {
            return true;
        }
        let Some((length, after)) = number(after) else { return false };
        rest = after.get(length..).unwrap_or_default();
    }
    false
}

/// A number in bytes of 255 and a last one.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().take_while(|byte| **byte == 0xff).count();
    let last = *bytes.get(full)?;
    Some((full * 255 + usize::from(last), bytes.get(full + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::Verdict::{NoStart, Open, Start};
    use super::*;

    #[test]
    fn parameter_sets_recovery_points_and_random_access_pictures_are_starts() {
        for (stream_type, payload, expected) in [
            (AVC, &[0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 0x64][..], Start),
            (AVC, &[0, 0, 1, 0x65, 0x88], Start),
            (AVC, &[0, 0, 1, 0x41, 0x9a], NoStart),
            (AVC, &[0, 0, 1], Open),
            (AVC, &[0, 0, 1, 0x09, 0xf0], Open),
            // a message of another kind, a recovery point, a slice
            (AVC, &[0, 0, 1, 6, 5, 2, 9, 9, 6, 1, 0xc4, 0x80, 0, 0, 1, 0x41, 0x9a], Start),
            (AVC, &[0, 0, 1, 6, 5, 2, 9, 9, 6, 1], Open),
            (AVC, &[0, 0, 1, 6, 5, 4, 6, 1, 9, 9, 0x80, 0, 0, 1, 0x41, 0x9a], NoStart),
            (HEVC, &[0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x40, 1], Start),
            (HEVC, &[0, 0, 1, 0x28, 1], Start),
            (HEVC, &[0, 0, 1, 0x02, 1], NoStart),
            (HEVC, &[0, 0, 1, 0x4e, 1, 6, 1, 0x80, 0x80, 0, 0, 1, 0x02, 1], Start),
            (MPEG2_VIDEO, &[0, 0, 1, 0xb3, 0x16], Start),
            (MPEG2_VIDEO, &[0, 0, 1, 0x00, 0x16], NoStart),
            (0x0f, &[0, 0, 1, 0x65], NoStart),
        ] {
            assert_eq!(judge(stream_type, payload), expected, "{stream_type:#x} {payload:x?}");
        }
    }

    #[test]
    fn an_access_unit_that_never_tells_is_given_up() {
        assert_eq!(judge(AVC, &[0x11; HEAD_BYTES]), Open);
        assert_eq!(judge(AVC, &[0x11; HEAD_BYTES + 1]), NoStart);
    }
}
