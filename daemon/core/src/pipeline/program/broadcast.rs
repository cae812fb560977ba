//! The ring of a pipeline with the task that fills it: there is one as long as a sink wants it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::task::JoinHandle;

use super::follow::follow;
use super::{Audience, Ring, Span};
use crate::fault::Fault;
use crate::pipeline::Shared;

/// What a ring holds beyond what a viewer is given when it joins: so far a slow one may fall behind.
const SLACK: Duration = Duration::from_secs(15);
/// The bytes of a ring, at most.
const RING_BYTES: usize = 64 * 1024 * 1024;

/// A ring with those who read it, and the reason where nothing can be put in.
pub struct Broadcast {
    /// The ring.
    pub ring: Arc<Ring>,
    /// Its readers.
    pub audience: Arc<Audience>,
    refusal: ArcSwapOption<Fault>,
    wanted: Mutex<Vec<Duration>>,
}

/// A sink's hold on a broadcast: it runs while there is one.
pub struct Broadcasting {
    running: Arc<Running>,
    behind: Duration,
}

struct Running {
    broadcast: Arc<Broadcast>,
    task: JoinHandle<()>,
}

/// Where a pipeline finds its broadcast again.
#[derive(Default)]
pub(in crate::pipeline) struct Place(Mutex<Weak<Running>>);

impl Broadcast {
    fn new() -> Self {
        let span = span(Duration::ZERO);
        let (ring, audience) = (Arc::new(Ring::new(span)), Arc::default());
        Self { ring, audience, refusal: ArcSwapOption::empty(), wanted: Mutex::default() }
    }

    /// Why what the source brings cannot be carried; none while it can.
    pub fn refusal(&self) -> Option<Arc<Fault>> {
        self.refusal.load_full()
    }

    /// How far the release lags what came: the most that any sink wants.
    pub fn behind(&self) -> Duration {
        self.lock().iter().max().copied().unwrap_or_default()
    }

    pub(super) fn refuse(&self, fault: Option<Fault>) {
        self.refusal.store(fault.map(Arc::new));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Duration>)) {
        change(&mut self.lock());
        self.ring.resize(span(self.behind()));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner) // a list of numbers is never half written
    }
}

fn span(behind: Duration) -> Span {
    Span { time: 2 * behind + SLACK, bytes: RING_BYTES }
}

impl Broadcasting {
    /// What is broadcast.
    pub fn broadcast(&self) -> &Arc<Broadcast> {
        &self.running.broadcast
    }
}

impl Drop for Broadcasting {
    fn drop(&mut self) {
        let behind = self.behind;
        self.running.broadcast.change(|wanted| {
            if let Some(at) = wanted.iter().position(|one| *one == behind) {
                wanted.swap_remove(at);
            }
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.broadcast.ring.close();
    }
}

impl Place {
    /// The broadcast that runs.
    pub(in crate::pipeline) fn find(&self) -> Option<Arc<Broadcast>> {
        self.lock().upgrade().map(|running| running.broadcast.clone())
    }

    /// A hold on the broadcast; it is begun for the first. Call it within a runtime.
    pub(in crate::pipeline) fn hold(&self, shared: &Arc<Shared>, behind: Duration) -> Broadcasting {
        let mut place = self.lock();
        let running = place.upgrade().unwrap_or_else(|| {
            let broadcast = Arc::new(Broadcast::new());
            let task = tokio::spawn(follow(Arc::downgrade(shared), broadcast.clone()));
            let running = Arc::new(Running { broadcast, task });
            *place = Arc::downgrade(&running);
            running
        });
        running.broadcast.change(|wanted| wanted.push(behind));
        Broadcasting { running, behind }
    }

    fn lock(&self) -> MutexGuard<'_, Weak<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // a pointer is never half written
    }
}
