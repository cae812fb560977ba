//! Players go on across switches between sources that differ in everything.

use std::time::Duration;

use serde_json::Value;
use sluice_harness::{Browser, eventually, play_with_vlc};

use super::SOON;
use super::failover::{SLOW, fed_by, switches};
use super::mapping::Three;

/// What the page has played: the position, the pictures that were decoded, and fatal errors.
struct Played {
    seconds: f64,
    pictures: u64,
    fatal: Value,
}

async fn played(browser: &Browser) -> Played {
    let script = "const v = document.querySelector('video');
        return [v.currentTime, v.getVideoPlaybackQuality().totalVideoFrames, window.fatal]";
    let state = browser.run(script).await;
    Played {
        seconds: state[0].as_f64().unwrap(),
        pictures: state[1].as_u64().unwrap(),
        fatal: state[2].clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_in_chromium_plays_on_over_a_muxed_stream_and_a_slate_and_back() {
    let three = Three::start().await;
    let browser = Browser::start().await;
    browser.open(&three.sluice.url("/live/news/")).await;
    let script = "window.fatal = [];
        player.on('hlsError', (_, error) => { if (error.fatal) fatal.push(error.details); });
        document.querySelector('video').play()";
    browser.run(script).await;
    let first = eventually("two seconds of pictures", SOON, async || {
        Some(played(&browser).await).filter(|now| now.pictures > 50)
    });
    let mut before = first.await;
    three.fails();
    for (at, what) in [(1, "the muxed stream"), (2, "the slate"), (0, "the first source again")] {
        if at == 0 {
            three.recovers();
        }
        fed_by(&three.sluice, at, SLOW).await;
        // what was there before the switch is at most what is buffered; the position goes beyond
        let goes_on = async || {
            let now = played(&browser).await;
            (now.seconds > before.seconds + 5.0 && now.pictures > before.pictures + 100).then_some(now)
        };
        let now = eventually(&format!("pictures of {what}"), SLOW, goes_on).await;
        eprintln!("{what}: at {:.1} s, {} pictures", now.seconds, now.pictures);
        before = now;
    }
    let end = before.seconds;
    let behind = async || (played(&browser).await.seconds > end + 10.0).then_some(());
    eventually("ten seconds behind the last switch", SLOW, behind).await;
    assert_eq!(played(&browser).await.fatal, Value::Array(Vec::new()));
    assert!(switches(&three.sluice).await >= 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn vlc_plays_on_over_a_muxed_stream_and_a_slate_and_back() {
    let three = Three::start().await;
    let watched = Duration::from_secs(60);
    let url = three.sluice.url("/live/news/index.m3u8");
    let (played, ()) = tokio::join!(play_with_vlc(&url, watched, three.directory.path()), three.goes_round());
    let (seconds, log) = played;
    eprintln!("VLC wrote {seconds} s in {watched:?}");
    assert!(seconds > 40.0, "{seconds} s\n{log}");
}
