//! What lies around a pipeline: the other pipelines, and what the daemon does for its sources.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::Shared;
use crate::plugin::{NoPlugins, Plugins};
use crate::port::{Children, NoChildren};

/// What a pipeline may ask of the daemon, beside its sources' exchanges with an origin.
#[derive(Clone)]
pub struct Around {
    /// The pipelines that run.
    pub pipelines: Directory,
    /// Runs programs.
    pub children: Arc<dyn Children>,
    /// Scores its health and handles its events.
    pub plugins: Arc<dyn Plugins>,
}

impl Default for Around {
    /// No other pipelines, no programs and no plugins.
    fn default() -> Self {
        Self { pipelines: Directory::default(), children: Arc::new(NoChildren), plugins: Arc::new(NoPlugins) }
    }
}

/// The pipelines that run, by name, for those that follow one another.
#[derive(Clone, Default)]
pub struct Directory {
    running: Arc<watch::Sender<BTreeMap<Arc<str>, Weak<Shared>>>>,
}

impl Directory {
    /// The pipeline of this name, where it runs.
    pub fn find(&self, name: &str) -> Option<Arc<Shared>> {
        self.running.borrow().get(name).and_then(Weak::upgrade)
    }

    /// Waits until a pipeline other than `known` runs under this name, or none does while one is known.
    pub async fn other_than(&self, known: Option<&Arc<Shared>>, name: &str) -> Option<Arc<Shared>> {
        let mut running = self.running.subscribe();
        loop {
            let found = running.borrow_and_update().get(name).and_then(Weak::upgrade);
            if found.as_ref().map(Arc::as_ptr) != known.map(Arc::as_ptr) {
                return found;
            }
            if running.changed().await.is_err() {
                return None; // cannot be: this directory holds the sender
            }
        }
    }

    /// Enters a pipeline that starts.
    pub fn enter(&self, shared: &Arc<Shared>) {
        self.running.send_modify(|running| {
            running.insert(shared.name.clone(), Arc::downgrade(shared));
        });
    }

    /// Takes a pipeline out.
    pub fn leave(&self, name: &str) {
        self.running.send_if_modified(|running| running.remove(name).is_some());
    }
}
