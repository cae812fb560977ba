//! What the director does: starting, stopping, judging.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::chain::{Down, Event, Id, Least, Step};
use super::super::detector::Look;
use super::super::link::Link;
use super::super::run::{Run, down};
use super::super::{Reason, Verdict};
use super::{Director, Order, Which};
use crate::fault::{Fault, FaultKind};
use crate::pipeline::End;
use crate::pipeline::feed::{Fit, Purpose};
use crate::plan::{StagePlan, Stall};
use crate::stage::SourceSpec;

impl Director {
    pub(super) fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Start(id) => self.start(id),
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

    fn start(&mut self, id: Id) {
        self.runs += 1;
        let is_owned_by = |owner: Id| owner == id || self.links.iter().all(|link| link.id != owner);
        let fit = if self.owner.is_none_or(is_owned_by) { Fit::Replace } else { Fit::Map };
        let Some(link) = self.links.iter().find(|link| link.id == id) else { return };
        if !self.started.insert(id) {
            self.shared.metrics.source(&link.stage).restarts.inc();
        }
        let run = Run::start(link, &self.shared, self.runs, Purpose::Serve(fit), self.policy.stall);
        let before = self.coming.replace(run);
        self.dismiss(before);
    }

    fn start_probe(&mut self, id: Id) {
        let Some(link) = self.links.iter().find(|link| link.id == id) else { return };
        let run = Run::start(link, &self.shared, 0, Purpose::Probe, Stall::Auto);
        let before = self.probe.replace(run);
        self.dismiss(before);
    }

    fn stop(&mut self, id: Id) {
        let is_it = |run: &mut Run| run.id == id;
        let stopped = [self.serving.take_if(is_it), self.coming.take_if(is_it)];
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
        let is_live = |run: &Run| run.observed.borrow().media.is_some();
        let Some(run) = self.coming.take_if(|run| is_live(run)) else { return };
        let id = run.id;
        let before = self.serving.replace(run);
        self.dismiss(before);
        if self.owner.is_none_or(|owner| self.links.iter().all(|link| link.id != owner)) {
            self.owner = Some(id);
        }
        self.said_kept = false;
        let steps = self.chain.on(now, Event::Live(id));
        self.take(steps);
    }

    /// What the rules say of a run; none where there is nothing to say.
    pub(super) fn look_at(&mut self, which: Which, now: Instant) -> Option<(Id, Look)> {
        let run = match which {
            Which::Serving => self.serving.as_mut(),
            Which::Coming => self.coming.as_mut(),
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
        let run = match which {
            Which::Serving => &self.serving,
            Which::Coming => &self.coming,
            Which::Probe => &self.probe,
        };
        let refused = run.as_ref().is_some_and(|run| run.observed.borrow().refused.is_some());
        let least = if refused { Least::AfterRefusal } else { Least::After(Duration::ZERO) };
        self.down(now, which, id, Down { verdict, least });
    }

    /// Takes in that a run ended by itself.
    pub(super) fn ended(&mut self, which: Which, result: &Result<End, Fault>) {
        let now = Instant::now();
        self.see_live(now); // it may have brought something at its very end
        let run = match which {
            Which::Serving => self.serving.take(),
            Which::Coming => self.coming.take().or_else(|| self.serving.take()),
            Which::Probe => self.probe.take(),
        };
        let Some(run) = run else { return };
        let refused = run.observed.borrow().refused.clone();
        if let Err(fault) = result {
            self.shared.metrics.source(&run.stage).fault(&fault.kind);
            self.shared.remember(fault);
        }
        self.down(now, which, run.id, down(result, refused.as_ref()));
    }

    fn down(&mut self, now: Instant, which: Which, id: Id, down: Down) {
        let stage = self.stage_of(id);
        let steps = self.chain.on(now, Event::Down(id, down.clone()));
        self.take(steps);
        match which {
            Which::Probe => self.tell_unproved(&stage, &down),
            Which::Serving | Which::Coming => self.tell_down(&stage, &down),
        }
    }

    /// When the probe has proved its source, where it has seen something new. While a stand-in serves, two target
    /// durations are enough.
    pub(super) fn proof(&self) -> Option<Instant> {
        let probe = self.probe.as_ref()?;
        let least = 2 * probe.observed.borrow().target;
        let all = self.policy.return_after;
        Some(probe.live_since()? + if self.chain.is_stood_in() { least.min(all) } else { all })
    }

    /// Follows the configuration.
    pub(super) fn retune(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        self.policy = wanted.failover.clone();
        self.links = self.relink(&wanted.sources);
        for run in [&mut self.serving, &mut self.coming].into_iter().flatten() {
            run.detector.stall = self.policy.stall;
        }
        self.shared.set_alternatives(self.links.len() > 1);
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
        let answer = self.ordered(order.to);
        if order.reply.send(answer).is_err() {
            tracing::debug!("whoever asked for the switch is gone");
        }
    }

    fn ordered(&mut self, to: Option<usize>) -> Result<Arc<str>, Fault> {
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
        let steps = self.chain.on(Instant::now(), Event::Order(id));
        self.take(steps);
        Ok(stage)
    }

    pub(super) fn stage_of(&self, id: Id) -> Arc<str> {
        let link = self.links.iter().find(|link| link.id == id);
        link.map_or_else(|| "a source that left".into(), |link| link.stage.clone())
    }
}
