//! What is wrong between a configuration and its plugins, without a daemon that runs.

use std::sync::Arc;

use sluice_core::conf::{Code, Place, Problem};
use sluice_core::event::Events;
use sluice_core::plan::Plan;
use sluice_core::plugin::{PluginFault, Use};
use tokio::time::Instant;

use super::directory;
use super::engine::Engine;
use super::guest::{Environment, TracingJournal};
use super::host::{Inner, Parts, WantedUse, file};
use super::metrics::PluginMetrics;
use super::program::Program;
use crate::store::Store;

/// The plugin that the daemon has built in, so that it needs no file.
const BUILT_IN: &str = "health-default";

/// Every problem of the uses that a plan has of plugins: files that are missing or refused, plugins of the other kind, and
/// settings that a plugin does not take. Loads each plugin as the daemon would, and lets it read its settings; nothing is
/// kept and no request is sent.
///
/// # Errors
/// Where plugins cannot run on this machine.
pub(crate) async fn check(plan: &Plan) -> Result<Vec<Problem>, Box<dyn std::error::Error + Send + Sync>> {
    let uses = WantedUse::all(plan);
    let directory = &plan.server.plugins;
    let is_needed =
        |wanted: &WantedUse| &*wanted.of.plugin != BUILT_IN || file(directory, BUILT_IN).is_file();
    let uses: Vec<WantedUse> = uses.into_iter().filter(is_needed).collect();
    if uses.is_empty() {
        return Ok(Vec::new());
    }
    let inner = Arc::new(Inner::new(Parts {
        engine: Engine::new(None)?,
        environment: Environment {
            store: Some(Store::in_memory()?),
            requests: None,
            journal: Arc::new(TracingJournal),
            began: Instant::now(),
        },
        metrics: PluginMetrics::new(&prometheus::Registry::new())?,
        events: Events::default(),
        directory: directory.clone(),
        runtime: tokio::runtime::Handle::current(),
    }));
    inner.want(plan);
    let mut problems = Vec::new();
    for wanted in &uses {
        problems.extend(problems_of(&inner, wanted).await);
    }
    Ok(problems)
}

async fn problems_of(inner: &Arc<Inner>, wanted: &WantedUse) -> Vec<Problem> {
    let of = &wanted.of;
    let program = match program(inner, of).await {
        Ok(program) => program,
        Err(problem) => return vec![problem],
    };
    if let Some(problem) = other_kind(&program, wanted) {
        return vec![problem];
    }
    match program.description.configure(of) {
        Err(problems) => problems,
        Ok(_) => {
            let tried = inner.try_use(&program, &inner.grants(&of.plugin), wanted).await;
            let refused = |words: String| {
                let message = format!("the plugin `{}` refuses its settings: {words}", of.plugin);
                Problem::new(Code::Value, of.place.clone(), message)
            };
            tried.err().map(refused).into_iter().collect()
        }
    }
}

async fn program(inner: &Arc<Inner>, of: &Use) -> Result<Arc<Program>, Problem> {
    let path = inner.file(&of.plugin);
    let place = |label: &str| Place { label: label.to_owned(), ..of.place.clone() };
    let bytes = directory::read(&path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => format!("there is no plugin `{}`", of.plugin),
            _ => format!("the plugin `{}` cannot be read: {error}", of.plugin),
        };
        let help = format!("its file is {}; `server {{ plugins }}` names the directory", path.display());
        Problem::new(Code::Missing, place("no such file"), message).help(help)
    })?;
    let known = inner.record(&of.plugin).program();
    if let Ok((program, _)) = known {
        return Ok(program); // another use loaded it
    }
    inner.take_up(&of.plugin, bytes).await;
    let refused = |fault: PluginFault| {
        let words = match fault {
            PluginFault::Missing(words) | PluginFault::Unavailable(words) => words,
            called => called.to_string().into(),
        };
        Problem::new(Code::Value, place(""), format!("the plugin `{}` cannot be used: {words}", of.plugin))
    };
    inner.record(&of.plugin).program().map(|(program, _)| program).map_err(refused)
}

/// The problem of a scorer that is to handle events, and the other way round.
pub(super) fn other_kind(program: &Program, wanted: &WantedUse) -> Option<Problem> {
    let (is, needed) = (program.kind.word(), wanted.kind.word());
    let message = || format!("the plugin `{}` is a {is}, and a {needed} is wanted here", wanted.of.plugin);
    (program.kind != wanted.kind).then(|| Problem::new(Code::Conflict, wanted.of.place.clone(), message()))
}
