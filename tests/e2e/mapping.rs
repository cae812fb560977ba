//! Sources that differ in their renditions feed one pipeline, one after another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_harness::origin::{After, Answer, Origin};
use sluice_harness::{
    Encoder, Ladder, Nginx, Sluice, Taken, Version, Viewer, Viewing, eventually, play_with_ffmpeg, program,
};

use super::failover::{SLOW, decode, fed_by, slate, switches};
use super::mpegts::live;
use super::{SOON, program as ring, serves, setup};

/// A pipeline that serves these sources as HLS and as one transport stream.
pub(super) fn chain(sources: &[String]) -> String {
    let sources: String = sources.iter().map(|source| format!("    source {source}\n")).collect();
    format!(
        "pipeline \"news\" {{\n{sources}    failover return-after=\"3s\"\n    buffer \"memory\" segments=200 bytes=\"64MiB\"\n    \
         sink \"hls\" path=\"/live/news\" window=60\n    sink \"mpegts\" path=\"/live/news.ts\" behind=\"1s\"\n}}\n"
    )
}

/// Two variants with their audio apart; a muxed stream of twelve seconds; a slate.
pub(super) struct Three {
    pub(super) sluice: Sluice,
    pub(super) directory: tempfile::TempDir,
    origin: Origin,
    _encoder: Encoder,
}

impl Three {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let slate = slate(directory.path()).await;
        let encoder = Encoder::start(Ladder::TwoVariants).await;
        let origin = Origin::start().await;
        let ladder = encoder.directory().to_owned();
        origin.script(move |asked| {
            let file = asked.path.strip_prefix("/ladder/")?;
            Some(Answer::bytes(std::fs::read(ladder.join(file)).ok()?))
        });
        origin.script(|asked| (asked.path == "/live.ts").then(|| live(12, After::Silence)));
        let sources = [
            format!("\"hls\" \"{}\" {{\n        variant \"all\"\n    }}", origin.url("/ladder/index.m3u8")),
            format!("\"mpegts\" \"{}\" segment=\"1s\"", origin.url("/live.ts")),
            format!("\"file\" \"{}\" loop=#true", slate.display()),
        ];
        let sluice = setup().file("news.kdl", &chain(&sources)).start().await;
        serves(&sluice, "/live/news/index.m3u8").await;
        Self { sluice, directory, origin, _encoder: encoder }
    }

    /// The first source does not answer any more.
    pub(super) fn fails(&self) {
        self.origin.fail("/ladder/", Answer::status(503));
    }

    /// It is there again.
    pub(super) fn recovers(&self) {
        self.origin.mend();
    }

    /// Lets the first source fail, the second one take its place and end, the slate play, and the first one come back.
    pub(super) async fn goes_round(&self) {
        let view = fed_by(&self.sluice, 0, SLOW).await;
        assert_eq!(view["renditions"][0]["fed_by"], fed("whole", "video-1"), "{view}");
        self.fails();
        let view = fed_by(&self.sluice, 1, SLOW).await;
        for at in 0..3 {
            assert_eq!(view["renditions"][at]["fed_by"], fed("split", "main"), "{view}");
        }
        let view = fed_by(&self.sluice, 2, SLOW).await;
        assert_eq!(view["last_switch"]["reason"], "stall", "{view}");
        self.recovers();
        let view = fed_by(&self.sluice, 0, SLOW).await;
        assert_eq!(view["last_switch"]["reason"], "return", "{view}");
        assert_eq!(view["renditions"][2]["fed_by"], fed("whole", "audio-1"), "{view}");
    }
}

fn fed(how: &str, from: &str) -> serde_json::Value {
    serde_json::json!({ "how": how, "from": [from] })
}

/// How long each discontinuity sequence played but the first and the last.
fn lengths(taken: &Taken) -> BTreeMap<u64, f64> {
    let mut lengths: BTreeMap<u64, f64> = BTreeMap::new();
    for segment in &taken.segments {
        *lengths.entry(segment.entry.discontinuity_sequence).or_default() += segment.entry.seconds;
    }
    lengths.pop_first();
    lengths.pop_last();
    lengths
}

/// Asserts that a rendition has the same discontinuities as another, and as much between them, but for the part that was
/// under way. One of them may have been stopped earlier.
fn assert_in_step(taken: &Taken, other: &Taken) {
    let (own, others) = (lengths(taken), lengths(other));
    for ((era, seconds), (other_era, other_seconds)) in own.iter().zip(&others) {
        let is_like = era == other_era && (seconds - other_seconds).abs() < 0.5;
        assert!(is_like, "{own:?}\n{others:?}");
    }
    assert!(own.len().min(others.len()) >= 2, "{own:?}\n{others:?}");
}

/// What ffmpeg says of the media, and not of where its own output puts 50 pictures of a slate among 25 others.
fn of_media(said: &str) -> Vec<&str> {
    let own = |line: &&str| !line.starts_with("[null @") && !line.contains("Last message repeated");
    said.lines().filter(own).collect()
}

/// Asserts that ffmpeg decodes what a viewer took, and that times only rise between two discontinuities.
async fn assert_decodes(taken: &Taken, directory: &Path, name: &str, streams: usize) {
    let directory = directory.join(name);
    std::fs::create_dir(&directory).unwrap();
    assert_eq!(of_media(&decode(taken, &directory).await), [""; 0], "{name}");
    let mut eras: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for segment in &taken.segments {
        eras.entry(segment.entry.discontinuity_sequence).or_default().extend_from_slice(&segment.bytes);
    }
    for (era, bytes) in eras {
        let file = directory.join(format!("era-{era}.ts"));
        std::fs::write(&file, bytes).unwrap();
        assert_times_rise(&file, streams).await;
    }
}

/// Asserts that ffmpeg decodes one transport stream of video and audio, and that its times only rise.
async fn assert_is_one(bytes: &[u8], directory: &Path) {
    assert_eq!(of_media(&ring::decode(bytes, directory).await), [""; 0]);
    assert_times_rise(&directory.join("taken.ts"), 2).await;
}

/// Asserts that a file has so many streams, and that each packet of a stream is decoded behind the one before.
async fn assert_times_rise(file: &Path, streams: usize) {
    let mut command = tokio::process::Command::new(program("ffprobe", "ffmpeg"));
    command.args(["-v", "error", "-show_entries", "packet=stream_index,dts", "-of", "csv=p=0"]).arg(file);
    let output = command.output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((stream, rest)) = line.split_once(',') else { continue };
        let Ok(time) = rest.trim_end_matches(',').parse::<i64>() else { continue };
        let before = last.insert(stream.to_owned(), time);
        assert!(before.is_none_or(|before| time > before), "stream {stream}: {time} behind {before:?}");
    }
    assert_eq!(last.len(), streams, "{}: {last:?}", file.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_with_its_audio_apart_goes_over_a_muxed_stream_and_a_slate_and_back() {
    let three = Three::start().await;
    let viewers = Viewer::new(three.sluice.viewers, "/live/news/index.m3u8").renditions().await;
    assert_eq!(viewers.len(), 3, "two variants and their audio");
    let mut viewing: Vec<Viewing> = viewers.into_iter().map(Viewer::watch).collect();
    let mut stream = ring::watch(&three.sluice, Version::One).await;
    viewing[0].takes(3, SOON).await;
    let is_round = AtomicBool::new(false);
    let round = async {
        three.goes_round().await;
        is_round.store(true, Ordering::Relaxed);
    };
    let ((), bytes) = tokio::join!(round, async {
        let mut bytes = Vec::new();
        while !is_round.load(Ordering::Relaxed) {
            bytes.extend(ring::take(&mut stream, Duration::from_secs(1)).await);
        }
        bytes.extend(ring::take(&mut stream, Duration::from_secs(8)).await);
        bytes
    });
    viewing[0].takes(2, SOON).await;
    let mut all = Vec::new();
    for viewing in viewing {
        all.push(viewing.stop().await);
    }
    for (taken, name) in all.iter().zip(["video-1", "video-2", "audio-1"]) {
        taken.assert_whole();
        assert_in_step(taken, &all[0]);
        assert_decodes(taken, three.directory.path(), name, 1).await;
    }
    assert_is_one(&bytes, three.directory.path()).await;
}

/// Lets a muxed stream go over to what an encoder makes with its audio apart.
async fn muxed_goes_over_to(ladder: Ladder) {
    let directory = tempfile::tempdir().unwrap();
    let encoder = Encoder::start(ladder).await;
    let nginx = Nginx::serving(encoder.directory()).await;
    let origin = Origin::start().await;
    origin.script(|_| Some(live(8, After::Silence)));
    let sources = [
        format!("\"mpegts\" \"{}\" segment=\"1s\"", origin.url("/live.ts")),
        format!("\"hls\" \"{}\" {{\n        variant \"all\"\n    }}", nginx.url("/index.m3u8")),
    ];
    let sluice = setup().file("news.kdl", &chain(&sources)).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    let mut stream = ring::watch(&sluice, Version::One).await;
    let mut bytes = ring::take(&mut stream, Duration::from_secs(3)).await;
    let view = fed_by(&sluice, 1, SLOW).await;
    assert_eq!(view["last_switch"]["reason"], "stall", "{view}");
    bytes.extend(ring::take(&mut stream, Duration::from_secs(8)).await);
    viewing.takes(5, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_whole();
    assert_decodes(&taken, directory.path(), "main", 2).await;
    assert_is_one(&bytes, directory.path()).await;
    let playback = play_with_ffmpeg(&sluice.url("/live/news/index.m3u8"), Duration::from_secs(4)).await;
    assert!(playback.length(0) > 3.0 && playback.length(1) > 3.0, "{}", playback.complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muxed_stream_goes_over_to_a_ladder_with_its_audio_apart() {
    muxed_goes_over_to(Ladder::TwoVariants).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muxed_stream_goes_over_to_video_with_packed_audio() {
    muxed_goes_over_to(Ladder::PackedAudioGroup).await;
}

/// A file of some seconds with these codecs.
async fn file(directory: &Path, name: &str, codecs: &str) -> PathBuf {
    let path = directory.join(name);
    let mut command = tokio::process::Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "6"]);
    command
        .args(codecs.split_whitespace())
        .args(["-g", "25", "-pix_fmt", "yuv420p", "-f", "mpegts"])
        .arg(&path);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_other_codecs_is_refused_and_the_next_one_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let dolby = file(directory.path(), "dolby.ts", "-c:v libx264 -preset ultrafast -c:a ac3").await;
    let old = file(directory.path(), "old.ts", "-c:v mpeg2video -c:a aac").await;
    let good = slate(directory.path()).await;
    let origin = Origin::start().await;
    origin.script(|_| Some(live(5, After::Silence)));
    let file = |path: &Path| format!("\"file\" \"{}\" loop=#true", path.display());
    let sources = [
        format!("\"mpegts\" \"{}\" segment=\"1s\"", origin.url("/live.ts")),
        file(&dolby),
        file(&old),
        file(&good),
    ];
    let sluice = setup().file("news.kdl", &chain(&sources)).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let view = fed_by(&sluice, 3, SLOW).await;
    for (at, words) in
        [(1, "its audio is AC-3, and AAC is served"), (2, "its video is MPEG-2 video, and H.264")]
    {
        let source = &view["sources"][at];
        assert_eq!(source["state"], "refused", "{view}");
        assert!(source["reason"].as_str().unwrap().contains(words), "{view}");
    }
    let refused = async || {
        let faults = sluice
            .metrics()
            .await
            .sum("sluice_source_faults_total", &[("pipeline", "news"), ("kind", "unsupported")]);
        (faults >= 2.0).then_some(())
    };
    eventually("both refusals are counted", SOON, refused).await;
    assert_eq!(switches(&sluice).await, 1.0, "one failure, one switch");
}
