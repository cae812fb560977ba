//! Has a pipeline's health scored, beside the byte path: each few seconds a sample goes to the scorer, and what comes back
//! is shown, and told where it is news.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::{Shared, State};
use crate::event;
use crate::health::{Level, Limits, MOST_FACTORS, Sample, Settling, Standing, Verdict};
use crate::metrics::HealthMetrics;
use crate::plan::{BUILT_IN_SCORER, HealthPlan};
use crate::plugin::{PluginFault, Plugins, Scorer};

/// No scorer is waited for any longer: a plugin's own deadline is at most this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Fewer segments than these tell nothing of a source: its scores are shown and change nothing.
const LEAST_OBSERVATIONS: usize = 3;
/// Pipelines are looked at on multiples of this, so that thousands wake the processor ten times a second.
const STEP_MS: u64 = 100;

/// Who judges a pipeline, and how.
#[derive(Clone)]
pub(super) struct Assignment {
    name: Arc<str>,
    /// Whether the built-in scorer is the one that is configured.
    is_built_in: bool,
    every: Duration,
    limits: Limits,
    scorer: Arc<dyn Scorer>,
    built_in: Arc<dyn Scorer>,
}

impl Assignment {
    pub(super) fn of(plan: &HealthPlan, plugins: &dyn Plugins, pipeline: &str) -> Self {
        let is_built_in = &*plan.run.plugin == BUILT_IN_SCORER;
        Self {
            name: plan.run.plugin.clone(),
            is_built_in,
            every: plan.every,
            limits: Limits { warn_below: plan.warn_below, fail_below: plan.fail_below },
            scorer: plugins.scorer(&plan.run, pipeline),
            built_in: plugins.built_in_scorer(is_built_in.then_some(&plan.run)),
        }
    }
}

/// Judges a pipeline until the sender of its assignment is gone.
pub(super) async fn judge(shared: Arc<Shared>, mut assigned: watch::Receiver<Assignment>) {
    let mut judge = Judge::new(shared);
    loop {
        let assignment = assigned.borrow_and_update().clone();
        let first = Instant::now() + until_turn(&judge.shared.name, assignment.every);
        let mut ticks = tokio::time::interval_at(first, assignment.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                changed = assigned.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                _ = ticks.tick() => judge.look(&assignment).await,
            }
        }
    }
}

/// The wait for the turn of a pipeline by the wall clock: its name says when, so that pipelines are spread over the time,
/// and that a change of the configuration does not put off its turn.
fn until_turn(pipeline: &str, every: Duration) -> Duration {
    let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(STEP_MS);
    let mut hasher = DefaultHasher::new();
    pipeline.hash(&mut hasher);
    let turn = hasher.finish() % every / STEP_MS * STEP_MS;
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default() % every;
    Duration::from_millis((turn + every - now) % every)
}

struct Judge {
    shared: Arc<Shared>,
    metrics: HealthMetrics,
    settling: Settling,
    since: Option<Timestamp>,
    /// The factors that have a series.
    factors: BTreeSet<String>,
    /// Why there was no opinion last; said once.
    said: Option<Arc<str>>,
}

impl Judge {
    fn new(shared: Arc<Shared>) -> Self {
        let metrics = shared.metrics.health();
        metrics.fallbacks(); // stands at zero from the start
        let (settling, factors) = (Settling::default(), BTreeSet::new());
        Self { shared, metrics, settling, since: None, factors, said: None }
    }

    async fn look(&mut self, assignment: &Assignment) {
        let state = self.shared.status().borrow().state;
        if matches!(state, State::Starting | State::Stopped) {
            return;
        }
        let Some((run, sample)) = self.shared.sample() else { return };
        let sample = Arc::new(sample);
        let (answer, stood_in) = self.ask(assignment, &sample).await;
        match answer {
            Ok(verdict) => self.take(assignment, run, &sample, verdict, stood_in),
            Err(why) => tracing::debug!(pipeline = %self.shared.name, %why, "no opinion on the health"),
        }
    }

    /// Asks the scorer, and the built-in one where that has no opinion; gives with it why.
    async fn ask(
        &mut self,
        assignment: &Assignment,
        sample: &Arc<Sample>,
    ) -> (Result<Verdict, PluginFault>, Option<Arc<str>>) {
        let fault = match scored(&*assignment.scorer, sample).await {
            Ok(verdict) => {
                if self.said.take().is_some() {
                    tracing::info!(pipeline = %self.shared.name, scorer = %assignment.name, "the scorer works again");
                }
                return (Ok(verdict), None);
            }
            // there is no file of that name, nor need there be
            Err(PluginFault::Missing(_)) if assignment.is_built_in => {
                return (scored(&*assignment.built_in, sample).await, None);
            }
            Err(fault) => fault,
        };
        self.metrics.fell_back();
        let why: Arc<str> = fault.to_string().into();
        if self.said.as_ref() != Some(&why) {
            tracing::warn!(pipeline = %self.shared.name, scorer = %assignment.name, %why, "the built-in scorer stands in");
            self.said = Some(why.clone());
        }
        (scored(&*assignment.built_in, sample).await, Some(why))
    }

    fn take(
        &mut self,
        assignment: &Assignment,
        run: u64,
        sample: &Sample,
        verdict: Verdict,
        stood_in: Option<Arc<str>>,
    ) {
        let (at, mut before) = (Timestamp::now(), None);
        if sample.observations.len() >= LEAST_OBSERVATIONS {
            before = self.settling.take(run, verdict.score, assignment.limits);
            self.shared.score(run, self.settling.held());
        }
        if before.is_some() {
            self.since = None;
        }
        self.count(&verdict);
        let (level, since) = (self.settling.level(), *self.since.get_or_insert(at));
        let standing = Standing { verdict, at, level, since, scorer: assignment.name.clone(), stood_in };
        if let Some(before) = before {
            self.tell(before, &standing, sample);
        }
        self.shared.standing.store(Some(Arc::new(standing)));
    }

    fn count(&mut self, verdict: &Verdict) {
        self.metrics.score(verdict.score);
        for level in Level::ALL {
            self.metrics.level(level.word(), level == self.settling.level());
        }
        let is_said = |name: &str| verdict.factors.iter().any(|factor| factor.name == name);
        for gone in self.factors.extract_if(.., |name| !is_said(name)) {
            self.metrics.forget_factor(&gone);
        }
        for factor in verdict.factors.iter().take(MOST_FACTORS) {
            self.metrics.factor(&factor.name, factor.score);
            self.factors.insert(factor.name.clone());
        }
    }

    fn tell(&self, before: Level, standing: &Standing, sample: &Sample) {
        let (from, to, verdict) = (before.word(), standing.level.word(), &standing.verdict);
        let (score, words, pipeline) = (verdict.score, &verdict.words, &self.shared.name);
        if standing.level > before {
            tracing::warn!(%pipeline, from, to, score, words, "health got worse");
        } else {
            tracing::info!(%pipeline, from, to, score, words, "health got better");
        }
        let detail = serde_json::json!({
            "from": from, "to": to, "score": score, "words": words, "source": sample.source,
            "scorer": standing.scorer, "factors": verdict.factors,
        });
        self.shared.tell(event::HEALTH_CHANGED, Some(words), detail);
    }
}

/// The opinion of a scorer, as far as it can be used.
async fn scored(scorer: &dyn Scorer, sample: &Arc<Sample>) -> Result<Verdict, PluginFault> {
    let verdict =
        timeout(PATIENCE, scorer.score(sample.clone())).await.map_err(|_| PluginFault::Deadline)??;
    verdict.checked().map_err(|why| PluginFault::Broken(why.into()))
}

#[cfg(test)]
#[path = "judging_tests.rs"]
mod tests;
