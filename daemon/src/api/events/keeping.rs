//! The task that keeps events: in memory at once, in the store behind that, many in one transaction when they come fast.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prometheus::IntCounterVec;
use sluice_core::event::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;

use super::{EventView, Kept};
use crate::store::{KeptEvent, Store, StoreError};

/// So many may wait for a store that is slow. Those beyond are missing from the log, and are counted in a warning.
const MOST_UNWRITTEN: usize = 4096;

struct Keeper {
    kept: Arc<Kept>,
    store: Store,
    counted: IntCounterVec,
    unwritten: Vec<KeptEvent>,
    writing: Option<BoxFuture<'static, Result<(), StoreError>>>,
    /// Whether it was said that the store does not write.
    said: bool,
}

/// Keeps what is published, until it is told to stop and all is written.
pub(super) async fn keep(
    mut bus: Receiver<Arc<Event>>,
    kept: Arc<Kept>,
    store: Store,
    counted: IntCounterVec,
    mut stop: watch::Receiver<bool>,
) {
    let mut keeper = Keeper { kept, store, counted, unwritten: Vec::new(), writing: None, said: false };
    loop {
        tokio::select! {
            heard = bus.recv() => match heard {
                Ok(event) => keeper.take(&event),
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "events were lost before they could be kept"),
                Err(RecvError::Closed) => break,
            },
            result = written(&mut keeper.writing) => keeper.wrote(result),
            _ = stop.wait_for(|stop| *stop) => break,
        }
        keeper.write();
    }
    loop {
        match bus.try_recv() {
            Ok(event) => keeper.take(&event),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    while keeper.writing.is_some() || !keeper.unwritten.is_empty() {
        keeper.write();
        let result = written(&mut keeper.writing).await;
        keeper.wrote(result);
    }
}

impl Keeper {
    fn take(&mut self, event: &Event) {
        self.counted.with_label_values(&[event.kind]).inc();
        let view = EventView::from(event);
        if self.unwritten.len() < MOST_UNWRITTEN {
            self.unwritten.push(KeptEvent::from(&view));
        } else if !std::mem::replace(&mut self.said, true) {
            tracing::warn!("the store is slower than events come: some are missing from the log");
        }
        self.kept.keep(Arc::new(view));
    }

    /// Begins to write what waits, unless something is being written.
    fn write(&mut self) {
        if self.writing.is_none() && !self.unwritten.is_empty() {
            let (store, batch) = (self.store.clone(), std::mem::take(&mut self.unwritten));
            self.writing = Some(async move { store.append(batch).await }.boxed());
        }
    }

    fn wrote(&mut self, result: Result<(), StoreError>) {
        self.writing = None;
        match result {
            Ok(()) => self.said = false,
            Err(error) if !std::mem::replace(&mut self.said, true) => {
                tracing::error!(%error, "events are not written to the log");
            }
            Err(error) => tracing::debug!(%error, "events are not written to the log"),
        }
    }
}

async fn written(writing: &mut Option<BoxFuture<'static, Result<(), StoreError>>>) -> Result<(), StoreError> {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}
