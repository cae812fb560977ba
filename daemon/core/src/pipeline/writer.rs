//! Where the segments of one rendition go: into its window, numbered, behind the run that was before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::feed::{Fit, Purpose, Run};
use super::supervisor::stalled_after;
use super::{RenditionSet, State, Window};
use crate::fault::Fault;
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
    /// Whether a segment was opened in the window: before, there is nothing that could grow.
    pub(super) has_opened: AtomicBool,
}

/// Where what a writer takes goes.
pub(super) enum Outlet {
    /// Into the window at this place.
    Window(usize),
    /// Nowhere: it is counted.
    Nowhere,
    /// Nowhere: it cannot take the place of what is served.
    Refused(Arc<str>),
}

impl Writer {
    /// Appends a whole segment.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live; `Unsupported` when what the source brings cannot take the place of what is
    /// served, or when the container is of another family than that of the segment before, without a discontinuity
    /// between them (RFC 8216, 4.3.2.3).
    pub fn append(&self, media: Media) -> Result<(), Fault> {
        let Some(window) = self.window()? else {
            self.passed(media.duration, media.era);
            return Ok(());
        };
        let discontinuity = self.admit(window, &media)?;
        if self.has_already(window, &media) {
            return Ok(());
        }
        let (bytes, duration, era) = (media.len_bytes(), media.duration, media.era);
        self.numbered(window.append(media, discontinuity));
        if bytes > 0 {
            self.run.observe_quietly(|seen| seen.eased());
        }
        self.taken(bytes, duration, era);
        Ok(())
    }

    /// Opens a segment that grows by [`Writer::grow`]; the one before is closed. `media` brings no parts.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn open(&self, media: Media) -> Result<(), Fault> {
        self.run.observe_quietly(|seen| seen.era = media.era);
        let Some(window) = self.window()? else { return Ok(()) };
        let discontinuity = self.admit(window, &media)?;
        let numbers = window.open(media, discontinuity);
        self.has_opened.store(true, Ordering::Relaxed);
        self.numbered(numbers);
        Ok(())
    }

    /// Adds a part to the open segment.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live.
    pub fn grow(&self, part: Part) -> Result<(), Fault> {
        let (bytes, duration, era) = (part.bytes.len() as u64, part.duration, self.run.observed.borrow().era);
        let Some(window) = self.opened()? else {
            self.passed(duration, era);
            return Ok(());
        };
        self.run.in_charge()?;
        window.grow(part);
        self.taken(bytes, duration, era);
        Ok(())
    }

    /// Adds the last part to the open segment and closes it, in one change: a player that sees the part knows that it is
    /// the last.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live.
    pub fn grow_last(&self, part: Part) -> Result<(), Fault> {
        let (bytes, duration, era) = (part.bytes.len() as u64, part.duration, self.run.observed.borrow().era);
        let Some(window) = self.opened()? else {
            self.passed(duration, era);
            return Ok(());
        };
        self.run.in_charge()?;
        window.grow_last(part);
        self.run.observe_quietly(|seen| seen.eased());
        self.taken(bytes, duration, era);
        Ok(())
    }

    /// Closes the open segment.
    ///
    /// # Errors
    /// `Stopped` when a newer run is live.
    pub fn close(&self) -> Result<(), Fault> {
        let Some(window) = self.opened()? else { return Ok(()) };
        self.run.in_charge()?;
        window.close();
        self.run.observe_quietly(|seen| seen.eased());
        Ok(())
    }

    /// Where the newest segment of the window came from, so that a source can go on behind it.
    pub fn last_origin(&self) -> Option<Origin> {
        self.place()?.snapshot().segments.last()?.media.origin.clone()
    }

    /// The container of the newest segment.
    pub fn last_container(&self) -> Option<Container> {
        container_in(self.place()?)
    }

    /// Sets how old the origin's playlist is: the time since it last brought a segment. Counts for nothing while this
    /// run does not feed the pipeline.
    pub fn playlist_age(&self, age: Duration) {
        let Outlet::Window(at) = self.outlet else { return };
        if self.run.in_charge().is_ok() {
            let rendition = &self.set.renditions[at].spec.name;
            self.run.shared.metrics.playlist_age(rendition).set(age.as_secs_f64());
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

    /// The window that this one writes to; none where it is only counted.
    fn window(&self) -> Result<Option<&Window>, Fault> {
        match &self.outlet {
            Outlet::Refused(why) => Err(Fault::unsupported(why.clone())),
            Outlet::Window(_) if self.run.is_on_trial() => Ok(None),
            Outlet::Window(_) | Outlet::Nowhere => Ok(self.place()),
        }
    }

    /// The same, where it holds a segment of this run: a run whose trial ends in the middle of one begins with the next.
    fn opened(&self) -> Result<Option<&Window>, Fault> {
        Ok(self.window()?.filter(|_| self.has_opened.load(Ordering::Relaxed)))
    }

    fn place(&self) -> Option<&Window> {
        match self.outlet {
            Outlet::Window(at) => Some(&self.set.renditions[at].window),
            Outlet::Nowhere | Outlet::Refused(_) => None,
        }
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
}
