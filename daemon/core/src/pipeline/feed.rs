//! Where a source puts its segments. A feed belongs to one run of one source: the first segment of a newer
//! run retires every older one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Opening, RenditionSet, Shared, State, Window};
use crate::fault::{Fault, FaultKind};
use crate::media::{Container, Media, Origin, Part};
use crate::metrics::SourceMetrics;

/// How many segments a run can bring while the next one looks for its place.
const MOST_REPEATED: usize = 8;

/// One run of one source, as seen from the source.
#[derive(Clone)]
pub struct Feed {
    run: Arc<Run>,
}

struct Run {
    shared: Arc<Shared>,
    metrics: SourceMetrics,
    generation: u64,
    /// The discontinuity sequence at era 0, once the run is live.
    base: OnceLock<u64>,
    resumed: AtomicBool,
    beat: watch::Sender<Instant>,
}

impl Feed {
    /// The feed of a new run. Runs that are older stay in charge until this one brings a segment.
    pub fn new(shared: Arc<Shared>, metrics: SourceMetrics, generation: u64) -> Self {
        let beat = watch::Sender::new(Instant::now());
        let (base, resumed) = (OnceLock::new(), AtomicBool::new(false));
        Self { run: Arc::new(Run { shared, metrics, generation, base, resumed, beat }) }
    }

    /// Declares the renditions, once the origin is known. Where they are those that the pipeline serves already, the
    /// windows go on; else new ones take their place with the first segment, at the same numbers.
    pub fn open(&self, opening: &Opening<'_>) -> Vec<Writer> {
        let set = self.run.shared.open(opening);
        (0..set.renditions.len()).map(|at| Writer { run: self.run.clone(), set: set.clone(), at }).collect()
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
        shared.remember(fault);
        let state = shared.status().borrow().state;
        if state == State::Live || !self.in_charge() {
            tracing::debug!(pipeline = %shared.name, %fault, "source fault");
        } else {
            shared.set_state(state, fault.to_string());
        }
    }

    /// Says that the source is alive. One that is silent for too long is started anew.
    pub fn beat(&self) {
        self.run.beat.send_replace(Instant::now());
    }

    /// The last sign of life.
    pub fn beats(&self) -> watch::Receiver<Instant> {
        self.run.beat.subscribe()
    }

    /// What the source counts.
    pub fn metrics(&self) -> &SourceMetrics {
        &self.run.metrics
    }

    /// Says that the stream is over: playlists get their end.
    pub fn end(&self) {
        if let Some(set) = self.run.shared.renditions().filter(|_| self.in_charge()) {
            set.renditions.iter().for_each(|rendition| rendition.window.end());
        }
    }

    /// Whether no newer run is live, and this one is.
    pub fn in_charge(&self) -> bool {
        self.run.shared.generation.load(Ordering::Acquire) == self.run.generation
    }
}

/// Where the segments of one rendition go.
pub struct Writer {
    run: Arc<Run>,
    set: Arc<RenditionSet>,
    at: usize,
}

impl Writer {
    /// Appends a whole segment.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live; `Unsupported` when the container is of another family than that of the
    /// segment before, without a discontinuity between them (RFC 8216, 4.3.2.3).
    pub fn append(&self, media: Media) -> Result<(), Fault> {
        let discontinuity = self.admit(&media)?;
        if self.has_already(&media) {
            return Ok(());
        }
        let bytes = media.len_bytes();
        self.numbered(self.window().append(media, discontinuity));
        self.taken(bytes);
        Ok(())
    }

    /// Opens a segment that grows by [`Writer::grow`]; the one before is closed. `media` brings no parts.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn open(&self, media: Media) -> Result<(), Fault> {
        let discontinuity = self.admit(&media)?;
        let numbers = self.window().open(media, discontinuity);
        self.numbered(numbers);
        Ok(())
    }

    /// Adds a part to the open segment.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live.
    pub fn grow(&self, part: Part) -> Result<(), Fault> {
        self.run.in_charge()?;
        let bytes = part.bytes.len() as u64;
        self.window().grow(part);
        self.taken(bytes);
        Ok(())
    }

    /// Adds the last part to the open segment and closes it, in one change: a player that sees the part knows that it is
    /// the last.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live.
    pub fn grow_last(&self, part: Part) -> Result<(), Fault> {
        self.run.in_charge()?;
        let bytes = part.bytes.len() as u64;
        self.window().grow_last(part);
        self.taken(bytes);
        Ok(())
    }

    /// Closes the open segment.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live.
    pub fn close(&self) -> Result<(), Fault> {
        self.run.in_charge()?;
        self.window().close();
        Ok(())
    }

    /// Where the newest segment of the window came from, so that a source can go on behind it.
    pub fn last_origin(&self) -> Option<Origin> {
        self.window().snapshot().segments.last()?.media.origin.clone()
    }

    /// The container of the newest segment.
    pub fn last_container(&self) -> Option<Container> {
        Some(self.window().snapshot().segments.last()?.media.container.clone())
    }

    /// Sets how old the origin's playlist is: the time since it last brought a segment.
    pub fn playlist_age(&self, age: Duration) {
        self.run
            .shared
            .metrics
            .rendition(&self.set.renditions[self.at].spec.name)
            .playlist_age
            .set(age.as_secs_f64());
    }

    /// The target duration that is published.
    pub fn target_duration(&self) -> Duration {
        self.set.target_duration()
    }

    /// The longest part that may be added; none where the windows are not paced in parts.
    pub fn part_target(&self) -> Option<Duration> {
        self.set.part_target
    }

    fn window(&self) -> &Window {
        &self.set.renditions[self.at].window
    }

    /// Whether the run before brought the same object after this one had looked for its place.
    fn has_already(&self, media: &Media) -> bool {
        if !self.run.resumed.load(Ordering::Relaxed) || media.origin.is_none() {
            return false;
        }
        let snapshot = self.window().snapshot();
        let newest = snapshot.segments.iter().rev().take(MOST_REPEATED);
        newest.into_iter().any(|segment| segment.media.origin == media.origin)
    }

    /// Takes over if this run is the newest; gives the discontinuity sequence for `media`.
    fn admit(&self, media: &Media) -> Result<u64, Fault> {
        let discontinuity = self.run.take_over(&self.set)? + media.era;
        if discontinuity == self.window().numbers().1
            && let Some(container) = self.last_container()
            && !container.fits(&media.container)
        {
            return Err(Fault::unsupported("the container changed without a discontinuity"));
        }
        if self.set.hold(media.duration) {
            let pipeline = &self.run.shared.name;
            tracing::warn!(%pipeline, duration = ?media.duration, "a segment is longer than the target duration, which had to grow");
        }
        Ok(discontinuity)
    }

    /// Counts media; a gap brings none, and makes nothing live.
    fn taken(&self, bytes: u64) {
        self.run.beat.send_replace(Instant::now());
        if bytes == 0 {
            return;
        }
        self.run.metrics.bytes.inc_by(bytes);
        self.run.metrics.last_byte.set(Timestamp::now().as_duration().as_secs_f64());
        self.run.shared.media_came();
        self.run.shared.set_state(State::Live, "");
    }

    fn numbered(&self, (sequence, discontinuity): (u64, u64)) {
        self.run.shared.reserve(&self.set, sequence, discontinuity);
    }
}

impl Run {
    fn in_charge(&self) -> Result<(), Fault> {
        match self.shared.generation.load(Ordering::Acquire) {
            current if current == self.generation => Ok(()),
            _ => Err(Fault::new(FaultKind::Stopped)),
        }
    }

    /// Retires older runs; gives the discontinuity sequence at era 0.
    fn take_over(&self, set: &Arc<RenditionSet>) -> Result<u64, Fault> {
        if self.shared.generation.fetch_max(self.generation, Ordering::AcqRel) > self.generation {
            return Err(Fault::new(FaultKind::Stopped));
        }
        Ok(*self.base.get_or_init(|| {
            self.shared.publish(set);
            // the same step in every window, however far each has come
            let last = set.renditions.iter().map(|rendition| rendition.window.numbers().1).max().unwrap_or(0);
            let fresh = set.renditions.iter().all(|rendition| rendition.window.snapshot().is_empty());
            self.metrics.active.set(1);
            last + u64::from(!fresh && !self.resumed.load(Ordering::Relaxed))
        }))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.metrics.active.set(0);
    }
}
