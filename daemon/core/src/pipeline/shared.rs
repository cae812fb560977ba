//! What the stages of one pipeline share: its windows, its status, its numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Around, Bounds, Opening, RenditionSpec, State, Status, Viewers, Window};
use crate::event::Events;
use crate::fault::Fault;
use crate::metrics::PipelineMetrics;
use crate::port::{Ledger, Numbering};
use crate::stage::States;

/// A segment that the set before takes in while it is replaced must not share a number with a new one.
const IN_FLIGHT: u64 = 4;

/// How far ahead the kept numbers run, so that not every segment has to be written.
const RESERVE: u64 = 256;

/// A rendition with its window.
pub struct Rendition {
    /// What it is.
    pub spec: RenditionSpec,
    /// Its segments.
    pub window: Arc<Window>,
}

/// Every rendition of a pipeline.
pub struct RenditionSet {
    /// Variants first, in the order of the origin.
    pub renditions: Vec<Arc<Rendition>>,
    /// Whether every segment can be decoded on its own (EXT-X-INDEPENDENT-SEGMENTS).
    pub independent_segments: bool,
    /// Part of every object's name: a new one with every set of windows, so that no URL ever changes its bytes.
    pub epoch: Arc<str>,
    /// When a source found these renditions at its origin.
    pub since: Instant,
    /// Whether it takes the place of other renditions that had viewers.
    pub succeeds: bool,
    /// The longest part (PART-TARGET) for the life of the set; none where it is not paced in parts.
    pub part_target: Option<Duration>,
    target_duration_secs: AtomicU64,
}

impl RenditionSet {
    /// EXT-X-TARGETDURATION, the same in every rendition.
    pub fn target_duration(&self) -> Duration {
        Duration::from_secs(self.target_duration_secs.load(Ordering::Relaxed))
    }

    /// The rendition of this name.
    pub fn find(&self, name: &str) -> Option<&Arc<Rendition>> {
        self.renditions.iter().find(|rendition| rendition.spec.name == name)
    }
}

/// What a pipeline is made with.
#[derive(Clone)]
pub struct Setup {
    /// Its name.
    pub name: Arc<str>,
    /// Its counters.
    pub metrics: Arc<PipelineMetrics>,
    /// Where its events go.
    pub events: Events,
    /// Where its numbers are kept.
    pub ledger: Arc<dyn Ledger>,
    /// What the layers of all pipelines share.
    pub states: Arc<States>,
    /// What its sources may ask of the daemon.
    pub around: Around,
}

/// What the stages of one pipeline share.
pub struct Shared {
    /// Its name.
    pub name: Arc<str>,
    /// Its counters.
    pub metrics: Arc<PipelineMetrics>,
    /// What the layers of all pipelines share.
    pub states: Arc<States>,
    /// What its sources may ask of the daemon.
    pub around: Around,
    events: Events,
    ledger: Arc<dyn Ledger>,
    bounds: ArcSwap<Bounds>,
    renditions: ArcSwapOption<RenditionSet>,
    epochs: AtomicU64,
    status: watch::Sender<Status>,
    pub(super) generation: AtomicU64,
    pub(super) reserved: std::sync::Mutex<Option<Numbering>>,
    last_fault: ArcSwapOption<(Timestamp, Fault)>,
    media: watch::Sender<Instant>,
    viewers: ArcSwap<BTreeMap<Arc<str>, Arc<Viewers>>>,
}

impl Shared {
    /// A pipeline that has not started.
    pub fn new(setup: Setup, bounds: Bounds) -> Self {
        let now = Timestamp::now();
        for state in State::ALL {
            setup.metrics.state(state.word()).set(i64::from(state == State::Starting));
        }
        Self {
            name: setup.name,
            metrics: setup.metrics,
            states: setup.states,
            around: setup.around,
            events: setup.events,
            ledger: setup.ledger,
            bounds: ArcSwap::from_pointee(bounds),
            renditions: ArcSwapOption::empty(),
            epochs: AtomicU64::new(0),
            status: watch::Sender::new(Status { state: State::Starting, reason: String::new(), since: now }),
            generation: AtomicU64::new(0),
            reserved: std::sync::Mutex::new(None),
            last_fault: ArcSwapOption::empty(),
            media: watch::Sender::new(Instant::now()),
            viewers: ArcSwap::default(),
        }
    }

    /// The renditions; none before a source went live.
    pub fn renditions(&self) -> Option<Arc<RenditionSet>> {
        self.renditions.load_full()
    }

    /// Whether these are the renditions now.
    pub fn serves(&self, set: &Arc<RenditionSet>) -> bool {
        self.renditions.load().as_ref().is_some_and(|served| Arc::ptr_eq(served, set))
    }

    /// The status, to read and to wait on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The last fault of a source, and when it was.
    pub fn last_fault(&self) -> Option<Arc<(Timestamp, Fault)>> {
        self.last_fault.load_full()
    }

    /// Moves to a state. The same state and reason again change nothing.
    pub fn set_state(&self, state: State, reason: impl Into<String>) {
        let reason = reason.into();
        let mut before = None;
        self.status.send_if_modified(|status| {
            if status.state == state && status.reason == reason {
                return false;
            }
            before = Some(status.state);
            *status = Status { state, reason: reason.clone(), since: Timestamp::now() };
            true
        });
        let Some(before) = before.filter(|before| *before != state) else { return };
        self.metrics.state(before.word()).set(0);
        self.metrics.state(state.word()).set(1);
        tracing::info!(pipeline = %self.name, from = before.word(), to = state.word(), reason, "pipeline changed state");
        let detail = serde_json::json!({ "from": before.word(), "to": state.word(), "reason": reason });
        self.events.publish("pipeline.state", Some(self.name.clone()), detail);
    }

    /// Tells everyone who listens that something happened to this pipeline.
    pub fn tell(&self, kind: &'static str, detail: serde_json::Value) {
        self.events.publish(kind, Some(self.name.clone()), detail);
    }

    /// Changes the bounds of every window.
    pub fn resize(&self, bounds: Bounds) {
        self.bounds.store(Arc::new(bounds));
        if let Some(set) = self.renditions() {
            set.renditions.iter().for_each(|rendition| rendition.window.resize(bounds));
        }
    }

    /// Wakes with all media that comes, of every rendition.
    pub fn arrivals(&self) -> watch::Receiver<Instant> {
        self.media.subscribe()
    }

    /// How long ago the last segment or part came.
    pub fn idle(&self) -> Duration {
        self.media.borrow().elapsed()
    }

    /// The viewers of every sink.
    pub fn viewers(&self) -> Arc<BTreeMap<Arc<str>, Arc<Viewers>>> {
        self.viewers.load_full()
    }

    /// The viewers of the sink of this name; the same table for every caller.
    pub fn viewers_of(&self, sink: &Arc<str>) -> Arc<Viewers> {
        if let Some(viewers) = self.viewers.load().get(sink) {
            return viewers.clone();
        }
        let fresh = Arc::new(Viewers::new(self.metrics.sink(sink)));
        self.viewers.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.entry(sink.clone()).or_insert_with(|| fresh.clone());
            all
        });
        self.viewers.load().get(sink).cloned().unwrap_or(fresh)
    }

    pub(super) fn media_came(&self) {
        self.media.send_replace(Instant::now());
    }

    pub(super) fn remember(&self, fault: &Fault) {
        self.last_fault.store(Some(Arc::new((Timestamp::now(), fault.clone()))));
    }

    /// The set that a source describes. Where it is like the one that is served, its windows go on; else it has new
    /// ones. It is served from the first segment on (see [`Shared::publish`]).
    pub(super) fn open(&self, opening: &Opening<'_>) -> Arc<RenditionSet> {
        let &Opening { specs, target, independent_segments: independent, part_target } = opening;
        let served = self.renditions();
        if let Some(set) = served.as_ref().filter(|set| set.fits(specs)) {
            if set.target_duration_secs.fetch_max(ceil_secs(target), Ordering::Relaxed) < ceil_secs(target) {
                tracing::warn!(pipeline = %self.name, ?target, "the target duration had to grow");
            }
            return if set.describes(specs) { set.clone() } else { set.described_by(specs, independent) };
        }
        let bounds = **self.bounds.load();
        let renditions = specs.iter().map(|spec| {
            let window = Arc::new(Window::new(bounds, self.metrics.rendition(&spec.name)));
            Arc::new(Rendition { spec: spec.clone(), window })
        });
        let kept = served.map_or(0, |set| set.target_duration().as_secs());
        Arc::new(RenditionSet {
            renditions: renditions.collect(),
            independent_segments: independent,
            epoch: self.next_epoch(),
            since: Instant::now(),
            succeeds: kept > 0,
            part_target,
            target_duration_secs: AtomicU64::new(ceil_secs(target).max(kept)),
        })
    }

    /// The wall clock in milliseconds, or one more than the last.
    fn next_epoch(&self) -> Arc<str> {
        let now = Timestamp::now().as_millisecond().unsigned_abs();
        let next = |last: u64| now.max(last + 1);
        let last = self.epochs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        base36(next(last.unwrap_or_default())).into()
    }

    /// Serves this set from now on. New windows go on at the numbers of those that were served, or at those that
    /// were kept.
    pub(super) fn publish(&self, set: &Arc<RenditionSet>) {
        let served = self.renditions();
        if served.as_ref().is_none_or(|served| served.epoch != set.epoch) {
            let numbers = match served {
                Some(served) => served.numbers(),
                None => self.ledger.load(&self.name).unwrap_or_else(from_clock),
            };
            set.target_duration_secs.fetch_max(numbers.target_duration_secs, Ordering::Relaxed);
            for rendition in &set.renditions {
                rendition.window.begin(numbers.media_sequence, numbers.discontinuity_sequence);
            }
        }
        let bounds = **self.bounds.load();
        set.renditions.iter().for_each(|rendition| rendition.window.resize(bounds));
        if let Some(before) = self.renditions.swap(Some(set.clone())) {
            before.renditions.iter().for_each(|rendition| rendition.window.retire());
        }
    }

    /// Keeps the numbers ahead of what was given out.
    pub(super) fn reserve(&self, set: &RenditionSet, sequence: u64, discontinuity: u64) {
        let mut reserved = self.reserved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let target_duration_secs = set.target_duration().as_secs();
        if let Some(kept) = *reserved
            && sequence < kept.media_sequence
            && discontinuity < kept.discontinuity_sequence
            && target_duration_secs == kept.target_duration_secs
        {
            return;
        }
        let numbering = Numbering {
            media_sequence: sequence + RESERVE,
            discontinuity_sequence: discontinuity + RESERVE,
            target_duration_secs,
        };
        *reserved = Some(numbering);
        self.ledger.store(&self.name, numbering);
    }
}

impl RenditionSet {
    /// Grows the target duration to hold `duration`, which it must by RFC 8216, 4.3.3.1. Returns whether it grew.
    pub(super) fn hold(&self, duration: Duration) -> bool {
        // rounded to the nearest second, as the RFC compares them
        let needed = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
        self.target_duration_secs.fetch_max(needed, Ordering::Relaxed) < needed
    }

    /// Where a set that takes the place of this one goes on.
    fn numbers(&self) -> Numbering {
        let numbers = self.renditions.iter().map(|rendition| rendition.window.numbers());
        let (media, discontinuity) = numbers.fold((0, 0), |(a, b), (c, d)| (a.max(c), b.max(d)));
        Numbering {
            media_sequence: media + IN_FLIGHT,
            discontinuity_sequence: discontinuity + 1,
            target_duration_secs: self.target_duration().as_secs(),
        }
    }

    fn describes(&self, specs: &[RenditionSpec]) -> bool {
        self.renditions.iter().map(|rendition| &rendition.spec).eq(specs)
    }

    /// The same windows under what another source says of them.
    fn described_by(&self, specs: &[RenditionSpec], independent: bool) -> Arc<Self> {
        let renditions = self.renditions.iter().zip(specs).map(|(rendition, spec)| {
            Arc::new(Rendition { spec: spec.clone(), window: rendition.window.clone() })
        });
        Arc::new(Self {
            renditions: renditions.collect(),
            independent_segments: independent,
            epoch: self.epoch.clone(),
            since: self.since,
            succeeds: self.succeeds,
            part_target: self.part_target,
            target_duration_secs: AtomicU64::new(self.target_duration().as_secs()),
        })
    }

    fn fits(&self, specs: &[RenditionSpec]) -> bool {
        self.renditions.len() == specs.len()
            && self.renditions.iter().zip(specs).all(|(rendition, spec)| {
                rendition.spec.name == spec.name
                    && std::mem::discriminant(&rendition.spec.role) == std::mem::discriminant(&spec.role)
            })
    }
}

/// The start of 2026 in Unix time: numbers from the clock stay small, for players that keep them in 32 bits.
const CLOCK_ZERO_SECS: u64 = 1_767_225_600;

/// Four numbers a second: a start takes up to ten segments at once, and segments may be short.
const CLOCK_RATE: u64 = 4;

/// One discontinuity an hour. Not more: hls.js keeps a list as long as the discontinuity sequence and walks it with each
/// playlist, which at one a second kept a browser busy that did nothing else.
const CLOCK_DISCONTINUITY_SECS: u64 = 3600;

/// Numbers for a pipeline of which nothing was kept: from the clock, so that they are above those of any run
/// before, as long as that run gave out less than [`CLOCK_RATE`] segments a second and one discontinuity in
/// [`CLOCK_DISCONTINUITY_SECS`].
fn from_clock() -> Numbering {
    let now = Timestamp::now().as_second().unsigned_abs().saturating_sub(CLOCK_ZERO_SECS);
    let (media_sequence, discontinuity_sequence) = (now * CLOCK_RATE, now / CLOCK_DISCONTINUITY_SECS);
    Numbering { media_sequence, discontinuity_sequence, target_duration_secs: 1 }
}

fn ceil_secs(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

fn base36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}
