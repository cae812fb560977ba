//! The plan: what the files of a configuration say, typed, checked and comparable.
//!
//! Reading is pure: texts in, a [`Plan`] and every problem of every file out. A reload is a value too: [`settle()`]
//! gives what is in force after a change, [`diff()`] what it changes.

mod compliance;
mod conflict;
mod diff;
mod failover;
mod follow;
mod handler;
mod health;
mod later;
mod model;
mod needed;
mod pipeline;
mod plugin;
mod read;
mod server;
mod settle;
mod show;
mod stage;
mod template;

pub use compliance::compliance;
pub use diff::{Change, Diff, Part, ServerPart, apply, diff};
pub use failover::{FAILOVER, Failover, Stall};
pub use handler::{HandlerPlan, ON};
pub use health::{BUILT_IN_SCORER, HEALTH, HealthPlan};
pub use model::{PipelinePlan, Plan, StagePlan};
pub use needed::{Needed, Thing, needed};
pub use plugin::{PLUGIN, PluginPlan};
pub use read::read;
pub use server::{Admin, Limits, Log, LogFormat, Server, Tls};
pub use settle::{Good, Settled, settle};
pub use show::show;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
