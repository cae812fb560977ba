//! The threads that plugins run on.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime apart from those of viewers and of pipelines, so that what plugins compute holds up neither. Two threads: one
/// plugin that computes up to its deadline leaves the other to the rest, and they give way to each other all the time.
///
/// Dropped, it ends what runs on it.
pub(crate) struct Threads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    /// Two threads.
    ///
    /// # Errors
    /// When the system has none left.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("plugins").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where calls are spawned.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // it may be a task that drops it, and a task must not wait
        }
    }
}
