//! Variables of playlists (EXT-X-DEFINE, RFC 8216bis 4.4.2.3), by which an origin hands tokens on.

use std::sync::Arc;
use std::time::Duration;

use sluice_harness::Viewer;
use sluice_harness::origin::{Answer, Live, Origin};

use super::{SOON, relay, serves, setup};

const MULTIVARIANT: &str = r#"#EXTM3U
#EXT-X-VERSION:11
#EXT-X-DEFINE:QUERYPARAM="token"
#EXT-X-DEFINE:NAME="place",VALUE="media/high"
#EXT-X-STREAM-INF:BANDWIDTH=2000000
{$place}/index.m3u8?token={$token}
"#;

/// An origin with a live stream in `/media/high`, where each segment stands under a path and a token that
/// variables hold. `lines` set them in the media playlist.
async fn origin(lines: &'static str) -> (Origin, Arc<Live>) {
    let (origin, live) = (Origin::start().await, Live::new("a").window(20).filled(6));
    origin.serve("/index.m3u8", Answer::text(MULTIVARIANT));
    let (playlists, segments) = (live.clone(), live.clone());
    origin.script(move |asked| {
        let query = asked.path.strip_prefix("/media/high/index.m3u8")?;
        let text =
            playlists.playlist().replacen("#EXT-X-VERSION:3", &format!("#EXT-X-VERSION:11\n{lines}"), 1);
        let text = text.replace("\na-", "\n/{$place}/a-").replace(".ts", ".ts?token={$token}");
        (query == "?token=s3cret").then(|| Answer::text(text))
    });
    origin.script(move |asked| {
        let number =
            asked.path.strip_prefix("/media/high/a-")?.strip_suffix(".ts?token=s3cret")?.parse().ok()?;
        Some(Answer::bytes(segments.segment(number)))
    });
    (origin, live)
}

/// Relays what stands at `path` and asserts that a viewer gets the stream whole, with no variable in its way.
async fn goes_through(path: &str, lines: &'static str) {
    let (origin, live) = origin(lines).await;
    let _ticking = live.ticking(Duration::from_secs(1));
    let sluice = setup().file("news.kdl", &relay("news", &origin.url(path), "")).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let served = sluice.get("/live/news/index.m3u8").await.text();
    assert!(!served.contains("{$") && !served.contains("s3cret"), "{served}");
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(6, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_whole();
    let numbers = 0..=live.newest();
    let first = numbers.into_iter().find(|number| live.segment(*number) == taken.segments[0].bytes);
    let first = first.expect("the first segment is the origin's");
    for (segment, number) in taken.segments.iter().zip(first..) {
        assert!(segment.bytes == live.segment(number), "segment {number} is another");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_playlist_imports_the_variables_of_the_multivariant_playlist() {
    goes_through(
        "/index.m3u8?token=s3cret",
        "#EXT-X-DEFINE:IMPORT=\"place\"\n#EXT-X-DEFINE:IMPORT=\"token\"",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_playlist_sets_variables_by_name_and_from_its_query() {
    let lines = "#EXT-X-DEFINE:NAME=\"place\",VALUE=\"media/high\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"";
    goes_through("/media/high/index.m3u8?token=s3cret", lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_not_set_is_a_named_fault() {
    let lines = "#EXT-X-DEFINE:IMPORT=\"place\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"";
    let (origin, _live) = origin(lines).await;
    let text = relay("news", &origin.url("/media/high/index.m3u8?token=s3cret"), "");
    let sluice = setup().file("news.kdl", &text).start().await;
    let labels = [("pipeline", "news"), ("kind", "malformed")];
    sluice.wait_for_metric("sluice_source_faults_total", &labels, 1.0, SOON).await;
    let shown = sluice.api("/api/v1/pipelines/news").await.text();
    assert!(shown.contains("the variable place is not set"), "{shown}");
    assert!(!shown.contains("s3cret"), "a token stands in the API");
}
