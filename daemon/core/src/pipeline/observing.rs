//! What was seen of the segments of the first window, for whoever scores the stream.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::{RenditionSet, Role, Shared, Snapshot};
use crate::health::{Delivery, MOST_OBSERVATIONS, Observation, Sample};
use crate::media::Segment;
use crate::media::codecs::Families;

/// The source of a run: a run of the same one goes on where the one before ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lineage {
    /// Its number, over changes of the chain.
    pub(super) id: u64,
    /// Its name by its place in the chain, as `source 1 hls`.
    pub(super) stage: Arc<str>,
}

/// The newest segments of the source that feeds a pipeline. Written once for a segment, under a lock that nobody holds
/// for longer than a copy of the list takes.
#[derive(Default)]
pub(super) struct Observing(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    run: u64,
    lineage: Option<Lineage>,
    /// Segments below this number are of a source that was left, or known.
    next_sequence: u64,
    /// Whether the next segment is the first behind a switch: its discontinuity is ours and not the source's.
    is_switch: bool,
    /// Of what came and is in no segment yet.
    pending: Delivery,
    holds: Holds,
    stalls_told: u32,
    observations: VecDeque<Observation>,
}

/// What the stream has.
#[derive(Debug, Clone, Copy, Default)]
struct Holds {
    is_known: bool,
    video: bool,
    audio: bool,
}

/// How it is around a segment that is whole.
struct Moment {
    at_ms: u64,
    viewers: u32,
    stalls: u32,
}

impl Observing {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // what is kept is valid at any point
    }

    /// A run takes over; what it brings begins at this number. Observations of another source are forgotten.
    pub(super) fn begin(&self, run: u64, lineage: &Lineage, next_sequence: u64, stalls: u32) {
        let mut seen = self.lock();
        (seen.run, seen.next_sequence) = (run, next_sequence);
        (seen.pending, seen.holds) = (Delivery::default(), Holds::default());
        if seen.lineage.as_ref().is_none_or(|before| before.id != lineage.id) {
            seen.observations.clear();
            (seen.is_switch, seen.stalls_told) = (true, stalls);
        }
        seen.lineage = Some(lineage.clone());
    }
}

impl Seen {
    /// Takes note of what is new among `segments`, which came by `delivery`.
    fn take(&mut self, snapshot: &Snapshot, set: &RenditionSet, delivery: Delivery, moment: &Moment) {
        self.pending = self.pending.and(delivery);
        let is_new = |segment: &&Arc<Segment>| segment.sequence >= self.next_sequence;
        let count = snapshot.segments.iter().rev().take_while(is_new).count();
        for segment in &snapshot.segments[snapshot.segments.len() - count..] {
            if !self.holds.is_known && !segment.media.gap {
                self.holds = Holds::of(segment, set);
            }
            self.push(segment, moment);
        }
    }

    fn push(&mut self, segment: &Segment, moment: &Moment) {
        let delivery = std::mem::take(&mut self.pending);
        let is_switch = std::mem::take(&mut self.is_switch);
        if self.observations.len() == MOST_OBSERVATIONS {
            self.observations.pop_front();
        }
        self.observations.push_back(Observation {
            sequence: segment.sequence,
            at_ms: moment.at_ms,
            duration: segment.media.duration,
            download: delivery.download,
            first_byte: delivery.first_byte,
            bytes: segment.media.len_bytes(),
            status: delivery.status,
            retries: delivery.retries,
            discontinuity: segment.discontinuities > 0 && !is_switch,
            gap: segment.media.gap,
            continuity_errors: delivery.continuity_errors,
            pts_gap: delivery.pts_gap,
            playlist_age: delivery.playlist_age,
            viewers: moment.viewers,
            stalls: moment.stalls.wrapping_sub(self.stalls_told),
        });
        self.stalls_told = moment.stalls;
        self.next_sequence = segment.sequence + 1;
    }
}

impl Holds {
    fn of(segment: &Segment, set: &RenditionSet) -> Self {
        let media = &segment.media;
        let first = media.parts.first().map(|part| &*part.bytes).unwrap_or_default();
        let mut families = Families::of_segment(&media.container, first);
        let mut has_audio_apart = false;
        for rendition in &set.renditions {
            match &rendition.spec.role {
                Role::Variant { attributes, .. } if families.is_empty() => {
                    let codecs = attributes.iter().find(|(name, _)| name == "CODECS");
                    codecs.into_iter().for_each(|(_, codecs)| families = Families::of_codecs(codecs));
                }
                Role::Variant { .. } => {}
                Role::Alternative { media_type, .. } => has_audio_apart |= media_type == "AUDIO",
            }
        }
        let audio = has_audio_apart || !families.audio.is_empty();
        Self { is_known: true, video: !families.video.is_empty(), audio }
    }
}

impl Shared {
    /// A segment of the first window may be whole, and came so.
    pub(super) fn observe(&self, set: &RenditionSet, delivery: Delivery) {
        let Some(first) = set.renditions.first() else { return };
        let snapshot = first.window.snapshot();
        let at_ms = now_ms();
        let moment = Moment { at_ms, viewers: self.audience(), stalls: self.stalls() };
        self.observing.lock().take(&snapshot, set, delivery, &moment);
    }

    /// Viewers of every sink.
    fn audience(&self) -> u32 {
        let all: i64 = self.viewers().values().map(|viewers| viewers.metrics.viewers.get()).sum();
        u32::try_from(all.max(0)).unwrap_or(u32::MAX)
    }

    /// The stream as it was over its last segments, and the run that it is of; none before a segment of that is whole.
    pub fn sample(&self) -> Option<(u64, Sample)> {
        let set = self.renditions()?;
        let seen = self.observing.lock();
        if seen.observations.is_empty() {
            return None;
        }
        let sample = Sample {
            pipeline: self.name.to_string(),
            source: seen.lineage.as_ref().map(|lineage| lineage.stage.to_string()).unwrap_or_default(),
            now_ms: now_ms(),
            target_duration: set.target_duration(),
            idle: self.idle(),
            video: seen.holds.video,
            audio: seen.holds.audio,
            viewers: self.audience(),
            observations: seen.observations.iter().copied().collect(),
            measures: Vec::new(),
        };
        Some((seen.run, sample))
    }
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
#[path = "observing_tests.rs"]
mod tests;
