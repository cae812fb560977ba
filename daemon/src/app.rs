//! The composition root: puts the adapters together, runs the daemon, ends it.

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::event::Events;
use sluice_core::fault::Fault;
use sluice_core::health::Sample;
use sluice_core::metrics::Metrics;
use sluice_core::pipeline::{Around, Asker, Directory, Fleet, Ordered, Origins};
use sluice_core::plan::{Plan, Settled};
use sluice_core::stage::{SourceSpec, Upstream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tower::util::BoxCloneSyncService;

use crate::api::view::{Check, ConfigView, Outcome, PipelineView, ReloadView};
use crate::api::{self, Admin, AudienceView, Control, EventLog, HealthView};
use crate::child::Processes;
use crate::client::{Client, ClientLimits, Policy, Requests, system_tls};
use crate::edge::{Edge, EdgeMetrics, Routes, Workers};
use crate::ledger::NumberFiles;
use crate::plugin::{self, Engine, Environment, PluginHost, PluginMetrics, Threads, TracingJournal};
use crate::reload::{Board, Parts, Reloader, chain, handling};
use crate::service::{self, StatusLine};
use crate::state_dir::StateDir;
use crate::store::Store;
use crate::telemetry::{self, ConfigMetrics, LogHandle};
use crate::watch::Watch;

/// Reloads that wait for their turn; one more is refused.
const WAITING_RELOADS: usize = 16;

/// How long blocking work may go on when all else is over.
const AFTER_THE_END: std::time::Duration = std::time::Duration::from_secs(1);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Runs the daemon on a plan until a signal ends it.
pub(crate) fn run(dir: &Path, settled: Settled) -> ExitCode {
    let started = || -> Result<(), AnyError> {
        let server = &settled.good.plan.server;
        let log = telemetry::install(server.log.level, server.log.format)?;
        crate::state_dir::raise_descriptor_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(serve(dir, settled.clone(), log));
        runtime.shutdown_timeout(AFTER_THE_END); // a read that hangs must not keep the process
        served
    };
    match started() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&*error), "the daemon cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn serve(dir: &Path, settled: Settled, log: LogHandle) -> Result<(), AnyError> {
    let plan = settled.good.plan.clone();
    let state_dir = StateDir::open(&plan.server.state_dir)?;
    let store = Store::open(state_dir.path())?;
    let workers = Workers::start()?;
    let plugin_threads = Threads::start()?;
    let runtimes = [workers.metrics(), tokio::runtime::Handle::current().metrics()];
    let registry = telemetry::registry(runtimes.into())?;
    let events = Events::after(ids_before(&store));
    let event_log = EventLog::open(&events, store.clone(), &registry).await?;
    let board = Arc::new(Board::new(dir.display().to_string()));
    let edge_metrics = Arc::new(EdgeMetrics::new(&registry)?);
    let routes = Arc::new(ArcSwap::from_pointee(Routes::default()));
    let edge = Edge::new(crate::reload::settings(&plan.server), routes.clone(), &edge_metrics, workers);
    let processes = Arc::new(Processes::new());
    let tls = system_tls()?;
    let plugins = plugins(&state_dir, &plan, store, &tls, &registry, plugin_threads.handle())?;
    let fleet = Fleet::new(
        Arc::new(Metrics::new(registry.clone())?),
        events.clone(),
        Arc::new(NumberFiles::open(state_dir.path())?),
        Arc::new(Http { tls }),
        Around {
            pipelines: Directory::default(),
            children: processes.clone(),
            plugins: Arc::new(plugins.clone()),
        },
    );
    let handling = handling(&events, &board, &registry, Arc::new(plugins.clone()))?;
    let handlers = handling.table();
    let mut reloader = Reloader::new(Parts {
        dir: dir.to_owned(),
        fleet,
        edge,
        edge_metrics,
        routes,
        board: board.clone(),
        metrics: ConfigMetrics::new(&registry)?,
        events,
        handling,
        log: log.clone(),
        plugins: plugins.clone(),
    });
    let (orders, mut waiting) = mpsc::channel(WAITING_RELOADS);
    let on_view = board.clone();
    let control = Arc::new(Daemon { board, orders });
    let parts = api::Parts { control, registry, log, events: event_log.clone(), handlers };
    let configured = plan.server.admin.listen;
    let admin = AdminSide { configured, listener: Admin::listen(parts, configured, token(&plan))? };
    warn_of_nothing(dir, &settled);
    reloader.start(settled)?;
    let _following = plugins.follow();
    announce(&reloader, &admin.listener);
    run_until_stopped(dir, &mut reloader, &admin, &mut waiting, on_view).await?;
    stop(reloader, admin.listener, &event_log, &processes).await
}

/// The host of plugins. None is taken up yet.
fn plugins(
    state_dir: &StateDir,
    plan: &Plan,
    store: Store,
    tls: &Arc<rustls::ClientConfig>,
    registry: &prometheus::Registry,
    threads: &tokio::runtime::Handle,
) -> Result<PluginHost, AnyError> {
    let environment = Environment {
        store: Some(store),
        requests: Some(Requests::new(tls)),
        journal: Arc::new(TracingJournal),
        began: tokio::time::Instant::now(),
    };
    Ok(PluginHost::new(plugin::Parts {
        engine: Engine::new(Some(&state_dir.path().join("cache/plugins")))?,
        environment,
        metrics: PluginMetrics::new(registry)?,
        directory: plan.server.plugins.clone(),
        runtime: threads.clone(),
    }))
}

/// Drains and ends.
async fn stop(
    reloader: Reloader,
    admin: Admin,
    event_log: &EventLog,
    processes: &Processes,
) -> Result<(), AnyError> {
    let drain = reloader.plan().server.drain;
    service::tell(&[sd_notify::NotifyState::Stopping, sd_notify::NotifyState::Status("draining")]);
    ended_by_second_signal(async {
        reloader.drain().await;
        event_log.finish().await;
        admin.drain(drain.min(std::time::Duration::from_secs(1))).await;
    })
    .await?;
    processes.gone().await;
    tracing::info!("stopped");
    Ok(())
}

/// Ids that may have been given out: after a kill, a few of the newest events may not have been written.
fn ids_before(store: &Store) -> u64 {
    const UNWRITTEN: u64 = 5000;
    match store.last_event() {
        0 => 0,
        last => last + UNWRITTEN,
    }
}

fn warn_of_nothing(dir: &Path, settled: &Settled) {
    if settled.good.files.is_empty() && settled.held_back.is_empty() {
        tracing::warn!(directory = %dir.display(), "no *.kdl file is there yet; one that comes is applied");
    }
}

/// Reloads on every cause there is, one at a time, until SIGTERM or SIGINT.
async fn run_until_stopped(
    dir: &Path,
    reloader: &mut Reloader,
    admin: &AdminSide,
    orders: &mut mpsc::Receiver<Order>,
    board: Arc<Board>,
) -> Result<(), AnyError> {
    let (mut hangup, mut terminate, mut interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut watch = Watch::new(dir)
        .inspect_err(|error| tracing::error!(%error, "the configuration is not watched; SIGHUP reloads it"))
        .ok();
    let mut watchdog = service::watchdog();
    let mut status = StatusLine::new(board);
    service::tell(&[sd_notify::NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            Some(()) = hangup.recv() => reload(reloader, admin, "SIGHUP", false).await,
            () = changed(watch.as_mut()) => reload(reloader, admin, "file", false).await,
            Some(order) = orders.recv() => {
                let view = reload(reloader, admin, "API", order.dry_run).await;
                if order.reply.send(view).is_err() {
                    tracing::debug!("whoever asked for the reload is gone");
                }
                continue;
            }
            _ = watchdog.tick() => {
                service::tell(&[sd_notify::NotifyState::Watchdog]);
                continue;
            }
            () = status.follow() => continue,
        };
    }
}

async fn reload(
    reloader: &mut Reloader,
    admin: &AdminSide,
    cause: &'static str,
    dry_run: bool,
) -> ReloadView {
    if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
        service::tell(&[sd_notify::NotifyState::Reloading, now]);
    }
    let view = reloader.reload(cause, dry_run).await;
    if reloader.plan().server.admin.listen == admin.configured {
        admin.listener.retune(token(reloader.plan()));
    } // else the token stays with the address, until a restart changes both
    if matches!(view.outcome, Outcome::Applied | Outcome::Partial) {
        let started =
            |name: &str| view.changes.iter().any(|one| one.pipeline == name && one.change == "start");
        announce_pipelines(reloader, started);
    }
    service::tell(&[sd_notify::NotifyState::Ready]);
    view
}

async fn changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits for `ending`; a second signal ends at once.
async fn ended_by_second_signal(ending: impl Future<Output = ()>) -> Result<(), AnyError> {
    let mut again: Vec<Signal> = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        again.push(signal(kind)?);
    }
    let [first, second] = again.as_mut_slice() else { return Ok(()) };
    tokio::select! {
        () = ending => Ok(()),
        _ = first.recv() => Err("ended by a second signal".into()),
        _ = second.recv() => Err("ended by a second signal".into()),
    }
}

fn token(plan: &Plan) -> Option<String> {
    plan.server.admin.token.as_ref().map(|token| token.expose().to_owned())
}

/// Says where everything is.
fn announce(reloader: &Reloader, admin: &Admin) {
    for address in reloader.addresses() {
        tracing::info!(listener = "viewers", %address, "listening");
    }
    let address = admin.local_addr();
    tracing::info!(listener = "admin", %address, url = format!("http://{address}/"), "listening");
    announce_pipelines(reloader, |_| true);
}

fn announce_pipelines(reloader: &Reloader, of_interest: impl Fn(&str) -> bool) {
    let Some(base) = base_url(reloader.plan(), reloader.addresses().next()) else { return };
    for pipeline in reloader.plan().enabled().filter(|pipeline| of_interest(&pipeline.name)) {
        for sink in &pipeline.sinks {
            let Some(path) = sink.spec.form().path() else { continue };
            if sink.spec.kind() != "hls" {
                tracing::info!(pipeline = %pipeline.name, url = format!("{base}{path}"), "serving");
                continue;
            }
            let (page, url) = (format!("{base}{path}/"), format!("{base}{path}/index.m3u8"));
            tracing::info!(pipeline = %pipeline.name, page, url, "serving");
        }
    }
}

/// Where viewers reach the daemon: what the operator says, else an address of this machine.
fn base_url(plan: &Plan, address: Option<std::net::SocketAddr>) -> Option<String> {
    if let Some(url) = &plan.server.public_url {
        return Some(url.0.as_str().trim_end_matches('/').to_owned());
    }
    let address = address?;
    let scheme = if plan.server.tls.is_some() { "https" } else { "http" };
    let local = if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    Some(format!("{scheme}://{local}"))
}

/// The admin side with the address that it was started on, as configured.
struct AdminSide {
    configured: std::net::SocketAddr,
    listener: Admin,
}

/// Makes the guarded clients of sources.
struct Http {
    tls: Arc<rustls::ClientConfig>,
}

impl Origins for Http {
    fn client(&self, source: &dyn SourceSpec) -> Upstream {
        let urls: Vec<_> = source.operator_url().into_iter().cloned().collect();
        let policy = Policy::new(&urls, source.allowed_hosts());
        let limits = ClientLimits { idle_per_host: source.idle_connections(), ..ClientLimits::default() };
        BoxCloneSyncService::new(Client::new(policy, limits, &self.tls))
    }
}

/// A reload that the API asks for.
struct Order {
    dry_run: bool,
    reply: oneshot::Sender<ReloadView>,
}

/// The daemon as the API sees it.
struct Daemon {
    board: Arc<Board>,
    orders: mpsc::Sender<Order>,
}

impl Control for Daemon {
    fn pipelines(&self) -> Vec<PipelineView> {
        self.board.pipelines()
    }

    fn pipeline(&self, name: &str) -> Option<PipelineView> {
        self.board.pipeline(name)
    }

    fn switch(&self, name: &str, to: Option<usize>) -> BoxFuture<'static, Option<Result<Ordered, Fault>>> {
        let switcher = self.board.switcher(name);
        async move { Some(switcher?.switch(to, Asker::Operator).await) }.boxed()
    }

    fn audience(&self, name: &str) -> Option<AudienceView> {
        self.board.audience(name)
    }

    fn health(&self, name: &str) -> Option<HealthView> {
        self.board.health(name)
    }

    fn sample(&self, name: &str) -> Option<Sample> {
        self.board.sample(name)
    }

    fn config(&self) -> ConfigView {
        ConfigView::clone(&self.board.config())
    }

    fn reload(&self, dry_run: bool) -> BoxFuture<'static, ReloadView> {
        let orders = self.orders.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            if orders.try_send(Order { dry_run, reply }).is_err() {
                return refused("too many reloads wait, or the daemon stops");
            }
            answer.await.unwrap_or_else(|_| refused("the daemon stops"))
        }
        .boxed()
    }

    fn ready(&self) -> Vec<Check> {
        self.board.ready()
    }
}

fn refused(why: &str) -> ReloadView {
    ReloadView {
        time: jiff::Timestamp::now(),
        outcome: Outcome::Refused,
        error: Some(why.to_owned()),
        changes: Vec::new(),
        restart: Vec::new(),
        problems: Vec::new(),
    }
}
