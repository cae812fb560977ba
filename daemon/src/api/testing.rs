//! An admin side with a daemon that is made up, for tests here and of the command line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use prometheus::Registry;
use sluice_core::event::{Events, HandlerTable};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::health::{Level, Sample};
use sluice_core::pipeline::Ordered;

use super::view::{
    ChangeView, Check, ConfigView, Outcome, PipelineView, ProblemView, ReloadView, RenditionView, SinkView,
};
use super::{Admin, AudienceView, Control, EventLog, HealthBrief, HealthView, Parts};

/// A daemon with one pipeline.
#[derive(Default)]
pub(crate) struct Scripted {
    /// Whether its listeners are bound.
    pub(crate) ready: AtomicBool,
    /// Whether its configuration has an error.
    pub(crate) broken: AtomicBool,
}

impl Control for Scripted {
    fn pipelines(&self) -> Vec<PipelineView> {
        let renditions = vec![RenditionView {
            name: "video".to_owned(),
            segments: 3,
            bytes: 3 * 1024 * 1024,
            duration_seconds: 18.0,
            first_sequence: Some(10),
            last_sequence: Some(12),
            fed_by: None,
        }];
        let (name, path) = ("hls".to_owned(), "/live/news".to_owned());
        vec![PipelineView {
            name: "tv/news".to_owned(),
            state: "stalled".to_owned(),
            reason: "nothing new for 18 s".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            source: Some("source 1 hls".to_owned()),
            sources: Vec::new(),
            last_switch: None,
            switches_left: 10,
            last_fault: None,
            target_duration_seconds: Some(6),
            part_target_seconds: None,
            renditions,
            pushing: Vec::new(),
            health: Some(HealthBrief {
                score: 64,
                level: Level::Degraded,
                words: "2 segments are missing".to_owned(),
            }),
            sinks: vec![SinkView { name, path, viewers: 7, bytes: 5 }],
        }]
    }

    fn pipeline(&self, name: &str) -> Option<PipelineView> {
        assert_ne!(name, "panic", "on purpose");
        self.pipelines().into_iter().find(|pipeline| pipeline.name == name)
    }

    fn switch(&self, name: &str, to: Option<usize>) -> BoxFuture<'static, Option<Result<Ordered, Fault>>> {
        let known = self.pipeline(name).map(|_| match to {
            None | Some(1..=3) => {
                let at = to.unwrap_or(2);
                Ok(Ordered {
                    stage: format!("source {at} hls").into(),
                    is_started: at == 2,
                    is_active: at == 1,
                })
            }
            Some(_) => Err(FaultKind::NotFound.into()),
        });
        std::future::ready(known).boxed()
    }

    fn audience(&self, name: &str) -> Option<AudienceView> {
        self.pipeline(name).map(|_| AudienceView::default())
    }

    fn health(&self, name: &str) -> Option<HealthView> {
        self.pipeline(name).map(|_| HealthView { legacy_score: Some(84), ..HealthView::default() })
    }

    fn sample(&self, name: &str) -> Option<Sample> {
        self.pipeline(name).map(|view| Sample { pipeline: view.name, ..Sample::default() })
    }

    fn config(&self) -> ConfigView {
        ConfigView { directory: "conf.d".to_owned(), files: vec![], problems: vec![], last_reload: None }
    }

    fn reload(&self, dry_run: bool) -> BoxFuture<'static, ReloadView> {
        let broken = self.broken.load(Ordering::SeqCst);
        let problem = ProblemView {
            severity: "error".to_owned(),
            code: "unknown".to_owned(),
            file: "news.kdl".to_owned(),
            line: 3,
            column: 5,
            message: "unknown node \"sorce\"".to_owned(),
            help: "did you mean \"source\"?".to_owned(),
        };
        let change = ChangeView {
            pipeline: "tv/news".to_owned(),
            change: "retune".to_owned(),
            what: vec!["buffer".to_owned()],
            viewers: 7,
        };
        let view = ReloadView {
            time: Timestamp::UNIX_EPOCH,
            outcome: if dry_run { Outcome::DryRun } else { Outcome::Applied },
            error: None,
            changes: vec![change],
            restart: vec!["state-dir".to_owned()],
            problems: if broken { vec![problem] } else { vec![] },
        };
        std::future::ready(view).boxed()
    }

    fn ready(&self) -> Vec<Check> {
        let ok = self.ready.load(Ordering::SeqCst);
        vec![Check { name: "listeners".to_owned(), ok, detail: "1 of 1".to_owned() }]
    }
}

/// An admin side on loopback.
pub(crate) struct Running {
    pub(crate) admin: Admin,
    pub(crate) control: Arc<Scripted>,
    pub(crate) events: Events,
    pub(crate) parts: Parts,
    _logs: tracing::Dispatch,
    _directory: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn new() -> Self {
        let control = Arc::new(Scripted::default());
        let events = Events::default();
        let registry = Registry::new();
        let (logs, log) = crate::telemetry::detached("info");
        let directory = tempfile::tempdir().unwrap();
        let store = crate::store::Store::open(directory.path()).unwrap();
        let kept = EventLog::open(&events, store, &registry).await.unwrap();
        let parts = Parts {
            control: control.clone(),
            registry,
            log,
            events: kept,
            handlers: HandlerTable::default(),
        };
        let admin = Admin::listen(parts.clone(), "127.0.0.1:0".parse().unwrap(), None).unwrap();
        Self { admin, control, events, parts, _logs: logs, _directory: directory }
    }
}
