//! One pipeline that runs: its source task, its windows, its mounted sinks; changed in place where possible.

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::pushing::{Pushed, Pushers};
use super::stack::{around_upstream, context, mounts};
use super::supervisor::{Job, watch_over};
use super::{Bounds, Setup, Shared, State};
use crate::fault::Fault;
use crate::plan::{PipelinePlan, StagePlan};
use crate::stage::{Answer, Exchange, Serving, SinkSpec, SourceSpec, States, Upstream};

/// Makes the innermost service that a source's exchanges go to.
pub trait Origins: Send + Sync {
    /// The client for this source, with its guard. Opens nothing.
    fn client(&self, source: &dyn SourceSpec) -> Upstream;
}

/// A sink as it is mounted.
#[derive(Clone)]
pub struct Mount {
    /// Its path.
    pub path: String,
    /// The stage, as `sink 1 hls`: the label of its metrics.
    pub stage: Arc<str>,
    /// What answers.
    pub service: Serving,
}

/// What a source keeps while its layers change.
struct Ground {
    /// The innermost service, with its connections and cookies.
    client: Upstream,
    /// What the layers know.
    states: Arc<States>,
}

impl Ground {
    fn new(origins: &dyn Origins, source: &StagePlan<dyn SourceSpec>) -> Self {
        Self { client: origins.client(&*source.spec), states: Arc::default() }
    }

    fn stack(&self, source: &StagePlan<dyn SourceSpec>, shared: &Arc<Shared>) -> Upstream {
        let context = context(shared, stage_name(source), &self.states);
        around_upstream(self.client.clone(), &source.layers, &context)
    }
}

/// A pipeline that runs. Dropping it stops it at once.
pub struct Pipeline {
    shared: Arc<Shared>,
    plan: PipelinePlan,
    origins: Arc<dyn Origins>,
    ground: Ground,
    /// What the layers of the sinks know.
    sink_states: Arc<States>,
    upstream: Arc<ArcSwap<Upstream>>,
    version: u32,
    source: JoinHandle<()>,
    /// Earlier sources, which feed the pipeline until the newest is live.
    retiring: Vec<JoinHandle<()>>,
    watch: JoinHandle<()>,
    mounts: Vec<Mount>,
    pushers: Pushers,
}

impl Pipeline {
    /// Starts it. `None` when `plan` has no source, which a plan without problems never has.
    pub fn start(setup: Setup, plan: PipelinePlan, origins: Arc<dyn Origins>) -> Option<Self> {
        let shared = Arc::new(Shared::new(setup, bounds(&plan)));
        let first = plan.sources.first()?;
        let ground = Ground::new(&*origins, first);
        let upstream = Arc::new(ArcSwap::from_pointee(ground.stack(first, &shared)));
        let source = job(first, &shared, &upstream, 1).spawn();
        let watch = tokio::spawn(watch_over(shared.clone()));
        let sink_states = Arc::default();
        let mounts = mounts(&plan.sinks, &shared, &sink_states);
        let mut pushers = Pushers::default();
        pushers.bring(&plan.sinks, &shared);
        Some(Self {
            shared,
            plan,
            origins,
            ground,
            sink_states,
            upstream,
            version: 1,
            source,
            retiring: Vec::new(),
            watch,
            mounts,
            pushers,
        })
    }

    /// What its stages share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How it is planned.
    pub fn plan(&self) -> &PipelinePlan {
        &self.plan
    }

    /// Where its sinks are mounted.
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// Its sinks that push.
    pub fn pushed(&self) -> impl Iterator<Item = Pushed> {
        self.pushers.iter()
    }

    /// Changes it in place: windows, numbers and viewers stay. A source with other settings is started beside the
    /// one that runs, and takes over with its first segment; other layers apply from the next exchange on.
    pub fn retune(&mut self, plan: PipelinePlan) {
        let Some(first) = plan.sources.first() else { return };
        self.shared.resize(bounds(&plan));
        let before = self.plan.sources.first();
        if before.is_none_or(|before| !before.same_spec(first)) {
            self.switch_source(first);
        } else if before.is_none_or(|before| !before.same_layers(first)) {
            self.upstream.store(Arc::new(self.ground.stack(first, &self.shared)));
        }
        if !same_sinks(&self.plan.sinks, &plan.sinks) {
            self.mounts = mounts(&plan.sinks, &self.shared, &self.sink_states);
            self.pushers.bring(&plan.sinks, &self.shared);
        }
        self.plan = plan;
    }

    fn switch_source(&mut self, source: &StagePlan<dyn SourceSpec>) {
        self.version += 1;
        self.ground = Ground::new(&*self.origins, source);
        self.upstream = Arc::new(ArcSwap::from_pointee(self.ground.stack(source, &self.shared)));
        let next = job(source, &self.shared, &self.upstream, self.version).spawn();
        self.retiring.retain(|task| !task.is_finished());
        self.retiring.push(std::mem::replace(&mut self.source, next));
    }

    /// Stops it, and waits until its tasks are gone.
    pub async fn stop(mut self, reason: &str) {
        self.shared.set_state(State::Stopped, reason);
        self.pushers.stop().await;
        let mut tasks = std::mem::take(&mut self.retiring);
        self.abort();
        tasks.push(std::mem::replace(&mut self.source, tokio::spawn(std::future::ready(()))));
        tasks.push(std::mem::replace(&mut self.watch, tokio::spawn(std::future::ready(()))));
        for task in tasks {
            task.abort();
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(pipeline = %self.shared.name, %error, "task failed");
            }
        }
    }

    fn abort(&self) {
        self.source.abort();
        self.watch.abort();
        self.retiring.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.abort();
    }
}

fn bounds(plan: &PipelinePlan) -> Bounds {
    Bounds { segments: plan.buffer.spec.segments(), bytes: plan.buffer.spec.bytes() }
}

fn job(
    source: &StagePlan<dyn SourceSpec>,
    shared: &Arc<Shared>,
    upstream: &Arc<ArcSwap<Upstream>>,
    version: u32,
) -> Job {
    Job {
        shared: shared.clone(),
        spec: source.spec.clone(),
        stage: stage_name(source),
        upstream: BoxCloneSyncService::new(Retunable { current: upstream.clone() }),
        version,
    }
}

fn stage_name(source: &StagePlan<dyn SourceSpec>) -> Arc<str> {
    format!("source 1 {}", source.spec.kind()).into()
}

fn same_sinks(before: &[StagePlan<dyn SinkSpec>], after: &[StagePlan<dyn SinkSpec>]) -> bool {
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(before, after)| before.same_spec(after) && before.same_layers(after))
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
