//! Requests that wait for what is to come: woken by the window, bounded, gone with their viewer.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use prometheus::IntGauge;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::pipeline::Window;
use sluice_core::stage::{Body, Viewing};

use super::serve::{Serve, Step};

/// A wait to begin.
pub(super) struct Waiting {
    /// What wakes it.
    pub(super) window: Arc<Window>,
    pub(super) what: Waited,
    /// How long it lasts at most.
    pub(super) limit: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// A playlist that has something.
    Playlist,
    /// A part.
    Part,
}

/// Waits until `viewing` can be answered. Dropping it ends the wait.
///
/// # Errors
/// Those of the answer; `Stale` where a playlist does not move within the limit, `NotFound` where a part does not come.
pub(super) async fn until_there(
    serve: Arc<Serve>,
    viewing: Viewing,
    mut waiting: Waiting,
) -> Result<Response<Body>, Fault> {
    let _counted = Counted::new(serve.viewers.metrics.waiting.clone());
    let (what, limit) = (waiting.what, waiting.limit);
    let there = async {
        let mut head = waiting.window.head();
        loop {
            match serve.step(&viewing)? {
                Step::Done(response) => return Ok(response),
                Step::Wait(now) if !Arc::ptr_eq(&now.window, &waiting.window) => {
                    // other renditions took their place; look again, for they may have moved meanwhile
                    head = now.window.head();
                    waiting = now;
                    continue;
                }
                Step::Wait(_) => {}
            }
            if head.changed().await.is_err() {
                return Err(Fault::new(FaultKind::Stopped));
            }
        }
    };
    match tokio::time::timeout(limit, there).await {
        Ok(answer) => answer,
        Err(_) => Err(match what {
            Waited::Playlist => Fault::new(FaultKind::Stale).after(Duration::from_secs(1)),
            Waited::Part => Fault::new(FaultKind::NotFound),
        }),
    }
}

/// One more that waits, until it is dropped.
struct Counted(IntGauge);

impl Counted {
    fn new(waiting: IntGauge) -> Self {
        waiting.inc();
        Self(waiting)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
