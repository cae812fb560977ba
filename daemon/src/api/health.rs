//! The health of a pipeline, as the API shows it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_core::health::{Factor, Level, Sample, Standing, legacy_score};
use sluice_core::pipeline::Shared;

/// The health of a pipeline in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HealthBrief {
    /// 0 to 100.
    pub(crate) score: u8,
    /// What follows from it and from those before.
    pub(crate) level: Level,
    /// One sentence.
    pub(crate) words: String,
}

impl HealthBrief {
    /// What `shared` knows; none before the first score.
    pub(crate) fn of(shared: &Shared) -> Option<Self> {
        let standing = shared.standing()?;
        let (score, words) = (standing.verdict.score, standing.verdict.words.clone());
        Some(Self { score, level: standing.level, words })
    }
}

/// The health of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HealthView {
    /// What was said last; none before the first score.
    pub(crate) health: Option<ScoredView>,
    /// The score of the old monitor, for dashboards that know it; none before a segment came.
    pub(crate) legacy_score: Option<u32>,
    /// Segments that were seen of the source that feeds the pipeline; `?observations=1` gives them.
    pub(crate) observations: usize,
}

/// What was said of a pipeline last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScoredView {
    /// 0 to 100.
    pub(crate) score: u8,
    /// good, degraded or failing: what follows from the score and from those before.
    pub(crate) level: Level,
    /// Since when.
    pub(crate) since: Timestamp,
    /// When the score was given.
    pub(crate) at: Timestamp,
    /// One sentence.
    pub(crate) words: String,
    /// What the score is made of.
    pub(crate) factors: Vec<Factor>,
    /// When to look again, as the scorer recommends.
    pub(crate) refresh_seconds: f64,
    /// The scorer that is configured.
    pub(crate) scorer: String,
    /// Why the built-in scorer stands in for it; none where it does not.
    pub(crate) stood_in: Option<String>,
}

impl HealthView {
    /// What `shared` knows.
    pub(crate) fn of(shared: &Shared) -> Self {
        let sample = shared.sample().map(|(_, sample)| sample);
        Self {
            health: shared.standing().map(|standing| ScoredView::from(&*standing)),
            legacy_score: sample.as_ref().map(legacy_score),
            observations: sample.map_or(0, |sample| sample.observations.len()),
        }
    }
}

impl From<&Standing> for ScoredView {
    fn from(standing: &Standing) -> Self {
        let verdict = &standing.verdict;
        Self {
            score: verdict.score,
            level: standing.level,
            since: standing.since,
            at: standing.at,
            words: verdict.words.clone(),
            factors: verdict.factors.clone(),
            refresh_seconds: verdict.refresh.as_secs_f64(),
            scorer: standing.scorer.to_string(),
            stood_in: standing.stood_in.as_deref().map(str::to_owned),
        }
    }
}

/// What a scorer sees of a pipeline now; without observations before a segment came.
pub(crate) fn seen(shared: &Shared) -> Sample {
    shared.sample().map(|(_, sample)| sample).unwrap_or_default()
}
