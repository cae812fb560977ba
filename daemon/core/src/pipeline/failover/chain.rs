//! What is started, stopped and tried: pure. Events and the clock go in, steps come out.
//!
//! One source *serves*. When it goes down, the best source that does not rest is *coming*; it serves from its first
//! media on, and the switch counts once it *works*: a list must have moved, for an old one brings media too. Coming
//! sources may run beside a serving one: at a return, at an operator's switch, and when the configuration took the
//! serving one out of the chain. Where a coming source keeps viewers waiting, a stand-in is the *bridge*: it serves
//! from its first media on, and the other one is tried behind it.

use tokio::time::Instant;

use super::budget::Budget;
use super::entry::{Down, Entry, Id, Rest, Traits};
use super::step::{Event, Step};
use super::{Reason, Verdict};
use crate::plan::Failover;

/// What is to be said of a switch once the source that took over is known to work.
#[derive(Debug)]
struct Arrival {
    from: Option<Id>,
    why: Option<Verdict>,
}

/// The chain.
#[derive(Debug)]
pub(super) struct Chain {
    entries: Vec<Entry>,
    policy: Failover,
    budget: Budget,
    serving: Option<Id>,
    coming: Option<(Id, Option<Verdict>)>,
    bridge: Option<Id>,
    /// The switch to the source that serves, until that one is known to work.
    arrival: Option<Arrival>,
    /// Since when nothing serves.
    dark_since: Option<Instant>,
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
            bridge: None,
            arrival: None,
            dark_since: None,
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
        steps.extend(self.bridge.take().map(Step::Stop));
        steps.extend(self.probe.take().map(|_| Step::Unprobe));
        self.left.take_if(|(id, _)| gone(*id));
        steps.extend(self.tick(now));
        steps
    }

    /// Takes in what happened.
    pub(super) fn on(&mut self, now: Instant, event: Event) -> Vec<Step> {
        let mut steps = match event {
            Event::Live(id) => self.live(id),
            Event::Works(id) => self.works(now, id),
            Event::Late(id) => self.late(now, id),
            Event::Down(id, down) => self.down(now, id, &down),
            Event::Proved(id) => self.proved(now, id),
            Event::Order(id, why) => self.order(id, why),
            Event::Renew(id, why) => self.renew(id, why),
        };
        steps.extend(self.tick(now));
        steps
    }

    /// Does what the clock asks for.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.serving.is_some() {
            self.dark_since = None;
        } else {
            self.dark_since.get_or_insert(now);
        }
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
            Some(_) if self.arrival.is_some() => {} // it has still to show that it works
            Some(at) if self.entries[at].traits.stands_in => self.try_better(now, at, &mut steps),
            Some(at) => self.probe_better(now, at, &mut steps),
        }
        steps
    }

    /// When [`Chain::tick`] is due.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let rests = self.entries.iter().filter_map(Entry::rests_until);
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

    /// Since when nothing serves, where a stand-in could.
    pub(super) fn dark_since(&self, now: Instant) -> Option<Instant> {
        self.dark_since.filter(|_| self.bridge.is_none() && self.stand_in(now).is_some())
    }

    /// Whether the source that serves has still to show that it works, in place of another.
    pub(super) fn is_arriving(&self) -> bool {
        self.arrival.as_ref().is_some_and(|arrival| arrival.why.is_some())
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
        entry.rest(now)
    }

    fn live(&mut self, id: Id) -> Vec<Step> {
        if self.bridge.take_if(|bridge| *bridge == id).is_some() {
            return self.bridged(id);
        }
        let Some((_, why)) = self.coming.take_if(|(coming, _)| *coming == id) else { return Vec::new() };
        let mut steps = Vec::new();
        let before = self.serving.replace(id);
        steps.extend(before.map(Step::Stop));
        steps.extend(self.bridge.take().map(Step::Stop));
        steps.extend(self.probe.take().map(|_| Step::Unprobe));
        let (from, why) = match (before, self.arrival.take(), self.left.take()) {
            // what served had not shown that it works: it is passed over
            (Some(_), Some(Arrival { from: Some(from), why: Some(first) }), _) => {
                (Some(from), why.filter(|why| why.reason == Reason::Manual).or(Some(first)))
            }
            (Some(before), ..) => (Some(before), why),
            (None, _, Some((left, verdict))) => (Some(left), Some(why.unwrap_or(verdict))),
            (None, _, None) => (None, why),
        };
        self.arrival = Some(Arrival { from, why });
        steps
    }

    /// The stand-in serves; what was coming is tried behind it, from its list on where it has one.
    fn bridged(&mut self, id: Id) -> Vec<Step> {
        self.serving = Some(id);
        let (from, why) = self.left.take().unzip();
        self.arrival = Some(Arrival { from, why });
        let Some((coming, why)) = self.coming.take() else { return Vec::new() };
        let is_listed = self.position(coming).is_some_and(|at| self.entries[at].traits.is_listed);
        if is_listed && !is_manual(why.as_ref()) {
            return vec![Step::Stop(coming)];
        }
        self.coming = Some((coming, why.or_else(|| Some(live_again()))));
        Vec::new()
    }

    /// The source that serves is known to work: the switch is done.
    fn works(&mut self, now: Instant, id: Id) -> Vec<Step> {
        let Some(arrival) = self.arrival.take_if(|_| self.serving == Some(id)) else { return Vec::new() };
        if let Some(entry) = self.entry(id) {
            entry.works(now);
        }
        let Arrival { from, why: Some(why) } = arrival else { return Vec::new() };
        if from == Some(id) {
            return Vec::new();
        }
        self.is_pinned = why.reason == Reason::Manual && self.position(id) != Some(0);
        if !matches!(why.reason, Reason::Manual | Reason::Reload) {
            self.budget.take(now);
        }
        vec![Step::Switched { from, to: id, why }]
    }

    /// A stand-in is started beside the source that is coming.
    fn late(&mut self, now: Instant, id: Id) -> Vec<Step> {
        if self.coming() != Some(id) || self.serving.is_some() || self.bridge.is_some() {
            return Vec::new();
        }
        self.bridge = self.stand_in(now);
        self.bridge.map(Step::Bridge).into_iter().collect()
    }

    fn down(&mut self, now: Instant, id: Id, down: &Down) -> Vec<Step> {
        let alone = self.is_alone();
        if let Some(entry) = self.entry(id) {
            entry.lay_to_rest(now, down, alone);
        }
        if self.probe.take_if(|probe| *probe == id).is_some() {
            return vec![Step::Unprobe];
        }
        if self.bridge.take_if(|bridge| *bridge == id).is_some() {
            return vec![Step::Stop(id)];
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
        self.left = match self.arrival.take() {
            // it never worked: the failure before is still the one that counts
            Some(Arrival { from: Some(from), why: Some(why) }) => Some((from, why)),
            _ => Some((id, down.verdict.clone())),
        };
        let mut steps = vec![Step::Stop(id)];
        if let Some((coming, why)) = &mut self.coming {
            // what was to take over anyway does it for this reason
            if !is_manual(why.as_ref()) {
                *why = None;
            }
            debug_assert_ne!(*coming, id);
        }
        steps.extend(self.probe.take().map(|_| Step::Unprobe));
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

    /// The source that serves goes on as `id`; what fed until now feeds until that one is live.
    fn renew(&mut self, id: Id, why: Verdict) -> Vec<Step> {
        let Some(entry) = self.serving.and_then(|serving| self.entry(serving)) else { return Vec::new() };
        entry.traits.id = id;
        self.order(id, why)
    }

    fn order(&mut self, id: Id, why: Verdict) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.serving == Some(id) || self.position(id).is_none() {
            return steps;
        }
        match self.coming.take() {
            Some((coming, _)) if coming == id => {
                self.coming = Some((id, Some(why)));
                return steps;
            }
            coming => steps.extend(coming.map(|(coming, _)| Step::Stop(coming))),
        }
        steps.extend(self.bridge.take().map(Step::Stop));
        steps.extend(self.probe.take().map(|_| Step::Unprobe));
        if let Some(entry) = self.entry(id) {
            entry.wake();
        }
        self.coming = Some((id, Some(why)));
        steps.push(Step::Start(id));
        steps
    }

    /// The best source that may be started. With a spent budget: the one that was left, or a stand-in.
    fn pick(&self, now: Instant) -> Option<Id> {
        let left = self.left.as_ref().map(|(id, _)| *id);
        let spent = left.is_some() && self.budget.left(now) == 0;
        let free = |entry: &&Entry| {
            Some(entry.traits.id) != self.bridge
                && (!spent || entry.traits.stands_in || left == Some(entry.traits.id))
        };
        let ready = self.entries.iter().filter(|entry| !entry.rests(now));
        ready.filter(free).map(|entry| entry.traits.id).next()
    }

    /// While a stand-in serves, better sources are tried as their rests end: beside it, or by their list where they have
    /// one. First media is no proof: an old list brings some, and so does an origin that sends what it had kept.
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
            self.coming = Some((id, Some(live_again())));
            steps.push(Step::Try(id));
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

    /// The best stand-in that could be started beside what is coming.
    fn stand_in(&self, now: Instant) -> Option<Id> {
        let coming = self.coming();
        let others = self.entries.iter().filter(|entry| Some(entry.traits.id) != coming);
        others.filter(|entry| entry.traits.stands_in && !entry.rests(now)).map(|entry| entry.traits.id).next()
    }

    fn position(&self, id: Id) -> Option<usize> {
        self.entries.iter().position(|entry| entry.traits.id == id)
    }

    fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.traits.id == id)
    }
}

fn live_again() -> Verdict {
    Verdict::new(Reason::Return, "it is live again")
}

fn is_manual(why: Option<&Verdict>) -> bool {
    why.is_some_and(|why| why.reason == Reason::Manual)
}
