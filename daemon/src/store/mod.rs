//! What is kept in `state-dir/sluice.db` over restarts: small values of plugins, and the log of events.
//!
//! One thread writes, each write a transaction of its own, so that the file is whole wherever the process ends (SQLite
//! with a write-ahead log). Reads have a connection of their own and see what was written before them.

mod error;
mod event_log;
mod file;
mod key_value;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

pub(crate) use error::{KeyValueError, StoreError};
pub(crate) use event_log::{KeptEvent, KeptEvents};
pub(crate) use key_value::{Entry, Namespace};

use file::Opened;
use writer::Writer;

/// The store. Clones share it; the last one that goes writes what waits and closes the file.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// None where nothing but memory could be opened: then the writer reads too. Closed first: only a connection that may
    /// write takes the log into the file at its end.
    reader: Option<Arc<Mutex<Connection>>>,
    writer: Writer,
    last_event: u64,
}

impl Store {
    /// Opens `sluice.db` in a directory, and makes it where there is none. A damaged file, or one of a later version, is
    /// moved aside under a name that says when, and a new one made. Where no file can be opened at all, what is kept
    /// lasts until the daemon ends. Both are logged. Blocks: call it before there is anything to hold up.
    ///
    /// # Errors
    /// When not even memory can be had, or no thread.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let Opened { writing, reading } = file::open(dir)?;
        let last_event = event_log::last_id(&writing)?;
        let writer = Writer::start(writing)?;
        let reader = reading.map(|reading| Arc::new(Mutex::new(reading)));
        Ok(Self { inner: Arc::new(Inner { writer, reader, last_event }) })
    }

    /// A store that lasts until it is dropped.
    ///
    /// # Errors
    /// When no memory can be had, or no thread.
    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        let Opened { writing, .. } = file::in_memory()?;
        let inner = Inner { reader: None, writer: Writer::start(writing)?, last_event: 0 };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The id of the newest event that was kept when the store was opened; 0 for none.
    pub(crate) fn last_event(&self) -> u64 {
        self.inner.last_event
    }

    /// Runs `work` in a transaction of its own, after all that was written before. Dropped, it is written all the same.
    ///
    /// # Errors
    /// What `work` fails with: nothing is written then.
    async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        self.inner.writer.write(work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(reader) = self.inner.reader.clone() else {
            return self.write(|transaction| work(transaction)).await;
        };
        let reading = move || work(&reader.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(reading).await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
mod tests;
