//! What is seen of a stream becomes a score, and a source that is not well is left for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sluice_harness::origin::{Answer, Live, Origin, Ticking, packets};
use sluice_harness::{Setup, Sluice, Viewer, eventually};
use tempfile::TempDir;

use super::failover::{fed_by, hls};
use super::players::repository;
use super::{SOON, Stage, serves, setup};

const PACKET: usize = 188;

/// A segment of which every second packet is lost.
fn torn() -> Vec<u8> {
    let whole = packets("torn", 200 * PACKET);
    whole.chunks(PACKET).step_by(2).flatten().copied().collect()
}

/// A segment of which one packet is lost.
fn scratched() -> Vec<u8> {
    let mut whole = packets("scratched", 100 * PACKET).to_vec();
    whole.drain(50 * PACKET..51 * PACKET);
    whole
}

/// A directory with a plugin that ships, as `make plugins` built it.
fn shipped(name: &str) -> TempDir {
    let (file, into) = (repository().join("plugins").join(name), tempfile::tempdir().unwrap());
    std::fs::copy(&file, into.path().join(name))
        .unwrap_or_else(|error| panic!("{}: {error}: make plugins", file.display()));
    into
}

/// A directory with a plugin `tried`, a scorer that does what its setting `mode` says: that of `tests/plugins`.
async fn tried() -> TempDir {
    let build = || {
        let (root, into) = (repository(), tempfile::tempdir().unwrap());
        let target = root.join("target/test-plugins/scorer"); // where the tests of the host build it too
        let built = std::process::Command::new("cargo")
            .args(["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown"])
            .args(["--features", "scorer", "--target-dir"])
            .arg(&target)
            .current_dir(root.join("tests/plugins"))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTFLAGS")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let module = std::fs::read(target.join("wasm32-unknown-unknown/release/tried.wasm")).unwrap();
        let component = wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
        std::fs::write(into.path().join("tried.wasm"), component).unwrap();
        into
    };
    tokio::task::spawn_blocking(build).await.unwrap()
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
        Self::with(setup(), lines).await
    }

    async fn with(setup: Setup, lines: &str) -> Self {
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
        let sluice = setup.file("news.kdl", &text).start().await;
        serves(&sluice, "/live/news/index.m3u8").await;
        Self { origin, sluice, _ticking: ticking }
    }

    /// From now on the first source brings this for each segment.
    fn degrade(&self, segment: Vec<u8>) {
        let is_of_a = |path: &str| path.starts_with("/a/") && !path.contains(".m3u8");
        self.origin.fail_by(move |asked| is_of_a(&asked.path).then(|| Answer::bytes(segment.clone())));
    }
}

#[tokio::test]
async fn a_source_that_loses_packets_is_left_once_for_its_health() {
    let pair = Pair::new("health \"health-default\" every=\"1s\" half-life=\"5s\"").await;
    let well = scored(&pair.sluice, "well", is_at_least(95)).await;
    assert_eq!((&well["level"], &well["scorer"]), (&"good".into(), &"health-default".into()));
    assert_eq!(well["stood_in"], Value::Null, "{well}");
    pair.degrade(torn());
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

/// A daemon that finds its plugins there.
fn with_plugins(directory: &TempDir) -> Setup {
    setup().server(&format!("plugins {:?}", directory.path().display().to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_scorer_leaves_a_source_for_a_packet_in_each_segment() {
    let plugins = shipped("health-strict.wasm");
    let pair = Pair::with(with_plugins(&plugins), "health \"health-strict\" every=\"1s\"").await;
    let ours = |health: &Value| is_at_least(95)(health) && health["stood_in"].is_null();
    let health = scored(&pair.sluice, "scored by the plugin", ours).await;
    assert_eq!(health["scorer"], "health-strict");
    pair.degrade(scratched());
    let view = fed_by(&pair.sluice, 1, 2 * SOON).await;
    assert_eq!(view["last_switch"]["reason"], "health", "{view}");
    scored(&pair.sluice, "well again", ours).await;
    assert_eq!(pair.sluice.metrics().await.sum("sluice_source_switches_total", &[]), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scorer_that_loops_for_ever_is_stood_in_for_and_viewers_do_not_notice() {
    let plugins = tried().await;
    let grants = "plugin \"tried\" { kv \"8KiB\"; http \"http://127.0.0.1:9\"; }\n";
    let setup = with_plugins(&plugins).file("plugins.kdl", grants);
    let pair = Pair::with(setup, "health \"tried\" every=\"1s\" mode=\"loop\"").await;
    let mut viewing = Viewer::new(pair.sluice.viewers, "/live/news/index.m3u8").watch();
    let cut = &[("plugin", "tried"), ("outcome", "deadline")];
    pair.sluice.wait_for_metric("sluice_plugin_calls_total", cut, 1.0, SOON).await;
    let is_stood_in = |health: &Value| is_at_least(90)(health) && health["stood_in"].is_string();
    scored(&pair.sluice, "that of the built-in scorer", is_stood_in).await;
    pair.sluice.wait_for_metric("sluice_health_fallbacks_total", &[("pipeline", "news")], 3.0, SOON).await;
    let view = super::failover::view(&pair.sluice).await;
    assert_eq!((&view["state"], &view["switches_left"]), (&"live".into(), &10.into()), "{view}");
    viewing.takes(8, SOON).await;
    let taken = viewing.stop().await;
    assert!(taken.failures.is_empty() && taken.violations.is_empty(), "{:?}", taken.failures);
    assert!(taken.gaps.is_empty() && taken.lost.is_empty(), "{:?} {:?}", taken.gaps, taken.lost);
}
