//! Where a source puts its segments. A feed belongs to one run of one source: the first segment of a newer
//! run retires every older one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::Instant;

use super::failover::{Listed, Observed};
use super::mapping::{Fed, straight};
use super::observing::Lineage;
use super::opening::Way;
use super::writer::{Outlet, Writer};
use super::{Opening, RenditionSet, Shared, State};
use crate::fault::{Fault, FaultKind};
use crate::metrics::SourceMetrics;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To feed the pipeline.
    Serve(Fit),
    /// The same, once it has shown that it is well; until then, what it brings is counted and let go.
    Try(Fit),
    /// To show whether the source is well. What it brings is counted and let go.
    Probe,
}

/// What becomes of renditions that are not those of the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// New windows take the place of the old ones.
    Replace,
    /// They are brought into the windows that there are, or refused.
    Map,
}

/// One run of one source, as seen from the source.
#[derive(Clone)]
pub struct Feed {
    run: Arc<Run>,
}

/// A run as its feed and its writers know it.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: SourceMetrics,
    lineage: Lineage,
    generation: u64,
    pub(super) purpose: Purpose,
    /// The discontinuity sequence at era 0, once the run is live.
    base: OnceLock<u64>,
    /// What feeds each rendition that is served, once the source has opened its own.
    fed: ArcSwapOption<Arc<[Fed]>>,
    pub(super) resumed: AtomicBool,
    pub(super) observed: watch::Sender<Observed>,
    /// Whether it has still to show that it is well.
    trial: Arc<AtomicBool>,
}

impl Feed {
    /// The feed of a new run. Runs that are older stay in charge until this one brings a segment.
    pub fn new(shared: Arc<Shared>, metrics: SourceMetrics, generation: u64) -> Self {
        let lineage = Lineage { id: generation, stage: "source 1".into() };
        Self::of_run(shared, metrics, lineage, generation, Purpose::Serve(Fit::Replace))
    }

    pub(super) fn of_run(
        shared: Arc<Shared>,
        metrics: SourceMetrics,
        lineage: Lineage,
        generation: u64,
        purpose: Purpose,
    ) -> Self {
        let observed = watch::Sender::new(Observed::new(Instant::now()));
        let (base, resumed) = (OnceLock::new(), AtomicBool::new(false));
        let trial = Arc::new(AtomicBool::new(matches!(purpose, Purpose::Try(_))));
        let fed = ArcSwapOption::empty();
        let run = Run { shared, metrics, lineage, generation, purpose, base, fed, resumed, observed, trial };
        Self { run: Arc::new(run) }
    }

    /// Declares the renditions, once the origin is known. Where they are those that the pipeline serves already, the
    /// windows go on. Where they are others, it depends on the source: that which decided what is served replaces it, at
    /// the same numbers; what another one brings is mapped onto the windows that there are, or refused.
    pub fn open(&self, opening: &Opening<'_>) -> Vec<Writer> {
        let (set, way) = match self.run.purpose {
            Purpose::Probe => (RenditionSet::without_windows(opening.target), None),
            Purpose::Serve(fit) | Purpose::Try(fit) => {
                let (set, way) = self.run.shared.open(opening, fit);
                (set, Some(way))
            }
        };
        self.run.observe(|seen| seen.targets(opening.target)); // the origin's own, which a stall is measured by
        match &way {
            Some(Way::Refused(why)) => self.run.refuse(why),
            Some(Way::Straight) => self.run.feeds(straight(opening.specs)),
            Some(Way::Mapped(mapped)) => self.run.feeds(mapped.fed()),
            None => {}
        }
        let outlet = |at| match &way {
            None => Outlet::Nowhere,
            Some(Way::Straight) => Outlet::Window(at),
            Some(Way::Mapped(mapped)) => Outlet::Mapped(mapped.clone(), at),
            Some(Way::Refused(why)) => Outlet::Refused(why.clone()),
        };
        let leader = if let Some(Way::Mapped(mapped)) = &way { mapped.leader() } else { 0 };
        let writer = |at| Writer {
            run: self.run.clone(),
            set: set.clone(),
            leads: at == leader,
            outlet: outlet(at),
            awaits_start: AtomicBool::new(matches!(self.run.purpose, Purpose::Try(_))),
        };
        (0..opening.specs.len()).map(writer).collect()
    }

    /// Says that the source found its place in every window (see [`Writer::last_origin`]), so that its first
    /// segments follow without a discontinuity.
    pub fn resume(&self) {
        self.run.resumed.store(true, Ordering::Relaxed);
    }

    /// Counts a fault that the source waits out, and shows it as the reason where nothing is served.
    pub fn fault(&self, fault: &Fault) {
        let shared = &self.run.shared;
        self.run.metrics.fault(&fault.kind);
        let now = Instant::now();
        self.run.observe(|seen| seen.fault(now, fault));
        if self.run.purpose == Purpose::Probe {
            return;
        }
        shared.remember(fault);
        let state = shared.status().borrow().state;
        // a stream that is over stays so while its origin is asked for another
        if matches!(state, State::Live | State::Stopped) || !self.in_charge() {
            tracing::debug!(pipeline = %shared.name, %fault, "source fault");
        } else {
            shared.set_state(state, fault.to_string());
        }
    }

    /// Says that the source is alive. One that is silent for too long is left, or started anew.
    pub fn beat(&self) {
        self.run.note(|seen, now| seen.beat(now));
    }

    /// Says that so many bytes came, whatever is in them: a sign of life, and a measure of what is broken.
    pub fn received(&self, bytes: usize) {
        self.run.note(|seen, now| seen.received(now, bytes as u64));
    }

    /// Says when what is brought from now on came, for a source that gets it from something that holds back.
    pub fn came(&self, at: Instant) {
        self.run.observe_quietly(|seen| seen.came(at));
    }

    /// Says that the origin's list brought something. From then on, a list that brings nothing more is a stall. What it
    /// brings at the start is served, and shows nothing of the origin until there is more.
    pub fn listed(&self, what: Listed) {
        let now = Instant::now();
        self.run.observed.send_if_modified(|seen| seen.listed(now, what));
    }

    /// Says that the origin's list has ended: what is in it may take its time to play, and that nothing is added is no
    /// stall.
    pub fn list_over(&self) {
        self.run.note(|seen, _| seen.list_over());
    }

    /// Says that an object of the origin was taken in whole, although it may wait for others before it.
    pub fn arrived(&self) {
        self.run.note(|seen, now| seen.arrived(now));
    }

    /// For a probe that takes no media in: so much playing time is new at the origin.
    pub fn moved(&self, duration: Duration) {
        self.run.moved(duration, 0);
    }

    /// Whether the run is on trial. Set to false, it serves from its next segment on.
    pub(super) fn trial(&self) -> Arc<AtomicBool> {
        self.run.trial.clone()
    }

    /// What the run did so far. Wakes with the first media and with faults.
    pub(super) fn observed(&self) -> watch::Receiver<Observed> {
        self.run.observed.subscribe()
    }

    /// How long ago the pipeline last got media, from whichever source; none before any came.
    pub fn idle(&self) -> Option<Duration> {
        let shared = &self.run.shared;
        let set = shared.renditions()?;
        let has_media = set.renditions.iter().any(|rendition| !rendition.window.snapshot().is_empty());
        has_media.then(|| shared.idle())
    }

    /// What the source counts.
    pub fn metrics(&self) -> &SourceMetrics {
        &self.run.metrics
    }

    /// Says that the stream is over: playlists get their end, if the pipeline has no other source.
    pub fn end(&self) {
        if self.in_charge() && !self.run.shared.has_alternatives() {
            self.run.shared.end();
        }
    }

    /// Whether no newer run is live, and this one is.
    pub fn in_charge(&self) -> bool {
        self.run.shared.generation.load(Ordering::Acquire) == self.run.generation
    }
}

impl Run {
    /// # Errors
    /// `Stopped` when a newer run is live.
    pub(super) fn in_charge(&self) -> Result<(), Fault> {
        match self.shared.generation.load(Ordering::Acquire) {
            current if current == self.generation => Ok(()),
            _ => Err(Fault::new(FaultKind::Stopped)),
        }
    }

    /// Notes what it feeds, and shows it where it does already.
    fn feeds(&self, fed: Arc<[Fed]>) {
        self.fed.store(Some(Arc::new(fed)));
        if self.base.get().is_some() && self.in_charge().is_ok() {
            self.shared.fed.store(self.fed.load_full());
        }
    }

    pub(super) fn is_on_trial(&self) -> bool {
        self.trial.load(Ordering::Acquire)
    }

    /// Retires older runs; gives the discontinuity sequence at era 0.
    pub(super) fn take_over(&self, set: &Arc<RenditionSet>) -> Result<u64, Fault> {
        if self.shared.generation.fetch_max(self.generation, Ordering::AcqRel) > self.generation {
            return Err(Fault::new(FaultKind::Stopped));
        }
        Ok(*self.base.get_or_init(|| {
            self.observe(|_| {}); // that it takes over is news
            self.shared.note_gap();
            self.shared.publish(set);
            self.shared.fed.store(self.fed.load_full());
            let names = set.renditions.iter().map(|rendition| &rendition.spec.name);
            names.for_each(|name| self.shared.metrics.forget_playlist_age(name));
            let resumed = self.resumed.load(Ordering::Relaxed);
            if !resumed {
                set.level();
            }
            let next = set.renditions.first().map_or(0, |first| first.window.numbers().0);
            self.shared.observing.begin(self.generation, &self.lineage, next, self.shared.stalls());
            // the same step in every window, however far each has come
            let last = set.renditions.iter().map(|rendition| rendition.window.numbers().1).max().unwrap_or(0);
            let fresh = set.renditions.iter().all(|rendition| rendition.window.snapshot().is_empty());
            last + u64::from(!fresh && !resumed)
        }))
    }

    /// Nothing of this run can be served.
    pub(super) fn refuse(&self, why: &str) {
        self.observe(|seen| seen.refused(why));
    }

    /// Media came into a window; the first is news.
    pub(super) fn media(&self, now: Instant) {
        self.observed.send_if_modified(|seen| seen.media(now));
    }

    /// Media time passed at the origin.
    pub(super) fn moved(&self, duration: Duration, era: u64) {
        let now = Instant::now();
        self.observed.send_if_modified(|seen| {
            seen.pace.add(now, duration, era);
            seen.media(now)
        });
    }

    /// Notes what is worth a look.
    pub(super) fn observe(&self, change: impl FnOnce(&mut Observed)) {
        self.observed.send_modify(change);
    }

    /// Notes what is not: it counts when the clock runs out.
    pub(super) fn observe_quietly(&self, change: impl FnOnce(&mut Observed)) {
        self.observed.send_if_modified(|seen| {
            change(seen);
            false
        });
    }

    /// As [`Run::observe_quietly`], with the time.
    pub(super) fn note(&self, change: impl FnOnce(&mut Observed, Instant)) {
        let now = Instant::now();
        self.observe_quietly(|seen| change(seen, now));
    }
}
