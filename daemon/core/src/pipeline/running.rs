//! One pipeline that runs: its source task, its windows, its mounted sinks; changed in place where possible.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::failover::{Director, Switcher, Wanted};
use super::judging::{Assignment, judge};
use super::pushing::{Pushed, Pushers};
use super::stack::mounts;
use super::supervisor::watch_over;
use super::{Bounds, EndReason, Setup, Shared, State};
use crate::plan::{PipelinePlan, StagePlan};
use crate::stage::{Serving, SinkSpec, SourceSpec, States, Upstream};

/// How many orders of operators may wait.
const WAITING_ORDERS: usize = 4;

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

/// A pipeline that runs. Dropping it stops it at once.
pub struct Pipeline {
    shared: Arc<Shared>,
    plan: PipelinePlan,
    /// What the layers of the sinks know.
    sink_states: Arc<States>,
    /// Dropped, it ends the director.
    wanted: Option<watch::Sender<Wanted>>,
    switcher: Switcher,
    director: JoinHandle<()>,
    watch: JoinHandle<()>,
    assigned: watch::Sender<Assignment>,
    judge: JoinHandle<()>,
    mounts: Vec<Mount>,
    pushers: Pushers,
}

impl Pipeline {
    /// Starts it. `None` when `plan` has no source, which a plan without problems never has.
    pub fn start(setup: Setup, plan: PipelinePlan, origins: Arc<dyn Origins>) -> Option<Self> {
        let shared = Arc::new(Shared::new(setup, bounds(&plan)));
        plan.sources.first()?;
        shared.expect_segments(longest_segment(&plan));
        let wanted = watch::Sender::new(Wanted::of(&plan));
        let (orders, waiting) = mpsc::channel(WAITING_ORDERS);
        let director = Director::new(shared.clone(), origins, wanted.subscribe(), waiting);
        let director = tokio::spawn(director.direct());
        let watch = tokio::spawn(watch_over(shared.clone()));
        let assignment = Assignment::of(&plan.health, &*shared.around.plugins, &shared.name);
        let assigned = watch::Sender::new(assignment);
        let judge = tokio::spawn(judge(shared.clone(), assigned.subscribe()));
        let sink_states = Arc::default();
        let mounts = mounts(&plan.sinks, &shared, &sink_states);
        let mut pushers = Pushers::default();
        pushers.bring(&plan.sinks, &shared);
        let (wanted, switcher) = (Some(wanted), Switcher(orders));
        Some(Self {
            shared,
            plan,
            sink_states,
            wanted,
            switcher,
            director,
            watch,
            assigned,
            judge,
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

    /// How it is told to switch to another source.
    pub fn switcher(&self) -> &Switcher {
        &self.switcher
    }

    /// Changes it in place: windows, numbers and viewers stay. The source that feeds it runs on if it is still in the
    /// chain; else the best of the new chain is started beside it, and takes over with its first segment. Other layers
    /// apply from the next exchange on.
    pub fn retune(&mut self, plan: PipelinePlan) {
        self.shared.resize(bounds(&plan));
        self.shared.expect_segments(longest_segment(&plan));
        if (self.plan.sources != plan.sources || self.plan.failover != plan.failover)
            && let Some(wanted) = &self.wanted
        {
            wanted.send_replace(Wanted::of(&plan));
        }
        if self.plan.health != plan.health {
            let plugins = &*self.shared.around.plugins;
            self.assigned.send_replace(Assignment::of(&plan.health, plugins, &self.shared.name));
        }
        if !same_sinks(&self.plan.sinks, &plan.sinks) {
            self.mounts = mounts(&plan.sinks, &self.shared, &self.sink_states);
            self.pushers.bring(&plan.sinks, &self.shared);
        }
        self.plan = plan;
    }

    /// Stops it, and waits until its tasks are gone.
    pub async fn stop(mut self, reason: EndReason) {
        self.shared.set_state(State::Stopped, reason.words());
        self.shared.end_stream(reason, reason.words());
        self.pushers.stop().await;
        self.wanted.take();
        self.watch.abort();
        self.judge.abort();
        let gone = std::future::ready(());
        let director = std::mem::replace(&mut self.director, tokio::spawn(gone.clone()));
        let watch = std::mem::replace(&mut self.watch, tokio::spawn(gone.clone()));
        let judge = std::mem::replace(&mut self.judge, tokio::spawn(gone));
        for task in [director, watch, judge] {
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(pipeline = %self.shared.name, %error, "task failed");
            }
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.director.abort();
        self.watch.abort();
        self.judge.abort();
    }
}

/// Of those that the sources cut themselves.
fn longest_segment(plan: &PipelinePlan) -> Duration {
    plan.sources.iter().filter_map(|source| source.spec.segment()).max().unwrap_or_default()
}

fn bounds(plan: &PipelinePlan) -> Bounds {
    Bounds { segments: plan.buffer.spec.segments(), bytes: plan.buffer.spec.bytes() }
}

fn same_sinks(before: &[StagePlan<dyn SinkSpec>], after: &[StagePlan<dyn SinkSpec>]) -> bool {
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(before, after)| before.same_spec(after) && before.same_layers(after))
}
