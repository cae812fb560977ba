//! Text of any kind as a playlist: a fault, or what can be rendered and says the same when it is read again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_core::media::playlist::render::{self, MediaOptions};
use sluice_core::media::playlist::{Entry, MediaPlaylist, Multivariant, Playlist, Variables, parse};
use sluice_core::media::{Container, Init, Media, Part, RenditionSpec, Role, Segment};
use url::Url;

/// Rules that hang on what the origin says, which is passed on: dates that run back.
const OF_THE_ORIGIN: &[&str] = &["6.2.1"];

/// Reads a playlist.
pub(crate) fn run(input: &[u8]) {
    let read = |text: &[u8]| {
        let base = Url::parse("http://origin.example/live/index.m3u8?token=1").ok()?;
        parse(text, &base, &Variables::default()).ok()
    };
    let Some(playlist) = read(input) else { return };
    if !input.contains(&b'\r') {
        let lines: Vec<_> = input.split(|byte| *byte == b'\n').collect();
        assert_eq!(read(&lines.join(&b"\r\n"[..])).as_ref(), Some(&playlist), "with the other line ends");
    }
    match &playlist {
        Playlist::Media(media) => {
            assert_entries(media);
            assert_rendered(media, read);
        }
        Playlist::Multivariant(multivariant) => assert_variants(multivariant, read),
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn assert_entries(media: &MediaPlaylist) {
    assert!(media.target_duration >= Duration::from_secs(1));
    let mut discontinuity_sequence = 0;
    for (entry, due) in media.entries.iter().zip(media.media_sequence..) {
        assert_eq!(entry.sequence, due);
        assert!(is_web(&entry.url) && entry.map.as_ref().is_none_or(|map| is_web(&map.url)));
        assert!(entry.duration <= Duration::from_secs(3600));
        assert!(entry.range.is_none_or(|range| range.length > 0 && range.offset <= u64::MAX - range.length));
        assert!(entry.discontinuity_sequence >= discontinuity_sequence);
        discontinuity_sequence = entry.discontinuity_sequence;
    }
}

/// The segments that a source would make of it.
fn segments(entries: &[Entry]) -> Vec<Arc<Segment>> {
    let mut before = entries.first().map_or(0, |first| first.discontinuity_sequence);
    let segment = |entry: &Entry| {
        let discontinuities = entry.discontinuity_sequence - before;
        before = entry.discontinuity_sequence;
        let container = entry.map.as_ref().map_or(Container::TransportStream, |map| {
            let init = Arc::new(Init::new(Bytes::from(map.url.to_string())));
            Container::FragmentedMp4 { init }
        });
        let part = Part { duration: entry.duration, independent: true, bytes: Bytes::from_static(b"G") };
        let media = Media {
            duration: entry.duration,
            era: entry.discontinuity_sequence,
            gap: entry.gap,
            program_date_time: entry.program_date_time,
            container,
            origin: None,
            parts: if entry.gap { Vec::new() } else { vec![part] },
        };
        let Entry { sequence, discontinuity_sequence, .. } = *entry;
        Arc::new(Segment { sequence, discontinuity_sequence, discontinuities, media })
    };
    entries.iter().map(segment).collect()
}

fn assert_rendered(media: &MediaPlaylist, read: impl Fn(&[u8]) -> Option<Playlist>) {
    let longest = media.entries.iter().map(|entry| entry.duration + Duration::from_millis(500)).max();
    let options = MediaOptions {
        target_duration: longest.unwrap_or_default().max(media.target_duration),
        independent_segments: media.independent_segments,
        ended: media.ended,
        epoch: "e",
    };
    let text = render::media(&segments(&media.entries), &options);
    let mut violations = sluice_conformance::check(&text);
    violations.retain(|violation| !OF_THE_ORIGIN.contains(&violation.rule));
    assert!(violations.is_empty(), "{violations:?}\n{text}");
    let again = read(text.as_bytes());
    let Some(Playlist::Media(again)) = again else {
        assert!(again.is_some(), "what is rendered is no media playlist: {text}");
        return;
    };
    assert_eq!((media.ended, media.independent_segments), (again.ended, again.independent_segments));
    assert_eq!(media.entries.len(), again.entries.len(), "{text}");
    for (one, other) in media.entries.iter().zip(&again.entries) {
        let place = |entry: &Entry| (entry.sequence, entry.discontinuity_sequence, entry.gap);
        assert_eq!(place(one), place(other), "{text}");
        assert!(one.duration.abs_diff(other.duration) <= Duration::from_micros(1), "{text}");
        assert_eq!(one.map.is_some(), other.map.is_some());
        if let Some((date, again)) = one.program_date_time.zip(other.program_date_time) {
            let moved = date.duration_since(again).unsigned_abs();
            assert!(moved <= Duration::from_millis(1), "{date} became {again}");
        }
        assert!(one.program_date_time.is_none() || other.program_date_time.is_some(), "{text}");
    }
}

fn assert_variants(multivariant: &Multivariant, read: impl Fn(&[u8]) -> Option<Playlist>) {
    assert!(multivariant.variants.iter().all(|variant| is_web(&variant.url)));
    let urls = multivariant.alternatives.iter().filter_map(|alternative| alternative.url.as_ref());
    urls.for_each(|url| assert!(is_web(url)));
    let variants = multivariant.variants.iter().enumerate().map(|(at, variant)| RenditionSpec {
        name: format!("video-{at}"),
        role: Role::Variant {
            bandwidth_bps: variant.bandwidth_bps,
            attributes: variant.attributes.clone(),
            audio: variant.audio.clone(),
            subtitles: variant.subtitles.clone(),
            muxed: Vec::new(),
        },
    });
    let served = multivariant.alternatives.iter().filter(|alternative| alternative.url.is_some()).enumerate();
    let alternatives = served.map(|(at, alternative)| RenditionSpec {
        name: format!("other-{at}"),
        role: Role::Alternative {
            media_type: alternative.media_type.clone(),
            group: alternative.group.clone(),
            attributes: alternative.attributes.clone(),
        },
    });
    let specs: Vec<_> = variants.chain(alternatives).collect();
    let uri_of = |spec: &RenditionSpec| format!("{}/index.m3u8", spec.name);
    let text = render::multivariant(&specs, uri_of, multivariant.independent_segments);
    let again = read(text.as_bytes());
    let Some(Playlist::Multivariant(again)) = again else {
        assert!(again.is_some(), "what is rendered is no multivariant playlist: {text}");
        return;
    };
    assert_eq!(multivariant.variants.len(), again.variants.len(), "{text}");
    for (one, other) in multivariant.variants.iter().zip(&again.variants) {
        assert_eq!(one.bandwidth_bps.max(1), other.bandwidth_bps, "{text}");
        assert_eq!(one.resolution, other.resolution, "{text}");
        assert!(other.audio.is_none() || one.audio == other.audio, "{text}");
        let kept = |(name, _): &&(String, String)| name != "BANDWIDTH";
        assert!(one.attributes.iter().filter(kept).eq(other.attributes.iter().filter(kept)), "{text}");
    }
    let served = multivariant.alternatives.iter().filter(|alternative| alternative.url.is_some());
    for (one, other) in served.zip(&again.alternatives) {
        assert_eq!((&one.media_type, &one.group), (&other.media_type, &other.group), "{text}");
    }
}
