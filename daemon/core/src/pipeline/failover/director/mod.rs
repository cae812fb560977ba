//! The task that keeps one pipeline fed: it runs what the chain says, and tells the chain what becomes of it.

mod act;
mod tell;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::LastSwitch;
use super::chain::Chain;
use super::detector::Look;
use super::entry::Id;
use super::link::Link;
use super::run::Run;
use super::step::Event;
use crate::fault::{Fault, FaultKind};
use crate::pipeline::{End, Origins, Shared};
use crate::plan::{Failover, PipelinePlan, StagePlan};
use crate::port::Opinion;
use crate::stage::SourceSpec;

/// How often a source that is only kept for want of another is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a pipeline wants of its director. The director ends when its sender is dropped.
#[derive(Clone)]
pub(in crate::pipeline) struct Wanted {
    pub(in crate::pipeline) sources: Vec<StagePlan<dyn SourceSpec>>,
    pub(in crate::pipeline) failover: Failover,
}

impl Wanted {
    pub(in crate::pipeline) fn of(plan: &PipelinePlan) -> Self {
        Self { sources: plan.sources.clone(), failover: plan.failover.clone() }
    }
}

/// Who asks for a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// An operator: it costs nothing of the budget, and the source is kept.
    Operator,
    /// The plugin of this name: it costs a switch, and is refused where none is left.
    Plugin(Arc<str>),
}

/// What is wanted of a chain.
enum Wish {
    /// The source at this place, from 1; none for the next one.
    Switch(Option<usize>),
    /// The source that feeds the pipeline, started anew.
    Restart,
}

/// A wish for another source, or for the same one anew.
pub(in crate::pipeline) struct Order {
    wish: Wish,
    by: Asker,
    reply: oneshot::Sender<Result<Ordered, Fault>>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The name of the source.
    pub stage: Arc<str>,
    /// Whether it was started by this order. It was not where it feeds the pipeline, or is starting, already.
    pub is_started: bool,
    /// Whether it feeds the pipeline already, so that nothing was done.
    pub is_active: bool,
}

/// How a pipeline is told to switch.
#[derive(Clone)]
pub struct Switcher(pub(in crate::pipeline) mpsc::Sender<Order>);

impl Switcher {
    /// Starts the source at this place of the chain, from 1, or the next one; it takes over with its first media. Gives
    /// its name, and whether it was started by this.
    ///
    /// # Errors
    /// `NotFound` where the chain has no such place, `Busy` where too many orders wait, or where a plugin has no switch left
    /// or asks while another source is starting; `Stopped` for a pipeline that has gone.
    pub async fn switch(&self, to: Option<usize>, by: Asker) -> Result<Ordered, Fault> {
        self.order(Wish::Switch(to), by).await
    }

    /// Starts the source that feeds the pipeline anew, beside its run; it takes over with its first media. Gives its
    /// name.
    ///
    /// # Errors
    /// `NotFound` where nothing feeds the pipeline, `Busy` where another source is starting, else as with
    /// [`Switcher::switch`].
    pub async fn restart(&self, by: Asker) -> Result<Ordered, Fault> {
        self.order(Wish::Restart, by).await
    }

    async fn order(&self, wish: Wish, by: Asker) -> Result<Ordered, Fault> {
        let (reply, answer) = oneshot::channel();
        match self.0.try_send(Order { wish, by, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(FaultKind::Stopped.into())),
            Err(mpsc::error::TrySendError::Full(_)) => Err(FaultKind::Busy.into()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(FaultKind::Stopped.into()),
        }
    }
}

/// The director of one pipeline.
pub(in crate::pipeline) struct Director {
    shared: Arc<Shared>,
    origins: Arc<dyn Origins>,
    wanted: watch::Receiver<Wanted>,
    orders: mpsc::Receiver<Order>,
    opinions: watch::Receiver<Opinion>,
    policy: Failover,
    links: Vec<Link>,
    chain: Chain,
    /// The source that has fed the pipeline, and that which is to. What is gone from the chain feeds until then.
    serving: Option<Run>,
    coming: Option<Run>,
    bridge: Option<Run>,
    probe: Option<Run>,
    /// Runs that were stopped and have not gone yet.
    leaving: Vec<Run>,
    ids: Id,
    runs: u64,
    /// The source that decided which renditions there are.
    owner: Option<Id>,
    /// The sources that were started before.
    started: BTreeSet<Id>,
    last_switch: Option<LastSwitch>,
    /// Whether it was said that a failing source is kept for want of another.
    said_kept: bool,
}

/// What woke the director.
enum Woken {
    Ended(Which, Result<End, Fault>),
    Ordered(Order),
    Retuned,
    Stopped,
    Looked,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Serving,
    Coming,
    Bridge,
    Probe,
}

impl Woken {
    fn by(which: Which, heard: Option<Result<End, Fault>>) -> Self {
        heard.map_or(Self::Looked, |result| Self::Ended(which, result))
    }
}

impl Director {
    pub(in crate::pipeline) fn new(
        shared: Arc<Shared>,
        origins: Arc<dyn Origins>,
        wanted: watch::Receiver<Wanted>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let first = wanted.borrow().clone();
        let opinions = shared.opinions();
        let mut director = Self {
            chain: Chain::new(&[], &first.failover),
            policy: first.failover.clone(),
            links: Vec::new(),
            serving: None,
            coming: None,
            bridge: None,
            probe: None,
            leaving: Vec::new(),
            ids: 0,
            runs: 0,
            owner: None,
            started: BTreeSet::new(),
            last_switch: None,
            said_kept: false,
            shared,
            origins,
            wanted,
            orders,
            opinions,
        };
        director.links = director.relink(&first.sources);
        director.shared.set_alternatives(first.sources.len() > 1);
        let traits: Vec<_> = director.links.iter().map(Link::traits).collect();
        director.chain = Chain::new(&traits, &first.failover);
        director
    }

    /// Runs until nobody wants the pipeline any more; then every run is gone.
    pub(in crate::pipeline) async fn direct(mut self) {
        let steps = self.chain.tick(Instant::now());
        self.take(steps);
        loop {
            let due = self.look();
            self.tell();
            match self.wake(due).await {
                Woken::Stopped => break,
                Woken::Looked => {}
                Woken::Retuned => self.retune(),
                Woken::Ordered(order) => self.order(order),
                Woken::Ended(which, result) => self.ended(which, &result),
            }
        }
        let runs = [self.serving.take(), self.coming.take(), self.bridge.take(), self.probe.take()];
        for run in runs.into_iter().flatten().chain(self.leaving.drain(..)) {
            run.stop().await;
        }
    }

    async fn wake(&mut self, due: Instant) -> Woken {
        tokio::select! {
            changed = self.wanted.changed() => if changed.is_ok() { Woken::Retuned } else { Woken::Stopped },
            heard = heard(&mut self.serving) => Woken::by(Which::Serving, heard),
            heard = heard(&mut self.coming) => Woken::by(Which::Coming, heard),
            heard = heard(&mut self.bridge) => Woken::by(Which::Bridge, heard),
            heard = heard(&mut self.probe) => Woken::by(Which::Probe, heard),
            Some(order) = self.orders.recv() => Woken::Ordered(order),
            Ok(()) = self.opinions.changed() => Woken::Looked,
            () = tokio::time::sleep_until(due) => Woken::Looked,
        }
    }

    /// Looks at every run and does what follows; gives when to look again.
    fn look(&mut self) -> Instant {
        let now = Instant::now();
        self.see_live(now);
        self.see_working(now);
        let steps = self.chain.tick(now);
        self.take(steps);
        let mut due = self.chain.due(now).unwrap_or(now + Duration::from_secs(3600));
        for which in [Which::Serving, Which::Coming, Which::Bridge, Which::Probe] {
            let Some((id, look)) = self.look_at(which, now) else { continue };
            match look {
                Look::Again(at) => due = due.min(at),
                Look::Leave(verdict) if self.may_leave(which, now, &verdict) => {
                    self.leave(now, which, id, verdict);
                    due = now; // what was started is looked at too
                }
                Look::Leave(verdict) => {
                    self.keep(&verdict);
                    due = due.min(now + LOOK_AGAIN);
                }
            }
        }
        if let Some(judged) = self.judge_trial(now) {
            due = due.min(judged);
        }
        if let Some(late) = self.bridge_due(now) {
            if late <= now {
                self.bridge_now(now);
                return now;
            }
            due = due.min(late);
        }
        if let Some(proved) = self.proof() {
            if proved <= now {
                let id = self.probe.as_ref().map(|probe| probe.id);
                let steps = id.map(|id| self.chain.on(now, Event::Proved(id))).unwrap_or_default();
                self.take(steps);
                return now + LOOK_AGAIN;
            }
            due = due.min(proved);
        }
        due
    }
}

/// Waits until a run ends (its result) or reports something that is worth a look; for ever where there is none.
async fn heard(run: &mut Option<Run>) -> Option<Result<End, Fault>> {
    match run {
        Some(run) => run.heard().await,
        None => std::future::pending().await,
    }
}
