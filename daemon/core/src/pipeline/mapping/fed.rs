//! What feeds each rendition that is served, for those who look.

use std::sync::Arc;

use super::{Mapper, Route};
use crate::media::RenditionSpec;
use crate::pipeline::Shared;

/// How a rendition that is served is fed by the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// In what way.
    pub how: FedHow,
    /// The renditions of the source that go into it, by name.
    pub from: Vec<String>,
}

/// The way in which a rendition is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FedHow {
    /// By one, as it is.
    Whole,
    /// By some streams of one.
    Split,
    /// By video and audio that come apart.
    Joined,
    /// By nothing that the source brings.
    Gaps,
}

impl FedHow {
    /// Its name: a closed set.
    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Split => "split",
            Self::Joined => "joined",
            Self::Gaps => "gaps",
        }
    }
}

impl Shared {
    /// What feeds each rendition, in their order, from the first segment on.
    pub fn fed(&self) -> Arc<[Fed]> {
        self.fed.load().as_deref().cloned().unwrap_or_default()
    }
}

/// Each of `specs` by itself.
pub(in crate::pipeline) fn straight(specs: &[RenditionSpec]) -> Arc<[Fed]> {
    specs.iter().map(|spec| Fed { how: FedHow::Whole, from: vec![spec.name.clone()] }).collect()
}

impl Mapper {
    /// What feeds each window, in their order.
    pub(super) fn fed(&self, source: &[RenditionSpec]) -> Arc<[Fed]> {
        let name = |at: &usize| source.get(*at).map(|spec| spec.name.clone());
        let mut fed: Vec<(usize, Fed)> = Vec::new();
        for way in &self.ways {
            let (how, from) = match &way.route {
                Route::Whole(from) => (FedHow::Whole, vec![*from]),
                Route::Split(from, _) => (FedHow::Split, vec![*from]),
                Route::Join { video, audio } => (FedHow::Joined, vec![*video, *audio]),
                Route::Missing => (FedHow::Gaps, Vec::new()),
            };
            let one = Fed { how, from: from.iter().filter_map(name).collect() };
            fed.extend(way.windows.iter().map(|window| (*window, one.clone())));
        }
        fed.sort_by_key(|(window, _)| *window);
        fed.into_iter().map(|(_, fed)| fed).collect()
    }
}
