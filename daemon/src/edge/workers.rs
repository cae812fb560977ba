//! The threads that viewers' connections live on.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, RuntimeMetrics};
use tokio_util::sync::CancellationToken;

/// Where connections run. Each thread has a runtime of its own, and a connection stays on the one that it was given:
/// no thread looks for work at another, which saves a tenth of the processor time of a small request, and what
/// pipelines do holds up no viewer.
///
/// Dropped, it ends its threads with all that runs on them.
pub(crate) struct Workers {
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    stopped: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// A thread for each processor.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let stopped = CancellationToken::new();
        let mut workers =
            Self { runtimes: Vec::new(), next: AtomicUsize::new(0), stopped, threads: Vec::new() };
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.runtimes.push(runtime.handle().clone());
            let stopped = workers.stopped.clone();
            let work = move || runtime.block_on(stopped.cancelled());
            workers.threads.push(std::thread::Builder::new().name(format!("edge-{number}")).spawn(work)?);
        }
        Ok(Arc::new(workers))
    }

    /// The runtime that this is called in, for connections that are few.
    pub(crate) fn here() -> Arc<Self> {
        let (next, stopped) = (AtomicUsize::new(0), CancellationToken::new());
        Arc::new(Self { runtimes: vec![Handle::current()], next, stopped, threads: Vec::new() })
    }

    /// The runtimes, for their figures.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = RuntimeMetrics> {
        self.runtimes.iter().map(Handle::metrics)
    }

    /// The runtime of the next connection: each in turn.
    pub(super) fn next(&self) -> &Handle {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.runtimes.len();
        &self.runtimes[at]
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stopped.cancel();
        let here = std::thread::current().id();
        // a connection that outlived the server lets go of the last count on its own thread, which ends by itself
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != here) {
            if thread.join().is_err() {
                tracing::error!("a thread of the edge panicked");
            }
        }
    }
}
