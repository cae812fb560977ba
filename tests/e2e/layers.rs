//! Middleware, as an origin and a viewer feel it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice_harness::origin::Answer;
use sluice_harness::{Connection, Version};

use super::{SOON, Stage, relay};

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_hides_a_fault_that_passes() {
    let stage = Stage::new("retry 3 backoff=\"50ms..100ms\" budget=1.0").await;
    let labels = [("pipeline", "news")];
    let failing = AtomicUsize::new(0);
    let before = stage.faults("status_5xx").await;
    // two answers are bad, and the third is good
    stage.origin.fail_by(move |asked| {
        let bad = asked.path.contains("index") && failing.fetch_add(1, Ordering::Relaxed) < 2;
        bad.then(|| Answer::status(500))
    });
    stage.sluice.wait_for_metric("sluice_retries_total", &labels, 2.0, SOON).await;
    let now = stage.sluice.metrics().await.sum("sluice_segments_total", &labels);
    stage.sluice.wait_for_metric("sluice_segments_total", &labels, now + 2.0, SOON).await;
    assert_eq!(stage.faults("status_5xx").await, before, "a fault that was retried is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_leaves_the_origin_alone() {
    let stage = Stage::new("circuit-breaker failures=2 recover=\"2s\"").await;
    stage.origin.fail("", Answer::status(500));
    let labels = [("pipeline", "news")];
    stage.sluice.wait_for_metric("sluice_breaker_opened_total", &labels, 1.0, SOON).await;
    let asked = stage.origin.asked("").len();
    stage.fault_after("breaker_open", 0.0).await;
    assert!(stage.origin.asked("").len() <= asked + 1, "the origin was asked while the breaker was open");
    stage.origin.mend();
    stage.sluice.wait_for_state("news", "live", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_by_client_refuses_with_a_time_to_come_back() {
    let stage = Stage::new("").await;
    let text = relay("news", &stage.origin.url("/news/index.m3u8"), "");
    let limited = text.replace("window=12", "window=12 {\n rate-limit 5 per=\"60s\" by=\"client\"\n }");
    stage.sluice.apply("news.kdl", &limited).await;
    let mut connection = Connection::open(stage.sluice.viewers, Version::One).await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        let reply = connection.get("/live/news/index.m3u8").await.unwrap();
        codes.push(reply.status.as_u16());
        if reply.status == 429 {
            assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
    }
    assert_eq!(codes, [200, 200, 200, 200, 200, 429, 429, 429]);
    let refused = stage.sluice.metrics().await.sum("sluice_rate_limited_total", &[("pipeline", "news")]);
    assert_eq!(refused, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pipelines_with_equal_caches_share_their_fetches() {
    let cache = "cache ttl=\"5m\" max=\"64MiB\"";
    let stage = Stage::new(cache).await;
    let text = relay("second", &stage.origin.url("/news/index.m3u8"), cache);
    stage.sluice.apply("second.kdl", &text).await;
    stage.sluice.wait_for_state("second", "live", SOON).await;
    let labels = [("pipeline", "second")];
    stage.sluice.wait_for_metric("sluice_segments_total", &labels, 8.0, SOON).await;
    let mut paths: Vec<_> = stage.origin.asked("a-").into_iter().map(|asked| asked.path).collect();
    let all = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), all, "a segment was fetched twice");
    let metrics = stage.sluice.metrics().await;
    let of = |result: &str| metrics.sum("sluice_cache_requests_total", &[("result", result)]);
    assert!(of("hit") + of("shared") > 0.0, "{}", metrics.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_can_have_no_effect_is_a_problem() {
    let stage = Stage::new("").await;
    let text = relay("news", &stage.origin.url("/news/index.m3u8"), "");
    for wrong in [
        text.replace("bytes=\"64MiB\"", "bytes=\"64MiB\" {\n cache max=\"1MiB\"\n }"),
        text.replace("window=12", "window=12 {\n circuit-breaker failures=1 recover=\"1s\"\n }"),
    ] {
        let setup = super::setup().file("news.kdl", &wrong);
        let output = setup.output(&["check", "conf.d"]).await;
        assert_eq!(output.status.code(), Some(78), "{wrong}");
    }
    tokio::time::timeout(Duration::from_secs(5), stage.sluice.wait_for_state("news", "live", SOON))
        .await
        .unwrap();
}
