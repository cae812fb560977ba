//! What is seen of a stream becomes a score, and a source that is not well is left for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sluice_harness::origin::{Answer, Live, Origin, Ticking, packets};
use sluice_harness::{Sluice, eventually};

use super::failover::{fed_by, hls};
use super::{SOON, Stage, serves, setup};

const PACKET: usize = 188;

/// A segment of which every second packet is lost.
fn torn() -> Vec<u8> {
    let whole = packets("torn", 200 * PACKET);
    whole.chunks(PACKET).step_by(2).flatten().copied().collect()
}

async fn health(sluice: &Sluice) -> Value {
    sluice.api("/api/v1/pipelines/news/health").await.json()["health"].clone()
}

/// Waits for a score that is so.
async fn scored(sluice: &Sluice, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let found = async || Some(health(sluice).await).filter(&is_so);
    eventually(&format!("the health is {what}"), SOON, found).await
}

fn is_at_least(score: u64) -> impl Fn(&Value) -> bool {
    move |health| health["score"].as_u64().is_some_and(|now| now >= score)
}

/// Two live streams behind one pipeline.
struct Pair {
    origin: Origin,
    sluice: Sluice,
    _ticking: [Ticking; 2],
}

impl Pair {
    async fn new(lines: &str) -> Self {
        let origin = Origin::start().await;
        let lives: [Arc<Live>; 2] = ["a", "b"].map(|name| Live::new(name).window(20).filled(6));
        origin.mount("/a", &lives[0]);
        origin.mount("/b", &lives[1]);
        let ticking = lives.map(|live| live.ticking(Duration::from_secs(1)));
        let [a, b] = ["a", "b"].map(|name| hls(&origin, name));
        let text = format!(
            "pipeline \"news\" {{\n    source {a}\n    source {b}\n    failover health-below=60 return-after=\"1h\"\n    \
             {lines}\n    buffer \"memory\" segments=60 bytes=\"64MiB\"\n    sink \"hls\" path=\"/live/news\" window=30\n}}\n"
        );
        let sluice = setup().file("news.kdl", &text).start().await;
        serves(&sluice, "/live/news/index.m3u8").await;
        Self { origin, sluice, _ticking: ticking }
    }
}

#[tokio::test]
async fn a_source_that_loses_packets_is_left_once_for_its_health() {
    let pair = Pair::new("health \"health-default\" every=\"1s\" half-life=\"5s\"").await;
    let well = scored(&pair.sluice, "well", is_at_least(95)).await;
    assert_eq!((&well["level"], &well["scorer"]), (&"good".into(), &"health-default".into()));
    assert_eq!(well["stood_in"], Value::Null, "{well}");
    let is_of_a = |path: &str| path.starts_with("/a/") && !path.contains(".m3u8");
    pair.origin.fail_by(move |asked| is_of_a(&asked.path).then(|| Answer::bytes(torn())));
    let view = fed_by(&pair.sluice, 1, 2 * SOON).await;
    assert_eq!(view["last_switch"]["reason"], "health", "{view}");
    let words = view["last_switch"]["message"].as_str().unwrap();
    assert!(words.contains("below 60"), "{words}");
    let again =
        scored(&pair.sluice, "well again", |health| is_at_least(95)(health) && health["level"] == "good");
    again.await;
    let metrics = pair.sluice.metrics().await;
    assert_eq!(metrics.sum("sluice_source_switches_total", &[]), 1.0);
    assert_eq!(metrics.sum("sluice_health_level", &[("level", "good")]), 1.0);
    assert_eq!(metrics.sum("sluice_health_fallbacks_total", &[]), 0.0);
}

#[tokio::test]
async fn a_sample_says_how_each_segment_came() {
    let lines = "parallel 1\n retry 2 backoff=\"10ms\"";
    let stage = Stage::new(lines).await;
    let failing = std::sync::atomic::AtomicBool::new(true);
    stage.origin.fail_by(move |asked| {
        let is_first =
            !asked.path.contains(".m3u8") && failing.swap(false, std::sync::atomic::Ordering::Relaxed);
        is_first.then(|| Answer::status(503))
    });
    let retried = async || {
        let sample = stage.sluice.api("/api/v1/pipelines/news/health?observations=1").await.json();
        let is_retried = |seen: &&Value| seen["retries"] == 1;
        let seen = sample["observations"].as_array()?.iter().find(is_retried)?.clone();
        Some((sample, seen))
    };
    let (sample, seen) = eventually("a segment came at the second attempt", SOON, retried).await;
    assert_eq!((&sample["pipeline"], &sample["source"]), (&"news".into(), &"source 1 hls".into()));
    assert_eq!(
        (&seen["status"], &seen["gap"], &seen["duration_ms"]),
        (&200.into(), &false.into(), &1000.into())
    );
    assert!(seen["bytes"].as_u64() > Some(10_000) && seen["continuity_errors"] == 0, "{seen}");
}

#[tokio::test]
async fn a_scorer_that_is_not_there_leaves_the_built_in_one_in_its_place() {
    let pair = Pair::new("health \"nobody\" every=\"1s\"").await;
    let health = scored(&pair.sluice, "scored", is_at_least(90)).await;
    assert_eq!(health["scorer"], "nobody");
    assert!(health["stood_in"].as_str().is_some_and(|why| why.contains("cannot be used")), "{health}");
    assert!(pair.sluice.metrics().await.sum("sluice_health_fallbacks_total", &[]) >= 1.0);
}
