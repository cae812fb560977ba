//! Who an exchange waits for: a wait for limits of our own is no fault of the origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    static OURS: Arc<AtomicBool>;
}

/// Whether an exchange waits for a limit of our own right now.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// The one of the layer around this one, or a new one.
    pub(super) fn current() -> Self {
        OURS.try_with(|ours| Self(ours.clone())).unwrap_or_default()
    }

    /// Runs `exchange`, so that waits of [`ours`] within it are seen here.
    pub(super) async fn watch<F: Future>(&self, exchange: F) -> F::Output {
        OURS.scope(self.0.clone(), exchange).await
    }

    /// Whether such a wait is under way, or was when the exchange was dropped.
    pub(super) fn is_ours(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs a wait for a limit of our own.
pub(super) async fn ours<F: Future>(wait: F) -> F::Output {
    let waiting = Waiting::current();
    waiting.0.store(true, Ordering::Relaxed);
    let output = wait.await;
    waiting.0.store(false, Ordering::Relaxed);
    output
}
