//! Recording: files that play, whatever happens to the daemon or to the disk.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use sluice_conformance::check;
use sluice_harness::origin::{Live, Origin};
use sluice_harness::{
    Encoder, Ladder, Listing, Nginx, Protection, Setup, Sluice, Viewer, Viewing, eventually,
    play_with_ffmpeg, probe, program,
};

use super::{SOON, relay, serves, setup};

/// The longest step between two video frames at 25 a second, with room for the clock of 90 kHz.
const FRAME_SECONDS: f64 = 0.041;

/// A pipeline that relays `url` as `news` and records it into `recordings`. `settings` stand on the sink.
fn recording(url: &str, settings: &str) -> String {
    let sink = format!("    sink \"record\" dir=\"recordings\" {settings}\n}}\n");
    relay("news", url, "").trim_end().trim_end_matches('}').to_owned() + &sink
}

/// A real stream that a daemon records.
struct Scene {
    sluice: Sluice,
    nginx: Nginx,
    _encoder: Encoder,
}

impl Scene {
    async fn new(ladder: Ladder, settings: &str) -> Self {
        let encoder = Encoder::start(ladder).await;
        let nginx = Nginx::serving(encoder.directory()).await;
        let text = recording(&nginx.url("/index.m3u8"), settings);
        let sluice = setup().file("news.kdl", &text).start().await;
        Self { sluice, nginx, _encoder: encoder }
    }

    async fn has_files(&self, files: f64) {
        self.sluice
            .wait_for_metric("sluice_record_files", &[("sink", "sink 2 record")], files, 3 * SOON)
            .await;
    }

    /// Ends the daemon in peace; gives where it recorded.
    async fn stop(self) -> PathBuf {
        let setup = self.sluice.setup().clone();
        let (status, log) = self.sluice.terminate().await;
        assert!(status.success(), "{log}");
        let dir = directory(&setup);
        assert_eq!(names(&dir, ".part"), [""; 0], "nothing is left unfinished: {log}");
        // the directory lives as long as the setup
        let kept = tempfile::tempdir().unwrap().keep();
        let copied = Command::new("cp").arg("-a").arg(&dir).arg(&kept).status().unwrap();
        assert!(copied.success());
        kept.join("recordings")
    }
}

fn directory(setup: &Setup) -> PathBuf {
    setup.home().join("recordings")
}

/// The names in a directory that end so, in order.
fn names(dir: &Path, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    names
}

/// Reads a playlist, which must conform and list exactly the files that end so.
fn listed(dir: &Path, playlist: &str, end: &str) -> Listing {
    let text = std::fs::read_to_string(dir.join(playlist)).unwrap();
    assert_eq!(check(&text), [], "{text}");
    let listing = Listing::read(&text);
    let files: Vec<_> = listing.entries.iter().map(|entry| entry.uri.clone()).collect();
    assert_eq!(files, names(dir, end), "{text}");
    listing
}

/// Every file and the playlist play without a complaint, for as long as the playlist says. Gives the steps between
/// video frames that are longer than a frame.
async fn plays(dir: &Path, listing: &Listing) -> Vec<f64> {
    for entry in &listing.entries {
        let (complaints, streams) = probe(&dir.join(&entry.uri).display().to_string()).await;
        assert_eq!(complaints, "", "{}", entry.uri);
        assert!(!streams.is_empty(), "{}", entry.uri);
    }
    let seconds: f64 = listing.entries.iter().map(|entry| entry.seconds).sum();
    let index = dir.join("index.m3u8").display().to_string();
    let playback = play_with_ffmpeg(&index, Duration::from_secs_f64(seconds.ceil() + 60.0)).await;
    assert_eq!(playback.complaints, "");
    let length = playback.length(0);
    assert!((length - seconds).abs() < 0.5 + seconds / 20.0, "{length} s play of {seconds} s");
    playback.steps_over(0, FRAME_SECONDS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_is_recorded_without_a_loss_and_a_reload_of_roll_loses_nothing() {
    let scene = Scene::new(Ladder::TransportStream(Protection::Clear), "roll=\"1h\"").await;
    scene.sluice.wait_for_metric("sluice_record_bytes_total", &[], 100_000.0, SOON).await;
    let url = scene.nginx.url("/index.m3u8");
    scene.sluice.apply("news.kdl", &recording(&url, "roll=\"2s\" { retry 3 }")).await;
    scene.has_files(4.0).await;
    let view = scene.sluice.api("/api/v1/pipelines/news").await.json();
    assert_eq!(view["pushing"][0]["state"], "running", "{view}");
    assert!(view["pushing"][0]["current"].as_str().is_some_and(|name| name.ends_with("Z.ts")), "{view}");
    let dir = scene.stop().await;
    let listing = listed(&dir, "index.m3u8", "Z.ts");
    assert_eq!(plays(&dir, &listing).await, [0.0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fragmented_mp4_stays_what_it_is_with_its_initialization_section_at_the_head() {
    let scene = Scene::new(Ladder::FragmentedMp4, "roll=\"2s\"").await;
    scene.has_files(3.0).await;
    let dir = scene.stop().await;
    let listing = listed(&dir, "index.m3u8", "Z.mp4");
    assert_eq!(plays(&dir, &listing).await, [0.0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_variant_is_recorded_with_its_audio() {
    for ladder in [Ladder::TwoVariants, Ladder::PackedAudioGroup] {
        let scene = Scene::new(ladder, "roll=\"2s\"").await;
        scene.has_files(4.0).await;
        let dir = scene.stop().await;
        let listing = listed(&dir, "index.m3u8", "Z.ts");
        for entry in &listing.entries {
            let (complaints, streams) = probe(&dir.join(&entry.uri).display().to_string()).await;
            assert_eq!(complaints, "", "{}", entry.uri);
            assert!(streams.contains("h264") && streams.contains("aac"), "both in one file: {streams}");
        }
        let seconds: f64 = listing.entries.iter().map(|entry| entry.seconds).sum();
        let index = dir.join("index.m3u8").display().to_string();
        let playback = play_with_ffmpeg(&index, Duration::from_secs(60)).await;
        assert_eq!(playback.complaints, "");
        assert_eq!(playback.steps_over(0, FRAME_SECONDS), [0.0; 0]);
        for stream in [0, 1] {
            let length = playback.length(stream);
            assert!((length - seconds).abs() < 0.6, "stream {stream} plays {length} s of {seconds} s");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_mixed_survives_a_kill_and_a_reload_goes_on_without_a_loss() {
    let mut scene = Scene::new(Ladder::TwoVariants, "roll=\"1h\"").await;
    scene.sluice.wait_for_metric("sluice_record_bytes_total", &[], 200_000.0, 2 * SOON).await;
    let written = scene.sluice.metrics().await.sum("sluice_record_bytes_total", &[]);
    scene.sluice.process().signal(Signal::SIGKILL);
    scene.sluice.process().ended(SOON).await;
    scene.sluice = scene.sluice.setup().clone().start().await;
    scene.has_files(1.0).await;
    let dir = directory(scene.sluice.setup());
    let recovered = dir.join(&names(&dir, "Z.ts")[0]);
    assert!(std::fs::metadata(&recovered).unwrap().len() as f64 >= written);
    assert_eq!(probe(&recovered.display().to_string()).await.0, "");
    scene.sluice.wait_for_metric("sluice_record_bytes_total", &[], 200_000.0, 2 * SOON).await;
    let url = scene.nginx.url("/index.m3u8");
    scene.sluice.apply("news.kdl", &recording(&url, "roll=\"2s\"")).await;
    scene.has_files(4.0).await;
    let lost = scene.sluice.metrics().await.sum("sluice_record_lost_seconds_total", &[]);
    assert_eq!(lost, 0.0);
    let dir = scene.stop().await;
    let listing = listed(&dir, "index.m3u8", "Z.ts");
    for entry in &listing.entries {
        assert_eq!(probe(&dir.join(&entry.uri).display().to_string()).await.0, "", "{}", entry.uri);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_was_killed_loses_nothing_that_was_written() {
    let mut scene = Scene::new(Ladder::TransportStream(Protection::Clear), "roll=\"1h\"").await;
    scene.sluice.wait_for_metric("sluice_record_bytes_total", &[], 200_000.0, SOON).await;
    let written = scene.sluice.metrics().await.sum("sluice_record_bytes_total", &[]);
    scene.sluice.process().signal(Signal::SIGKILL);
    scene.sluice.process().ended(SOON).await;
    let dir = directory(scene.sluice.setup());
    assert_eq!((names(&dir, ".part").len(), names(&dir, "Z.ts").len()), (1, 0));
    scene.sluice = scene.sluice.setup().clone().start().await;
    scene.has_files(1.0).await;
    let recovered = dir.join(&names(&dir, "Z.ts")[0]);
    assert!(std::fs::metadata(&recovered).unwrap().len() as f64 >= written);
    assert_eq!(probe(&recovered.display().to_string()).await.0, "");
    let dir = scene.stop().await;
    let listing = listed(&dir, "index.m3u8", "Z.ts");
    assert_eq!(listing.entries.len(), 2);
    assert!(listing.entries[1].discontinuity_sequence > listing.entries[0].discontinuity_sequence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_loops_is_recorded_and_the_oldest_recordings_go() {
    let text = format!(
        "pipeline \"news\" {{
    source \"file\" \"{}/conf.d/media/demo.ts\" loop=#true
    sink \"hls\" path=\"/live/news\"
    sink \"record\" dir=\"recordings\" roll=\"1s\" keep-bytes=\"600KiB\"
}}
",
        super::players::repository().display()
    );
    let sluice = setup().file("news.kdl", &text).start().await;
    let dir = directory(sluice.setup());
    let first = async || names(&dir, "Z.ts").first().cloned();
    let first = eventually("a recording", SOON, first).await;
    eventually("the end of the first", 3 * SOON, async || (!dir.join(&first).exists()).then_some(())).await;
    let setup = sluice.setup().clone();
    assert!(sluice.terminate().await.0.success());
    let dir = directory(&setup);
    let listing = listed(&dir, "index.m3u8", "Z.ts");
    let bytes: u64 =
        names(&dir, "Z.ts").iter().map(|name| std::fs::metadata(dir.join(name)).unwrap().len()).sum();
    assert!(bytes <= 600 << 10, "{bytes}");
    plays(&dir, &listing).await;
}

/// A file system of its own, gone with this.
struct Disk(PathBuf);

impl Disk {
    fn mounted(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let mut command = Command::new(program("mount", "mount"));
        let status = command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).status();
        assert!(status.unwrap().success(), "a file system can be mounted: this test needs root");
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let status = Command::new(program("umount", "mount")).arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

/// Waits until the recording pauses, told once and with this reason, while the pipeline and its viewer go on.
async fn assert_pauses(sluice: &Sluice, viewing: &mut Viewing, reason: &str) {
    sluice.wait_for_metric("sluice_record_paused", &[], 1.0, 2 * SOON).await;
    viewing.takes(5, SOON).await;
    let view = sluice.api("/api/v1/pipelines/news").await.json();
    assert_eq!((&view["state"], &view["pushing"][0]["state"]), (&"live".into(), &"paused".into()), "{view}");
    assert_eq!(view["pushing"][0]["reason"], reason);
    assert_eq!(sluice.log().matches("recording paused").count(), 1, "{}", sluice.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_pauses_the_recording_and_no_viewer_notices() {
    let origin = Origin::start().await;
    let live = Live::with_size("a", 400_000).window(20).filled(6);
    origin.mount("/news", &live);
    let _ticking = live.ticking(Duration::from_secs(1));
    let setup = setup();
    let disk = Disk::mounted(&directory(&setup), "8m");
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![7; 6 << 20]).unwrap();
    let text = recording(&origin.url("/news/index.m3u8"), "roll=\"2s\" keep-bytes=\"3MiB\" { retry 2 }");
    let sluice = setup.file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();

    assert_pauses(&sluice, &mut viewing, "sink 2 record: no room is left on the device").await;

    let before = sluice.metrics().await.sum("sluice_record_bytes_total", &[]);
    std::fs::remove_file(ballast).unwrap();
    sluice.wait_for_metric("sluice_record_bytes_total", &[], before + 1.0, SOON).await;
    let goes_on = async || (sluice.metrics().await.sum("sluice_record_paused", &[]) == 0.0).then_some(());
    eventually("the recording goes on", SOON, goes_on).await;
    viewing.takes(3, SOON).await;
    viewing.stop().await.assert_whole();
    let setup = sluice.setup().clone();
    assert!(sluice.terminate().await.0.success());
    listed(&directory(&setup), "index.m3u8", "Z.ts");
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_blocks_pauses_the_recording_and_no_viewer_notices() {
    let origin = Origin::start().await;
    let live = Live::with_size("a", 20_000).window(20).filled(6);
    origin.mount("/news", &live);
    let _ticking = live.ticking(Duration::from_secs(1));
    let setup = setup();
    let dir = directory(&setup);
    std::fs::create_dir_all(&dir).unwrap();
    // the playlist is written into it when the first file is finished: nothing goes on until someone reads
    let pipe = dir.join("index.m3u8.new");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = recording(&origin.url("/news/index.m3u8"), "roll=\"2s\"");
    let sluice = setup.file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();

    assert_pauses(&sluice, &mut viewing, "nothing could be written for 5 s, and it still goes on").await;

    // whoever waits for a reader is let go, and what was a pipe is a file from now on
    let reader =
        std::fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&pipe).unwrap();
    std::fs::remove_file(&pipe).unwrap();
    let goes_on = async || (sluice.metrics().await.sum("sluice_record_paused", &[]) == 0.0).then_some(());
    eventually("the recording goes on", 2 * SOON, goes_on).await;
    drop(reader);
    viewing.takes(3, SOON).await;
    viewing.stop().await.assert_whole();
    let setup = sluice.setup().clone();
    assert!(sluice.terminate().await.0.success());
    listed(&directory(&setup), "index.m3u8", "Z.ts");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_a_problem_at_check() {
    let url = "http://origin.example/index.m3u8";
    let cached = recording(url, "{ cache }");
    let twice = "pipeline \"b\" {\n    source \"hls\" \"http://origin.example/index.m3u8\"\n    sink \"record\" dir=\"./recordings/\"\n}\n";
    let output = setup().file("a.kdl", &cached).file("b.kdl", twice).output(&["check", "conf.d"]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("`cache` has no effect on this sink"), "{told}");
    assert!(told.contains("two sinks write to recordings"), "{told}");
}
