//! Bytes of any kind as the frames of a codec, in a transport stream that is well: parameter sets and frame heads are
//! read, or not, and what is said of them can stand in a playlist.

use std::time::Duration;

use libmpegts::pes::{
    EsFrame, PesHeader, PesPacketizer, PtsDts, STREAM_ID_AUDIO, STREAM_ID_VIDEO, Timestamp,
};
use libmpegts::psi::{PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream, PsiPacketizer};
use sluice_core::media::playlist::render::multivariant;
use sluice_core::media::ts::{Facts, Segmenter};
use sluice_core::media::{RenditionSpec, Role};

use crate::stream::PACKET;

const PMT_PID: u16 = 0x1000;
const PID: u16 = 0x100;
const FRAMES: u64 = 8;
/// MPEG-2, H.264 and HEVC; MPEG audio, AAC in ADTS and LATM, private data with AC-3, AC-3 and E-AC-3.
const VIDEO: &[u8] = &[0x02, 0x1b, 0x24];
const AUDIO: &[u8] = &[0x03, 0x0f, 0x11, 0x06, 0x81, 0x87];

/// The stream type, how often it begins anew; then its bytes.
pub(crate) fn run(input: &[u8]) {
    let Some((&[kind, step], bytes)) = input.split_first_chunk::<2>() else { return };
    let types: Vec<u8> = VIDEO.iter().chain(AUDIO).copied().collect();
    let stream_type = types[usize::from(kind) % types.len()];
    let stream = build(stream_type, u64::from(step) * 100 + 1, bytes);
    let mut segmenter = Segmenter::new(Duration::from_millis(500), None);
    let mut events = Vec::new();
    let pushed = segmenter.push(&stream, &mut events);
    assert!(pushed.is_ok(), "{pushed:?}");
    if let Some(profile) = segmenter.measured() {
        assert!(profile.part_target > Duration::ZERO);
        assert_facts(&profile.facts);
    }
}

/// What is said of a stream is a conforming multivariant playlist.
fn assert_facts(facts: &Facts) {
    let video = facts.video.iter();
    for (width, height) in video.filter_map(|video| video.resolution) {
        assert!(width > 0 && height > 0, "{width}x{height}");
    }
    let attributes = facts.attributes();
    for (name, value) in &attributes {
        let fits = match name.as_str() {
            "CODECS" => value.len() > 4 && value.bytes().filter(|byte| *byte == b'"').count() == 2,
            "FRAME-RATE" => value.parse().is_ok_and(|rate: f64| rate.is_finite() && rate >= 0.0),
            _ => true,
        };
        assert!(fits && !value.contains(char::is_control), "{name}={value}");
    }
    let bandwidth_bps = facts.bitrate_bps.unwrap_or_default();
    let role = Role::Variant { bandwidth_bps, attributes, audio: None, subtitles: None, muxed: Vec::new() };
    let spec = RenditionSpec { name: "main".to_owned(), role };
    let text = multivariant(&[spec], |_| "index.m3u8".to_owned(), false);
    let violations = sluice_conformance::check(&text);
    assert!(violations.is_empty(), "{violations:?}\n{text}");
}

/// Frames with these bytes, from a tick to some seconds apart.
fn build(stream_type: u8, step_90khz: u64, bytes: &[u8]) -> Vec<u8> {
    let is_video = VIDEO.contains(&stream_type);
    let mut output = Vec::new();
    let mut pat = PsiPacketizer::new(0);
    let programs = vec![PatProgram { program_number: 1, pid: PMT_PID }];
    pat.set_sections(PatBuilder::build(PatConfig { transport_stream_id: 1, version: 0, programs }));
    append(&mut output, |packet| pat.next(packet));
    let mut pmt = PsiPacketizer::new(PMT_PID);
    let stream_descriptors = if stream_type == 0x06 { vec![0x6a, 0x01, 0x00] } else { Vec::new() };
    pmt.set_sections(PmtBuilder::build(PmtConfig {
        program_number: 1,
        pcr_pid: PID,
        version: 0,
        program_descriptors: Vec::new(),
        streams: vec![PmtStream { stream_type, elementary_pid: PID, stream_descriptors }],
    }));
    append(&mut output, |packet| pmt.next(packet));
    let mut frames = PesPacketizer::new(PID);
    for at in 0..FRAMES {
        let time = Timestamp::new(900_000 + at * step_90khz);
        let mut packet = [0; PACKET];
        frames.build_pcr_packet(&mut packet, time.value().saturating_sub(9000) * 300);
        output.extend_from_slice(&packet);
        let stream_id = if is_video { STREAM_ID_VIDEO } else { STREAM_ID_AUDIO };
        let header = PesHeader::new(stream_id).with_pts_dts(PtsDts::new(time));
        frames.set_frame(EsFrame { header, payload: bytes.to_vec(), rai: at % 4 == 0 });
        append(&mut output, |packet| frames.next(packet));
    }
    output
}

fn append(output: &mut Vec<u8>, mut next: impl FnMut(&mut [u8; PACKET]) -> bool) {
    let mut packet = [0; PACKET];
    while next(&mut packet) {
        output.extend_from_slice(&packet);
    }
}
