//! Which renditions make the program.

use std::sync::Arc;

use crate::media::Role;
use crate::pipeline::{Rendition, RenditionSet};

/// The renditions that make the program: the variant of the highest bandwidth, and the audio of its group, that which
/// plays by default first.
pub(super) fn chosen(set: &RenditionSet) -> Vec<Arc<Rendition>> {
    let bandwidth = |rendition: &&Arc<Rendition>| match rendition.spec.role {
        Role::Variant { bandwidth_bps, .. } => Some(bandwidth_bps),
        Role::Alternative { .. } => None,
    };
    let variants = set.renditions.iter().rev().filter(|one| bandwidth(one).is_some());
    let Some(best) = variants.max_by_key(bandwidth) else { return Vec::new() };
    let mut chosen = vec![best.clone()];
    if let Role::Variant { audio: Some(own), .. } = &best.spec.role {
        let is_ours = |rendition: &&Arc<Rendition>| match &rendition.spec.role {
            Role::Alternative { media_type, group, .. } => media_type == "AUDIO" && group == own,
            Role::Variant { .. } => false,
        };
        let mut audio: Vec<_> = set.renditions.iter().filter(is_ours).cloned().collect();
        audio.sort_by_key(|rendition| rendition.attribute("DEFAULT") != Some("YES"));
        chosen.extend(audio);
    }
    chosen
}

/// The language of a rendition, as its playlist writes it.
pub(super) fn language(rendition: &Rendition) -> Option<String> {
    rendition.attribute("LANGUAGE").map(str::to_owned)
}
