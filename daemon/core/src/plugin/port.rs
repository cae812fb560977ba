//! The ports behind which plugins run.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Action, Use};
use crate::event::Event;
use crate::health::{Sample, Verdict};

/// Why a call of a plugin gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginFault {
    /// There is no such plugin, or not yet; in words.
    #[error("the plugin cannot be used: {0}")]
    Missing(Arc<str>),
    /// There is one that cannot be called now: it was refused, or it is disabled for its faults; in words.
    #[error("the plugin cannot be used: {0}")]
    Unavailable(Arc<str>),
    /// It said so itself; in its words.
    #[error("{0}")]
    Refused(Arc<str>),
    /// It took longer than its deadline.
    #[error("it took longer than its deadline")]
    Deadline,
    /// It broke: a trap, too much memory, an answer that is none; in words.
    #[error("the plugin failed: {0}")]
    Broken(Arc<str>),
}

impl PluginFault {
    /// The word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
            Self::Deadline => "deadline",
            Self::Broken(_) => "broken",
        }
    }

    /// Whether the plugin was not called at all.
    pub fn is_uncalled(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Unavailable(_))
    }
}

/// What a handler answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    /// What it asks of the daemon, as it wrote it: name and argument. Whether there is such an action, and whether it is
    /// allowed, is for the caller to say (see [`super::Action::read`]).
    pub actions: Vec<(String, Option<String>)>,
    /// When it wants to be woken; none leaves an earlier wish as it is.
    pub wake_after: Option<Duration>,
}

/// A use of a plugin that handles events. Calls of one use come one after the other.
pub trait Handler: Send + Sync {
    /// Handles an event. Bounded by the plugin's deadline.
    ///
    /// # Errors
    /// When the plugin gave nothing; the event is not sent again.
    fn handle(&self, event: Arc<Event>) -> BoxFuture<'_, Result<Reaction, PluginFault>>;

    /// Wakes it: once after each start of the use, and when the time is over that a reaction named.
    ///
    /// # Errors
    /// As with [`Handler::handle`].
    fn wake(&self) -> BoxFuture<'_, Result<Reaction, PluginFault>>;
}

/// A use of a plugin that scores the health of a pipeline. It is asked beside the byte path, and an answer may take its time.
pub trait Scorer: Send + Sync {
    /// The health of a stream, checked (see [`Verdict::checked`]). Bounded by the plugin's deadline.
    ///
    /// # Errors
    /// When there is no opinion.
    fn score(&self, sample: Arc<Sample>) -> BoxFuture<'_, Result<Verdict, PluginFault>>;
}

/// The plugins of the daemon. What it gives stays valid over reloads of a plugin's file: each call goes to the newest.
pub trait Plugins: Send + Sync {
    /// What scores the health of this pipeline for this use.
    fn scorer(&self, of: &Use, pipeline: &str) -> Arc<dyn Scorer>;

    /// The scorer that is part of the daemon: with the settings of a use of it, or with the usual ones.
    fn built_in_scorer(&self, of: Option<&Use>) -> Arc<dyn Scorer> {
        let _ = of;
        Arc::new(NoPlugins)
    }

    /// What handles events for this use; `pipeline` is none for a use outside of pipelines.
    fn handler(&self, of: &Use, pipeline: Option<&str>) -> Arc<dyn Handler>;
}

/// Does what plugins ask for. Whether they may was looked at before.
pub trait Actor: Send + Sync {
    /// Does it to a pipeline; gives what was done, in words.
    ///
    /// # Errors
    /// Why it could not be done, in words.
    fn act(
        &self,
        pipeline: &Arc<str>,
        action: Action,
        plugin: &Arc<str>,
    ) -> BoxFuture<'static, Result<String, String>>;
}

/// No plugin at all: every call fails.
pub struct NoPlugins;

impl Plugins for NoPlugins {
    fn scorer(&self, _: &Use, _: &str) -> Arc<dyn Scorer> {
        Arc::new(Self)
    }

    fn handler(&self, _: &Use, _: Option<&str>) -> Arc<dyn Handler> {
        Arc::new(Self)
    }
}

impl Scorer for NoPlugins {
    fn score(&self, _: Arc<Sample>) -> BoxFuture<'_, Result<Verdict, PluginFault>> {
        std::future::ready(Err(none())).boxed()
    }
}

impl Handler for NoPlugins {
    fn handle(&self, _: Arc<Event>) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        self.wake()
    }

    fn wake(&self) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        std::future::ready(Err(none())).boxed()
    }
}

fn none() -> PluginFault {
    PluginFault::Unavailable("this daemon runs no plugins".into())
}
