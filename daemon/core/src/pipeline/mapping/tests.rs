//! Mapping as a whole: from operations of a source to windows of a pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::super::feed::{Fit, Purpose};
use super::super::observing::Lineage;
use super::super::tests::{Kept, setup};
use super::super::writer::Outlet;
use super::super::*;
use super::*;
use crate::health::Delivery;
use crate::media::ts::testing::{AUDIO, Reading, Shape, VIDEO, is_continuous};
use crate::media::ts::{Pick, Split};
use crate::media::{Container, Init, Media, Part};

const SECOND: Duration = Duration::from_secs(1);
const TARGET: Duration = Duration::from_secs(2);
/// Frames of a segment of 2 s.
const FRAMES: u64 = 50;

fn lineage(id: u64) -> Lineage {
    Lineage { id, stage: "source 1 hls".into() }
}

fn spec(name: &str, bandwidth_bps: u64, audio: Option<&str>, codecs: &str) -> RenditionSpec {
    let attributes = vec![("CODECS".to_owned(), format!("\"{codecs}\""))];
    let audio = audio.map(str::to_owned);
    let role = Role::Variant { bandwidth_bps, attributes, audio, subtitles: None, muxed: Vec::new() };
    RenditionSpec { name: name.into(), role }
}

fn alternative(name: &str, media_type: &str, language: &str) -> RenditionSpec {
    let attributes = vec![("LANGUAGE".to_owned(), format!("\"{language}\""))];
    let (media_type, group) = (media_type.to_owned(), "a".to_owned());
    RenditionSpec { name: name.into(), role: Role::Alternative { media_type, group, attributes } }
}

fn muxed() -> Vec<RenditionSpec> {
    vec![spec("main", 0, None, "avc1.64001f,mp4a.40.2")]
}

fn demuxed() -> Vec<RenditionSpec> {
    let codecs = "avc1.64001f,mp4a.40.2";
    vec![
        spec("video-1", 3_000_000, Some("a"), codecs),
        spec("video-2", 800_000, Some("a"), codecs),
        alternative("audio-1", "AUDIO", "en"),
        alternative("subtitles-1", "SUBTITLES", "en"),
    ]
}

/// Segment `number` of a muxed stream, which goes on from one to the next.
fn segment(number: u64) -> Vec<u8> {
    let start_90khz = 126_000 + number * FRAMES * 3600;
    Shape { frames: FRAMES, tables: FRAMES, start_90khz, ..Shape::default() }.build()
}

fn only(pick: Pick, bytes: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    Split::new(pick).push(bytes, &mut output);
    output
}

fn audio_of(bytes: &[u8]) -> Vec<u8> {
    only(Pick::audio(None, true), bytes)
}

fn part(duration: Duration, bytes: Vec<u8>) -> Part {
    Part { duration, independent: true, bytes: bytes.into() }
}

fn media(era: u64, parts: Vec<Part>) -> Media {
    let duration = parts.iter().map(|part| part.duration).sum();
    let container = Container::TransportStream;
    Media { duration, era, gap: false, program_date_time: None, container, origin: None, parts }
}

fn whole(era: u64, bytes: Vec<u8>) -> Media {
    media(era, vec![part(TARGET, bytes)])
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(setup(&Arc::new(Kept::default())), Bounds { segments: 50, bytes: 1 << 30 }))
}

fn opening(specs: &[RenditionSpec]) -> Opening<'_> {
    Opening { specs, target: TARGET, independent_segments: true, part_target: None }
}

/// The writers of a run, which is mapped unless it is the first.
fn run(shared: &Arc<Shared>, generation: u64, specs: &[RenditionSpec]) -> (Feed, Vec<Writer>) {
    let fit = if generation == 1 { Fit::Replace } else { Fit::Map };
    let metrics = shared.metrics.source("source 1 scripted");
    let feed = Feed::of_run(shared.clone(), metrics, lineage(generation), generation, Purpose::Serve(fit));
    let writers = feed.open(&opening(specs));
    (feed, writers)
}

/// A pipeline that serves one segment of the demuxed renditions.
fn serving_demuxed() -> Arc<Shared> {
    let shared = shared();
    let (_feed, writers) = run(&shared, 1, &demuxed());
    let (video, audio) = (only(Pick::Video, &segment(0)), audio_of(&segment(0)));
    writers[0].append(whole(0, video.clone())).unwrap();
    writers[1].append(whole(0, video)).unwrap();
    writers[2].append(whole(0, audio)).unwrap();
    let text = Media { container: Container::WebVtt, ..whole(0, b"WEBVTT\n".to_vec()) };
    writers[3].append(text).unwrap();
    shared
}

/// What each window has got: lengths in milliseconds, discontinuities and whether it is a gap.
fn held(shared: &Shared) -> BTreeMap<String, Vec<(u128, u64, bool)>> {
    let set = shared.renditions().unwrap();
    let facts = |segment: &Arc<crate::media::Segment>| {
        (segment.media.duration.as_millis(), segment.discontinuities, segment.media.gap)
    };
    let all = set.renditions.iter().map(|rendition| {
        let snapshot = rendition.window.snapshot();
        (rendition.spec.name.clone(), snapshot.segments.iter().map(facts).collect())
    });
    all.collect()
}

/// The bytes of a window behind its first `skip` segments.
fn bytes(shared: &Shared, name: &str, skip: usize) -> Vec<u8> {
    let set = shared.renditions().unwrap();
    let snapshot = set.find(name).unwrap().window.snapshot();
    let parts = snapshot.segments.iter().skip(skip).flat_map(|segment| &segment.media.parts);
    parts.flat_map(|part| part.bytes.to_vec()).collect()
}

#[tokio::test]
async fn a_muxed_source_feeds_every_rendition_in_step_and_leaves_gaps_where_it_has_nothing() {
    let shared = serving_demuxed();
    let (feed, writers) = run(&shared, 2, &muxed());
    for number in 1..=3 {
        writers[0].append(whole(u64::from(number > 2), segment(number))).unwrap();
    }
    assert!(feed.in_charge());
    let media = vec![(2000, 0, false), (2000, 1, false), (2000, 0, false), (2000, 1, false)];
    let gaps = vec![(2000, 0, false), (2000, 1, true), (2000, 0, true), (2000, 1, true)];
    let expected = [("audio-1", &media), ("subtitles-1", &gaps), ("video-1", &media), ("video-2", &media)];
    let expected = expected.map(|(name, held)| (name.to_owned(), held.clone()));
    assert_eq!(held(&shared), BTreeMap::from(expected));
    let all = Reading::of(&(1..=3).flat_map(segment).collect::<Vec<_>>());
    for (name, pid) in [("video-1", VIDEO), ("video-2", VIDEO), ("audio-1", AUDIO)] {
        let reading = Reading::of(&bytes(&shared, name, 1));
        assert_eq!(reading.payload, BTreeMap::from([(pid, all.payload[&pid].clone())]), "{name}");
    }
}

#[tokio::test]
async fn segments_that_grow_are_split_as_they_grow() {
    let shared = serving_demuxed();
    let (_feed, writers) = run(&shared, 2, &muxed());
    let bytes_of = segment(1);
    let pieces: Vec<Bytes> = bytes_of.chunks(188 * 7).map(Bytes::copy_from_slice).collect();
    let each = TARGET / u32::try_from(pieces.len()).unwrap();
    writers[0].open(media(0, Vec::new())).unwrap();
    for piece in &pieces {
        writers[0].grow(part(each, piece.to_vec())).unwrap();
    }
    writers[0].close(Delivery::default()).unwrap();
    let held = held(&shared);
    assert!(held.values().all(|segments| segments[1].0 == held["video-1"][1].0), "{held:?}");
    assert_eq!(Reading::of(&bytes(&shared, "audio-1", 1)).payload, Reading::of(&audio_of(&bytes_of)).payload);
    assert!(is_continuous(&bytes(&shared, "video-1", 1)));
}

#[tokio::test]
async fn a_segment_without_audio_is_a_gap_where_audio_is_apart() {
    let shared = serving_demuxed();
    let (_feed, writers) = run(&shared, 2, &muxed());
    let silent = only(Pick::Video, &segment(1));
    writers[0].append(whole(0, silent.clone())).unwrap();
    writers[0].open(media(0, Vec::new())).unwrap();
    writers[0].grow(part(SECOND, silent.clone())).unwrap();
    writers[0].grow_last(part(SECOND, silent), Delivery::default()).unwrap();
    assert_eq!(held(&shared)["audio-1"][1..], [(2000, 1, true), (2000, 0, true)]);
    assert_eq!(held(&shared)["video-1"][1..], [(2000, 1, false), (2000, 0, false)]);
}

#[tokio::test]
async fn a_demuxed_source_is_joined_for_a_muxed_rendition() {
    let shared = shared();
    let (_first, writers) = run(&shared, 1, &muxed());
    writers[0].append(whole(0, segment(0))).unwrap();
    let metrics = shared.metrics.source("source 2 scripted");
    let feed = Feed::of_run(shared.clone(), metrics, lineage(2), 2, Purpose::Serve(Fit::Map));
    // what is cut anew needs no longer segments, whatever the source says
    let writers = feed.open(&Opening { target: 3 * TARGET, ..opening(&demuxed()) });
    let needed: Vec<bool> = writers.iter().map(Writer::is_needed).collect();
    assert_eq!(needed, [false, true, true, false]);
    for number in 1..=4 {
        writers[1].append(whole(0, only(Pick::Video, &segment(number)))).unwrap();
        assert_eq!(feed.in_charge(), number > 1, "audio is waited for");
        writers[2].append(whole(0, audio_of(&segment(number)))).unwrap();
    }
    let held = &held(&shared)["main"];
    assert!(held.len() >= 3, "{held:?}");
    assert_eq!(held[1..3], [(2000, 1, false), (2000, 0, false)]);
    let joined = bytes(&shared, "main", 1);
    assert!(is_continuous(&joined));
    let reading = Reading::of(&joined);
    let whole = Reading::of(&(1..=4).flat_map(segment).collect::<Vec<_>>());
    assert_eq!(reading.payload.len(), 2);
    assert_eq!(shared.renditions().unwrap().target_duration(), TARGET);
    for (payload, pid) in reading.payload.values().zip([VIDEO, AUDIO]) {
        assert!(payload.len() > 1000 && whole.payload[&pid].windows(payload.len()).any(|all| all == payload));
    }
}

/// What a second source says that is refused, where the demuxed renditions are served.
fn refusal(specs: &[RenditionSpec], media: Media) -> String {
    let shared = serving_demuxed();
    let before = held(&shared);
    let (feed, writers) = run(&shared, 2, specs);
    let fault = writers[0].append(media).unwrap_err();
    assert_eq!(held(&shared), before, "nothing of it is served");
    assert!(!feed.in_charge() && feed.observed().borrow().refused.is_some());
    fault.to_string()
}

#[tokio::test]
async fn what_cannot_be_mapped_is_refused_with_its_reason_before_anything_of_it_is_served() {
    let init = Arc::new(Init::new(Bytes::from_static(b"ftyp")));
    let mp4 = Media { container: Container::FragmentedMp4 { init }, ..whole(0, segment(1)) };
    let why = refusal(&muxed(), mp4.clone());
    assert!(why.contains("fragmented MP4"), "{why}");
    let why = refusal(&demuxed(), mp4);
    assert!(why.contains("fragmented MP4, which is not what is served"), "{why}");
    let hevc = spec("main", 0, None, "hvc1.1.6.L93.B0,mp4a.40.2");
    let why = refusal(&[hevc], whole(0, segment(1)));
    assert!(why.contains("its video is HEVC, and H.264 is served"), "{why}");
    let radio = Shape { gop: 0, frames: FRAMES, ..Shape::default() }.build();
    let unsaid = RenditionSpec { name: "main".into(), role: Role::only() };
    let named = spec("main", 0, None, "mp4a.40.2");
    for spec in [unsaid.clone(), named] {
        let why = refusal(&[spec], whole(0, radio.clone()));
        assert!(why.contains("no video"), "{why}");
    }
    let why = refusal(&[alternative("audio", "AUDIO", "en")], whole(0, radio));
    assert!(why.contains("no variant"), "{why}");
}

#[tokio::test]
async fn the_first_source_comes_back_into_its_own_windows() {
    let shared = serving_demuxed();
    let (_second, writers) = run(&shared, 2, &muxed());
    writers[0].append(whole(0, segment(1))).unwrap();
    let metrics = shared.metrics.source("source 1 scripted");
    let feed = Feed::of_run(shared.clone(), metrics, lineage(3), 3, Purpose::Serve(Fit::Replace));
    let writers = feed.open(&opening(&demuxed()));
    writers[0].append(whole(0, only(Pick::Video, &segment(2)))).unwrap();
    writers[2].append(whole(0, audio_of(&segment(2)))).unwrap();
    let held = held(&shared);
    for name in ["video-1", "audio-1"] {
        assert_eq!(held[name], [(2000, 0, false), (2000, 1, false), (2000, 1, false)], "{name}");
    }
}

#[tokio::test]
async fn what_is_multiplexed_is_made_apart_from_those_who_wait_for_other_things() {
    let shared = serving_demuxed();
    let (_feed, mut writers) = run(&shared, 2, &muxed());
    let writer = Arc::new(writers.remove(0));
    let Outlet::Mapped(mapped, _) = &writer.outlet else { panic!("it is mapped") };
    let mut appending = Box::pin(writer.append_whole(whole(0, segment(1)), Delivery::default()));
    {
        let _held = mapped.lock();
        assert!((&mut appending).now_or_never().is_none(), "another thread waits for the mapper");
    }
    appending.await.unwrap();
    assert!(shared.fed().iter().take(3).all(|fed| fed.how == FedHow::Split), "{:?}", shared.fed());
}

#[test]
fn what_feeds_each_rendition_can_be_looked_at() {
    let pacing = Pacing { segment: TARGET, longest: TARGET, part: SECOND };
    let fed = |served: &[RenditionSpec], source: &[RenditionSpec]| -> Vec<String> {
        let fed = Mapper::new(served, source, pacing).unwrap_or_else(|why| panic!("{why}")).fed(source);
        fed.iter().map(|fed| format!("{} {}", fed.how.word(), fed.from.join("+"))).collect()
    };
    assert_eq!(fed(&demuxed(), &muxed()), ["split main", "split main", "split main", "gaps "]);
    assert_eq!(fed(&muxed(), &demuxed()), ["joined video-2+audio-1"]);
    let one_for_two =
        [spec("high", 2_000_000, None, "avc1.64001f"), spec("low", 500_000, None, "avc1.64001f")];
    assert_eq!(fed(&one_for_two, &muxed()), ["whole main", "whole main"]);
}
