//! What the director does: starting, stopping, judging.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::detector::{Look, START_SILENCE};
use super::super::entry::{Down, Id, Least};
use super::super::link::Link;
use super::super::run::{Run, down};
use super::super::step::{Event, Step};
use super::super::{Reason, Verdict};
use super::{Asker, Director, Order, Ordered, Which, Wish};
use crate::fault::{Fault, FaultKind};
use crate::pipeline::feed::{Fit, Purpose};
use crate::pipeline::{End, State};
use crate::plan::{StagePlan, Stall};
use crate::stage::SourceSpec;

impl Director {
    pub(super) fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Start(id) => self.start(id, Purpose::Serve),
                Step::Try(id) => self.start(id, Purpose::Try),
                Step::Bridge(id) => self.start_bridge(id),
                Step::Stop(id) => self.stop(id),
                Step::Probe(id) => self.start_probe(id),
                Step::Unprobe => {
                    let probe = self.probe.take();
                    self.dismiss(probe);
                }
                Step::Switched { from, to, why } => self.switched(from, to, &why),
            }
        }
    }

    fn start(&mut self, id: Id, purpose: fn(Fit) -> Purpose) {
        self.runs += 2; // the one between is for a bridge, which what is coming must be able to retire
        let run = self.run(id, self.runs, purpose);
        let before = std::mem::replace(&mut self.coming, run);
        self.dismiss(before);
    }

    fn start_bridge(&mut self, id: Id) {
        let coming = self.coming.as_ref().map_or(self.runs, |run| run.generation);
        let run = self.run(id, coming.saturating_sub(1), Purpose::Serve);
        let before = std::mem::replace(&mut self.bridge, run);
        self.dismiss(before);
    }

    fn run(&mut self, id: Id, generation: u64, purpose: fn(Fit) -> Purpose) -> Option<Run> {
        let is_owned_by = |owner: Id| owner == id || self.links.iter().all(|link| link.id != owner);
        let fit = if self.owner.is_none_or(is_owned_by) { Fit::Replace } else { Fit::Map };
        let link = self.links.iter().find(|link| link.id == id)?;
        if !self.started.insert(id) {
            self.shared.metrics.source(&link.stage).restarts.inc();
        }
        Some(Run::start(link, &self.shared, generation, purpose(fit), self.policy.stall))
    }

    fn start_probe(&mut self, id: Id) {
        let Some(link) = self.links.iter().find(|link| link.id == id) else { return };
        let run = Run::start(link, &self.shared, 0, Purpose::Probe, Stall::Auto);
        let before = self.probe.replace(run);
        self.dismiss(before);
    }

    fn stop(&mut self, id: Id) {
        let is_it = |run: &mut Run| run.id == id;
        let stopped = [self.serving.take_if(is_it), self.coming.take_if(is_it), self.bridge.take_if(is_it)];
        stopped.into_iter().for_each(|run| self.dismiss(run));
    }

    /// Ends a run. It is waited for when the director ends.
    fn dismiss(&mut self, run: Option<Run>) {
        self.leaving.retain(|run| !run.is_gone());
        let Some(run) = run else { return };
        run.abort();
        self.leaving.push(run);
    }

    /// Whether a run may be left for this; a probe may always.
    pub(super) fn may_leave(&self, which: Which, now: Instant, verdict: &Verdict) -> bool {
        matches!(which, Which::Probe) || self.chain.may_leave(now, &verdict.reason)
    }

    /// Takes note of a run that brought its first media.
    pub(super) fn see_live(&mut self, now: Instant) {
        let is_live = |run: &mut Run| run.is_live(&self.shared);
        let live = self.coming.take_if(is_live).or_else(|| self.bridge.take_if(is_live));
        let Some(run) = live else { return };
        let id = run.id;
        let before = self.serving.replace(run);
        self.dismiss(before);
        let link = |id: Id| self.links.iter().find(|link| link.id == id);
        // a stand-in does not decide what better sources have to bring
        let stands_in = link(id).is_some_and(|link| link.plan.spec.stands_in());
        if !stands_in && self.owner.and_then(link).is_none() {
            self.owner = Some(id);
        }
        self.said_kept = false;
        self.shared.begin_stream(&self.stage_of(id));
        let steps = self.chain.on(now, Event::Live(id));
        self.take(steps);
    }

    /// Takes note of a source that serves and brings what is new.
    pub(super) fn see_working(&mut self, now: Instant) {
        let working = self.serving.as_ref().filter(|run| run.works()).map(|run| run.id);
        let link = working.and_then(|id| self.links.iter_mut().find(|link| link.id == id));
        link.into_iter().for_each(Link::works);
        let steps = working.map(|id| self.chain.on(now, Event::Works(id))).unwrap_or_default();
        self.take(steps);
    }

    /// When a stand-in is to bridge the wait for the source that is coming: after the time of one stall without a sign
    /// of life from it, and two target durations later where there is one.
    pub(super) fn bridge_due(&self, now: Instant) -> Option<Instant> {
        let coming = self.coming.as_ref()?;
        let dark_since = self.chain.dark_since(now)?;
        let seen = coming.observed.borrow();
        let patience = coming.detector.patience(&seen);
        let is_first = self.shared.renditions().is_none(); // nobody watches yet
        let silence = if is_first { patience.max(START_SILENCE) } else { patience };
        Some(dark_since + silence + if seen.has_beaten { 2 * seen.target } else { Duration::ZERO })
    }

    pub(super) fn bridge_now(&mut self, now: Instant) {
        let coming = self.coming.as_ref().map(|run| run.id);
        let steps = coming.map(|id| self.chain.on(now, Event::Late(id))).unwrap_or_default();
        self.take(steps);
    }

    /// What the rules say of a run; none where there is nothing to say.
    pub(super) fn look_at(&mut self, which: Which, now: Instant) -> Option<(Id, Look)> {
        let run = match which {
            Which::Serving => self.serving.as_mut(),
            Which::Coming => self.coming.as_mut(),
            Which::Bridge => self.bridge.as_mut(),
            Which::Probe => self.probe.as_mut(),
        }?;
        let seen = run.observed.borrow_and_update().clone();
        let (id, detector) = (run.id, run.detector);
        if let Some(why) = &seen.refused {
            let verdict = Verdict::new(Reason::Fault(FaultKind::Unsupported(why.clone())), &**why);
            return Some((id, Look::Leave(verdict)));
        }
        let in_chain = self.links.iter().any(|link| link.id == id);
        if matches!(which, Which::Serving) {
            if !in_chain {
                return None; // it feeds until what takes its place is live
            }
            if let Some(verdict) = self.opinion() {
                return Some((id, Look::Leave(verdict)));
            }
        }
        let is_alone = self.chain.is_alone() && !matches!(which, Which::Probe);
        Some((id, if is_alone { detector.look_alone(now, &seen) } else { detector.look(now, &seen) }))
    }

    /// What is said of the run that serves from beside the byte path.
    fn opinion(&self) -> Option<Verdict> {
        let opinion = self.opinions.borrow();
        if opinion.run != self.shared.run() || self.chain.is_alone() {
            return None; // it is about a run that was left
        }
        if let Some(verdict) = &opinion.verdict {
            return Some(Verdict::new(Reason::Monitor, &**verdict));
        }
        let score = opinion.score.filter(|score| *score < self.policy.health_below)?;
        let words = format!("the health score is {score}, below {}", self.policy.health_below);
        Some(Verdict::new(Reason::Health, words))
    }

    /// Leaves a run because of what was seen of it.
    pub(super) fn leave(&mut self, now: Instant, which: Which, id: Id, verdict: Verdict) {
        let refused = self.run_of(which).and_then(|run| run.observed.borrow().refused.clone());
        let least = if refused.is_some() { Least::AfterRefusal } else { Least::After(Duration::ZERO) };
        if let Some(why) = refused {
            // the run ends with this fault, or has; it is not heard any more
            let (stage, fault) = (self.stage_of(id), Fault::unsupported(why));
            self.shared.metrics.source(&stage).fault(&fault.kind);
            self.shared.remember(&fault.at(&stage));
        }
        self.down(now, which, id, Down { verdict, least });
    }

    fn run_of(&self, which: Which) -> Option<&Run> {
        let run = match which {
            Which::Serving => &self.serving,
            Which::Coming => &self.coming,
            Which::Bridge => &self.bridge,
            Which::Probe => &self.probe,
        };
        run.as_ref()
    }

    /// Takes in that a run ended by itself.
    pub(super) fn ended(&mut self, which: Which, result: &Result<End, Fault>) {
        let now = Instant::now();
        let Some(id) = self.run_of(which).map(|run| run.id) else { return };
        self.see_live(now); // it may have brought something at its very end
        self.see_working(now);
        let is_it = |run: &mut Run| run.id == id;
        let run = match which {
            Which::Probe => self.probe.take_if(is_it),
            _ => self
                .coming
                .take_if(is_it)
                .or_else(|| self.bridge.take_if(is_it))
                .or_else(|| self.serving.take_if(is_it)),
        };
        let Some(run) = run else { return };
        if self.is_retired(which, result) {
            return; // the run that took over is about to be seen live
        }
        let refused = run.observed.borrow().refused.clone();
        if let Err(fault) = result {
            self.shared.metrics.source(&run.stage).fault(&fault.kind);
            self.shared.remember(fault);
        }
        self.down(now, which, run.id, down(result, refused.as_ref()));
    }

    /// Whether a run that fed was ended by the first media of the one that is coming.
    fn is_retired(&self, which: Which, result: &Result<End, Fault>) -> bool {
        let is_stopped = result.as_ref().is_err_and(|fault| fault.kind == FaultKind::Stopped);
        let took_over = |run: &Run| run.generation == self.shared.run();
        matches!(which, Which::Serving) && is_stopped && self.coming.as_ref().is_some_and(took_over)
    }

    fn down(&mut self, now: Instant, which: Which, id: Id, down: Down) {
        let stage = self.stage_of(id);
        let steps = self.chain.on(now, Event::Down(id, down.clone()));
        self.take(steps);
        match which {
            Which::Probe => self.tell_unproved(&stage, &down),
            Which::Serving | Which::Coming | Which::Bridge => self.tell_down(id, &stage, &down),
        }
    }

    /// When the probe has proved its source, where it has seen something new. While a stand-in serves, two target
    /// durations are enough.
    pub(super) fn proof(&self) -> Option<Instant> {
        let probe = self.probe.as_ref()?;
        let least = self.passes(probe)?;
        Some(if self.chain.is_stood_in() { least } else { probe.live_since()? + self.policy.return_after })
    }

    /// When a run that brings media has done so for long enough to take the place of a stand-in.
    fn passes(&self, run: &Run) -> Option<Instant> {
        let least = 2 * run.observed.borrow().target;
        Some(run.live_since()? + least.min(self.policy.return_after))
    }

    /// Ends the trial of the source that is coming, where it is due, or where nothing else is served; gives when it is.
    pub(super) fn judge_trial(&self, now: Instant) -> Option<Instant> {
        let coming = self.coming.as_ref().filter(|run| run.is_on_trial())?;
        let due = self.passes(coming)?;
        if due > now && self.serving.is_some() {
            return Some(due);
        }
        coming.pass();
        None
    }

    /// Follows the configuration.
    pub(super) fn retune(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        self.policy = wanted.failover.clone();
        self.links = self.relink(&wanted.sources);
        for run in [&mut self.serving, &mut self.coming, &mut self.bridge].into_iter().flatten() {
            run.detector.stall = self.policy.stall;
        }
        self.shared.set_alternatives(self.links.len() > 1);
        if self.links.iter().any(|link| !self.started.contains(&link.id))
            && self.shared.status().borrow().state == State::Stopped
        {
            self.shared.set_state(State::Starting, "the configuration changed");
        }
        let traits: Vec<_> = self.links.iter().map(Link::traits).collect();
        let steps = self.chain.retune(Instant::now(), &traits, &wanted.failover);
        self.take(steps);
    }

    /// The links of these sources; those that were there before stay.
    pub(super) fn relink(&mut self, sources: &[StagePlan<dyn SourceSpec>]) -> Vec<Link> {
        let mut before = std::mem::take(&mut self.links);
        let mut links = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let link = match before.iter().position(|link| link.plan.same_spec(source)) {
                Some(known) => before.remove(known).retuned(at, source, &self.shared),
                None => {
                    self.ids += 1;
                    Link::new(self.ids, at, source, &self.shared, &*self.origins)
                }
            };
            links.push(link);
        }
        links
    }

    /// Does what an operator wants.
    pub(super) fn order(&mut self, order: Order) {
        let verdict = match &order.by {
            Asker::Operator => Verdict::new(Reason::Manual, "an operator asked for it"),
            Asker::Plugin(name) => Verdict::new(Reason::Plugin, format!("the plugin {name} asked for it")),
        };
        // a plugin that asks for the next source because one failed must not undo what failover does about it already
        let is_busy = self.chain.coming().is_some() || self.chain.switches_left(Instant::now()) == 0;
        let answer = match order.wish {
            _ if is_busy && verdict.reason == Reason::Plugin => Err(FaultKind::Busy.into()),
            Wish::Switch(to) => self.ordered(to, verdict),
            Wish::Restart => self.renewed(verdict),
        };
        if order.reply.send(answer).is_err() {
            tracing::debug!("whoever asked for the switch is gone");
        }
    }

    /// Starts the source that serves anew: a link of its own takes the place of the one that it has.
    fn renewed(&mut self, why: Verdict) -> Result<Ordered, Fault> {
        if self.chain.coming().is_some() {
            return Err(FaultKind::Busy.into());
        }
        let serving = self.chain.serving();
        let at = self.links.iter().position(|link| Some(link.id) == serving).ok_or(FaultKind::NotFound)?;
        self.ids += 1;
        let (id, plan) = (self.ids, self.links[at].plan.clone());
        self.links[at] = Link::new(id, at, &plan, &self.shared, &*self.origins);
        let stage = self.links[at].stage.clone();
        let steps = self.chain.on(Instant::now(), Event::Renew(id, why));
        self.take(steps);
        Ok(Ordered { stage, is_started: true, is_active: false })
    }

    fn ordered(&mut self, to: Option<usize>, why: Verdict) -> Result<Ordered, Fault> {
        let current = self.chain.coming().or(self.chain.serving());
        let at = match to {
            Some(place) => place.checked_sub(1),
            None => {
                let current = self.links.iter().position(|link| Some(link.id) == current);
                Some(current.map_or(0, |at| (at + 1) % self.links.len().max(1)))
            }
        };
        let link = at.and_then(|at| self.links.get(at)).ok_or(FaultKind::NotFound)?;
        let (id, stage) = (link.id, link.stage.clone());
        let is_active = self.chain.serving() == Some(id);
        let is_started = !is_active && self.chain.coming() != Some(id);
        let steps = self.chain.on(Instant::now(), Event::Order(id, why));
        self.take(steps);
        Ok(Ordered { stage, is_started, is_active })
    }

    pub(super) fn stage_of(&self, id: Id) -> Arc<str> {
        let link = self.links.iter().find(|link| link.id == id);
        let runs = || [&self.serving, &self.coming, &self.bridge].into_iter().flatten().chain(&self.leaving);
        let run = || runs().find(|run| run.id == id);
        match link {
            Some(link) => link.stage.clone(),
            // another may bear its name by now
            None => run().map_or_else(
                || "a source that left".into(),
                |run| format!("{}, which left", run.stage).into(),
            ),
        }
    }
}
