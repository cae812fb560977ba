//! The first bytes of each elementary stream.

use libmpegts::pes::PesHeaderRef;
use libmpegts::psi::PmtSectionRef;
use libmpegts::ts::{PACKET_SIZE, TsPacketRef};

use super::super::tables::{Kind, kind, registration};

/// Parameter sets come before the first picture.
const STREAM_BYTES: usize = 64 * 1024;
/// Descriptors (ISO/IEC 13818-1, 2.6.18; EN 300 468, table 12).
const LANGUAGE: u8 = 0x0a;

/// What is looked at of a stream.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Stream {
    pub(super) pid: u16,
    pub(super) is_video: bool,
    pub(super) stream_type: u8,
    /// The tags of its descriptors, and the format that it is registered as.
    pub(super) tags: Vec<u8>,
    pub(super) registered: Option<[u8; 4]>,
    pub(super) language: Option<String>,
    /// Its first bytes, from the start of a PES packet on and without the headers of them.
    pub(super) bytes: Vec<u8>,
}

/// The video and audio streams of a program with their first bytes in `packets`.
pub(super) fn streams(packets: &[u8], map: &PmtSectionRef<'_>) -> Vec<Stream> {
    let mut streams = Vec::new();
    for stream in map.streams().map_while(Result::ok) {
        let Some(kind) = kind(&stream) else { continue };
        let descriptors = || stream.stream_descriptors().into_iter().flatten().map_while(Result::ok);
        let language = descriptors().find(|descriptor| descriptor.tag() == LANGUAGE);
        let language = language.and_then(|descriptor| descriptor.data().first_chunk::<3>().copied());
        streams.push(Stream {
            pid: stream.elementary_pid(),
            is_video: kind == Kind::Video,
            stream_type: stream.stream_type(),
            tags: descriptors().map(|descriptor| descriptor.tag()).collect(),
            registered: registration(&stream),
            language: language.filter(|code| code.iter().all(u8::is_ascii_alphabetic)).map(lowercase),
            bytes: Vec::new(),
        });
    }
    let (packets, _) = packets.as_chunks::<PACKET_SIZE>();
    packets.iter().for_each(|packet| take(&mut streams, &packet.into()));
    streams
}

fn take(streams: &mut [Stream], packet: &TsPacketRef<'_>) {
    let pid = packet.pid();
    let Some(stream) = streams.iter_mut().find(|stream| stream.pid == pid) else { return };
    let Some(payload) = packet.payload().filter(|_| stream.bytes.len() < STREAM_BYTES) else { return };
    if packet.is_payload_start() {
        let header_bytes =
            PesHeaderRef::try_from(payload).map_or(payload.len(), |header| header.header_len());
        stream.bytes.extend_from_slice(payload.get(header_bytes..).unwrap_or_default());
    } else if !stream.bytes.is_empty() {
        stream.bytes.extend_from_slice(payload);
    }
}

fn lowercase(code: [u8; 3]) -> String {
    code.iter().map(|letter| char::from(letter.to_ascii_lowercase())).collect()
}
