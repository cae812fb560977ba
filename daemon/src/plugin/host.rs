//! The plugins of the daemon: which there are, what is in force of each, and who uses them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sluice_core::event::{self, Events};
use sluice_core::plan::Plan;
use sluice_core::plugin::Use;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::engine::{Engine, SLOTS};
use super::fault::CallFault;
use super::grants::Grants;
use super::guest::Environment;
use super::instance::{Instance, Purpose};
use super::metrics::PluginMetrics;
use super::program::{self, Compiled, Kind, Program};
use super::record::Record;
use super::settings::{Configured, Description};
use super::slots::Slots;
use super::usage::{Kept, Usage};
use crate::store::Namespace;

/// What the plugins are made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) environment: Environment,
    pub(crate) metrics: PluginMetrics,
    /// Who is told of what happens to plugins.
    pub(crate) events: Events,
    /// Where the files are, as `NAME.wasm`.
    pub(crate) directory: PathBuf,
    /// What calls run on: not what viewers wait for.
    pub(crate) runtime: Handle,
}

/// All plugins.
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) environment: Arc<Environment>,
    pub(super) metrics: PluginMetrics,
    events: Events,
    pub(super) directory: PathBuf,
    pub(super) runtime: Handle,
    pub(super) slots: Slots<Kept>,
    /// Compiling takes memory and a processor: one at a time.
    compiling: Semaphore,
    records: Mutex<BTreeMap<Arc<str>, Arc<Record>>>,
    wanted: Mutex<Wanted>,
    usages: Mutex<Vec<Weak<Usage>>>,
    uses: AtomicU64,
}

/// What the configuration says of plugins.
#[derive(Default)]
struct Wanted {
    grants: BTreeMap<Arc<str>, Arc<Grants>>,
    uses: Vec<WantedUse>,
}

/// A use of a plugin in the configuration.
#[derive(Debug, Clone)]
pub(crate) struct WantedUse {
    pub(crate) pipeline: Option<Arc<str>>,
    pub(crate) of: Use,
    pub(crate) kind: Kind,
}

impl WantedUse {
    /// Every use that a plan has, those of disabled pipelines left out.
    pub(crate) fn all(plan: &Plan) -> Vec<Self> {
        let handlers = |pipeline: Option<Arc<str>>, handlers: &[sluice_core::plan::HandlerPlan]| {
            let handlers = handlers.iter().map(|handler| &handler.run);
            let uses =
                handlers.map(|of| Self { pipeline: pipeline.clone(), of: of.clone(), kind: Kind::Handler });
            uses.collect::<Vec<_>>()
        };
        let mut uses = handlers(None, &plan.handlers);
        for pipeline in plan.enabled() {
            let (name, of) = (Some(pipeline.name.clone()), pipeline.health.run.clone());
            uses.push(Self { pipeline: name.clone(), of, kind: Kind::Scorer });
            uses.extend(handlers(name, &pipeline.handlers));
        }
        uses
    }

    /// `pipeline "news"`, or `the top level`.
    pub(super) fn whose(&self) -> String {
        self.pipeline.as_ref().map_or_else(|| "the top level".to_owned(), |name| format!("pipeline {name:?}"))
    }
}

impl Inner {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            engine: parts.engine,
            environment: Arc::new(parts.environment),
            metrics: parts.metrics,
            events: parts.events,
            directory: parts.directory,
            runtime: parts.runtime,
            slots: Slots::new(SLOTS as usize),
            compiling: Semaphore::new(1),
            records: Mutex::default(),
            wanted: Mutex::default(),
            usages: Mutex::default(),
            uses: AtomicU64::new(0),
        }
    }

    pub(super) fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    /// The plugin of a name, whether there is a file or not.
    pub(super) fn record(&self, name: &Arc<str>) -> Arc<Record> {
        let mut records = lock(&self.records);
        records.entry(name.clone()).or_insert_with(|| Arc::new(Record::new(name.clone()))).clone()
    }

    /// The plugin of a name, where something is known of it.
    pub(super) fn known(&self, name: &str) -> Option<Arc<Record>> {
        lock(&self.records).get(name).cloned()
    }

    /// Every plugin that something is known of, in the order of names.
    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        lock(&self.records).values().cloned().collect()
    }

    pub(super) fn enlist(&self, usage: &Arc<Usage>) {
        let mut usages = lock(&self.usages);
        usages.retain(|usage| usage.strong_count() > 0);
        usages.push(Arc::downgrade(usage));
    }

    /// The uses that the configuration has of a plugin.
    pub(super) fn uses(&self, name: &str) -> Vec<WantedUse> {
        lock(&self.wanted).uses.iter().filter(|wanted| &*wanted.of.plugin == name).cloned().collect()
    }

    /// What a plugin is granted.
    pub(super) fn grants(&self, name: &str) -> Arc<Grants> {
        lock(&self.wanted).grants.get(name).cloned().unwrap_or_default()
    }

    /// Takes over what the configuration says. Returns the plugins whose grants changed.
    pub(super) fn want(&self, plan: &Plan) -> Vec<Arc<str>> {
        let grants: BTreeMap<Arc<str>, Arc<Grants>> = plan
            .plugins
            .iter()
            .map(|(name, plugin)| (name.clone(), Arc::new(Grants::from(plugin))))
            .collect();
        let uses = WantedUse::all(plan);
        uses.iter().for_each(|wanted| drop(self.record(&wanted.of.plugin)));
        let mut wanted = lock(&self.wanted);
        let names = grants.keys().chain(wanted.grants.keys());
        let mut changed: Vec<_> =
            names.filter(|name| grants.get(*name) != wanted.grants.get(*name)).cloned().collect();
        changed.sort();
        changed.dedup();
        *wanted = Wanted { grants, uses };
        changed
    }

    /// Takes a file up: compiles it, tries it, and puts it in the place of what was there. The outcome is logged and
    /// counted. A file that is refused leaves what was there.
    pub(super) async fn take_up(self: &Arc<Self>, name: &Arc<str>, bytes: Vec<u8>) {
        let record = self.record(name);
        let hash = program::hash(&bytes);
        let is_known = record.state().compiled.as_ref().is_some_and(|compiled| compiled.hash == hash);
        if is_known {
            record.state().refusal = None; // a bad file between was taken back
            return;
        }
        let outcome = match self.compile(bytes).await {
            Ok(compiled) => self.install(&record, compiled).await,
            Err(words) => Err(words),
        };
        self.tell(&record, outcome);
    }

    /// Links what is there anew, as the grants changed. Where that cannot be, nothing of it is called: what was linked
    /// before has grants that hold no more.
    pub(super) async fn relink(self: &Arc<Self>, name: &str) {
        let Some(record) = self.known(name) else { return };
        let Some(compiled) = record.state().compiled.clone() else { return };
        let (linked, grants) = loop {
            let grants = self.grants(name);
            let linked = self.link(&record.name, &compiled, &grants).await;
            if grants == self.grants(name) {
                break (linked, grants); // else they changed once more meanwhile
            }
        };
        match &linked {
            Ok(program) => record.install(compiled, program.clone(), grants),
            Err(_) => record.withdraw(),
        }
        self.tell(&record, linked);
    }

    fn tell(&self, record: &Record, outcome: Result<Arc<Program>, String>) {
        let plugin = &*record.name;
        match outcome {
            Ok(program) => {
                self.metrics.loaded(plugin, "ok");
                self.metrics.disabled(plugin, false);
                let (kind, version) = (program.kind.word(), &program.description.version);
                let hash = program.hash.get(..12);
                tracing::info!(plugin, kind, version, hash, "a plugin is in force");
                let detail = serde_json::json!({ "plugin": plugin, "kind": kind, "version": version });
                self.events.publish(event::PLUGIN_LOADED, None, None, detail);
            }
            Err(reason) => {
                self.metrics.loaded(plugin, "refused");
                record.refuse(&reason);
                let stays = record.state().program.is_some();
                tracing::error!(plugin, reason, earlier_one_stays = stays, "a plugin was refused");
                let detail = serde_json::json!({ "plugin": plugin, "earlier_one_stays": stays });
                self.events.publish(event::PLUGIN_REFUSED, None, Some(&reason), detail);
            }
        }
    }

    /// Compiles a file beside all else.
    pub(super) async fn compile(self: &Arc<Self>, bytes: Vec<u8>) -> Result<Arc<Compiled>, String> {
        let permit = self.compiling.acquire().await.map_err(|error| error.to_string())?;
        let inner = self.clone();
        let compiling = tokio::task::spawn_blocking(move || Compiled::new(&inner.engine, &bytes));
        let compiled = compiling.await.map_err(|error| format!("a defect of the compiler: {error}"))?;
        drop(permit);
        compiled.map(Arc::new)
    }

    async fn install(&self, record: &Record, compiled: Arc<Compiled>) -> Result<Arc<Program>, String> {
        let grants = self.grants(&record.name);
        let program = self.link(&record.name, &compiled, &grants).await?;
        let is_first = record.state().program.is_none();
        if !is_first {
            for wanted in self.uses(&record.name).iter().filter(|wanted| wanted.kind == program.kind) {
                let tried = self.try_use(&program, &grants, wanted).await;
                tried.map_err(|words| {
                    format!("it does not run with the configuration of {}: {words}", wanted.whose())
                })?;
            }
        }
        record.install(compiled, program.clone(), grants);
        Ok(program)
    }

    /// Links a file, and asks it what it reads.
    pub(super) async fn link(
        &self,
        name: &Arc<str>,
        compiled: &Compiled,
        grants: &Arc<Grants>,
    ) -> Result<Arc<Program>, String> {
        let program = Arc::new(compiled.link(&self.engine, name, grants)?);
        let described = self.describe(name, &program, grants).await;
        let description = described.map_err(|fault| format!("it cannot say what it is: {fault}"))?;
        let program = Arc::unwrap_or_clone(program);
        Ok(Arc::new(Program { description, ..program }))
    }

    async fn describe(
        &self,
        name: &Arc<str>,
        program: &Arc<Program>,
        grants: &Arc<Grants>,
    ) -> Result<Description, CallFault> {
        let mut instance = self.instance(name, None, program, grants, Arc::default()).await?;
        instance.describe().await
    }

    /// Makes an instance for a use and lets it read its configuration, as its first call would.
    pub(super) async fn try_use(
        &self,
        program: &Arc<Program>,
        grants: &Arc<Grants>,
        wanted: &WantedUse,
    ) -> Result<(), String> {
        let configured = program
            .description
            .configure(&wanted.of)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let (name, pipeline) = (&wanted.of.plugin, wanted.pipeline.clone());
        let instance = self.instance(name, pipeline, program, grants, Arc::new(configured)).await;
        let mut instance = instance.map_err(|fault| fault.to_string())?;
        instance.init().await.map_err(|fault| fault.to_string())
    }

    async fn instance(
        &self,
        name: &Arc<str>,
        pipeline: Option<Arc<str>>,
        program: &Arc<Program>,
        grants: &Arc<Grants>,
        configured: Arc<Configured>,
    ) -> Result<Instance, CallFault> {
        let busy = || CallFault::new(super::fault::FaultKind::Deadline, "all places for plugins are taken");
        let slot = self.slots.slot().await.ok_or_else(busy)?;
        let space = Namespace { plugin: name.clone(), pipeline };
        let purpose = Purpose { space, grants: grants.clone(), configured };
        Instance::new(program, &self.environment, &purpose, slot).await
    }

    /// Tells of a fault, and of what follows from it.
    pub(super) fn faulted(&self, record: &Record, pipeline: Option<&Arc<str>>, fault: &CallFault) {
        let plugin = &*record.name;
        let detail = serde_json::json!({ "plugin": plugin, "kind": fault.kind.word() });
        self.events.publish(event::PLUGIN_FAILED, pipeline.cloned(), Some(&fault.words), detail);
        if let Some(reason) = record.faulted(fault, pipeline.cloned()) {
            self.metrics.disabled(plugin, true);
            tracing::error!(plugin, %reason, "a plugin is disabled; a new file or the API enables it");
            let detail = serde_json::json!({ "plugin": plugin });
            self.events.publish(event::PLUGIN_DISABLED, None, Some(&reason), detail);
        }
    }

    /// The file of a plugin.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        file(&self.directory, name)
    }
}

/// The file of a plugin in a directory.
pub(super) fn file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.wasm"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
