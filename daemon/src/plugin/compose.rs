//! The host as a daemon has it.

use std::path::Path;
use std::sync::Arc;

use sluice_core::event::Events;
use sluice_core::plan::Plan;
use tokio::runtime::Handle;

use super::{Engine, Environment, Parts, PluginHost, PluginMetrics, TracingJournal};
use crate::client::Requests;
use crate::store::Store;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The host of plugins of a daemon. No file is taken up yet.
///
/// # Errors
/// Where plugins cannot run on this machine, or a metric is registered already.
pub(crate) fn of_daemon(
    state_dir: &Path,
    plan: &Plan,
    store: Store,
    tls: &Arc<rustls::ClientConfig>,
    registry: &prometheus::Registry,
    events: &Events,
    threads: &Handle,
) -> Result<PluginHost, AnyError> {
    let environment = Environment {
        store: Some(store),
        requests: Some(Requests::new(tls)),
        journal: Arc::new(TracingJournal),
        began: tokio::time::Instant::now(),
    };
    Ok(PluginHost::new(Parts {
        engine: Engine::new(Some(&state_dir.join("cache/plugins")))?,
        environment,
        metrics: PluginMetrics::new(registry)?,
        events: events.clone(),
        directory: plan.server.plugins.clone(),
        runtime: threads.clone(),
    }))
}
