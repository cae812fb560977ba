//! Where the segments of one rendition go: into its window, numbered, behind the run that was before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::feed::{Fit, Purpose, Run};
use super::mapping::{Mapped, Operation};
use super::supervisor::stalled_after;
use super::{RenditionSet, State, Window};
use crate::fault::{Fault, FaultKind};
use crate::health::Delivery;
use crate::media::{Container, Media, Origin, Part};

/// How many segments a run can bring while the next one looks for its place.
const MOST_REPEATED: usize = 8;

/// Where the segments of one rendition go.
pub struct Writer {
    pub(super) run: Arc<Run>,
    pub(super) set: Arc<RenditionSet>,
    /// Whether the run's media time is counted by this one.
    pub(super) leads: bool,
    pub(super) outlet: Outlet,
    /// Whether nothing of a run that began with a trial is in the windows yet, so that nothing in them can grow.
    pub(super) awaits_start: AtomicBool,
}

/// Where what a writer takes goes.
pub(super) enum Outlet {
    /// Into the window at this place.
    Window(usize),
    /// Into the windows that a mapper says, where it is the rendition at this place.
    Mapped(Arc<Mapped>, usize),
    /// Nowhere: it is counted.
    Nowhere,
    /// Nowhere: it cannot take the place of what is served.
    Refused(Arc<str>),
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// So many bytes came into windows.
    Brought(u64),
    /// The run before had brought it.
    Known,
}

impl Writer {
    /// Appends a whole segment.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live; `Unsupported` when what the source brings cannot take the place of what is
    /// served, or when the container is of another family than that of the segment before, without a discontinuity
    /// between them (RFC 8216, 4.3.2.3).
    pub fn append(&self, media: Media) -> Result<(), Fault> {
        self.append_delivered(media, Delivery::default())
    }

    /// As [`Writer::append`], for a source that knows how the segment came.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn append_delivered(&self, media: Media, delivery: Delivery) -> Result<(), Fault> {
        let era = media.era;
        self.put(Operation::Append(media), era, delivery)
    }

    /// Opens a segment that grows by [`Writer::grow`]; the one before is closed. `media` brings no parts.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn open(&self, media: Media) -> Result<(), Fault> {
        let era = media.era;
        self.run.observe_quietly(|seen| seen.era = era);
        self.put(Operation::Open(media), era, Delivery::default())
    }

    /// Adds a part to the open segment.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn grow(&self, part: Part) -> Result<(), Fault> {
        self.put(Operation::Grow(part), self.open_era(), Delivery::default())
    }

    /// Adds the last part to the open segment and closes it, in one change: a player that sees the part knows that it is
    /// the last. `delivery` is that of the whole segment.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn grow_last(&self, part: Part, delivery: Delivery) -> Result<(), Fault> {
        self.put(Operation::GrowLast(part), self.open_era(), delivery)
    }

    /// Closes the open segment, which came so.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn close(&self, delivery: Delivery) -> Result<(), Fault> {
        self.put(Operation::Close, self.open_era(), delivery)
    }

    /// Whether what comes is used: a rendition that feeds nothing that is served need not be fetched.
    pub fn is_needed(&self) -> bool {
        match &self.outlet {
            Outlet::Mapped(mapped, from) => mapped.needs(*from),
            Outlet::Window(_) | Outlet::Nowhere | Outlet::Refused(_) => true,
        }
    }

    /// Whether viewers follow the windows already.
    pub fn joins(&self) -> bool {
        self.set.renditions.iter().any(|rendition| !rendition.window.snapshot().is_empty())
    }

    /// Where the newest segment of the window came from, so that a source can go on behind it; none where that was not
    /// taken as it is.
    pub fn last_origin(&self) -> Option<Origin> {
        self.window(self.place()?).snapshot().segments.last()?.media.origin.clone()
    }

    /// The container of the newest segment.
    pub fn last_container(&self) -> Option<Container> {
        container_in(self.window(self.place()?))
    }

    /// Sets how old the origin's playlist is: the time since it last brought a segment, which goes on. Counts for nothing while this
    /// run does not feed the pipeline.
    pub fn playlist_age(&self, age: Duration) {
        let Some(at) = self.place() else { return };
        if self.run.in_charge().is_ok() {
            let rendition = &self.set.renditions[at].spec.name;
            self.run.shared.metrics.playlist_age(rendition, age);
        }
    }

    /// The target duration that is published.
    pub fn target_duration(&self) -> Duration {
        self.set.target_duration()
    }

    /// The longest part that may be added; none where the windows are not paced in parts.
    pub fn part_target(&self) -> Option<Duration> {
        self.set.part_target
    }

    fn put(&self, operation: Operation, era: u64, delivery: Delivery) -> Result<(), Fault> {
        let (bytes, duration, closes) = (operation.len_bytes(), operation.duration(), operation.closes());
        let ends = closes || matches!(operation, Operation::Append(_)); // a gap is a segment too
        let done = match &self.outlet {
            Outlet::Refused(why) => return Err(Fault::unsupported(why.clone())),
            Outlet::Window(_) | Outlet::Mapped(..) if !self.is_tried_by(&operation) => {
                duration.into_iter().for_each(|duration| self.passed(duration, era));
                return Ok(());
            }
            Outlet::Nowhere => {
                duration.into_iter().for_each(|duration| self.passed(duration, era));
                return Ok(());
            }
            Outlet::Window(at) => self.carry_out(*at, operation)?,
            Outlet::Mapped(mapped, from) => self.map(mapped, *from, &operation)?,
        };
        let Done::Brought(brought) = done else { return Ok(()) };
        if ends && self.leads {
            self.run.shared.observe(&self.set, delivery);
        }
        if closes {
            self.run.observe_quietly(|seen| seen.eased());
        }
        if let Some(duration) = duration {
            self.taken(bytes.min(brought), duration, era);
        }
        Ok(())
    }

    /// Whether the run is past its trial, where it had one: it begins with the next segment behind that.
    fn is_tried_by(&self, operation: &Operation) -> bool {
        if self.run.is_on_trial() {
            return false;
        }
        if matches!(operation, Operation::Append(_) | Operation::Open(_)) {
            self.awaits_start.store(false, Ordering::Relaxed);
        }
        !self.awaits_start.load(Ordering::Relaxed)
    }

    /// Carries out what an operation on a rendition of the source means for the windows.
    fn map(&self, mapped: &Mapped, from: usize, operation: &Operation) -> Result<Done, Fault> {
        let mut state = mapped.lock();
        let made = state.take(&self.set, from, operation).inspect_err(|fault| self.refuse_for(fault))?;
        let mut brought = None;
        let is_nothing = made.is_empty();
        for (at, operation) in made {
            if let Done::Brought(bytes) = self.carry_out(at, operation)? {
                brought = Some(brought.unwrap_or(0) + bytes);
            }
        }
        Ok(brought.or(is_nothing.then_some(0)).map_or(Done::Known, Done::Brought))
    }

    fn carry_out(&self, at: usize, operation: Operation) -> Result<Done, Fault> {
        let (window, bytes) = (self.window(at), operation.len_bytes());
        match operation {
            Operation::Append(mut media) => {
                if media.gap {
                    // a gap of another rendition has the container of that
                    match container_in(window) {
                        Some(container) => media.container = container,
                        None => return Ok(Done::Brought(0)), // before the first segment nobody waits for it
                    }
                }
                let discontinuity = self.admit(window, &media)?;
                if self.has_already(window, &media) {
                    return Ok(Done::Known);
                }
                self.numbered(window.append(media, discontinuity));
            }
            Operation::Open(media) => {
                let discontinuity = self.admit(window, &media)?;
                self.numbered(window.open(media, discontinuity));
            }
            Operation::Grow(part) => {
                self.run.in_charge()?;
                window.grow(part);
            }
            Operation::GrowLast(part) => {
                self.run.in_charge()?;
                window.grow_last(part);
            }
            Operation::Close => {
                self.run.in_charge()?;
                window.close();
            }
        }
        Ok(Done::Brought(bytes))
    }

    fn refuse_for(&self, fault: &Fault) {
        if let FaultKind::Unsupported(why) = &fault.kind {
            self.run.refuse(why);
        }
    }

    /// The window that gets what comes as it is.
    fn place(&self) -> Option<usize> {
        match &self.outlet {
            Outlet::Window(at) => Some(*at),
            Outlet::Mapped(mapped, from) => mapped.window_of(*from),
            Outlet::Nowhere | Outlet::Refused(_) => None,
        }
    }

    fn window(&self, at: usize) -> &Window {
        &self.set.renditions[at].window
    }

    fn open_era(&self) -> u64 {
        self.run.observed.borrow().era
    }

    /// Whether the run before brought the same object after this one had looked for its place.
    fn has_already(&self, window: &Window, media: &Media) -> bool {
        if !self.run.resumed.load(Ordering::Relaxed) || media.origin.is_none() {
            return false;
        }
        let snapshot = window.snapshot();
        let newest = snapshot.segments.iter().rev().take(MOST_REPEATED);
        newest.into_iter().any(|segment| segment.media.origin == media.origin)
    }

    /// Takes over if this run is the newest; gives the discontinuity sequence for `media`.
    fn admit(&self, window: &Window, media: &Media) -> Result<u64, Fault> {
        let maps = matches!(self.run.purpose, Purpose::Serve(Fit::Map) | Purpose::Try(Fit::Map));
        let changes = container_in(window).is_some_and(|container| !container.fits(&media.container));
        if maps && changes {
            let why = format!("it brings {}, which is not what is served", media.container.words());
            self.run.refuse(&why);
            return Err(Fault::unsupported(why));
        }
        let discontinuity = self.run.take_over(&self.set)? + media.era;
        if discontinuity == window.numbers().1 && changes {
            return Err(Fault::unsupported("the container changed without a discontinuity"));
        }
        if self.set.hold(media.duration) {
            let pipeline = &self.run.shared.name;
            tracing::warn!(%pipeline, duration = ?media.duration, "a segment is longer than the target duration, which had to grow");
        }
        Ok(discontinuity)
    }

    /// Counts media that goes nowhere.
    fn passed(&self, duration: Duration, era: u64) {
        if self.leads {
            self.run.moved(duration, era);
        }
    }

    /// Counts media; a gap brings none, and makes nothing live.
    fn taken(&self, bytes: u64, duration: Duration, era: u64) {
        let came = self.run.observed.borrow().came_at(Instant::now());
        if self.leads {
            self.run.observe_quietly(|seen| seen.pace.add(came, duration, era));
        }
        if bytes == 0 {
            self.run.note(|seen, now| seen.beat(now));
            return;
        }
        self.run.media(came);
        self.run.metrics.bytes.inc_by(bytes);
        let age = came.elapsed();
        self.run
            .metrics
            .last_byte
            .set((Timestamp::now().as_duration().as_secs_f64() - age.as_secs_f64()).max(0.0));
        self.run.shared.media_came(came);
        if self.is_news(age) {
            self.run.shared.live();
        }
    }

    /// Whether media of this age shows that the source works. What was held back until a connection was lost does not,
    /// and where nothing came for a while, neither does what stood in the list of another origin already.
    fn is_news(&self, age: Duration) -> bool {
        let state = self.run.shared.status().borrow().state;
        let is_doubted = matches!(state, State::Stalled | State::Failed);
        let awaits = is_doubted && self.run.observed.borrow().awaits_news();
        !awaits && age <= stalled_after(self.set.target_duration())
    }

    fn numbered(&self, (sequence, discontinuity): (u64, u64)) {
        self.run.shared.reserve(&self.set, sequence, discontinuity);
    }
}

fn container_in(window: &Window) -> Option<Container> {
    Some(window.snapshot().segments.last()?.media.container.clone())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Kept, setup};
    use super::super::{Bounds, Feed, Opening, RenditionSpec, Role, Shared};
    use super::*;

    fn writer(shared: &Arc<Shared>, run: u64) -> Writer {
        let feed = Feed::new(shared.clone(), shared.metrics.source("source 1"), run);
        let specs = [RenditionSpec { name: "main".into(), role: Role::only() }];
        let target = Duration::from_secs(2);
        let opening = Opening { specs: &specs, target, independent_segments: true, part_target: None };
        feed.open(&opening).remove(0)
    }

    fn media() -> Media {
        let duration = Duration::from_secs(2);
        let parts = vec![Part { duration, independent: true, bytes: vec![0x47; 188].into() }];
        let container = Container::TransportStream;
        Media { duration, era: 0, gap: false, program_date_time: None, container, origin: None, parts }
    }

    #[tokio::test]
    async fn the_age_of_a_playlist_goes_with_the_run_that_has_one() {
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(crate::metrics::Metrics::new(registry.clone()).unwrap());
        let mut setup = setup(&Arc::new(Kept::default()));
        setup.metrics = metrics.pipeline("news");
        let shared = Arc::new(Shared::new(setup, Bounds { segments: 10, bytes: 1 << 20 }));
        let ages =
            || registry.gather().iter().filter(|one| one.name() == "sluice_playlist_age_seconds").count();
        let with_playlist = writer(&shared, 1);
        with_playlist.append(media()).unwrap();
        assert_eq!(ages(), 0, "none before there is one");
        with_playlist.playlist_age(Duration::from_secs(3));
        assert_eq!(ages(), 1);
        writer(&shared, 2).append(media()).unwrap();
        with_playlist.playlist_age(Duration::from_secs(4));
        assert_eq!(ages(), 0, "the run without a playlist has none");
    }

    #[tokio::test(start_paused = true)]
    async fn a_playlist_ages_between_two_polls() {
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(crate::metrics::Metrics::new(registry.clone()).unwrap());
        let mut setup = setup(&Arc::new(Kept::default()));
        setup.metrics = metrics.pipeline("news");
        let shared = Arc::new(Shared::new(setup, Bounds { segments: 10, bytes: 1 << 20 }));
        let writer = writer(&shared, 1);
        writer.append(media()).unwrap();
        writer.playlist_age(Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(5)).await;
        let families = registry.gather();
        let age = families.iter().find(|one| one.name() == "sluice_playlist_age_seconds").unwrap();
        assert_eq!(age.get_metric()[0].get_gauge().get_value(), 8.0);
    }
}
