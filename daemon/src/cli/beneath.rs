//! What `sluice status` shows beneath a pipeline.

use sluice_core::health::Level;

use crate::api::view::PipelineView;

/// What stands beneath a pipeline: its health where that is not good, the sources of its chain that are not active,
/// renditions that no single one of the source feeds as it is, and recorders that are not well. Name, state and reason.
pub(super) fn beneath(pipeline: &PipelineView) -> impl Iterator<Item = (&str, &str, String)> {
    let others = pipeline.sources.iter().filter(|source| source.state != "active");
    let others = others.map(|source| (&*source.name, &*source.state, source.reason.clone()));
    let others = others.filter(|_| pipeline.sources.len() > 1);
    let unwell = pipeline.pushing.iter().filter(|sink| !matches!(&*sink.state, "running" | "waiting"));
    let made = pipeline.renditions.iter().filter_map(|rendition| {
        let fed = rendition.fed_by.as_ref().filter(|fed| fed.how != "whole")?;
        Some((&*rendition.name, &*fed.how, fed.from.join(" and ")))
    });
    let health = pipeline.health.iter().filter(|health| health.level != Level::Good);
    let health = health.map(|health| ("health", health.level.word(), health.words.clone()));
    let unwell = unwell.map(|sink| (&*sink.name, &*sink.state, sink.reason.clone()));
    health.chain(others).chain(made).chain(unwell)
}
