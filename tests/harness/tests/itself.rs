//! The harness against itself: real encoders, servers and players without the daemon between them.

use std::time::Duration;

use sluice_harness::origin::{Live, Origin};
use sluice_harness::{
    Browser, Encoder, Ladder, Nginx, Protection, Viewer, play_with_ffmpeg, play_with_vlc, probe,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_takes_what_nginx_serves_of_a_protected_stream() {
    let encoder = Encoder::start(Ladder::TransportStream(Protection::Aes128)).await;
    let nginx = Nginx::serving(encoder.directory()).await;
    let mut viewing = Viewer::new(nginx.address(), "/index.m3u8").watch();
    viewing.takes(3, Duration::from_secs(15)).await;
    let taken = viewing.stop().await;
    taken.assert_whole();
    for segment in &taken.segments {
        let clear = encoder.clear(&segment.entry.uri).unwrap();
        assert!(clear.chunks(188).all(|packet| packet[0] == 0x47), "{}", segment.entry.uri);
        assert_ne!(clear, segment.bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn players_play_what_ffmpeg_segments() {
    let encoder = Encoder::start(Ladder::TwoVariants).await;
    let nginx = Nginx::serving(encoder.directory()).await;
    let url = nginx.url("/index.m3u8");
    assert_eq!(Viewer::new(nginx.address(), "/index.m3u8").renditions().await.len(), 3);
    let (complaints, streams) = probe(&url).await;
    assert_eq!(complaints, "", "{streams}");
    let playback = play_with_ffmpeg(&url, Duration::from_secs(4)).await;
    assert!(playback.length(0) > 3.5 && playback.longest_step(0) < 0.045, "{playback:?}");
    let directory = tempfile::tempdir().unwrap();
    let (seconds, log) = play_with_vlc(&url, Duration::from_secs(5), directory.path()).await;
    assert!(seconds > 3.0, "{seconds} s\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_a_hole_and_a_failure() {
    let origin = Origin::start().await;
    let live = Live::new("a").filled(6);
    origin.mount("/a", &live);
    let mut viewing = Viewer::new(origin.address(), "/a/index.m3u8").watch();
    viewing.takes(6, Duration::from_secs(5)).await;
    (0..9).for_each(|_| live.advance());
    viewing.takes(6, Duration::from_secs(5)).await;
    origin.fail("a-15", sluice_harness::origin::Answer::status(404));
    live.advance();
    live.advance();
    viewing.takes(1, Duration::from_secs(5)).await;
    let taken = viewing.stop().await;
    assert_eq!(taken.lost, [6, 7, 8, 15]);
    assert_eq!(taken.failures.len(), 1, "{:?}", taken.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_runs_a_page() {
    let origin = Origin::start().await;
    let page = sluice_harness::origin::Answer::text("<title>two</title>").header("Content-Type", "text/html");
    origin.serve("/", page);
    let browser = Browser::start().await;
    browser.open(&origin.url("/")).await;
    assert_eq!(browser.run("return document.title + (1 + 1)").await, "two2");
}
