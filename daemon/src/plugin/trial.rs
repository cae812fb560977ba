//! A plugin looked at and called once, without a daemon.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use sluice_core::conf::{HttpOrigin, NoSecrets, Scalar};
use sluice_core::event::{Event, Events, KINDS as EVENTS};
use sluice_core::plan::{Good, settle};
use sluice_core::plugin::Use;
use tokio::time::Instant;

use super::directory;
use super::engine::Engine;
use super::grants::Grants;
use super::guest::{Environment, Journal, Line};
use super::host::{Inner, Parts, WantedUse};
use super::instance::{Given, Instance, Purpose};
use super::metrics::PluginMetrics;
use super::program::{Kind, Program};
use super::settings::Description;
use super::usage::{Answered, Asked};
use crate::client::{Requests, system_tls};
use crate::kinds::KINDS;
use crate::store::{Namespace, Store};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What a file is.
pub(crate) struct Inspected {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) description: Description,
    pub(crate) imports: Vec<String>,
    pub(crate) sha256: String,
    pub(crate) size_bytes: usize,
}

/// A call to make.
pub(crate) struct Trial<'a> {
    pub(crate) file: &'a Path,
    /// A sample or an event, as JSON.
    pub(crate) input: Option<&'a str>,
    /// `KEY=VALUE` for each setting.
    pub(crate) settings: &'a [String],
    /// Servers that are granted.
    pub(crate) http: &'a [String],
    /// Where what is compiled is kept for the next time.
    pub(crate) cache: Option<&'a Path>,
    /// How often it is called again, to see what a call takes.
    pub(crate) repeat: u32,
}

/// What came of it.
pub(crate) struct Tried {
    /// What it gave as JSON, or why nothing.
    pub(crate) given: Result<Json, String>,
    pub(crate) lines: Vec<String>,
    pub(crate) lines_left_out: u32,
    /// The plugin's own time.
    pub(crate) spent: Duration,
    pub(crate) memory_bytes: usize,
    /// From the file to something that can be called.
    pub(crate) loading: Duration,
    /// From there to the first answer: the instance is made, and reads its settings.
    pub(crate) first: Duration,
    /// What each further call took in all, in rising order.
    pub(crate) further: Vec<Duration>,
}

/// Loads a file with everything granted, and asks it what it is.
///
/// # Errors
/// Why it is no plugin.
pub(crate) async fn inspect(file: &Path) -> Result<Inspected, AnyError> {
    let any = HttpOrigin::read(&"http://localhost".into()).map_err(|_| "no server")?;
    let (inner, _) = host(None)?;
    let program = load(&inner, file, &Arc::new(Grants { http: vec![any], ..generous() })).await?;
    Ok(Inspected {
        name: name(file)?.to_string(),
        kind: program.kind.word(),
        description: program.description.clone(),
        imports: program.imports.clone(),
        sha256: program.hash.clone(),
        size_bytes: program.size_bytes,
    })
}

/// Calls a plugin, and again as often as is asked for.
///
/// # Errors
/// Where it is not called: the file is no plugin, or input or settings do not fit.
pub(crate) async fn try_out(trial: Trial<'_>) -> Result<Tried, AnyError> {
    let name = name(trial.file)?;
    let of = used(&name, trial.settings)?;
    let (inner, lines) = host(trial.cache)?;
    let grants = Arc::new(granted(trial.http)?);
    let began = Instant::now();
    let program = load(&inner, trial.file, &grants).await?;
    let loading = began.elapsed();
    let asked = asked(program.kind, trial.input)?;
    let configured = program.description.configure(&of).map_err(|problems| {
        problems
            .iter()
            .map(|problem| format!("{}: {}", problem.message, problem.help))
            .collect::<Vec<_>>()
            .join("; ")
    })?;
    let space = Namespace { plugin: name, pipeline: Some("test".into()) };
    let purpose = Purpose { space, grants, configured: Arc::new(configured) };
    let slot = inner.slots.slot().await.ok_or("no place for it")?;
    let began = Instant::now();
    let mut instance = Instance::start(&program, &inner.environment, &purpose, slot).await?;
    let answered = instance.ask(&asked).await;
    let (first, lines_left_out, spent) = (began.elapsed(), instance.lines_left_out(), instance.spent());
    let (mut given, written) = (given(answered), lines.take());
    let mut further = Vec::new();
    for _ in 0..trial.repeat {
        if given.is_err() {
            break;
        }
        let began = Instant::now();
        let answered = instance.ask(&asked).await;
        further.push(began.elapsed());
        given = self::given(answered);
        drop(lines.take()); // one call says what it writes
    }
    further.sort();
    let (lines, memory_bytes) = (written, instance.memory_bytes());
    Ok(Tried { given, lines, lines_left_out, spent, memory_bytes, loading, first, further })
}

fn given(answered: Given<Answered>) -> Result<Json, String> {
    match answered {
        Ok(Ok(answered)) => Ok(json(answered)),
        Ok(Err(words)) => Err(format!("it says: {words}")),
        Err(fault) => Err(format!("{} fault: {fault}", fault.kind.word())),
    }
}

fn granted(servers: &[String]) -> Result<Grants, String> {
    let read = |server: &String| {
        HttpOrigin::read(&server.as_str().into())
            .map_err(|help| format!("{server}: {}", help.unwrap_or_default()))
    };
    let mut http: Vec<HttpOrigin> = servers.iter().map(read).collect::<Result<_, _>>()?;
    if http.is_empty() {
        // linked all the same, so that a plugin that can do without a server is called; each request is refused
        http.extend(HttpOrigin::read(&"http://nowhere.invalid".into()).ok());
    }
    Ok(Grants { http, ..generous() })
}

/// What an author gets without a node: all but servers.
fn generous() -> Grants {
    Grants { kv_bytes: 1 << 20, ..Grants::default() }
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for Lines {
    fn write(&self, line: &Line<'_>) {
        let Line { level, message, fields, .. } = line;
        let level = format!("{level:?}").to_lowercase();
        let level = level.rsplit("::").next().unwrap_or_default();
        let line = format!("{level} {message} {fields}").trim_end().to_owned();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

fn host(cache: Option<&Path>) -> Result<(Arc<Inner>, Arc<Lines>), AnyError> {
    let lines = Arc::new(Lines::default());
    let environment = Environment {
        store: Some(Store::in_memory()?),
        requests: Some(Requests::new(&system_tls()?)),
        journal: lines.clone(),
        began: Instant::now(),
    };
    let inner = Inner::new(Parts {
        engine: Engine::new(cache)?,
        environment,
        metrics: PluginMetrics::new(&prometheus::Registry::new())?,
        events: Events::default(),
        directory: std::path::PathBuf::new(),
        runtime: tokio::runtime::Handle::current(),
    });
    Ok((Arc::new(inner), lines))
}

async fn load(inner: &Arc<Inner>, file: &Path, grants: &Arc<Grants>) -> Result<Arc<Program>, AnyError> {
    let compiled = inner.compile(directory::read(file)?).await?;
    Ok(inner.link(&name(file)?, &compiled, grants).await?)
}

fn name(file: &Path) -> Result<Arc<str>, String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.map(Arc::from).ok_or_else(|| "the file has no name".to_owned())
}

/// The use that an operator would write.
fn used(name: &str, settings: &[String]) -> Result<Use, String> {
    let mut node = format!(
        "on \"stream.*\" run={:?} {{\n",
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-").to_lowercase()
    );
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or_else(|| format!("{setting}: write KEY=VALUE"))?;
        let is_bare = value.parse::<f64>().is_ok() || matches!(value, "#true" | "#false");
        let value = if is_bare { value.to_owned() } else { format!("{:?}", value) };
        node += &format!("    {key} {value}\n");
    }
    let settled =
        settle(&[("--set".to_owned(), format!("{node}}}\n"))], &Good::default(), &KINDS, &NoSecrets);
    let problem = settled.problems.errors().next().map(ToString::to_string);
    let used = WantedUse::all(&settled.good.plan).into_iter().next().map(|wanted| wanted.of);
    used.ok_or_else(|| problem.unwrap_or_else(|| "the settings cannot be read".to_owned()))
}

fn asked(kind: Kind, input: Option<&str>) -> Result<Asked, AnyError> {
    Ok(match (kind, input) {
        (Kind::Scorer, None) => Asked::Score(Arc::default()),
        (Kind::Handler, None) => Asked::Wake,
        (Kind::Scorer, Some(text)) => {
            let mut value: Json = serde_json::from_str(text)?;
            let sample = value.get_mut("sample").map(Json::take).unwrap_or(value);
            Asked::Score(Arc::new(serde_json::from_value(sample)?))
        }
        (Kind::Handler, Some(text)) => Asked::Handle(Arc::new(event(&serde_json::from_str(text)?)?)),
    })
}

fn event(value: &Json) -> Result<Event, String> {
    let text = |key: &str| value[key].as_str();
    let kind = text("kind").ok_or("the event has no kind")?;
    let known = EVENTS.iter().find(|known| known.name == kind);
    let kind = known.ok_or_else(|| format!("there is no event {kind}"))?.name;
    Ok(Event {
        id: value["id"].as_u64().unwrap_or_default(),
        time: text("time").and_then(|time| time.parse().ok()).unwrap_or_else(jiff::Timestamp::now),
        kind,
        pipeline: text("pipeline").map(Arc::from),
        cause: text("cause").map(Arc::from),
        detail: value.get("detail").cloned().unwrap_or_else(|| serde_json::json!({})),
    })
}

fn json(answered: Answered) -> Json {
    match answered {
        Answered::Verdict(verdict) => serde_json::json!(verdict),
        Answered::Reaction(reaction) => {
            let action = |(name, argument): (String, Option<String>)| serde_json::json!({ "name": name, "argument": argument });
            let actions: Vec<Json> = reaction.actions.into_iter().map(action).collect();
            let wake_after_ms =
                reaction.wake_after.map(|wake| u64::try_from(wake.as_millis()).unwrap_or(u64::MAX));
            serde_json::json!({ "actions": actions, "wake_after_ms": wake_after_ms })
        }
    }
}
