//! The playlists of a set of renditions.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use prometheus::IntCounter;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::Segment;
use sluice_core::media::playlist::render::low_latency::{self, LowLatency, Report, Scope};
use sluice_core::media::playlist::render::{self, MediaOptions};
use sluice_core::pipeline::{Rendition, RenditionSet, Snapshot};

use super::rendered::{Rendered, Slot, Subject};

/// A player keeps three target durations from the end (RFC 8216, 6.3.3): until so many segments are there the stream is
/// starting.
const FIRST_SEGMENTS: usize = 3;
/// In low latency it keeps PART-HOLD-BACK from the end (draft-pantos-hls-rfc8216bis, 4.4.3.8), which is so many parts, and a
/// playlist may be as short. One segment is there all the same, for players refuse a list without any.
const FIRST_PARTS: u32 = 3;

/// How the media playlists of a sink look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Segments in a playlist; more where they are shorter than three target durations.
    pub(super) window: usize,
    /// Whether clients can wait, skip, and take parts.
    pub(super) is_low_latency: bool,
}

impl Form {
    /// The part target of the playlists of `set`; none where they list no parts.
    pub(super) fn part_target(self, set: &RenditionSet) -> Option<Duration> {
        set.part_target.filter(|_| self.is_low_latency)
    }

    /// Fails with `Starting` while too little is there to play.
    pub(super) fn has_started(self, snapshot: &Snapshot, set: &RenditionSet) -> Result<(), Fault> {
        let open = snapshot.open.as_ref().map_or(Duration::ZERO, |open| open.media.duration);
        let held_back = self.part_target(set).map(|target| FIRST_PARTS * target);
        let is_enough = held_back.is_some_and(|held_back| snapshot.duration() + open >= held_back);
        // players that come from other renditions have a buffer already
        let needed = if snapshot.ended || set.succeeds || is_enough { 1 } else { FIRST_SEGMENTS };
        if snapshot.segments.len() < needed {
            return Err(Fault::new(FaultKind::Starting).after(Duration::from_secs(1)));
        }
        Ok(())
    }
}

/// The playlist of one rendition.
pub(super) struct MediaPlaylist {
    rendition: Arc<Rendition>,
    form: Form,
    renderings: IntCounter,
    whole: Slot,
    delta: Slot,
}

impl MediaPlaylist {
    /// Nothing is rendered before the first request. `renderings` counts.
    pub(super) fn new(rendition: Arc<Rendition>, form: Form, renderings: IntCounter) -> Self {
        Self { rendition, form, renderings, whole: Slot::default(), delta: Slot::default() }
    }

    pub(super) fn rendition(&self) -> &Rendition {
        &self.rendition
    }

    /// The playlist now.
    pub(super) fn current(
        &self,
        set: &RenditionSet,
        scope: Scope,
    ) -> Result<Guard<Option<Arc<Rendered>>>, Fault> {
        let slot = match scope {
            Scope::Whole => &self.whole,
            Scope::Delta => &self.delta,
        };
        if let Some(rendered) = slot.known(self.rendition.window.version()) {
            return Ok(rendered);
        }
        slot.current(
            || {
                let snapshot = self.rendition.window.snapshot();
                self.form.has_started(&snapshot, set)?;
                Ok((snapshot.version, self.subject(&snapshot, set), snapshot))
            },
            |version, subject, snapshot| self.render(version, subject, &snapshot, set, scope),
        )
    }

    fn shown<'a>(&self, snapshot: &'a Snapshot, set: &RenditionSet) -> &'a [Arc<Segment>] {
        snapshot.newest(self.form.window, set.target_duration())
    }

    fn subject(&self, snapshot: &Snapshot, set: &RenditionSet) -> Subject {
        let shown = self.shown(snapshot, set);
        let sequence = |segment: Option<&Arc<Segment>>| segment.map_or(0, |segment| segment.sequence);
        let part_target = self.form.part_target(set);
        let open = snapshot.open.as_ref().map(|open| {
            let parts = low_latency::parts_of(open, part_target).len();
            (open.sequence, parts)
        });
        Subject {
            first_sequence: sequence(shown.first()),
            last_sequence: sequence(shown.last()),
            // one without parts changes nothing
            open: open.filter(|(_, parts)| *parts > 0),
            ended: snapshot.ended,
            target_duration_secs: set.target_duration().as_secs(),
        }
    }

    fn render(
        &self,
        version: u64,
        subject: Subject,
        snapshot: &Snapshot,
        set: &RenditionSet,
        scope: Scope,
    ) -> Result<Rendered, Fault> {
        self.renderings.inc();
        let options = MediaOptions {
            target_duration: Duration::from_secs(subject.target_duration_secs),
            independent_segments: set.independent_segments,
            ended: snapshot.ended,
            epoch: &set.epoch,
        };
        let text = if self.form.is_low_latency {
            let part_target = self.form.part_target(set);
            let reports = self.reports(set, part_target);
            let open = snapshot.open.as_deref();
            let low_latency = LowLatency { part_target, open, reports: &reports, scope };
            low_latency::media(self.shown(snapshot, set), &options, &low_latency)
        } else {
            render::media(self.shown(snapshot, set), &options)
        };
        // versions begin anew where other renditions take the place of these; sequences never do
        let kind = if scope == Scope::Delta { "-delta" } else { "" };
        let tag = format!("{}-{}-{version}{kind}", set.epoch, subject.last_sequence);
        Rendered::new(text, version, subject, &tag)
    }

    /// How far the other renditions are.
    fn reports(&self, set: &RenditionSet, part_target: Option<Duration>) -> Vec<Report> {
        let others = set.renditions.iter().filter(|other| !Arc::ptr_eq(other, &self.rendition));
        let reports = others.filter_map(|other| {
            let snapshot = other.window.snapshot();
            let (last, open) = (snapshot.segments.last(), snapshot.open.as_deref());
            let uri = format!("../{}/index.m3u8", other.spec.name);
            low_latency::report(uri, last.map(|last| &**last), open, part_target)
        });
        reports.collect()
    }
}
