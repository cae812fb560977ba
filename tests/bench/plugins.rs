//! What plugins cost: a call, the first call after a start, an instance that is kept, many pipelines on few slots, and
//! an event.
//!
//! The scorer is `health-default`, as `make plugins` built it; the lower bound is the same crate, compiled into the
//! benchmark.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use health_default::HealthDefault;
use sluice_harness::{Metrics, Setup, Sluice};
use sluice_plugin_sdk::settings::Settings as _;
use sluice_plugin_sdk::testing::samples;
use sluice_plugin_sdk::{Sample, Scorer as _};
use tempfile::TempDir;
use tokio::time::Instant;

use super::Effort;
use super::report::{Bar, Figure, Report};

const OBSERVATIONS: usize = 100;
const CALLS: usize = 20_000;
/// Pipelines that are scored every two seconds, on the 64 slots of the daemon.
const MANY: usize = 2000;
/// Pipelines that keep an instance each: the slope between the two is what one takes.
const FEW_KEPT: usize = 4;
const KEPT: usize = 60;
const LIMIT: Duration = Duration::from_secs(120);

/// Measures calls of a scorer by the daemon's host against the same scorer compiled natively, and the first call.
pub(crate) async fn scoring(effort: Effort, report: &mut Report) {
    let setup = Setup::new(env!("CARGO_BIN_EXE_sluice"));
    let sample = samples::healthy(OBSERVATIONS);
    std::fs::write(setup.home().join("window.json"), serde_json::to_string(&sample).unwrap()).unwrap();
    let (mut plugin, mut native, mut first) = (Figure::default(), Figure::default(), Figure::default());
    tried(&setup, 0).await; // compiles it
    for _ in 0..effort.rounds {
        let said = tried(&setup, CALLS).await;
        plugin.push(number(&said, "calls: median ", " us"));
        first.push(number(&said, "loaded in ", " ms") + number(&said, "first answer ", " ms"));
        native.push(natively(&sample));
    }
    let what = format!("a score of {OBSERVATIONS} observations by a plugin, median,");
    report.compare(&what, &plugin, ("the same natively", &native), Bar::AtMost(12.0), (1.0, "us"));
    report.alone("from a plugin's compiled file to its first answer", &first, Bar::Within(2.0), (1.0, "ms"));
}

/// What `sluice plugin test` says of calls.
async fn tried(setup: &Setup, calls: usize) -> String {
    let (file, calls) = (shipped().display().to_string(), calls.to_string());
    let arguments =
        ["plugin", "test", &file, "--input", "window.json", "--cache", "cache", "--repeat", &calls];
    let output = setup.output(&arguments).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The number between two texts.
fn number(text: &str, before: &str, behind: &str) -> f64 {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(behind));
    found.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("{before:?} in {text}"))
}

/// The median of a native call, in microseconds.
fn natively(sample: &Sample) -> f64 {
    let scorer = health_default::Settings::usual().and_then(HealthDefault::new).unwrap();
    let call = |_| {
        let began = Instant::now();
        black_box(scorer.judge(black_box(sample))).unwrap();
        began.elapsed().as_secs_f64() * 1e6
    };
    let mut calls: Vec<f64> = (0..CALLS).map(call).collect();
    calls.sort_by(f64::total_cmp);
    calls[CALLS / 2]
}

/// Processor time that the scorer takes for many pipelines: of the threads of plugins, and of the whole daemon against
/// one that scores natively.
pub(crate) async fn many(effort: Effort, report: &mut Report) {
    let span = Duration::from_secs(effort.seconds * 4);
    let (mut threads, mut plugin, mut native) = (Figure::default(), Figure::default(), Figure::default());
    for _ in 0..effort.rounds.min(3) {
        for (kind, figure) in [(Kind::Plugin, &mut plugin), (Kind::Native, &mut native)] {
            let mut daemon = Daemon::start(kind, MANY).await;
            let calls = daemon.calls().await;
            let (before, began) = (daemon.processor_time(), Instant::now());
            tokio::time::sleep(span).await;
            let (after, span) = (daemon.processor_time(), began.elapsed().as_secs_f64());
            figure.push((after.all - before.all) / span);
            if kind == Kind::Plugin {
                threads.push((after.of_plugins - before.of_plugins) / span);
                let rate = (daemon.calls().await - calls) / span;
                assert!(rate > 0.9 * MANY as f64 / 2.0, "{rate} calls in a second");
            }
        }
    }
    let unit = (0.01, "% of a core");
    let what = format!("threads of plugins, {MANY} pipelines scored every 2 s");
    report.alone(&what, &threads, Bar::Within(0.05), unit);
    let what = format!("all of that daemon, {MANY} pipelines that follow one,");
    report.compare(&what, &plugin, ("one that scores natively", &native), Bar::AtMost(1.5), unit);
}

/// Resident memory of an instance that is kept: the slope over pipelines, less that of a daemon that scores natively.
pub(crate) async fn kept(effort: Effort, report: &mut Report) {
    let mut figure = Figure::default();
    for _ in 0..effort.rounds.min(3) {
        let mut slopes = Vec::new();
        for kind in [Kind::Plugin, Kind::Native] {
            let few = Daemon::start(kind, FEW_KEPT).await.resident_bytes();
            let many = Daemon::start(kind, KEPT).await.resident_bytes();
            slopes.push((many - few) / (KEPT - FEW_KEPT) as f64);
        }
        figure.push(slopes[0] - slopes[1]);
    }
    report.alone("memory of an instance between two calls", &figure, Bar::Within(102_400.0), (1024.0, "KiB"));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Plugin,
    Native,
}

/// A daemon with pipelines that follow one, all of them scored.
struct Daemon {
    sluice: Sluice,
    _plugins: TempDir,
}

/// Seconds of a processor.
struct Spent {
    all: f64,
    of_plugins: f64,
}

impl Daemon {
    /// Waits until each pipeline was scored some times.
    async fn start(kind: Kind, pipelines: usize) -> Self {
        let plugins = tempfile::tempdir().unwrap();
        if kind == Kind::Plugin {
            std::fs::copy(shipped(), plugins.path().join("health-default.wasm")).unwrap();
        }
        let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf.d/media/demo.ts");
        let source =
            format!("pipeline \"first\" {{\n source \"file\" {clip:?} segment=\"2s\"\n {}", rest("first"));
        let follow = |number| {
            let name = format!("c{number}");
            format!("pipeline \"{name}\" {{\n source \"pipeline\" \"first\"\n {}", rest(&name))
        };
        let text: String = std::iter::once(source).chain((1..pipelines).map(follow)).collect();
        let directory = format!("plugins {:?}", plugins.path().display().to_string());
        let setup = Setup::new(env!("CARGO_BIN_EXE_sluice")).server(&directory).file("many.kdl", &text);
        let sluice = setup.start().await;
        let labels = [("state", "live")];
        sluice.wait_for_metric("sluice_pipeline_state", &labels, pipelines as f64, LIMIT).await;
        if kind == Kind::Plugin {
            let scored = [("plugin", "health-default"), ("outcome", "ok")];
            let calls = 5.0 * pipelines as f64;
            sluice.wait_for_metric("sluice_plugin_calls_total", &scored, calls, LIMIT).await;
        } else {
            tokio::time::sleep(Duration::from_secs(10)).await; // as long as five calls take
        }
        Self { sluice, _plugins: plugins }
    }

    async fn calls(&self) -> f64 {
        Metrics::sum(&self.sluice.metrics().await, "sluice_plugin_calls_total", &[("outcome", "ok")])
    }

    fn resident_bytes(mut self) -> f64 {
        let id = self.sluice.process().id();
        let text = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap();
        text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
    }

    fn processor_time(&mut self) -> Spent {
        let id = self.sluice.process().id();
        let mut spent = Spent { all: 0.0, of_plugins: 0.0 };
        for thread in std::fs::read_dir(format!("/proc/{id}/task")).unwrap() {
            let thread = thread.unwrap().path();
            let read = |file: &str| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
            // nanoseconds first (kernel, sched-stats.rst); a thread that ended meanwhile has none
            let on_processor: f64 =
                read("schedstat").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
            spent.all += on_processor / 1e9;
            if read("comm").starts_with("plugin") {
                spent.of_plugins += on_processor / 1e9;
            }
        }
        spent
    }
}

fn rest(name: &str) -> String {
    format!(
        "buffer \"memory\" segments=6 bytes=\"16MiB\"\n sink \"hls\" path=\"/live/{name}\" window=6
         health \"health-default\" every=\"2s\"\n}}\n"
    )
}

/// The plugin that is measured.
fn shipped() -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/health-default.wasm");
    assert!(file.exists(), "{}: make plugins", file.display());
    file
}
