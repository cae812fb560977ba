//! A host with plugins that do what their setting `mode` says: `tests/plugins`, built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::Registry;
use sluice_core::conf::NoSecrets;
use sluice_core::event::Event;
use sluice_core::health::{Observation, Sample, Verdict};
use sluice_core::plan::{Good, Plan, settle};
use sluice_core::plugin::{Handler, PluginFault, Plugins, Reaction, Scorer};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::guest::{Environment, Journal, Line};
use super::host::Parts;
use super::{Engine, PluginHost, PluginMetrics};
use crate::client::{Requests, system_tls};
use crate::kinds::KINDS;
use crate::store::Store;

/// The plugin of `tests/plugins` as a component; `feature` is `scorer` or `handler`.
pub(super) fn component(feature: &str) -> Vec<u8> {
    encoded(&module(feature))
}

/// A plugin that ships, as `make plugins` built it.
pub(super) fn shipped(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(name).with_extension("wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: make plugins", file.display()))
}

fn encoded(module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default().module(module).unwrap().validate(true).encode().unwrap()
}

/// The same before it is a component.
pub(super) fn module(feature: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = root.join("target/test-plugins").join(feature);
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown", "--features", feature])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(root.join("tests/plugins"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::read(target.join("wasm32-unknown-unknown/release/tried.wasm")).unwrap()
}

/// Takes log lines of plugins.
#[derive(Default)]
pub(super) struct Lines(Mutex<Vec<String>>);

impl Journal for Lines {
    fn write(&self, line: &Line<'_>) {
        let Line { plugin, pipeline, level, message, fields } = line;
        let line = format!("{plugin} {pipeline:?} {level:?}: {message} {fields}");
        self.0.lock().unwrap().push(line);
    }
}

/// A host, and what it needs.
pub(super) struct Bench {
    pub(super) host: PluginHost,
    pub(super) directory: PathBuf,
    pub(super) plan: Plan,
    pub(super) registry: Registry,
    lines: Arc<Lines>,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// A host with a configuration; `handles` are settings of the handler `tried-handler`, `scores` those of the scorer
    /// `tried-scorer` of pipeline `news`, and `node` what both are granted.
    pub(super) async fn new(node: &str, scores: &str, handles: &str) -> Self {
        let bench = Self::empty(node, scores, handles);
        bench.take_up("tried-scorer", component("scorer")).await;
        bench.take_up("tried-handler", component("handler")).await;
        bench
    }

    /// The same without a plugin.
    pub(super) fn empty(node: &str, scores: &str, handles: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("plugins");
        std::fs::create_dir(&directory).unwrap();
        let (registry, lines) = (Registry::new(), Arc::new(Lines::default()));
        let environment = Environment {
            store: Some(Store::open(dir.path()).unwrap()),
            requests: Some(Requests::new(&system_tls().unwrap())),
            journal: lines.clone(),
            began: Instant::now(),
        };
        let host = PluginHost::new(Parts {
            engine: Engine::new(Some(
                &Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-plugins/cache"),
            ))
            .unwrap(),
            environment,
            metrics: PluginMetrics::new(&registry).unwrap(),
            directory: directory.clone(),
            runtime: Handle::current(),
        });
        let plan = plan(node, scores, handles);
        host.apply(&plan);
        Self { host, directory, plan, registry, lines, _dir: dir }
    }

    pub(super) async fn take_up(&self, name: &str, bytes: Vec<u8>) {
        self.host.inner.take_up(&name.into(), bytes).await;
    }

    pub(super) fn scorer(&self) -> Arc<dyn Scorer> {
        let pipeline = self.plan.enabled().next().unwrap();
        self.host.scorer(&pipeline.health.run, &pipeline.name)
    }

    pub(super) fn handler(&self) -> Arc<dyn Handler> {
        self.host.handler(&self.plan.handlers[0].run, None)
    }

    pub(super) async fn score(&self) -> Result<Verdict, PluginFault> {
        self.scorer().score(sample(3)).await
    }

    pub(super) async fn handle(&self) -> Result<Reaction, PluginFault> {
        self.handler().handle(event()).await
    }

    /// Why the newest file of a plugin is not in force.
    pub(super) fn refusal(&self, name: &str) -> Option<String> {
        self.host.inner.known(name)?.state().refusal.as_deref().map(str::to_owned)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.0.lock().unwrap().clone()
    }
}

pub(super) fn plan(node: &str, scores: &str, handles: &str) -> Plan {
    let text = format!(
        "plugin \"tried-scorer\" {{ {node} }}
         plugin \"tried-handler\" {{ {node} }}
         on \"stream.*\" run=\"tried-handler\" {handles}
         pipeline \"news\" {{
             source \"file\" \"news.ts\"
             sink \"hls\" path=\"/news\"
             health \"tried-scorer\" {scores}
         }}"
    );
    let settled = settle(&[("a.kdl".to_owned(), text)], &Good::default(), &KINDS, &NoSecrets);
    assert!(
        !settled.problems.are_fatal(),
        "{:?}",
        settled.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    settled.good.plan
}

/// A stream with so many observations.
pub(super) fn sample(observations: usize) -> Arc<Sample> {
    let seen = Observation {
        duration: Duration::from_secs(4),
        bytes: 1_000_000,
        status: 200,
        ..Observation::default()
    };
    Arc::new(Sample {
        pipeline: "news".to_owned(),
        observations: vec![seen; observations],
        ..Sample::default()
    })
}

pub(super) fn event() -> Arc<Event> {
    Arc::new(Event {
        id: 7,
        time: jiff::Timestamp::UNIX_EPOCH,
        kind: sluice_core::event::STREAM_STALLED,
        pipeline: Some("news".into()),
        cause: None,
        detail: serde_json::json!({}),
    })
}
