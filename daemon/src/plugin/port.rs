//! The plugins as the rest of the daemon sees them.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::event::Event;
use sluice_core::health::{Sample, Verdict};
use sluice_core::plan::Plan;
use sluice_core::plugin::{Handler, PluginFault, Plugins, Reaction, Scorer, Use};
use tokio::task::JoinHandle;

use super::builtin::built_in_scorer;
use super::directory;
use super::host::{Inner, Parts};
use super::program::Kind;
use super::usage::{Answered, Asked, Usage};

/// The plugins of the daemon. Clones share them.
#[derive(Clone)]
pub(crate) struct PluginHost {
    pub(super) inner: Arc<Inner>,
}

/// Follows the directory of plugins until it is dropped.
pub(crate) struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PluginHost {
    /// A host that knows no plugin yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { inner: Arc::new(Inner::new(parts)) }
    }

    /// Takes over what a plan says of plugins. Those whose grants changed are linked anew, beside all else.
    pub(crate) fn apply(&self, plan: &Plan) {
        for name in self.inner.want(plan) {
            let inner = self.inner.clone();
            drop(self.inner.runtime.spawn(async move { inner.relink(&name).await }));
        }
    }

    /// Takes up every file that is in the directory, and from then on what changes there.
    pub(crate) fn follow(&self) -> Following {
        Following(self.inner.runtime.spawn(directory::follow(self.inner.clone())))
    }

    fn usage(&self, kind: Kind, of: &Use, pipeline: Option<&str>) -> Arc<Usage> {
        let usage = Arc::new(Usage::new(&self.inner, kind, of, pipeline));
        self.inner.enlist(&usage);
        usage
    }
}

impl Plugins for PluginHost {
    fn scorer(&self, of: &Use, pipeline: &str) -> Arc<dyn Scorer> {
        Arc::new(Called(self.usage(Kind::Scorer, of, Some(pipeline))))
    }

    fn built_in_scorer(&self, of: Option<&Use>) -> Arc<dyn Scorer> {
        built_in_scorer(of)
    }

    fn handler(&self, of: &Use, pipeline: Option<&str>) -> Arc<dyn Handler> {
        Arc::new(Called(self.usage(Kind::Handler, of, pipeline)))
    }
}

/// A use behind a port.
struct Called(Arc<Usage>);

impl Called {
    async fn react(&self, asked: Asked) -> Result<Reaction, PluginFault> {
        match self.0.call(asked).await? {
            Answered::Reaction(reaction) => Ok(reaction),
            Answered::Verdict(_) => Err(PluginFault::Broken("it scored where it was to react".into())),
        }
    }

    async fn verdict(&self, sample: Arc<Sample>) -> Result<Verdict, PluginFault> {
        match self.0.call(Asked::Score(sample)).await? {
            Answered::Verdict(verdict) => Ok(verdict),
            Answered::Reaction(_) => Err(PluginFault::Broken("it reacted where it was to score".into())),
        }
    }
}

impl Scorer for Called {
    fn score(&self, sample: Arc<Sample>) -> BoxFuture<'_, Result<Verdict, PluginFault>> {
        self.verdict(sample).boxed()
    }
}

impl Handler for Called {
    fn handle(&self, event: Arc<Event>) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        self.react(Asked::Handle(event)).boxed()
    }

    fn wake(&self) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        self.react(Asked::Wake).boxed()
    }
}
