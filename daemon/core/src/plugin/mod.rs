//! Plugins as the domain sees them: who uses one, what it may answer, and the ports behind which it runs. How it runs,
//! and in what, is the adapter's.

mod action;
mod port;
mod usage;

pub use action::{ACTIONS, Action, ActionKind};
pub use port::{Actor, Handler, NoPlugins, PluginFault, Plugins, Reaction, Scorer};
pub use usage::{Use, is_plugin_name};
