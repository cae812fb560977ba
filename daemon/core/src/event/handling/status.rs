//! How a use stands, for operators.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

/// How a use of a plugin that handles events stands. Counts are since its start.
#[derive(Debug, Clone, Serialize)]
pub struct HandlerStatus {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The pipeline whose events it handles; none for those of all and of the daemon.
    pub pipeline: Option<Arc<str>>,
    /// The kinds of events.
    pub patterns: Vec<String>,
    /// Events that wait for it now.
    pub waiting: u64,
    /// Events that it handled.
    pub delivered: u64,
    /// Events that it failed to handle.
    pub failed: u64,
    /// Events that were dropped because too many waited.
    pub dropped: u64,
    /// Actions that it asked for in vain.
    pub refused_actions: u64,
    /// Its last fault.
    pub last_fault: Option<HandlerFault>,
}

/// A fault of a plugin that handles events.
#[derive(Debug, Clone, Serialize)]
pub struct HandlerFault {
    /// When.
    pub time: Timestamp,
    /// What, in words.
    pub words: String,
}
