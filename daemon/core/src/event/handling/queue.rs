//! The queue of one use: bounded; where it is full, the newest event is dropped and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::Event;
use super::{HandlerFault, HandlerStatus, Subscription};
use crate::metrics::DeliveriesOf;
use crate::plugin::PluginFault;

/// How many events may wait for one use.
pub(super) const DEPTH: usize = 256;

/// A use with what waits for it and what became of what did.
pub(super) struct Queue {
    pub(super) subscription: Subscription,
    pub(super) metrics: DeliveriesOf,
    sender: Mutex<Option<mpsc::Sender<Arc<Event>>>>,
    waiting: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    refused_actions: AtomicU64,
    last_fault: ArcSwapOption<HandlerFault>,
}

impl Queue {
    pub(super) fn new(
        subscription: Subscription,
        metrics: DeliveriesOf,
    ) -> (Arc<Self>, mpsc::Receiver<Arc<Event>>) {
        let (sender, events) = mpsc::channel(DEPTH);
        let queue = Self {
            subscription,
            metrics,
            sender: Mutex::new(Some(sender)),
            waiting: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused_actions: AtomicU64::new(0),
            last_fault: ArcSwapOption::empty(),
        };
        (Arc::new(queue), events)
    }

    /// Puts an event at the end; where there is no room, drops it.
    pub(super) fn push(&self, event: &Arc<Event>) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.metrics.depth.inc();
        let Err(refused) = sender.try_send(event.clone()) else { return };
        self.taken();
        if let TrySendError::Full(_) = refused {
            self.metrics.count("dropped");
            if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                let (plugin, pipeline) =
                    (&self.subscription.run.plugin, self.subscription.pipeline.as_deref());
                tracing::warn!(%plugin, pipeline, "the handler is slower than its events; those beyond {DEPTH} are dropped");
            }
        }
    }

    /// An event was taken out.
    pub(super) fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.metrics.depth.dec();
    }

    /// Nothing goes in any more; what is in it can still be taken out.
    pub(super) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Counts what became of an event. Gives whether a fault is another one than before.
    pub(super) fn note(&self, result: Result<(), &PluginFault>) -> bool {
        let Err(fault) = result else {
            self.metrics.count("delivered");
            self.delivered.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        self.metrics.count(fault.word());
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.note_fault(fault)
    }

    /// Takes note of a fault. Gives whether it is another one than before.
    pub(super) fn note_fault(&self, fault: &PluginFault) -> bool {
        let words = fault.to_string();
        let before = self.last_fault.load();
        let is_news = before.as_ref().is_none_or(|before| before.words != words);
        self.last_fault.store(Some(Arc::new(HandlerFault { time: Timestamp::now(), words })));
        is_news
    }

    /// Counts an action that was refused. Gives whether it is the first.
    pub(super) fn note_refused_action(&self) -> bool {
        self.refused_actions.fetch_add(1, Ordering::Relaxed) == 0
    }

    pub(super) fn status(&self) -> HandlerStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HandlerStatus {
            plugin: self.subscription.run.plugin.clone(),
            pipeline: self.subscription.pipeline.clone(),
            patterns: self.subscription.patterns.iter().map(ToString::to_string).collect(),
            waiting: count(&self.waiting),
            delivered: count(&self.delivered),
            failed: count(&self.failed),
            dropped: count(&self.dropped),
            refused_actions: count(&self.refused_actions),
            last_fault: self.last_fault.load().as_deref().cloned(),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.metrics.depth.sub(i64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or_default());
    }
}
