//! What the daemon must do on real input, one file for each concern.

mod across;
mod actions;
mod admin;
mod architecture;
mod audience;
mod authoring;
mod certificates;
mod clients;
mod documents;
mod events;
mod exec;
mod failover;
mod faults;
mod first_day;
mod guard;
mod health;
mod ladder;
mod layers;
mod low_latency;
mod mapping;
mod mpegts;
mod objects;
mod outages;
mod pipelines;
mod players;
mod plugins;
mod program;
mod record;
mod relay;
mod reload;
mod restart;
mod slow;
mod splice;
mod standby;
mod truth;
mod variables;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use sluice_harness::origin::{Live, Origin, Ticking};
use sluice_harness::{Setup, Sluice, eventually};

/// How long a change may take until it shows, on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);

/// An empty configuration for the binary under test.
fn setup() -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_sluice"))
}

/// A pipeline that relays `url` under `/live/NAME`. `lines` stand within its source.
fn relay(name: &str, url: &str, lines: &str) -> String {
    format!(
        "pipeline \"{name}\" {{
    source \"hls\" \"{url}\" {{
        {lines}
    }}
    buffer \"memory\" segments=40 bytes=\"64MiB\"
    sink \"hls\" path=\"/live/{name}\" window=12
}}
"
    )
}

/// A scripted live stream with a daemon that relays it as `news`.
struct Stage {
    origin: Origin,
    live: Arc<Live>,
    sluice: Sluice,
    _ticking: Ticking,
}

impl Stage {
    /// Starts everything and waits until the stream is served. `lines` stand within the source.
    async fn new(lines: &str) -> Self {
        Self::with(setup(), Live::new("a"), lines).await
    }

    async fn with(setup: Setup, live: Arc<Live>, lines: &str) -> Self {
        let origin = Origin::start().await;
        let live = live.window(20).filled(6);
        origin.mount("/news", &live);
        let ticking = live.ticking(Duration::from_secs(1));
        let text = relay("news", &origin.url("/news/index.m3u8"), lines);
        let sluice = setup.file("news.kdl", &text).start().await;
        serves(&sluice, "/live/news/index.m3u8").await;
        Self { origin, live, sluice, _ticking: ticking }
    }

    /// The count of faults of a kind at the source.
    async fn faults(&self, kind: &str) -> f64 {
        self.sluice.metrics().await.sum("sluice_source_faults_total", &[("pipeline", "news"), ("kind", kind)])
    }

    /// Waits until one fault of a kind more than `before` was counted.
    async fn fault_after(&self, kind: &str, before: f64) {
        let labels = [("pipeline", "news"), ("kind", kind)];
        self.sluice.wait_for_metric("sluice_source_faults_total", &labels, before + 1.0, SOON).await;
    }
}

/// Waits until a path is served.
async fn serves(sluice: &Sluice, path: &str) {
    let served = async || sluice.get(path).await.status.is_success().then_some(());
    eventually(&format!("an answer to {path}"), SOON, served).await;
}

/// A length of time in seconds: `SLUICE_SECONDS` of the environment, or else `default`.
fn seconds(default: u64) -> Duration {
    let given = std::env::var("SLUICE_SECONDS").ok();
    Duration::from_secs(given.map_or(default, |text| text.parse().expect("SLUICE_SECONDS is a number")))
}
