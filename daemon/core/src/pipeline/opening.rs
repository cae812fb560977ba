//! What a source says when it opens its windows, and what follows from it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::feed::Fit;
use super::mapping::Mapped;
use super::rendition_set::ceil_secs;
use super::{RenditionSet, RenditionSpec, Shared};

/// What a source knows of its origin before the first segment.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The renditions, variants first.
    pub specs: &'a [RenditionSpec],
    /// The origin's target duration.
    pub target: Duration,
    /// Whether every segment can be decoded on its own.
    pub independent_segments: bool,
    /// The longest part (PART-TARGET), where the source is paced in parts. Windows that go on keep theirs.
    pub part_target: Option<Duration>,
}

/// How a run writes to the windows of a set.
pub(super) enum Way {
    /// Each rendition into its own window.
    Straight,
    /// As a mapper says.
    Mapped(Arc<Mapped>),
    /// Not at all, and why.
    Refused(Arc<str>),
}

impl Shared {
    /// The windows for what a source describes. Where they are like those that are served, these go on; else the source
    /// has new ones, which are served from its first segment on (see [`Shared::publish`]), or is mapped onto them.
    pub(super) fn open(&self, opening: &Opening<'_>, fit: Fit) -> (Arc<RenditionSet>, Way) {
        let Some(served) = self.renditions() else { return (self.new_set(opening), Way::Straight) };
        let specs = opening.specs;
        match fit {
            Fit::Replace if !served.fits(specs) => (self.new_set(opening), Way::Straight),
            Fit::Replace => {
                self.grow_target(&served, opening.target);
                let same = served.describes(specs);
                let described = || served.described_by(specs, opening.independent_segments);
                (if same { served.clone() } else { described() }, Way::Straight)
            }
            Fit::Map => match Mapped::new(&served, opening) {
                Ok(mapped) => {
                    if mapped.keeps_lengths() {
                        self.grow_target(&served, opening.target);
                    }
                    if let Some(ways) = mapped.words() {
                        tracing::info!(pipeline = %self.name, ways, "what the source brings is mapped onto what is served");
                    }
                    (served, Way::Mapped(Arc::new(mapped)))
                }
                Err(why) => (served, Way::Refused(why)),
            },
        }
    }

    fn grow_target(&self, set: &RenditionSet, target: Duration) {
        let needed = ceil_secs(target);
        if set.target_duration_secs.fetch_max(needed, Ordering::Relaxed) < needed {
            tracing::warn!(pipeline = %self.name, ?target, "the target duration had to grow");
        }
    }
}
