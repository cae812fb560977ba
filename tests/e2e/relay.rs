//! Real encoders behind a real nginx: what comes out is what went in, and players miss nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sluice_harness::origin::Live;
use sluice_harness::{Encoder, Ladder, Nginx, Protection, Taken, Viewer, play_with_ffmpeg, probe};

use super::{SOON, Stage, relay, seconds, serves, setup};

/// Where a protected stream begins to count: in more than 32 bits.
const IMPLICIT_IV_FROM: u64 = 5_000_000_000;

/// The longest step between two video frames at 25 a second, with room for the clock of 90 kHz.
const FRAME_SECONDS: f64 = 0.041;

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_goes_through_unchanged_and_plays_a_minute_without_a_loss() {
    let encoder = Encoder::start(Ladder::TransportStream(Protection::Clear)).await;
    goes_through(&encoder, 1, seconds(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fragmented_mp4_goes_through_unchanged_with_its_initialization_section() {
    let encoder = Encoder::start(Ladder::FragmentedMp4).await;
    let taken = goes_through(&encoder, 1, seconds(20)).await;
    let init = encoder.clear("init.mp4").unwrap();
    assert!(taken[0].segments.iter().all(|segment| segment.init.as_ref().is_some_and(|own| *own == init)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_stream_comes_out_clear() {
    let encoder = Encoder::start(Ladder::TransportStream(Protection::Aes128)).await;
    goes_through(&encoder, 1, seconds(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_stream_whose_iv_is_the_media_sequence_comes_out_clear() {
    let live = Live::new("a").from_sequence(IMPLICIT_IV_FROM).encrypted(*b"0123456789abcdef");
    let stage = Stage::with(setup(), live, "").await;
    let mut viewing = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(10, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_whole();
    let numbers = 0..=stage.live.newest();
    let known: HashMap<_, _> = numbers.map(|number| (stage.live.segment(number), number)).collect();
    let came: Vec<_> = taken.segments.iter().map(|segment| known.get(&segment.bytes).copied()).collect();
    let first = came[0].expect("the first segment is the origin's");
    let in_order: Vec<_> = (first..).map(Some).take(came.len()).collect();
    assert_eq!(came, in_order);
    assert_eq!(stage.origin.asked("key").len(), 1, "one key, fetched once");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_variants_and_their_audio_group_go_through_together() {
    let encoder = Encoder::start(Ladder::TwoVariants).await;
    goes_through(&encoder, 3, seconds(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_audio_goes_through_unchanged_alone() {
    let encoder = Encoder::start(Ladder::PackedAudio).await;
    let taken = goes_through(&encoder, 1, seconds(20)).await;
    assert_named(&taken[0], "aac");
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_audio_goes_through_unchanged_as_a_group() {
    let encoder = Encoder::start(Ladder::PackedAudioGroup).await;
    let taken = goes_through(&encoder, 2, seconds(20)).await;
    assert_named(&taken[0], "ts");
    assert_named(&taken[1], "aac");
}

#[tokio::test(flavor = "multi_thread")]
async fn subtitles_go_through_unchanged_beside_their_variant() {
    let encoder = Encoder::start(Ladder::Subtitles).await;
    let taken = goes_through(&encoder, 2, seconds(20)).await;
    assert_named(&taken[0], "ts");
    assert_named(&taken[1], "vtt");
}

/// Asserts that the segments of a rendition are named after their container, so that players know it.
fn assert_named(taken: &Taken, extension: &str) {
    let end = format!(".{extension}");
    let other = taken.segments.iter().find(|segment| !segment.entry.uri.ends_with(&end));
    assert!(other.is_none(), "{other:?}");
}

/// Relays what `encoder` makes to a viewer of each rendition and to ffmpeg, and compares.
async fn goes_through(encoder: &Encoder, renditions: usize, length: Duration) -> Vec<Taken> {
    let nginx = Nginx::serving(encoder.directory()).await;
    let text = relay("news", &nginx.url("/index.m3u8"), "variant \"all\"");
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let viewer = Viewer::new(sluice.viewers, "/live/news/index.m3u8");
    let viewers = viewer.renditions().await;
    assert_eq!(viewers.len(), renditions);
    let viewings: Vec<_> = viewers.into_iter().map(Viewer::watch).collect();

    let url = sluice.url("/live/news/index.m3u8");
    let (complaints, streams) = probe(&url).await;
    assert_eq!(complaints, "", "ffprobe found {streams}");
    let playback = play_with_ffmpeg(&url, length).await;
    let complaints = playback.complaints.lines().filter(|line| !is_habit(line)).collect::<Vec<_>>();
    assert_eq!(complaints, [""; 0]);
    assert_eq!(playback.streams.len(), encoder.media(), "what ffmpeg plays of {streams}");
    for stream in playback.streams.keys().copied() {
        let (lasted, steps) = (playback.length(stream), playback.steps_over(stream, FRAME_SECONDS));
        assert!(lasted > length.as_secs_f64() - 1.5, "stream {stream} lasted {lasted} s");
        assert!(steps.len() <= encoder.jumps(), "stream {stream} has steps of {steps:?} s");
    }

    let mut all = Vec::new();
    for viewing in viewings {
        let taken = viewing.stop().await;
        taken.assert_whole();
        assert_unchanged(encoder, &taken);
        all.push(taken);
    }
    assert_eq!(encoder.log(), "");
    all
}

/// Whether ffmpeg says so of every stream of this kind, straight from nginx too: it reads the initialization
/// section of a fragmented MP4 again after each reload of the playlist, and plays no WebVTT.
fn is_habit(line: &str) -> bool {
    let habits = ["Found duplicated MOOV Atom", "Can't support the subtitle", "Last message repeated"];
    habits.iter().any(|habit| line.contains(habit))
}

/// Asserts that every segment equals a file of the encoder, each the successor of the one before.
fn assert_unchanged(encoder: &Encoder, taken: &Taken) {
    let mut series = BTreeMap::<String, BTreeMap<u64, String>>::new();
    for file in encoder.files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let stem = file.file_stem().unwrap().to_string_lossy();
        let begin = stem.trim_end_matches(|last: char| last.is_ascii_digit());
        if let Ok(number) = stem.trim_start_matches(begin).parse() {
            series.entry(begin.to_owned()).or_default().insert(number, name);
        }
    }
    let mut known = HashMap::new();
    for (begin, files) in &series {
        let clear = files.iter().filter_map(|(number, name)| Some((encoder.clear(name)?, (begin, *number))));
        known.extend(clear);
    }
    let places: Vec<_> = taken
        .segments
        .iter()
        .map(|segment| {
            let sequence = segment.entry.sequence;
            known
                .get(&segment.bytes[..])
                .unwrap_or_else(|| panic!("segment {sequence} is none of the origin's"))
        })
        .collect();
    for pair in places.windows(2) {
        assert_eq!((pair[0].0, pair[0].1 + 1), *pair[1], "the order of {places:?}");
    }
    assert!(places.len() >= 5, "only {} segments were taken", places.len());
}
