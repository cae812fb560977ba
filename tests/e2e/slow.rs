//! Viewers who take no more: gone within the limit, and nobody waits for them.

use std::time::Duration;

use http::Method;
use sluice_harness::origin::Live;
use sluice_harness::{Connection, Listing, Version, eventually};

use super::{SOON, Stage, relay, setup};

/// Without progress for 5 s a viewer is gone; the rest is room for a busy machine.
const GONE_WITHIN: Duration = Duration::from_secs(12);

/// Large enough to fill every buffer on the way.
const SEGMENT_BYTES: usize = 12 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_over_http_1_who_reads_nothing_is_gone_and_the_permit_is_free() {
    reads_nothing(Version::One).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_over_http_2_who_reads_nothing_is_gone_and_the_permit_is_free() {
    reads_nothing(Version::Two).await;
}

async fn reads_nothing(version: Version) {
    let live = Live::with_size("a", SEGMENT_BYTES);
    let stage = Stage::with(setup(), live, "").await;
    let text = relay("news", &stage.origin.url("/news/index.m3u8"), "");
    let limited = text.replace("window=12", "window=12 {\n concurrency 1\n }").replace("64MiB", "256MiB");
    stage.sluice.apply("news.kdl", &limited).await;
    let listing = Listing::read(&stage.sluice.get("/live/news/index.m3u8").await.text());
    let path = format!("/live/news/{}", listing.entries.last().unwrap().uri);

    let mut idle = Connection::open_narrow(stage.sluice.viewers, version).await.unwrap();
    let head = idle.send(Method::GET, &path, &[]).await.unwrap();
    assert_eq!(head.status(), 200);
    let refused = stage.sluice.get("/live/news/index.m3u8").await;
    assert_eq!(refused.status, 503, "the permit is taken");
    assert_ne!(refused.header("retry-after"), "");
    let free = async || stage.sluice.get("/live/news/index.m3u8").await.status.is_success().then_some(());
    eventually("the permit is free", GONE_WITHIN, free).await;
    drop(head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_half_a_request_is_gone() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stage = Stage::new("").await;
    let mut stream = tokio::net::TcpStream::connect(stage.sluice.viewers).await.unwrap();
    stream.write_all(b"GET /live/news/index.m3u8 HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // a reset is an end as well
    drop(sluice_harness::within("the end of the connection", SOON * 2, read).await);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}
