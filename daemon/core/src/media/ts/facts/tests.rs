use libmpegts::ts::TsPacketRef;

use super::super::tables::Tables;
use super::super::testing::{FRAME_90KHZ, Shape};
use super::gather::Stream;
use super::*;

fn tables(packets: &[u8]) -> Tables {
    let mut tables = Tables::new(None);
    packets
        .as_chunks::<188>()
        .0
        .iter()
        .for_each(|packet| tables.observe(&TsPacketRef::from(packet)).unwrap());
    tables
}

fn video(stream_type: u8, parameters: &[u8]) -> Video {
    let bytes = [&[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1], parameters, &[0, 0, 1, 0x65, 0x88]].concat();
    video::read(&Stream { is_video: true, stream_type, bytes, ..Stream::default() }, Some(24.0))
}

#[test]
fn a_parameter_set_tells_codec_resolution_and_frame_rate() {
    // of libx264 and libx265, through ffmpeg
    let avc = [
        0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00,
        0x00, 0x03, 0x00, 0xc8, 0x3c, 0x58, 0xba, 0x80,
    ];
    let told = video(0x1b, &avc);
    assert_eq!(told.codec.as_deref(), Some("avc1.42c01e"));
    assert_eq!(told.resolution, Some((640, 360)));
    let hevc = [
        0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
        0x3c, 0xa0, 0x0a, 0x88, 0x0c, 0x1c, 0x44, 0xd9, 0x65, 0x65, 0x4a, 0x4c, 0x2f, 0x01, 0x68,
    ];
    let (codec, resolution) = (Some("hvc1.1.6.L60.90".into()), Some((322, 182)));
    assert_eq!(video(0x24, &hevc), Video { codec, resolution, frame_rate: Some(24.0) });
    // cut short, its profile still stands at its head
    let told = video(0x1b, &avc[..6]);
    let expected = Video { codec: Some("avc1.42c01e".into()), resolution: None, frame_rate: Some(24.0) };
    assert_eq!(told, expected);
    assert_eq!(video(0x02, &avc), Video { frame_rate: Some(24.0), ..Video::default() });
}

#[test]
fn a_picture_without_a_width_has_no_resolution() {
    let profile = [&[0x42, 0x01, 0x01, 0x01][..], &[0xff; 10], &[0x3c]].concat();
    let size = |bits: &[u8]| video(0x24, &[&profile, bits].concat()).resolution;
    // identifier 0, format 1, width 0 or 32, height 32, no window
    assert_eq!(size(&[0b1010_1000, 0b0010_0001, 0x40]), None);
    assert_eq!(size(&[0b1010_0000, 0b0100_0010, 0b0000_1000, 0b0100_0000]), Some((32, 32)));
}

#[test]
fn a_frame_tells_codec_rate_and_channels() {
    let read = |stream_type, tags: &[u8], bytes: &[u8]| {
        let stream = Stream {
            stream_type,
            tags: tags.to_vec(),
            bytes: bytes.to_vec(),
            language: Some("deu".into()),
            ..Stream::default()
        };
        let audio = audio::read(&stream);
        assert_eq!(audio.language.as_deref(), Some("deu"));
        (audio.codec.unwrap_or_default(), audio.sample_rate_hz, audio.channels, audio.frame_samples)
    };
    let said =
        |codec: &str, rate, channels, samples| (codec.to_owned(), Some(rate), Some(channels), Some(samples));
    assert_eq!(read(0x0f, &[], &[0, 0xff, 0xf1, 0x4c, 0x80, 0, 0]), said("mp4a.40.2", 48_000, 2, 1024));
    assert_eq!(read(0x03, &[], &[0xff, 0xfb, 0x90, 0xc4]), said("mp4a.40.34", 44_100, 1, 1152));
    assert_eq!(read(0x04, &[], &[0xff, 0xf3, 0x84, 0x44]), said("mp4a.40.34", 24_000, 2, 576));
    assert_eq!(read(0x03, &[], &[0xff, 0xfd, 0xa4, 0x04]), said("mp4a.40.33", 48_000, 2, 1152));
    assert_eq!(read(0x81, &[], &[0x0b, 0x77, 0, 0, 0x10, 0x40, 0xe0, 0]), said("ac-3", 48_000, 5, 1536));
    assert_eq!(read(0x06, &[0x6a], &[0x0b, 0x77, 0, 0, 0x10, 0x40, 0x40]), said("ac-3", 48_000, 2, 1536));
    assert_eq!(read(0x06, &[0x7a], &[0x0b, 0x77, 0, 0, 0x3f]), said("ec-3", 48_000, 6, 1536));
    assert_eq!(read(0x06, &[], &[1, 2, 3]), (String::new(), None, None, None));
}

#[test]
fn the_bitrate_is_right_over_a_wrap_of_the_clock() {
    for start_90khz in [126_000, (1 << 33) - 200_000] {
        let shape = Shape { start_90khz, size: 5000, ..Shape::default() };
        let bytes = shape.build();
        let seconds = (shape.frames * FRAME_90KHZ) as f64 / 90_000.0;
        let expected = bytes.len() as f64 * 8.0 / seconds;
        let told = Facts::of(&bytes, &tables(&bytes), &[3600]).bitrate_bps.unwrap() as f64;
        assert!((told / expected - 1.0).abs() < 0.05, "{told} {expected}");
    }
    assert_eq!(bitrate::bitrate_bps(&[0x47; 188 * 3], 0x100), None);
}

#[test]
fn attributes_name_every_codec_once_or_none() {
    let audio = Audio { codec: Some("mp4a.40.2".into()), ..Audio::default() };
    let video = Video {
        codec: Some("avc1.64001f".into()),
        resolution: Some((1280, 720)),
        frame_rate: Some(29.97003),
    };
    let mut facts = Facts { video: Some(video), audio: vec![audio.clone(), audio], bitrate_bps: None };
    let own = |list: &[(&str, &str)]| {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
    };
    let rest = [("RESOLUTION", "1280x720"), ("FRAME-RATE", "29.970")];
    assert_eq!(facts.attributes(), own(&[("CODECS", "\"avc1.64001f,mp4a.40.2\""), rest[0], rest[1]]));
    facts.audio.push(Audio::default());
    assert_eq!(facts.attributes(), own(&rest));
}
