//! The threads that viewers' connections live on.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeMetrics};

/// Where connections run: a runtime apart from that of the pipelines, so that what pipelines do holds up no viewer, with a
/// thread for each processor. A connection goes to whichever thread is free: bound to one, it would wait for as long as
/// the system gives that thread's processor to another.
///
/// Dropped, it ends what runs on it.
pub(crate) struct Workers {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Workers {
    /// A thread for each processor.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("edge").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// The runtime that this is called in, for connections that are few.
    pub(crate) fn here() -> Self {
        Self { handle: Handle::current(), runtime: None }
    }

    /// Its figures.
    pub(crate) fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }

    /// Where connections are spawned.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // it may be a task that drops it, and a task must not wait
        }
    }
}
