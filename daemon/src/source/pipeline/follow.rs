//! One run: follows the other pipeline through all its changes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::pipeline::{End, Listed, Shared, Source, SourceContext, State, Status};
use tokio::time::{Instant, timeout};

use super::copy::Copy;

/// A sign of life at least so often, for the other pipeline may be silent for long.
const BEAT: Duration = Duration::from_secs(20);

/// A run.
pub(super) struct Follow {
    name: String,
    context: SourceContext,
    /// What was reported last, so that it is reported once.
    told: String,
    /// When the newest media came into the other pipeline.
    came: Option<Instant>,
}

impl Source for Follow {
    fn run(mut self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        async move { self.follow().await }.boxed()
    }
}

impl Follow {
    pub(super) fn new(name: String, context: SourceContext) -> Self {
        Self { name, context, told: String::new(), came: None }
    }

    async fn follow(&mut self) -> Result<End, Fault> {
        let directory = self.context.around.pipelines.clone();
        let mut copy = None;
        let mut found = directory.find(&self.name);
        loop {
            let Some(other) = found else {
                self.tell("does not run");
                self.context.feed.beat();
                let started = timeout(BEAT, directory.other_than(None, &self.name)).await;
                found = started.ok().flatten();
                continue;
            };
            found = self.follow_one(&other, &mut copy).await?;
        }
    }

    /// Follows a pipeline until another runs under its name, or none.
    async fn follow_one(
        &mut self,
        other: &Arc<Shared>,
        copy: &mut Option<Copy>,
    ) -> Result<Option<Arc<Shared>>, Fault> {
        let directory = self.context.around.pipelines.clone();
        let name = self.name.clone();
        let gone = directory.other_than(Some(other), &name);
        tokio::pin!(gone);
        let (mut arrivals, mut status) = (other.arrivals(), other.status());
        let mut is_ended = false;
        loop {
            self.date(*arrivals.borrow_and_update());
            let now = status.borrow_and_update().clone();
            self.take(other, copy)?;
            let ended = copy.as_ref().is_some_and(Copy::is_ended);
            if ended && !is_ended {
                self.context.feed.end();
            }
            is_ended = ended;
            self.judge(&now);
            self.context.feed.beat();
            tokio::select! {
                next = &mut gone => return Ok(next),
                changed = arrivals.changed() => drop(changed),
                changed = status.changed() => drop(changed),
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }

    /// Takes note of when the media came that the other pipeline has now: what it had at the start may be old.
    fn date(&mut self, came: Instant) {
        let feed = &self.context.feed;
        feed.came(came);
        match self.came.replace(came) {
            None => feed.listed(Listed::Start),
            Some(before) if came > before => feed.listed(Listed::More),
            Some(_) => {}
        }
    }

    /// Copies what is new.
    fn take(&self, other: &Shared, copy: &mut Option<Copy>) -> Result<(), Fault> {
        let Some(set) = other.renditions() else { return Ok(()) };
        let copy = match copy {
            Some(copy) if copy.follows(&set) => copy,
            Some(copy) => {
                copy.turn_to(set)?;
                copy
            }
            None => copy.insert(Copy::begin(&self.context.feed, set)),
        };
        copy.take()
    }

    /// Reports a state in which nothing comes.
    fn judge(&mut self, status: &Status) {
        match status.state {
            State::Live => self.told.clear(),
            State::Starting if status.reason.is_empty() => self.tell("is starting"),
            state => self.tell(&format!("is {}: {}", state.word(), status.reason)),
        }
    }

    fn tell(&mut self, what: &str) {
        if self.told == what {
            return;
        }
        self.told = what.to_owned();
        let words = format!("the pipeline `{}` {what}", self.name);
        self.context.feed.fault(&FaultKind::Pipeline(words.into()).into());
    }
}
