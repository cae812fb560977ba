//! Handling events: one task reads the bus and puts each event into the queues of the uses that want it; one task for
//! each use calls its plugin. Publishing never waits for either, and a slow plugin holds up nobody but itself.

mod queue;
mod status;
mod subscription;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use status::{HandlerFault, HandlerStatus};
pub use subscription::Subscription;

use self::queue::Queue;
use self::task::Task;
use super::{Event, Events};
use crate::metrics::DeliveryMetrics;
use crate::plugin::{ActionKind, Actor, Plugins};

/// So long an end may take in any case: tasks that have nothing to do need a moment to see it.
const LEAST_DRAIN: Duration = Duration::from_millis(250);

/// What plugins may have done, by plugin.
pub type Allowed = BTreeMap<Arc<str>, BTreeSet<ActionKind>>;

/// What handling is made with.
#[derive(Clone)]
pub struct HandlingParts {
    /// The bus.
    pub events: Events,
    /// What runs the plugins.
    pub plugins: Arc<dyn Plugins>,
    /// What does what they ask for.
    pub actor: Arc<dyn Actor>,
    /// Counters.
    pub metrics: DeliveryMetrics,
}

/// Everything that handles events. Dropping it ends all of it at once.
pub struct Handling {
    parts: HandlingParts,
    allowed: Arc<ArcSwap<Allowed>>,
    running: Vec<Running>,
    /// The queues that the router fills, for it and for whoever looks.
    table: Table,
    /// Uses that were taken out, and still have events to handle.
    leaving: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    router: JoinHandle<()>,
}

/// The uses as they stand, to be looked at.
#[derive(Clone, Default)]
pub struct Table(Arc<ArcSwap<Vec<Arc<Queue>>>>);

impl Table {
    /// How each use stands.
    pub fn statuses(&self) -> Vec<HandlerStatus> {
        self.0.load().iter().map(|queue| queue.status()).collect()
    }
}

struct Running {
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Handling {
    /// Nothing is handled yet. Events that are published from now on are seen. Call it within a runtime.
    pub fn start(parts: HandlingParts) -> Self {
        let (table, stop) = (Table::default(), watch::Sender::new(false));
        let router = tokio::spawn(route(parts.events.listen(), table.clone(), stop.subscribe()));
        let (running, leaving, allowed) = (Vec::new(), Vec::new(), Arc::default());
        Self { parts, allowed, running, table, leaving, stop, router }
    }

    /// The uses, to be looked at.
    pub fn table(&self) -> Table {
        self.table.clone()
    }

    /// Handles what these want from now on. One that did not change keeps its queue and its timer; one that left handles
    /// what waits for it.
    pub fn retune(&mut self, wanted: Vec<Subscription>, allowed: Allowed) {
        self.allowed.store(Arc::new(allowed));
        let mut before = std::mem::take(&mut self.running);
        for subscription in wanted {
            let known = before.iter().position(|running| running.queue.subscription == subscription);
            let running =
                known.map(|known| before.remove(known)).filter(|running| !running.task.is_finished());
            self.running.push(running.unwrap_or_else(|| self.begin(subscription)));
        }
        self.table.0.store(Arc::new(self.running.iter().map(|running| running.queue.clone()).collect()));
        self.leaving.retain(|task| !task.is_finished());
        for left in before {
            left.queue.close();
            self.leaving.push(left.task);
        }
        self.parts.metrics.keep(self.running.iter().map(|running| &*running.queue.subscription.run.plugin));
    }

    fn begin(&self, subscription: Subscription) -> Running {
        let handler = self.parts.plugins.handler(&subscription.run, subscription.pipeline.as_deref());
        let metrics = self.parts.metrics.of(&subscription.run.plugin);
        let (queue, events) = Queue::new(subscription, metrics);
        let task = Task::new(queue.clone(), events, handler, self.parts.clone(), self.allowed.clone());
        Running { queue, task: tokio::spawn(task.run()) }
    }

    /// Ends: what was published is handled, for at most `within`; what is left then is dropped and said.
    pub async fn drain(mut self, within: Duration) {
        let deadline = Instant::now() + within.max(LEAST_DRAIN);
        self.stop.send_replace(true);
        if tokio::time::timeout_at(deadline, &mut self.router).await.is_err() {
            tracing::warn!("events were still being handed out at the end of the drain time");
        }
        let running = std::mem::take(&mut self.running);
        let mut tasks = std::mem::take(&mut self.leaving);
        for one in running {
            one.queue.close();
            tasks.push(one.task);
        }
        let mut cut = 0;
        for task in &mut tasks {
            if tokio::time::timeout_at(deadline, &mut *task).await.is_err() {
                task.abort();
                cut += 1;
            }
        }
        if cut > 0 {
            tracing::warn!(handlers = cut, "events were not handled within the drain time");
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.router.abort();
        self.running.iter().map(|running| &running.task).chain(&self.leaving).for_each(JoinHandle::abort);
    }
}

/// Puts events into the queues that want them; told to stop, those that were published before.
async fn route(mut bus: Receiver<Arc<Event>>, table: Table, mut stop: watch::Receiver<bool>) {
    loop {
        let heard = tokio::select! {
            heard = bus.recv() => heard,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match heard {
            Ok(event) => hand_out(&table, &event),
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "events were lost before they could be handed out")
            }
            Err(RecvError::Closed) => return,
        }
    }
    loop {
        match bus.try_recv() {
            Ok(event) => hand_out(&table, &event),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

fn hand_out(table: &Table, event: &Arc<Event>) {
    table.0.load().iter().filter(|queue| queue.subscription.wants(event)).for_each(|queue| queue.push(event));
}
