//! The families of codecs that the tables of a transport stream announce.

use libmpegts::psi::PmtStreamRef;
use libmpegts::slicer::TsSlicer;

use super::tables::{Class, Tables, kind, registration};
use crate::media::codecs::{self, Families, Family};

/// So far the tables are looked for.
const HEAD_BYTES: usize = 256 * 1024;
/// Descriptors of audio in private streams (EN 300 468, table 12).
const AC3_DESCRIPTOR: u8 = 0x6a;
const EAC3_DESCRIPTOR: u8 = 0x7a;

/// What the first program in `bytes` holds; nothing where there is no PMT near their start.
pub(crate) fn families(bytes: &[u8]) -> Families {
    let mut tables = Tables::new(None);
    let mut slicer = TsSlicer::new();
    for packet in slicer.slice(bytes.get(..HEAD_BYTES).unwrap_or(bytes)) {
        if tables.class(packet.pid()) == Class::Table && tables.observe(&packet).is_err() {
            break;
        }
        if let Some(map) = tables.program_map() {
            let mut families = Families::default();
            map.streams().map_while(Result::ok).for_each(|stream| families.add(family(&stream)));
            return families;
        }
    }
    Families::default()
}

fn family(stream: &PmtStreamRef<'_>) -> Option<Family> {
    let has = |tag| {
        let mut descriptors = stream.stream_descriptors().into_iter().flatten().map_while(Result::ok);
        descriptors.any(|descriptor| descriptor.tag() == tag)
    };
    Some(match (stream.stream_type(), registration(stream)) {
        (0x01 | 0x02, _) => Family::Video(codecs::MPEG2),
        (0x1b, _) => Family::Video(codecs::AVC),
        (0x24, _) | (0x06, Some([b'H', b'E', b'V', b'C'])) => Family::Video(codecs::HEVC),
        (0x06, Some([b'A', b'V', b'0', b'1'])) => Family::Video(codecs::AV1),
        (0x03 | 0x04, _) => Family::Audio(codecs::MP3),
        (0x0f | 0x11, _) => Family::Audio(codecs::AAC),
        (0x87, _) => Family::Audio(codecs::EAC3),
        (0x81, _) => Family::Audio(codecs::AC3),
        (0x06, Some([b'O', b'p', b'u', b's'])) => Family::Audio(codecs::OPUS),
        (0x06, _) if has(EAC3_DESCRIPTOR) => Family::Audio(codecs::EAC3),
        (0x06, _) if has(AC3_DESCRIPTOR) => Family::Audio(codecs::AC3),
        _ if kind(stream).is_none() => Family::Other,
        _ => return None,
    })
}
