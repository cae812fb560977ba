//! The renditions of a pipeline with their windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{RenditionSpec, Role, Window};
use crate::port::Numbering;

/// A segment that the set before takes in while it is replaced must not share a number with a new one.
const IN_FLIGHT: u64 = 4;

/// A rendition with its window.
pub struct Rendition {
    /// What it is.
    pub spec: RenditionSpec,
    /// Its segments.
    pub window: Arc<Window>,
}

impl Rendition {
    /// An attribute of its EXT-X-MEDIA tag, without quotes where it has none.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let Role::Alternative { attributes, .. } = &self.spec.role else { return None };
        attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
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
    /// Its windows keep three of it.
    pub(super) target_duration_secs: Arc<AtomicU64>,
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

    /// Grows the target duration to hold `duration`, which it must by RFC 8216, 4.3.3.1. Returns whether it grew.
    pub(super) fn hold(&self, duration: Duration) -> bool {
        // rounded to the nearest second, as the RFC compares them
        let needed = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
        self.target_duration_secs.fetch_max(needed, Ordering::Relaxed) < needed
    }

    /// Where a set that takes the place of this one goes on.
    pub(super) fn numbers(&self) -> Numbering {
        let numbers = self.renditions.iter().map(|rendition| rendition.window.numbers());
        let (media, discontinuity) = numbers.fold((0, 0), |(a, b), (c, d)| (a.max(c), b.max(d)));
        Numbering {
            media_sequence: media + IN_FLIGHT,
            discontinuity_sequence: discontinuity + 1,
            target_duration_secs: self.target_duration().as_secs(),
        }
    }

    /// Whether it is described so already.
    pub(super) fn describes(&self, specs: &[RenditionSpec]) -> bool {
        self.renditions.iter().map(|rendition| &rendition.spec).eq(specs)
    }

    /// The same windows under what another source says of them.
    pub(super) fn described_by(&self, specs: &[RenditionSpec], independent: bool) -> Arc<Self> {
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
            target_duration_secs: self.target_duration_secs.clone(),
        })
    }

    /// Whether these renditions go into its windows as they are: names and roles are the same.
    pub(super) fn fits(&self, specs: &[RenditionSpec]) -> bool {
        self.renditions.len() == specs.len()
            && self.renditions.iter().zip(specs).all(|(rendition, spec)| {
                rendition.spec.name == spec.name
                    && std::mem::discriminant(&rendition.spec.role) == std::mem::discriminant(&spec.role)
            })
    }

    /// The names of its renditions, for words.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.renditions.iter().map(|rendition| &*rendition.spec.name).collect();
        names.join(", ")
    }

    /// A set for a probe: nothing is kept.
    pub(super) fn without_windows(target: Duration) -> Arc<Self> {
        Arc::new(Self {
            renditions: Vec::new(),
            independent_segments: false,
            epoch: "".into(),
            since: Instant::now(),
            succeeds: false,
            part_target: None,
            target_duration_secs: Arc::new(AtomicU64::new(ceil_secs(target))),
        })
    }

    /// Brings every window to the same media time, where a source stopped between them: what is missing becomes a gap,
    /// so that the next discontinuity stands at the same place in each.
    pub(super) fn level(&self) {
        let target = self.target_duration();
        let windows = || self.renditions.iter().map(|rendition| &rendition.window);
        windows().for_each(|window| window.close());
        let most = windows().map(|window| window.since_mark()).max().unwrap_or_default();
        for window in windows() {
            let mut missing = most.saturating_sub(window.since_mark());
            while missing > target / 2 {
                let duration = missing.min(target);
                window.append_gap(duration);
                missing -= duration;
            }
            window.mark();
        }
    }
}

/// A target duration as it is published: whole seconds, at least one.
pub(super) fn ceil_secs(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}
