//! What is started, stopped and tried: pure. Events and the clock go in, steps come out.
//!
//! One source *serves*. When it goes down, the best source that does not rest is *coming*; it serves from its first
//! media on. Coming sources may run beside a serving one: at a return, at an operator's switch, and when the
//! configuration took the serving one out of the chain.

use std::time::Duration;

use tokio::time::Instant;

use super::budget::Budget;
use super::{Reason, Verdict};
use crate::plan::Failover;

/// A source, over changes of the chain.
pub(super) type Id = u64;

/// A source that failed rests; each failure without a good run between doubles the rest.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest of a source that has no alternative: viewers wait for it.
const LONGEST_ALONE: Duration = Duration::from_secs(8);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How long an origin that ended its stream is left alone before it is asked whether it goes on.
const AFTER_END: Duration = Duration::from_secs(15);
/// How long a source that does not fit is left alone.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// A run that was live for this long counts as good: the next rest starts from the first again.
const GOOD_RUN: Duration = Duration::from_secs(30);

/// What the chain knows of a source beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) id: Id,
    /// Whether it is a stand-in, as a slate: anything better that works is preferred at once.
    pub(super) stands_in: bool,
    /// Whether it can be proved without more than its playlist.
    pub(super) is_listed: bool,
}

/// Why a source is not tried now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rest {
    /// When it is over; none where there will never be more.
    pub(super) until: Option<Instant>,
    pub(super) why: Verdict,
    /// Whether the source does not fit.
    pub(super) refused: bool,
}

/// How a run went down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Down {
    pub(super) verdict: Verdict,
    /// What the other side asks for, or the stream's nature.
    pub(super) least: Least,
}

/// The shortest rest that a run's end calls for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Least {
    After(Duration),
    AfterEnd,
    AfterRefusal,
    Forever,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// The run of this source brought its first media.
    Live(Id),
    /// The run or probe of this source is over, or to be left.
    Down(Id, Down),
    /// A probe showed the source well for long enough.
    Proved(Id),
    /// An operator wants this source.
    Order(Id),
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Run this source; it serves when it is live.
    Start(Id),
    /// End the run of this source.
    Stop(Id),
    /// Look whether this source is well, beside the one that serves.
    Probe(Id),
    /// End the probe.
    Unprobe,
    /// Another source serves than before: tell.
    Switched { from: Option<Id>, to: Id, why: Verdict },
}

#[derive(Debug, Clone)]
struct Entry {
    traits: Traits,
    failures: u32,
    rest: Option<Rest>,
    live_since: Option<Instant>,
}

/// The chain.
#[derive(Debug)]
pub(super) struct Chain {
    entries: Vec<Entry>,
    policy: Failover,
    budget: Budget,
    serving: Option<Id>,
    coming: Option<(Id, Option<Verdict>)>,
    probe: Option<Id>,
    /// The source that was left without another in its place yet, and why.
    left: Option<(Id, Verdict)>,
    /// Whether an operator chose the source that serves.
    is_pinned: bool,
}

impl Chain {
    pub(super) fn new(traits: &[Traits], policy: &Failover) -> Self {
        let budget = Budget::new(policy.budget, policy.per);
        let mut chain = Self {
            entries: Vec::new(),
            policy: policy.clone(),
            budget,
            serving: None,
            coming: None,
            probe: None,
            left: None,
            is_pinned: false,
        };
        chain.entries = traits.iter().map(|traits| Entry::new(*traits)).collect();
        chain
    }

    /// Another chain holds from now on. Sources that stay keep their rest, and run on.
    pub(super) fn retune(&mut self, now: Instant, traits: &[Traits], policy: &Failover) -> Vec<Step> {
        self.policy = policy.clone();
        self.budget.resize(policy.budget, policy.per);
        let before = std::mem::take(&mut self.entries);
        let kept = |traits: &Traits| before.iter().find(|entry| entry.traits.id == traits.id).cloned();
        self.entries = traits.iter().map(|one| kept(one).unwrap_or_else(|| Entry::new(*one))).collect();
        let mut steps = Vec::new();
        let gone = |id: Id| traits.iter().all(|one| one.id != id);
        if let Some((id, _)) = self.coming.take_if(|(id, _)| gone(*id)) {
            steps.push(Step::Stop(id));
        }
        if self.probe.take().is_some() {
            steps.push(Step::Unprobe);
        }
        self.left.take_if(|(id, _)| gone(*id));
        steps.extend(self.tick(now));
        steps
    }

    /// Takes in what happened.
    pub(super) fn on(&mut self, now: Instant, event: Event) -> Vec<Step> {
        let mut steps = match event {
            Event::Live(id) => self.live(now, id),
            Event::Down(id, down) => self.down(now, id, &down),
            Event::Proved(id) => self.proved(now, id),
            Event::Order(id) => self.order(id),
        };
        steps.extend(self.tick(now));
        steps
    }

    /// Does what the clock asks for.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.coming.is_some() {
            return steps;
        }
        match self.serving.and_then(|id| self.position(id)) {
            None => {
                // nothing serves, or what does has left the chain
                if let Some(id) = self.pick(now) {
                    let orphan =
                        self.serving.map(|_| Verdict::new(Reason::Reload, "the configuration changed"));
                    self.coming = Some((id, orphan));
                    steps.push(Step::Start(id));
                }
            }
            Some(at) if self.entries[at].traits.stands_in => self.try_better(now, at, &mut steps),
            Some(at) => self.probe_better(now, at, &mut steps),
        }
        steps
    }

    /// When [`Chain::tick`] is due.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let rests = self.entries.iter().filter_map(|entry| entry.rest.as_ref()?.until);
        rests.chain(self.budget.next_at(now)).filter(|at| *at > now).min()
    }

    /// Whether a source that still brings something may be left for `reason`: there is another to take.
    pub(super) fn may_leave(&self, now: Instant, reason: &Reason) -> bool {
        let others = self.entries.iter().filter(|entry| Some(entry.traits.id) != self.serving);
        !reason.is_soft() || (self.budget.left(now) > 0 && others.clone().any(|entry| !entry.rests(now)))
    }

    /// Whether there is no alternative to the only source.
    pub(super) fn is_alone(&self) -> bool {
        self.entries.len() < 2
    }

    pub(super) fn serving(&self) -> Option<Id> {
        self.serving
    }

    pub(super) fn coming(&self) -> Option<Id> {
        self.coming.as_ref().map(|(id, _)| *id)
    }

    pub(super) fn probing(&self) -> Option<Id> {
        self.probe
    }

    pub(super) fn switches_left(&self, now: Instant) -> u32 {
        self.budget.left(now)
    }

    /// Why a source is not tried now.
    pub(super) fn rest(&self, id: Id, now: Instant) -> Option<&Rest> {
        let entry = self.entries.iter().find(|entry| entry.traits.id == id)?;
        entry.rest.as_ref().filter(|_| entry.rests(now))
    }

    fn live(&mut self, now: Instant, id: Id) -> Vec<Step> {
        let Some((_, why)) = self.coming.take_if(|(coming, _)| *coming == id) else { return Vec::new() };
        let mut steps = Vec::new();
        let before = self.serving.replace(id);
        steps.extend(before.map(Step::Stop));
        if self.probe.take().is_some() {
            steps.push(Step::Unprobe);
        }
        let left = self.left.take();
        let (from, why) = match (before, left) {
            (Some(before), _) => (Some(before), why),
            (None, Some((left, verdict))) => (Some(left), Some(why.unwrap_or(verdict))),
            (None, None) => (None, why),
        };
        if let Some(entry) = self.entry(id) {
            entry.rest = None;
            entry.live_since = Some(now);
        }
        if let Some(why) = why.filter(|_| from != Some(id)) {
            self.is_pinned = why.reason == Reason::Manual && self.position(id) != Some(0);
            if !matches!(why.reason, Reason::Manual | Reason::Reload) {
                self.budget.take(now);
            }
            steps.push(Step::Switched { from, to: id, why });
        }
        steps
    }

    fn down(&mut self, now: Instant, id: Id, down: &Down) -> Vec<Step> {
        let alone = self.is_alone();
        if let Some(entry) = self.entry(id) {
            entry.lay_to_rest(now, down, alone);
        }
        if self.probe.take_if(|probe| *probe == id).is_some() {
            return vec![Step::Unprobe];
        }
        if self.coming.take_if(|(coming, _)| *coming == id).is_some() {
            if self.serving.is_none() && self.left.is_none() {
                self.left = Some((id, down.verdict.clone()));
            }
            return vec![Step::Stop(id)];
        }
        if self.serving.take_if(|serving| *serving == id).is_none() {
            return Vec::new();
        }
        self.is_pinned = false;
        self.left = Some((id, down.verdict.clone()));
        let mut steps = vec![Step::Stop(id)];
        if let Some((coming, why)) = &mut self.coming {
            // what was to take over anyway does it for this reason
            if !matches!(why, Some(Verdict { reason: Reason::Manual, .. })) {
                *why = None;
            }
            debug_assert_ne!(*coming, id);
        }
        if self.probe.take().is_some() {
            steps.push(Step::Unprobe);
        }
        steps
    }

    fn proved(&mut self, now: Instant, id: Id) -> Vec<Step> {
        if self.probe != Some(id) || self.coming.is_some() || self.budget.left(now) == 0 {
            return Vec::new();
        }
        self.probe = None;
        self.coming = Some((id, Some(Verdict::new(Reason::Return, "it proved itself"))));
        vec![Step::Unprobe, Step::Start(id)]
    }

    fn order(&mut self, id: Id) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.serving == Some(id) || self.position(id).is_none() {
            return steps;
        }
        if let Some((coming, _)) = self.coming.take() {
            steps.push(Step::Stop(coming));
        }
        if self.probe.take().is_some() {
            steps.push(Step::Unprobe);
        }
        if let Some(entry) = self.entry(id) {
            entry.rest = None;
        }
        self.coming = Some((id, Some(Verdict::new(Reason::Manual, "an operator asked for it"))));
        steps.push(Step::Start(id));
        steps
    }

    /// The best source that may be started. With a spent budget: the one that was left, or a stand-in.
    fn pick(&self, now: Instant) -> Option<Id> {
        let left = self.left.as_ref().map(|(id, _)| *id);
        let spent = left.is_some() && self.budget.left(now) == 0;
        let free = |entry: &&Entry| !spent || entry.traits.stands_in || left == Some(entry.traits.id);
        let ready = self.entries.iter().filter(|entry| !entry.rests(now));
        ready.filter(free).map(|entry| entry.traits.id).next()
    }

    /// While a stand-in serves, better sources are tried as their rests end: beside it, or by their list where they have
    /// one, for an old list brings media too.
    fn try_better(&mut self, now: Instant, at: usize, steps: &mut Vec<Step>) {
        if self.is_pinned || self.probe.is_some() || self.budget.left(now) == 0 {
            return;
        }
        let better = self.entries[..at].iter().find(|entry| !entry.rests(now));
        let Some(Traits { id, is_listed, .. }) = better.map(|entry| entry.traits) else { return };
        if is_listed {
            self.probe = Some(id);
            steps.push(Step::Probe(id));
        } else {
            self.coming = Some((id, Some(Verdict::new(Reason::Return, "it is live again"))));
            steps.push(Step::Start(id));
        }
    }

    /// Whether what serves is a stand-in.
    pub(super) fn is_stood_in(&self) -> bool {
        let serving = self.serving.and_then(|id| self.position(id));
        serving.is_some_and(|at| self.entries[at].traits.stands_in)
    }

    /// While a source serves that is not the best, the best one that can be probed is.
    fn probe_better(&mut self, now: Instant, at: usize, steps: &mut Vec<Step>) {
        if self.is_pinned || self.probe.is_some() || self.budget.left(now) == 0 {
            return;
        }
        let anything = self.policy.probe_return;
        let can = |entry: &&Entry| !entry.rests(now) && (entry.traits.is_listed || anything);
        if let Some(entry) = self.entries[..at].iter().find(can) {
            self.probe = Some(entry.traits.id);
            steps.push(Step::Probe(entry.traits.id));
        }
    }

    fn position(&self, id: Id) -> Option<usize> {
        self.entries.iter().position(|entry| entry.traits.id == id)
    }

    fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.traits.id == id)
    }
}

impl Entry {
    fn new(traits: Traits) -> Self {
        Self { traits, failures: 0, rest: None, live_since: None }
    }

    fn rests(&self, now: Instant) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.until.is_none_or(|until| until > now))
    }

    fn lay_to_rest(&mut self, now: Instant, down: &Down, alone: bool) {
        if self.live_since.take().is_some_and(|since| now - since >= GOOD_RUN) {
            self.failures = 0;
        }
        let longest = if alone { LONGEST_ALONE } else { LONGEST_REST };
        let wait = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures += 1;
        let (until, refused) = match down.least {
            Least::After(least) => (Some(now + wait.max(least.min(longest))), false),
            Least::AfterEnd => (Some(now + wait.max(AFTER_END)), false),
            Least::AfterRefusal => (Some(now + wait.max(AFTER_REFUSAL)), true),
            Least::Forever => (None, false),
        };
        self.rest = Some(Rest { until, why: down.verdict.clone(), refused });
    }
}
