//! Playlists and segments as HTTP objects.

use std::time::Duration;

use http::Method;
use sluice_harness::origin::{Live, Origin};
use sluice_harness::{Connection, Listing, Reply, Version, Viewer, eventually};

use super::{SOON, Stage, serves, setup};

async fn ask(stage: &Stage, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut connection = Connection::open(stage.sluice.viewers, Version::One).await;
    connection.ask(method, path, headers).await.unwrap()
}

async fn newest(stage: &Stage) -> String {
    let playlist = stage.sluice.get("/live/news/index.m3u8").await.text();
    format!("/live/news/{}", Listing::read(&playlist).entries.last().unwrap().uri)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_an_immutable_object_with_ranges() {
    let stage = Stage::new("").await;
    let path = newest(&stage).await;
    let whole = stage.sluice.get(&path).await;
    assert_eq!(whole.header("content-type"), "video/mp2t");
    assert!(whole.header("cache-control").contains("immutable"));
    let head = ask(&stage, Method::HEAD, &path, &[]).await;
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    assert!(head.body.is_empty());
    let part = ask(&stage, Method::GET, &path, &[("Range", "bytes=188-375")]).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &whole.body[188..376]));
    let beyond = ask(&stage, Method::GET, &path, &[("Range", "bytes=99999999-")]).await;
    assert_eq!(beyond.status, 416);
    let known = ask(&stage, Method::GET, &path, &[("If-None-Match", whole.header("etag"))]).await;
    assert_eq!(known.status, 304);
    let missing = stage.sluice.get("/live/news/nothing.ts").await;
    assert_eq!(missing.status, 404);
    assert!(matches!(missing.header("cache-control"), "max-age=1" | "no-store" | "no-cache"), "{missing:?}");
    assert_eq!(ask(&stage, Method::POST, &path, &[]).await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_is_short_lived_and_compressed_for_those_who_take_it() {
    let stage = Stage::new("").await;
    let path = "/live/news/index.m3u8";
    let plain = stage.sluice.get(path).await;
    assert_eq!(plain.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(plain.header("cache-control"), "no-cache", "half of one second, in whole seconds");
    let packed = ask(&stage, Method::GET, path, &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.header("vary").eq_ignore_ascii_case("accept-encoding"));
    let bare = ask(&stage, Method::GET, "/live/news", &[]).await;
    assert_eq!(bare.status, 308);
    let page = stage.sluice.get("/live/news/").await;
    assert!(page.text().contains("<video"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_counted_while_they_watch() {
    let stage = Stage::new("").await;
    stage.sluice.get("/live/news/index.m3u8").await;
    let labels = [("pipeline", "news")];
    stage.sluice.wait_for_metric("sluice_viewers", &labels, 1.0, SOON).await;
    let left = async || (stage.sluice.metrics().await.sum("sluice_viewers", &labels) == 0.0).then_some(());
    eventually("the viewer is forgotten", Duration::from_secs(10), left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_sees_few_connections_and_each_segment_once() {
    let stage = Stage::new("").await;
    let labels = [("pipeline", "news")];
    stage.sluice.wait_for_metric("sluice_segments_total", &labels, 12.0, SOON).await;
    assert!(stage.origin.connections() <= 8, "{} connections", stage.origin.connections());
    let mut paths: Vec<_> = stage.origin.asked("a-").into_iter().map(|asked| asked.path).collect();
    let all = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), all, "a segment was fetched twice");
    let polls = stage.origin.asked("index");
    let steps = polls.windows(2).skip(1).map(|pair| pair[1].at - pair[0].at);
    assert!(steps.clone().all(|step| step >= Duration::from_millis(400)), "{:?}", steps.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_holds_three_target_durations_where_window_and_buffer_are_too_few_short_segments() {
    let (origin, live) = (Origin::start().await, Live::new("a").targeting(3).window(12).filled(12));
    origin.mount("/news", &live);
    let _ticking = live.ticking(Duration::from_secs(1));
    let text = format!(
        "pipeline \"news\" {{\n source \"hls\" \"{}\"\n buffer \"memory\" segments=4
         sink \"hls\" path=\"/live/news\" window=3\n}}\n",
        origin.url("/news/index.m3u8")
    );
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(16, SOON).await;
    viewing.stop().await.assert_whole();
    let playlist = sluice.get("/live/news/index.m3u8").await.text();
    assert_eq!(Listing::read(&playlist).entries.len(), 9, "of one second each:\n{playlist}");
}
