use std::time::Duration;

use super::*;
use crate::fault::FaultKind;

const BASE: &str = "https://origin.example/live/news/index.m3u8?token=a%20b&n=7";

fn read(text: &str) -> Result<Playlist, Fault> {
    parse(text.as_bytes(), &BASE.parse().unwrap(), &Variables::default())
}

fn media(lines: &str) -> MediaPlaylist {
    match read(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{lines}")) {
        Ok(Playlist::Media(playlist)) => playlist,
        other => panic!("{other:?}"),
    }
}

fn refused(lines: &str) -> String {
    read(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{lines}")).unwrap_err().to_string()
}

fn multivariant(lines: &str) -> Multivariant {
    match read(&format!("#EXTM3U\n{lines}")) {
        Ok(Playlist::Multivariant(playlist)) => playlist,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_durations_and_urls_are_absolute() {
    let playlist = media(
        "#EXT-X-MEDIA-SEQUENCE:41\n#EXT-X-DISCONTINUITY-SEQUENCE:5\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXTINF:4.004,a title\r\na.ts\r\n#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:2\n  /b.ts?x=1  \n#EXT-X-ENDLIST\n",
    );
    assert_eq!(playlist.target_duration, Duration::from_secs(6));
    assert!(playlist.ended && playlist.independent_segments);
    let [first, second] = playlist.entries.as_slice() else { panic!("{playlist:?}") };
    assert_eq!(first.url.as_str(), "https://origin.example/live/news/a.ts");
    assert_eq!((first.sequence, first.discontinuity_sequence, first.gap), (41, 5, false));
    assert_eq!(first.duration, Duration::from_millis(4004));
    assert_eq!(second.url.as_str(), "https://origin.example/b.ts?x=1");
    assert_eq!((second.sequence, second.discontinuity_sequence, second.gap), (42, 6, true));
}

#[test]
fn what_is_no_playlist_is_refused_with_its_start() {
    for text in ["<!DOCTYPE html>\n<html>", "", "\n#EXTM3U", "#EXTM3U8\n", "[playlist]", "not found"] {
        let fault = read(text).unwrap_err();
        assert!(fault.to_string().contains("not a playlist"), "{text:?}: {fault}");
    }
    assert_eq!(
        read("<html>\u{7}hello").unwrap_err().to_string(),
        r#"malformed: not a playlist: it begins with "<html>hello""#
    );
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert!(read("\u{feff}#EXTM3U\n#EXT-X-TARGETDURATION:6\n").is_ok());
}

#[test]
fn a_byte_range_without_an_offset_goes_on_behind_the_one_before() {
    let playlist = media(
        "#EXTINF:1,\n#EXT-X-BYTERANGE:100@20\na.ts\n#EXTINF:1,\n#EXT-X-BYTERANGE:30\na.ts\n\
         #EXTINF:1,\n#EXT-X-BYTERANGE:5\na.ts\n",
    );
    let ranges: Vec<_> = playlist.entries.iter().map(|entry| entry.range.unwrap()).collect();
    assert_eq!(ranges, [(20, 100), (120, 30), (150, 5)].map(|(offset, length)| ByteRange { offset, length }));
}

#[test]
fn rules_that_the_meaning_hangs_on_are_faults_that_name_the_line() {
    for (lines, what) in [
        ("a.ts\n", "line 3: a segment without EXTINF"),
        ("#EXTINF:-1,\na.ts", "line 3: EXTINF: a duration"),
        ("#EXTINF:NaN,\na.ts", "line 3: EXTINF: a duration"),
        ("#EXTINF:inf,\na.ts", "line 3: EXTINF: a duration"),
        ("#EXTINF:3601,\na.ts", "line 3: EXTINF: a duration"),
        ("#EXTINF,\na.ts", "line 4: a segment without EXTINF"),
        ("#EXT-X-MEDIA-SEQUENCE:-1\n", "line 3: EXT-X-MEDIA-SEQUENCE: a sequence"),
        ("#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n", "line 3: EXT-X-MEDIA-SEQUENCE: a sequence"),
        ("#EXT-X-DISCONTINUITY-SEQUENCE:99999999999999999999\n", "line 3"),
        ("#EXTINF:1,\na.ts\n#EXT-X-MEDIA-SEQUENCE:1\n", "line 5: EXT-X-MEDIA-SEQUENCE: it stands behind"),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:5\na.ts\n", "line 5: a byte range without an offset"),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:0@0\na.ts\n", "line 5: an absurd byte range"),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:9@18446744073709551615\na.ts\n", "line 5: an absurd byte range"),
        ("#EXT-X-KEY:URI=\"k\"\n", "line 3: EXT-X-KEY: no METHOD"),
        ("#EXT-X-KEY:METHOD=AES-128\n", "line 3: EXT-X-KEY: no URI"),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0xZZ\n", "line 3: EXT-X-KEY: an IV of 128 bits"),
        ("#EXT-X-KEY:METHOD\n", "line 3: EXT-X-KEY: the attribute list"),
        ("#EXT-X-MAP:BYTERANGE=\"1@0\"\n", "line 3: EXT-X-MAP: no URI"),
        ("#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n", "line 3: EXT-X-SKIP: a delta update"),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", "both kinds"),
    ] {
        assert!(refused(lines).contains(what), "{lines:?}: {}", refused(lines));
    }
    let fault = read("#EXTM3U\n#EXTINF:1,\na.ts\n").unwrap_err();
    assert!(fault.to_string().contains("without EXT-X-TARGETDURATION"), "{fault}");
}

#[test]
fn only_http_and_https_urls_pass() {
    for lines in [
        "#EXTINF:1,\nfile:///etc/passwd\n",
        "#EXTINF:1,\ndata:text/plain,x\n",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"data:,0123456789abcdef\"\n",
        "#EXT-X-MAP:URI=\"ftp://x/init.mp4\"\n",
    ] {
        let fault = read(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{lines}")).unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Forbidden(_)), "{lines:?}: {fault}");
    }
    let fault = read("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfile:///x\n").unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Forbidden(_)), "{fault}");
}

#[test]
fn keys_hold_until_the_next_one_and_maps_take_the_key_that_stands_before_them() {
    let playlist = media(
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"10@5\"\n#EXTINF:1,\na\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"k2\",IV=0x0f\n#EXTINF:1,\nb\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nc\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\"\n#EXTINF:1,\nd\n",
    );
    let key = |at: usize| playlist.entries[at].key.as_deref();
    let Some(first @ Key::Aes128 { url, iv: None }) = key(0) else { panic!("{:?}", key(0)) };
    assert_eq!(url.as_str(), "https://origin.example/live/news/k1");
    assert_eq!(first.iv(258)[14..], [1, 2]);
    assert_eq!(key(1).map(|key| key.iv(9)[15]), Some(15));
    assert_eq!(key(2), None);
    assert_eq!(key(3), Some(&Key::Unsupported("SAMPLE-AES".into())));
    let map = playlist.entries[3].map.as_deref().unwrap();
    assert_eq!(map.range, Some(ByteRange { offset: 5, length: 10 }));
    assert_eq!(map.key.as_deref(), key(0));
}

#[test]
fn of_several_key_formats_the_one_that_we_can_use_counts() {
    let drm = "#EXT-X-KEY:METHOD=AES-128,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n";
    let identity = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n";
    let both = media(&format!("{identity}{drm}#EXTINF:1,\na\n"));
    assert!(matches!(both.entries[0].key.as_deref(), Some(Key::Aes128 { .. })));
    let foreign = media(&format!("{drm}#EXTINF:1,\na\n"));
    let Some(Key::Unsupported(what)) = foreign.entries[0].key.as_deref() else { panic!() };
    assert_eq!(what, "AES-128 with the key format com.apple.streamingkeydelivery");
}

#[test]
fn dates_are_carried_on_until_a_discontinuity() {
    let playlist = media(
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.500+01:00\n#EXTINF:1.5,\na\n#EXTINF:1,\nb\n\
         #EXT-X-DISCONTINUITY\n#EXTINF:1,\nc\n#EXT-X-PROGRAM-DATE-TIME:tomorrow\n#EXTINF:1,\nd\n",
    );
    let dates: Vec<_> =
        playlist.entries.iter().map(|entry| entry.program_date_time.map(|time| time.to_string())).collect();
    assert_eq!(
        dates,
        [Some("2026-01-02T02:04:05.5Z".into()), Some("2026-01-02T02:04:07Z".into()), None, None]
    );
}

#[test]
fn variables_are_replaced_in_uris_and_quoted_values() {
    let playlist = multivariant(
        "#EXT-X-DEFINE:NAME=\"cdn\",VALUE=\"https://cdn.example\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{$token}\",URI=\"{$cdn}/a.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO=\"a\"\n{$cdn}/{$v.m3u8?{$token}\n",
    );
    assert_eq!(playlist.variants[0].url.as_str(), "https://cdn.example/%7B$v.m3u8?a%20b");
    assert_eq!(playlist.alternatives[0].attributes, [("NAME".into(), "\"a b\"".into())]);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-DEFINE:IMPORT=\"cdn\"\n#EXTINF:1,\n{$cdn}/a.ts\n";
    let base = BASE.parse().unwrap();
    let Ok(Playlist::Media(inner)) = parse(text.as_bytes(), &base, &playlist.variables) else { panic!() };
    assert_eq!(inner.entries[0].url.as_str(), "https://cdn.example/a.ts");
    assert!(
        read(text).unwrap_err().to_string().contains("line 3: EXT-X-DEFINE: the variable cdn is not set")
    );
}

#[test]
fn variables_cannot_blow_up() {
    let mut text = "#EXT-X-DEFINE:NAME=\"v0\",VALUE=\"0123456789abcdef\"\n".to_owned();
    for at in 1..12 {
        let last = at - 1;
        let value = format!("{{$v{last}}}").repeat(8);
        text.push_str(&format!("#EXT-X-DEFINE:NAME=\"v{at}\",VALUE=\"{value}\"\n"));
    }
    assert!(refused(&text).contains("8 KiB"));
}

#[test]
fn an_attribute_without_a_name_or_a_value_is_not_passed_on() {
    for list in ["=\"a\"", "X-NOTHING=   ", "x-small=1"] {
        let playlist = multivariant(&format!("#EXT-X-STREAM-INF:{list}\nv.m3u8\n"));
        assert_eq!(playlist.variants[0].attributes, [], "{list}");
    }
}

#[test]
fn a_multivariant_playlist_gives_attributes_as_written_without_groups() {
    let playlist = multivariant(
        "#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"English\",DEFAULT=YES,URI=\"audio.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,AUDIO=\"aac\",\
         SUBTITLES=\"s\",CLOSED-CAPTIONS=NONE\nv.m3u8\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,\
         CLOSED-CAPTIONS=\"cc\"\nw.m3u8\n",
    );
    assert!(playlist.independent_segments);
    let variant = &playlist.variants[0];
    assert_eq!((variant.bandwidth_bps, variant.resolution), (2_500_000, Some((1280, 720))));
    assert_eq!((variant.audio.as_deref(), variant.subtitles.as_deref()), (Some("aac"), Some("s")));
    let text: Vec<_> = variant.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        text.join(","),
        "BANDWIDTH=2500000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,CLOSED-CAPTIONS=NONE"
    );
    assert_eq!(playlist.variants[1].attributes.len(), 1);
    assert_eq!(playlist.alternatives[0].media_type, "AUDIO");
    assert_eq!(playlist.alternatives[0].url.as_ref().map(Url::path), Some("/live/news/audio.m3u8"));
}

#[test]
fn entries_are_limited() {
    let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{}", "#EXTINF:1,\na\n".repeat(4));
    let limited = |entries| {
        parse_within(text.as_bytes(), &BASE.parse().unwrap(), &Variables::default(), Limits { entries })
    };
    assert!(limited(4).is_ok());
    assert_eq!(limited(3).unwrap_err().kind, FaultKind::TooLarge { limit: 3 });
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    const CORPUS: &[&str] = &[
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x00112233445566778899aabbccddeeff\n\
         #EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"720@0\"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z\n\
         #EXTINF:5.96,x\n#EXT-X-BYTERANGE:100@0\na.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:6,\na.m4s\n\
         #EXT-X-BYTERANGE:50\n#EXTINF:3.1,\na.m4s\n#EXT-X-PART:DURATION=0.3,URI=\"p\"\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-DEFINE:NAME=\"x\",VALUE=\"y\"\n#EXT-X-DEFINE:QUERYPARAM=\"n\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\",URI=\"{$x}.m3u8\"\n#EXT-X-START:TIME-OFFSET=-9\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1280000,RESOLUTION=640x360,AUDIO=\"a\"\nlow-{$n}.m3u8\n",
    ];

    fn survives(bytes: &[u8]) {
        if let Ok(Playlist::Media(playlist)) = parse(bytes, &BASE.parse().unwrap(), &Variables::default()) {
            for (at, entry) in playlist.entries.iter().enumerate() {
                assert_eq!(entry.sequence, playlist.media_sequence + at as u64);
                assert!(matches!(entry.url.scheme(), "http" | "https"));
            }
        }
    }

    proptest! {
        #[test]
        fn never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            survives(&bytes);
            survives(&[b"#EXTM3U\n", bytes.as_slice()].concat());
        }

        #[test]
        fn never_panic_in_place_of_something_valid(
            which in 0..CORPUS.len(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
        ) {
            let mut bytes = CORPUS[which].as_bytes().to_vec();
            for (at, byte, how) in edits {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, b"0123456789@,=\"\n#{$}"[usize::from(byte) % 19]),
                    _ => { bytes.drain(at..(at + usize::from(byte % 16)).min(bytes.len())); }
                }
                if bytes.is_empty() { bytes.push(b'#'); }
            }
            survives(&bytes);
        }
    }
}
