//! The task of one use: it calls the plugin with each event and at the times that it asked for, and sees to it that
//! what it wants is done.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::{Event, PLUGIN_ACTION};
use super::queue::Queue;
use super::{Allowed, HandlingParts};
use crate::plugin::{Action, Handler, PluginFault, Reaction};

/// The longest that a call may take, whatever the plugin waits for.
const LONGEST_CALL: Duration = Duration::from_secs(60);
/// How long events wait for a plugin that is not there yet: at a start of the daemon its file is being compiled.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for meanwhile, and after that.
const AWAKE_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// So many actions of one reaction are looked at.
const MOST_ACTIONS: usize = 8;
const WAKES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(86_400));

pub(super) struct Task {
    queue: Arc<Queue>,
    events: mpsc::Receiver<Arc<Event>>,
    handler: Arc<dyn Handler>,
    parts: HandlingParts,
    allowed: Arc<ArcSwap<Allowed>>,
    /// When it wants to be woken.
    due: Option<Instant>,
    /// Whether it was woken since its start.
    is_awake: bool,
}

impl Task {
    pub(super) fn new(
        queue: Arc<Queue>,
        events: mpsc::Receiver<Arc<Event>>,
        handler: Arc<dyn Handler>,
        parts: HandlingParts,
        allowed: Arc<ArcSwap<Allowed>>,
    ) -> Self {
        Self { queue, events, handler, parts, allowed, due: None, is_awake: false }
    }

    /// Runs until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        self.awake().await;
        loop {
            let due = self.due;
            let event = tokio::select! {
                event = self.events.recv() => event,
                () = until(due) => {
                    self.due = None;
                    self.wake().await;
                    continue;
                }
            };
            let Some(event) = event else { return };
            self.queue.taken();
            self.handle(event).await;
        }
    }

    async fn handle(&mut self, event: Arc<Event>) {
        let (handler, pipeline) = (self.handler.clone(), event.pipeline.clone());
        let result = bounded(handler.handle(event)).await;
        let is_news = self.queue.note(result.as_ref().map(|_| ()));
        self.react(result, pipeline, is_news).await;
    }

    /// Wakes it for the first time, so that it takes up what it kept over a restart. Waits for a plugin that is not there
    /// yet; where that takes long, it is woken when it comes, and until then its events fail.
    async fn awake(&mut self) {
        let late = Instant::now() + PATIENCE;
        let handler = self.handler.clone();
        loop {
            let result = bounded(handler.wake()).await;
            let is_missing = result.as_ref().is_err_and(PluginFault::is_uncalled);
            if is_missing && Instant::now() < late && !self.events.is_closed() {
                tokio::time::sleep(AWAKE_AGAIN.0).await;
                continue;
            }
            return self.woken(result).await;
        }
    }

    async fn wake(&mut self) {
        let handler = self.handler.clone();
        let result = bounded(handler.wake()).await;
        self.woken(result).await;
    }

    async fn woken(&mut self, result: Result<Reaction, PluginFault>) {
        let is_missing = result.as_ref().is_err_and(PluginFault::is_uncalled);
        self.is_awake |= !is_missing;
        if !self.is_awake {
            self.due = Some(Instant::now() + AWAKE_AGAIN.1);
        }
        let is_news = result.as_ref().is_err_and(|fault| self.queue.note_fault(fault));
        self.react(result, None, is_news).await;
    }

    async fn react(&mut self, result: Result<Reaction, PluginFault>, of: Option<Arc<str>>, is_news: bool) {
        let subscription = &self.queue.subscription;
        let (plugin, pipeline) = (&subscription.run.plugin, subscription.pipeline.as_deref());
        let reaction = match result {
            Ok(reaction) => reaction,
            Err(fault) if is_news => {
                return tracing::warn!(%plugin, pipeline, %fault, "an event was not handled");
            }
            Err(fault) => return tracing::debug!(%plugin, pipeline, %fault, "an event was not handled"),
        };
        if let Some(after) = reaction.wake_after {
            self.due = Some(Instant::now() + after.clamp(WAKES.0, WAKES.1));
        }
        let of = subscription.pipeline.clone().or(of);
        for (name, argument) in reaction.actions.into_iter().take(MOST_ACTIONS) {
            self.act(&name, argument.as_deref(), of.as_ref()).await;
        }
    }

    /// Does what the plugin asks for, where its node allows it.
    async fn act(&self, name: &str, argument: Option<&str>, of: Option<&Arc<str>>) {
        let plugin = &self.queue.subscription.run.plugin;
        let action = match self.permitted(name, argument) {
            Ok(action) => action,
            Err(why) => return self.refuse(name, of, &why),
        };
        let Some(pipeline) = of else {
            return self.refuse(name, of, "it belongs to no pipeline: use the plugin in a pipeline");
        };
        let acted = self.parts.actor.act(pipeline, action, plugin);
        match tokio::time::timeout(LONGEST_CALL, acted).await {
            Ok(Ok(words)) => {
                tracing::info!(%plugin, %pipeline, %action, words, "a plugin's action was done");
                self.tell(name, "done", Some(pipeline), &words);
            }
            Ok(Err(words)) => {
                tracing::warn!(%plugin, %pipeline, %action, words, "a plugin's action could not be done");
                self.tell(name, "failed", Some(pipeline), &words);
            }
            Err(_) => self.tell(name, "failed", Some(pipeline), "it took too long"),
        }
    }

    fn permitted(&self, name: &str, argument: Option<&str>) -> Result<Action, String> {
        let action = Action::read(name, argument)?;
        let allowed = self.allowed.load();
        let granted = allowed.get(&self.queue.subscription.run.plugin);
        if granted.is_some_and(|granted| granted.contains(&action.kind())) {
            return Ok(action);
        }
        Err(format!("the node of the plugin does not list {} in `actions`", action.kind().word()))
    }

    fn refuse(&self, name: &str, of: Option<&Arc<str>>, why: &str) {
        let plugin = &self.queue.subscription.run.plugin;
        if self.queue.note_refused_action() {
            let pipeline = of.map(|of| &**of);
            tracing::warn!(%plugin, pipeline, action = name, why, "an action of a plugin was refused; more are counted only");
            self.tell(name, "refused", of, why);
        } else {
            self.count(name, "refused");
        }
    }

    fn tell(&self, action: &str, outcome: &'static str, of: Option<&Arc<str>>, words: &str) {
        self.count(action, outcome);
        let detail =
            json!({ "plugin": self.queue.subscription.run.plugin, "action": action, "outcome": outcome });
        self.parts.events.publish(PLUGIN_ACTION, of.cloned(), Some(words), detail);
    }

    fn count(&self, action: &str, outcome: &'static str) {
        let known = Action::read(action, None).map_or("unknown", |action| action.kind().word());
        self.queue.metrics.count_action(known, outcome);
    }
}

/// A call with the longest time that it may take; a panic is a fault.
async fn bounded(call: BoxFuture<'_, Result<Reaction, PluginFault>>) -> Result<Reaction, PluginFault> {
    match tokio::time::timeout(LONGEST_CALL, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(PluginFault::Broken("the call panicked".into())),
        Err(_) => Err(PluginFault::Deadline),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
