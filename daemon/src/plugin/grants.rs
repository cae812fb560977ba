//! What a plugin may do, and how much.

use std::time::Duration;

use sluice_core::conf::HttpOrigin;
use sluice_core::plan::PluginPlan;

/// How long a scorer and a handler may wait for answers of servers, over all requests of a call. The deadline of the
/// node bounds the plugin's own time only: who waits for a server costs nobody anything.
pub(super) const SCORER_WAIT: Duration = Duration::from_secs(2);
pub(super) const HANDLER_WAIT: Duration = Duration::from_secs(10);

/// What the node of a plugin grants; the default is what holds for one without a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Servers that it may send requests to; none grants no `http`.
    pub(crate) http: Vec<HttpOrigin>,
    /// Bytes that it may keep; 0 grants no `kv`.
    pub(crate) kv_bytes: u64,
    /// Bytes of memory that one instance may have.
    pub(crate) memory_bytes: usize,
    /// Its own time in a call.
    pub(crate) deadline: Duration,
}

impl Default for Grants {
    fn default() -> Self {
        Self { http: Vec::new(), kv_bytes: 0, memory_bytes: 16 << 20, deadline: Duration::from_millis(100) }
    }
}

impl From<&PluginPlan> for Grants {
    fn from(plan: &PluginPlan) -> Self {
        Self {
            http: plan.http.clone(),
            kv_bytes: plan.kv.0,
            memory_bytes: usize::try_from(plan.memory.0).unwrap_or(usize::MAX),
            deadline: plan.deadline,
        }
    }
}
