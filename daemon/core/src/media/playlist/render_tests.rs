use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use sluice_conformance::{Follower, check};

use super::*;
use crate::media::playlist::{MediaPlaylist, Playlist, Variables, parse};
use crate::media::{Container, Media, Muxed};

const OPTIONS: MediaOptions<'_> = MediaOptions {
    target_duration: Duration::from_secs(6),
    independent_segments: true,
    ended: false,
    epoch: "k3",
};

fn segment(sequence: u64, discontinuity_sequence: u64, discontinuities: u64) -> Segment {
    let media = Media {
        duration: Duration::from_millis(5960),
        era: 0,
        gap: false,
        program_date_time: None,
        container: Container::TransportStream,
        origin: None,
        parts: Vec::new(),
    };
    Segment { sequence, discontinuity_sequence, discontinuities, media }
}

fn fragmented(mut segment: Segment, init: &'static str) -> Segment {
    let init = Arc::new(Init::new(Bytes::from_static(init.as_bytes())));
    segment.media.container = Container::FragmentedMp4 { init };
    segment
}

fn render(segments: Vec<Segment>, options: &MediaOptions<'_>) -> String {
    let text = media(&segments.into_iter().map(Arc::new).collect::<Vec<_>>(), options);
    assert_eq!(check(&text), [], "{text}");
    text
}

fn read(text: &str) -> MediaPlaylist {
    match parse(text.as_bytes(), &"http://x/".parse().unwrap(), &Variables::default()) {
        Ok(Playlist::Media(playlist)) => playlist,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_media_playlist_says_all_and_no_more_than_is_used() {
    let mut dated = segment(42, 0, 0);
    dated.media.program_date_time = Some(Timestamp::from_millisecond(1_700_000_000_250).unwrap());
    dated.media.gap = true;
    assert_eq!(
        render(vec![segment(41, 0, 0), dated], &MediaOptions { ended: true, ..OPTIONS }),
        "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:6\n\
         #EXT-X-MEDIA-SEQUENCE:41\n#EXTINF:5.960,\nk3-41.ts\n\
         #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.250Z\n#EXT-X-GAP\n#EXTINF:5.960,\nk3-42.ts\n#EXT-X-ENDLIST\n"
    );
    let plain = render(vec![segment(7, 3, 0)], &MediaOptions { independent_segments: false, ..OPTIONS });
    assert!(plain.starts_with("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n"), "{plain}");
}

#[test]
fn the_header_leaves_out_the_discontinuities_of_the_first_segment() {
    let text = render(vec![segment(7, 5, 2), segment(8, 5, 0), segment(9, 6, 1)], &OPTIONS);
    assert!(
        text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY\n#EXTINF")
    );
    let sequences: Vec<_> = read(&text).entries.iter().map(|entry| entry.discontinuity_sequence).collect();
    assert_eq!(sequences, [5, 5, 6]);
}

#[test]
fn a_map_stands_where_it_changes_and_behind_a_discontinuity() {
    let text = render(
        vec![
            fragmented(segment(1, 0, 0), "a"),
            fragmented(segment(2, 0, 0), "a"),
            fragmented(segment(3, 0, 0), "b"),
            fragmented(segment(4, 1, 1), "b"),
        ],
        &OPTIONS,
    );
    let counts = ["k3-1.m4s", "k3-2.m4s", "k3-3.m4s", "k3-4.m4s"].map(|object| {
        let (before, _) = text.split_once(object).unwrap();
        before.matches("-MAP:").count()
    });
    assert_eq!(counts, [1, 1, 2, 3], "{text}");
    assert!(text.contains("#EXT-X-VERSION:6\n"), "{text}");
}

#[test]
fn durations_have_three_to_six_decimals() {
    for (nanos, written) in [
        (6_000_000_000, "6.000"),
        (5_960_000_000, "5.960"),
        (1_001_001_000, "1.001001"),
        (1_000_000_499, "1.000"),
        (999_999_500, "1.000"),
        (33_366_700, "0.033367"),
        (1_200_500_000, "1.2005"),
    ] {
        assert_eq!(Seconds(Duration::from_nanos(nanos)).to_string(), written);
    }
}

fn variant(name: &str, bandwidth_bps: u64, audio: Option<&str>) -> RenditionSpec {
    let attributes = vec![("CODECS".into(), "\"avc1.64001f,mp4a.40.2\"".into())];
    let role = Role::Variant {
        bandwidth_bps,
        attributes,
        audio: audio.map(Into::into),
        subtitles: Some("none".into()),
        muxed: Vec::new(),
    };
    RenditionSpec { name: name.into(), role }
}

#[test]
fn a_multivariant_playlist_names_only_groups_that_are_there() {
    let attributes = vec![("NAME".into(), "\"English\"".into()), ("DEFAULT".into(), "YES".into())];
    let role = Role::Alternative { media_type: "AUDIO".into(), group: "a".into(), attributes };
    let english = RenditionSpec { name: "audio-en".into(), role };
    let role = Role::Alternative { media_type: "AUDIO".into(), group: "a".into(), attributes: Vec::new() };
    let other = RenditionSpec { name: "audio-2".into(), role };
    let specs = [variant("v1", 2_500_000, Some("a")), variant("v2", 0, Some("gone")), english, other];
    let text = multivariant(&specs, |spec| format!("{}/index.m3u8", spec.name), true);
    assert_eq!(check(&text), [], "{text}");
    assert_eq!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",DEFAULT=YES,URI=\"audio-en/index.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"audio-2\",URI=\"audio-2/index.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"a\"\nv1/index.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f,mp4a.40.2\"\nv2/index.m3u8\n"
    );
}

#[test]
fn what_variants_carry_themselves_is_named_once() {
    let carried = |media_type: &str, group: &str, more: (&str, &str)| {
        let attributes = vec![("NAME".into(), "\"English\"".into()), (more.0.into(), more.1.into())];
        Muxed { media_type: media_type.into(), group: group.into(), attributes }
    };
    let both = [
        carried("AUDIO", "a", ("DEFAULT", "YES")),
        carried("CLOSED-CAPTIONS", "cc", ("INSTREAM-ID", "\"SERVICE1\"")),
    ];
    let variant = |name: &str| {
        let (attributes, audio) = (vec![("CLOSED-CAPTIONS".into(), "\"cc\"".into())], Some("a".into()));
        let muxed = both.to_vec();
        let role = Role::Variant { bandwidth_bps: 1, attributes, audio, subtitles: None, muxed };
        RenditionSpec { name: name.into(), role }
    };
    let text = multivariant(&[variant("v1"), variant("v2")], |spec| spec.name.clone(), false);
    assert_eq!(check(&text), [], "{text}");
    assert_eq!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:7\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",DEFAULT=YES\n\
         #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"English\",INSTREAM-ID=\"SERVICE1\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,CLOSED-CAPTIONS=\"cc\",AUDIO=\"a\"\nv1\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,CLOSED-CAPTIONS=\"cc\",AUDIO=\"a\"\nv2\n"
    );
}

fn any_segments() -> impl Strategy<Value = Vec<Segment>> {
    let one = (0..6_000_000_u64, 0..3_u64, any::<bool>(), 0..4_usize, prop::option::of(0..100_000_i64));
    (0..1_u64 << 40, prop::collection::vec(one, 1..30)).prop_map(|(first, choices)| {
        let mut discontinuity_sequence = first / 3;
        let mut clock = 1_700_000_000_000;
        let numbered = choices.into_iter().zip(first..);
        numbered
            .map(|((micros, discontinuities, gap, init, dated), sequence)| {
                discontinuity_sequence += discontinuities;
                let mut segment = segment(sequence, discontinuity_sequence, discontinuities);
                segment.media.duration = Duration::from_micros(micros);
                segment.media.gap = gap;
                segment.media.program_date_time = dated.map(|step| {
                    clock += step;
                    Timestamp::from_millisecond(clock).unwrap()
                });
                if init == 3 { segment } else { fragmented(segment, ["a", "b", "c"][init]) }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_rendered_reads_the_same_and_conforms(segments in any_segments(), ended: bool) {
        let playlist = read(&render(segments.clone(), &MediaOptions { ended, ..OPTIONS }));
        prop_assert_eq!(playlist.ended, ended);
        prop_assert_eq!(playlist.target_duration, OPTIONS.target_duration);
        prop_assert_eq!(playlist.entries.len(), segments.len());
        let mut init = None;
        for (entry, segment) in playlist.entries.iter().zip(&segments) {
            let media = &segment.media;
            prop_assert_eq!(entry.url.path(), format!("/{}", object_name("k3", segment)));
            prop_assert_eq!(entry.sequence, segment.sequence);
            prop_assert_eq!(entry.discontinuity_sequence, segment.discontinuity_sequence);
            prop_assert_eq!((entry.duration, entry.gap), (media.duration, media.gap));
            if media.program_date_time.is_some() {
                prop_assert_eq!(entry.program_date_time, media.program_date_time);
            }
            init = media.container.init().or(init);
            let map = init.map(|init| format!("/{}.mp4", init.name));
            prop_assert_eq!(entry.map.as_ref().map(|map| map.url.path().to_owned()), map);
        }
    }

    #[test]
    fn a_sliding_window_conforms_at_every_step(segments in any_segments(), width in 1..6_usize) {
        // the container family of a rendition stays, and with it the version
        let keep = segments[0].media.container.clone();
        let alike = segments.into_iter().filter(|segment| segment.media.container.fits(&keep));
        let alike: Vec<_> = alike.zip(9_u64..).map(|(segment, sequence)| Arc::new(Segment { sequence, ..segment })).collect();
        let mut discontinuity_sequence = 4;
        let renumber = |segment: &Arc<Segment>| {
            discontinuity_sequence += segment.discontinuities;
            Arc::new(Segment { discontinuity_sequence, ..Segment::clone(segment) })
        };
        let alike: Vec<_> = alike.iter().map(renumber).collect();
        let mut follower = Follower::default();
        for end in 1..=alike.len() {
            let text = media(newest(&alike[..end], width, OPTIONS.target_duration), &OPTIONS);
            prop_assert_eq!(follower.observe(&text), [], "{}", text);
        }
    }
}
