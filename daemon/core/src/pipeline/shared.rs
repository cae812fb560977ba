//! What the stages of one pipeline share: its windows, its status, its numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::failover::ChainStatus;
use super::mapping::Fed;
use super::program::{Broadcast, Broadcasting};
use super::rendition_set::ceil_secs;
use super::{Around, Bounds, Opening, Rendition, RenditionSet, State, Status, Viewers, Window};
use crate::event::{self, Events};
use crate::fault::Fault;
use crate::health::Standing;
use crate::metrics::PipelineMetrics;
use crate::port::{Ledger, Numbering, Opinion};
use crate::stage::States;

/// How far ahead the kept numbers run, so that not every segment has to be written.
const RESERVE: u64 = 256;
/// Discontinuities are rare, and some players keep a list as long as their number.
const RESERVE_DISCONTINUITIES: u64 = 16;

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
    /// The target duration that the sources of the chain need, in seconds.
    least_target_secs: AtomicU64,
    epochs: AtomicU64,
    status: watch::Sender<Status>,
    pub(super) generation: AtomicU64,
    pub(super) reserved: std::sync::Mutex<Option<Numbering>>,
    last_fault: ArcSwapOption<(Timestamp, Fault)>,
    media: watch::Sender<Instant>,
    gap: ArcSwap<Duration>,
    chain: ArcSwap<ChainStatus>,
    pub(super) fed: ArcSwapOption<Arc<[Fed]>>,
    pub(super) opinions: watch::Sender<Opinion>,
    pub(super) standing: ArcSwapOption<Standing>,
    pub(super) observing: super::observing::Observing,
    stalls: AtomicU32,
    has_alternatives: AtomicBool,
    viewers: ArcSwap<BTreeMap<Arc<str>, Arc<Viewers>>>,
    broadcast: super::program::Place,
    pub(super) hindrance: ArcSwapOption<String>,
    pub(super) life: super::life::Life,
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
            least_target_secs: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
            status: watch::Sender::new(Status { state: State::Starting, reason: String::new(), since: now }),
            generation: AtomicU64::new(0),
            reserved: std::sync::Mutex::new(None),
            last_fault: ArcSwapOption::empty(),
            media: watch::Sender::new(Instant::now()),
            gap: ArcSwap::default(),
            chain: ArcSwap::default(),
            fed: ArcSwapOption::empty(),
            opinions: watch::Sender::default(),
            standing: ArcSwapOption::empty(),
            observing: super::observing::Observing::default(),
            stalls: AtomicU32::new(0),
            has_alternatives: AtomicBool::new(false),
            viewers: ArcSwap::default(),
            broadcast: super::program::Place::default(),
            hindrance: ArcSwapOption::empty(),
            life: super::life::Life::default(),
        }
    }

    /// A hold on the broadcast of the program, which lags what comes by `behind`. It runs while someone holds it. Call
    /// it within a runtime.
    pub fn broadcast(self: &Arc<Self>, behind: Duration) -> Broadcasting {
        self.broadcast.hold(self, behind)
    }

    /// The broadcast of the program, where one runs.
    pub fn on_air(&self) -> Option<Arc<Broadcast>> {
        self.broadcast.find()
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

    /// How often the stream stalled since the pipeline started.
    pub(super) fn stalls(&self) -> u32 {
        self.stalls.load(Ordering::Relaxed)
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
        self.tell(event::PIPELINE_STATE, Some(&reason), detail.clone());
        if before == State::Live && matches!(state, State::Stalled | State::Failed) {
            self.stalls.fetch_add(1, Ordering::Relaxed);
            self.tell(event::STREAM_STALLED, Some(&reason), detail);
        } else if state == State::Live && matches!(before, State::Stalled | State::Failed) {
            self.tell(event::STREAM_RECOVERED, Some(&reason), detail);
        }
    }

    /// Tells everyone who listens that something happened to this pipeline, and why, in words.
    pub fn tell(&self, kind: &'static str, cause: Option<&str>, detail: serde_json::Value) {
        self.events.publish(kind, Some(self.name.clone()), cause, detail);
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

    /// Media came at this time.
    pub(crate) fn media_came(&self, at: Instant) {
        self.media.send_modify(|last| *last = at.max(*last));
    }

    pub(super) fn remember(&self, fault: &Fault) {
        self.last_fault.store(Some(Arc::new((Timestamp::now(), fault.clone()))));
    }

    /// How the chain of sources stands.
    pub fn chain(&self) -> Arc<ChainStatus> {
        self.chain.load_full()
    }

    /// The number of the run that feeds the pipeline: an opinion is about one run. 0 before the first.
    pub fn run(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether another source can follow one that ends.
    pub(super) fn has_alternatives(&self) -> bool {
        self.has_alternatives.load(Ordering::Relaxed)
    }

    pub(super) fn set_alternatives(&self, has_alternatives: bool) {
        self.has_alternatives.store(has_alternatives, Ordering::Relaxed);
    }

    pub(super) fn show_chain(&self, chain: ChainStatus) {
        self.chain.store(Arc::new(chain));
    }

    /// Another run takes over: the time since the last media is the gap that viewers see.
    pub(super) fn note_gap(&self) {
        let gap = if self.renditions.load().is_some() { self.idle() } else { Duration::ZERO };
        self.gap.store(Arc::new(gap));
    }

    /// The gap before the run that feeds the pipeline.
    pub(super) fn last_gap(&self) -> Duration {
        **self.gap.load()
    }

    /// Closes the segments that still grow: their source has gone.
    pub(super) fn close_open(&self) {
        let set = self.renditions();
        set.iter().flat_map(|set| &set.renditions).for_each(|rendition| rendition.window.close());
    }

    /// Says that the stream is over: playlists get their end.
    pub(super) fn end(&self) {
        let set = self.renditions();
        set.iter().flat_map(|set| &set.renditions).for_each(|rendition| rendition.window.end());
    }

    /// Says how long the longest segments are that a source of the chain cuts: renditions that are opened from now on
    /// have a target duration that holds them.
    pub(super) fn expect_segments(&self, longest: Duration) {
        let secs = if longest.is_zero() { 0 } else { ceil_secs(longest) };
        self.least_target_secs.store(secs, Ordering::Relaxed);
    }

    /// A set of new windows, which are served from the first segment on (see [`Shared::publish`]).
    pub(super) fn new_set(&self, opening: &Opening<'_>) -> Arc<RenditionSet> {
        let bounds = **self.bounds.load();
        let kept = self.renditions().map_or(0, |set| set.target_duration().as_secs());
        let least = self.least_target_secs.load(Ordering::Relaxed);
        let target = Arc::new(AtomicU64::new(ceil_secs(opening.target).max(kept).max(least)));
        let renditions = opening.specs.iter().map(|spec| {
            let metrics = self.metrics.rendition(&spec.name);
            let window = Arc::new(Window::new(bounds, target.clone(), metrics));
            Arc::new(Rendition { spec: spec.clone(), window })
        });
        let renditions = renditions.collect();
        Arc::new(RenditionSet {
            renditions,
            independent_segments: opening.independent_segments,
            epoch: self.next_epoch(),
            since: Instant::now(),
            succeeds: kept > 0,
            part_target: opening.part_target,
            target_duration_secs: target,
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
            if before.epoch != set.epoch {
                let viewers: usize = self.viewers().values().map(|viewers| viewers.count()).sum();
                let (before, now) = (before.names(), set.names());
                tracing::warn!(pipeline = %self.name, viewers, before, now, "the renditions changed: players have to open the stream again");
            }
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
            discontinuity_sequence: discontinuity + RESERVE_DISCONTINUITIES,
            target_duration_secs,
        };
        *reserved = Some(numbering);
        self.ledger.store(&self.name, numbering);
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
