//! Which renditions are recorded.

use std::sync::Arc;

use sluice_core::media::Container;
use sluice_core::pipeline::{Rendition, RenditionSet, Role};

/// The renditions that are recorded: that of this name, or the best variant, with its audio. The error says why there
/// are none.
pub(super) fn choose(set: &RenditionSet, name: Option<&str>) -> Result<Vec<Arc<Rendition>>, String> {
    let bandwidth = |rendition: &Rendition| match &rendition.spec.role {
        Role::Variant { bandwidth_bps, .. } => Some(*bandwidth_bps),
        Role::Alternative { .. } => None,
    };
    let variants = set.renditions.iter().rev().filter(|rendition| bandwidth(rendition).is_some());
    let found = match name {
        Some(name) => set.find(name),
        None => variants.max_by_key(|rendition| bandwidth(rendition)),
    };
    let Some(found) = found else {
        let known: Vec<_> = set.renditions.iter().map(|rendition| rendition.spec.name.as_str()).collect();
        return Err(format!("the stream has no such rendition; it has {}", known.join(", ")));
    };
    let Role::Variant { audio: Some(wanted), .. } = &found.spec.role else { return Ok(vec![found.clone()]) };
    let is_audio = |rendition: &&Arc<Rendition>| match &rendition.spec.role {
        Role::Alternative { media_type, group, .. } => media_type == "AUDIO" && group == wanted,
        Role::Variant { .. } => false,
    };
    let mut audio: Vec<_> = set.renditions.iter().filter(is_audio).collect();
    audio.sort_by_key(|rendition| rendition.attribute("DEFAULT") != Some("YES"));
    Ok(std::iter::once(found).chain(audio).cloned().collect())
}

/// The extension of a recorded file.
pub(super) fn extension(container: &Container) -> &'static str {
    match container {
        Container::FragmentedMp4 { .. } => "mp4",
        other => other.extension(),
    }
}
