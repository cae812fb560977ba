//! The admin listener: health, metrics, and the control API. Apart from the viewers' side, and on loopback
//! unless told otherwise.

mod audience;
mod events;
mod gate;
mod health;
mod problem;
pub(crate) mod rendition;
mod router;
mod server;
pub(crate) mod view;

use futures_util::future::BoxFuture;
use sluice_core::fault::Fault;
use sluice_core::health::Sample;
use sluice_core::pipeline::Ordered;

pub(crate) use audience::AudienceView;
pub(crate) use events::{EventLog, EventPage, EventView};
pub(crate) use health::{HealthBrief, HealthView, seen};
pub(crate) use server::{Admin, Parts};

use view::{Check, ConfigView, PipelineView, ReloadView};

/// What the API asks of the daemon.
pub(crate) trait Control: Send + Sync + 'static {
    /// Every pipeline, in the order of names.
    fn pipelines(&self) -> Vec<PipelineView>;

    /// One of them.
    fn pipeline(&self, name: &str) -> Option<PipelineView>;

    /// Switches a pipeline to the source at this place of its chain, from 1, or to the next. Answers once that one is
    /// started, or feeds it already; none where there is no such pipeline.
    fn switch(&self, name: &str, to: Option<usize>) -> BoxFuture<'static, Option<Result<Ordered, Fault>>>;

    /// The viewers of its transport streams; none where there is no such pipeline.
    fn audience(&self, name: &str) -> Option<AudienceView>;

    /// The health of a pipeline; none where there is no such pipeline.
    fn health(&self, name: &str) -> Option<HealthView>;

    /// What a scorer sees of a pipeline; none where there is no such pipeline.
    fn sample(&self, name: &str) -> Option<Sample>;

    /// How the configuration stands.
    fn config(&self) -> ConfigView;

    /// Reads the configuration again and applies it; with `dry_run` it only says what would change. Runs to its
    /// end also where the caller leaves.
    fn reload(&self, dry_run: bool) -> BoxFuture<'static, ReloadView>;

    /// What must hold before viewers are sent here: listeners bound, configuration applied, not draining.
    fn ready(&self) -> Vec<Check>;
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
