//! The demo, as it stands in the repository, in the players that people use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_harness::{Browser, Setup, Sluice, Viewer, eventually, play_with_ffmpeg, play_with_vlc, probe};

use super::{SOON, serves, setup};

/// The root of the repository.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The configuration of the demo, with listeners and state of its own.
fn demo() -> Setup {
    let root = repository();
    let mut setup = setup();
    for entry in std::fs::read_dir(root.join("conf.d")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() || path.extension().is_none_or(|kind| kind != "kdl") {
            // clips and the like, that the configuration names by a relative path
            std::os::unix::fs::symlink(&path, setup.directory().join(&name)).unwrap();
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        setup = setup.file(&name, &without_server(&text));
    }
    setup
}

/// The text without its node `server`, for which the harness has one.
fn without_server(text: &str) -> String {
    let mut depth = 0_usize;
    let mut within = false;
    let mut rest = String::new();
    for line in text.lines() {
        within |= line.starts_with("server ");
        if !within {
            rest.push_str(line);
            rest.push('\n');
            continue;
        }
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
        within = depth > 0;
    }
    rest
}

async fn play() -> (Sluice, String) {
    let sluice = demo().start().await;
    serves(&sluice, "/live/demo/index.m3u8").await;
    let url = sluice.url("/live/demo/index.m3u8");
    (sluice, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_in_ffmpeg_over_its_loop_and_conforms() {
    let (sluice, url) = play().await;
    let viewing = Viewer::new(sluice.viewers, "/live/demo/index.m3u8").watch();
    let (complaints, streams) = probe(&url).await;
    assert_eq!(complaints, "", "{streams}");
    let playback = play_with_ffmpeg(&url, Duration::from_secs(25)).await;
    assert!(playback.length(0) > 24.0, "{} s", playback.length(0));
    assert!(playback.longest_step(0) < 0.1, "a step of {} s", playback.longest_step(0));
    viewing.stop().await.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_in_vlc() {
    let (_sluice, url) = play().await;
    let directory = tempfile::tempdir().unwrap();
    let (seconds, log) = play_with_vlc(&url, Duration::from_secs(10), directory.path()).await;
    assert!(seconds > 5.0, "{seconds} s\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_on_its_page_in_chromium() {
    let (sluice, _) = play().await;
    let browser = Browser::start().await;
    browser.open(&sluice.url("/live/demo/")).await;
    browser.run("const video = document.querySelector('video'); video.muted = true; video.play()").await;
    let position = async || {
        let state = "const v = document.querySelector('video'); return [v.currentTime, v.videoWidth]";
        let state = browser.run(state).await;
        let (seconds, width) = (state[0].as_f64()?, state[1].as_u64()?);
        (width > 0).then_some(seconds)
    };
    let begin = eventually("the first picture", SOON, position).await;
    let moved = async || position().await.filter(|now| *now > begin + 5.0);
    eventually("five seconds of playback", SOON, moved).await;
}
