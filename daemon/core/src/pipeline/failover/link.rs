//! One source of a chain with what it keeps over its runs.

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::Reason;
use super::entry::{Id, Traits};
use crate::fault::Fault;
use crate::pipeline::stack::{around_upstream, context};
use crate::pipeline::{Origins, Shared};
use crate::plan::StagePlan;
use crate::stage::{Answer, Exchange, Liveness, SourceSpec, States, Upstream};

/// A source of the chain.
pub(super) struct Link {
    pub(super) id: Id,
    /// Its name by its place in the chain: `source 1 hls`.
    pub(super) stage: Arc<str>,
    pub(super) plan: StagePlan<dyn SourceSpec>,
    /// The innermost service, with its connections and cookies.
    client: Upstream,
    /// What the layers know.
    states: Arc<States>,
    upstream: Arc<ArcSwap<Upstream>>,
    /// Why it was last said to be down; none since it worked.
    said_down: Option<Reason>,
    has_ended: bool,
}

impl Link {
    /// The source that stands at `at` in the chain, counted from 0.
    pub(super) fn new(
        id: Id,
        at: usize,
        plan: &StagePlan<dyn SourceSpec>,
        shared: &Arc<Shared>,
        origins: &dyn Origins,
    ) -> Self {
        let (client, states, stage) = (origins.client(&*plan.spec), Arc::default(), name(at, plan));
        let upstream = stack(&client, plan, shared, &stage, &states);
        let upstream = Arc::new(ArcSwap::from_pointee(upstream));
        Self { id, stage, plan: plan.clone(), client, states, upstream, said_down: None, has_ended: false }
    }

    /// The same source as it is planned now. Other layers apply from the next exchange on.
    pub(super) fn retuned(
        mut self,
        at: usize,
        plan: &StagePlan<dyn SourceSpec>,
        shared: &Arc<Shared>,
    ) -> Self {
        let stage = name(at, plan);
        if stage != self.stage || !self.plan.same_layers(plan) {
            self.upstream.store(Arc::new(stack(&self.client, plan, shared, &stage, &self.states)));
        }
        (self.stage, self.plan) = (stage, plan.clone());
        self
    }

    /// Where the exchanges of a run go, now and after changes of the layers.
    pub(super) fn upstream(&self) -> Upstream {
        BoxCloneSyncService::new(Retunable { current: self.upstream.clone() })
    }

    /// Whether it is news that it is down for this reason; no more until it works or goes down for another.
    pub(super) fn is_news(&mut self, reason: &Reason) -> bool {
        if *reason == Reason::Ended {
            self.said_down = None;
            return !std::mem::replace(&mut self.has_ended, true);
        }
        self.said_down.replace(reason.clone()).as_ref() != Some(reason)
    }

    /// It works: whatever takes it down next is news.
    pub(super) fn works(&mut self) {
        (self.said_down, self.has_ended) = (None, false);
    }

    /// Whether its stream came to an end, and it has not worked since.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) fn traits(&self) -> Traits {
        let spec = &self.plan.spec;
        let is_listed = spec.liveness() == Liveness::Playlist;
        Traits { id: self.id, stands_in: spec.stands_in(), is_listed }
    }
}

fn name(at: usize, plan: &StagePlan<dyn SourceSpec>) -> Arc<str> {
    format!("source {} {}", at + 1, plan.spec.kind()).into()
}

fn stack(
    client: &Upstream,
    plan: &StagePlan<dyn SourceSpec>,
    shared: &Arc<Shared>,
    stage: &Arc<str>,
    states: &Arc<States>,
) -> Upstream {
    let context = context(shared, stage.clone(), states);
    around_upstream(client.clone(), &plan.layers, &context)
}

/// Sends each exchange to the stack that holds now, so that a source runs on while its layers change.
#[derive(Clone)]
struct Retunable {
    current: Arc<ArcSwap<Upstream>>,
}

impl Service<Exchange> for Retunable {
    type Response = Answer;
    type Error = Fault;
    type Future = futures_util::future::BoxFuture<'static, Result<Answer, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(())) // the stack is made ready in `call`: it may be another one by then
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let stack = Upstream::clone(&self.current.load());
        Box::pin(tower::ServiceExt::oneshot(stack, exchange))
    }
}
