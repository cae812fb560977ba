//! Scorers: how healthy a stream is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// Scores the health of streams. One instance serves one pipeline, and may be replaced by a new one between calls.
pub trait Scorer: Sized {
    /// What the operator writes in the `health "NAME"` node; `()` for nothing.
    type Settings: Settings;

    /// Makes an instance.
    ///
    /// # Errors
    /// When the settings cannot be; a sentence for the operator, with which the configuration is refused.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// The health of a stream. Called every few seconds for each pipeline, within the deadline of the plugin's node.
    ///
    /// # Errors
    /// When there is no opinion; in words. The built-in scorer stands in.
    fn score(&mut self, sample: &Sample) -> Result<Health, String>;
}

/// What was seen of one segment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observation {
    /// Its media sequence in the window that is served.
    pub sequence: u64,
    /// When it was complete: Unix time.
    pub at_ms: u64,
    /// Its playing time.
    pub duration_ms: u32,
    /// From asking for it to its last byte, retries included; 0 where it came by itself, as in an endless stream.
    pub download_ms: u32,
    /// From asking for it to its first byte; 0 likewise.
    pub first_byte_ms: u32,
    /// Its size.
    pub bytes: u64,
    /// The status of the last answer; 0 where there is none.
    pub status: u16,
    /// Attempts after the first.
    pub retries: u32,
    /// Whether it follows a discontinuity.
    pub discontinuity: bool,
    /// Whether it is missing: only its playing time is known.
    pub gap: bool,
    /// Continuity counters that did not follow, in a transport stream.
    pub continuity_errors: u32,
    /// Playing time that is missing between timestamps.
    pub pts_gap_ms: u32,
    /// How old the newest entry of the origin's playlist was; 0 where there is no playlist.
    pub playlist_age_ms: u32,
    /// Viewers at that time.
    pub viewers: u32,
    /// How often the stream stalled since the observation before.
    pub stalls: u32,
}

/// A stream, as it was over its last segments.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// The pipeline.
    pub pipeline: String,
    /// The source that feeds it, as `source 1 hls`.
    pub source: String,
    /// Unix time.
    pub now_ms: u64,
    /// The target duration that is served.
    pub target_duration_ms: u32,
    /// How long ago the last media came.
    pub idle_ms: u32,
    /// Whether the stream has video.
    pub video: bool,
    /// Whether the stream has audio.
    pub audio: bool,
    /// Viewers now.
    pub viewers: u32,
    /// The newest observations, oldest first; at most 100. Those of a source that was left are not among them.
    pub observations: Vec<Observation>,
    /// Numbers that later versions of the daemon add, by name.
    pub measures: Vec<(String, f64)>,
}

impl Sample {
    /// A number that a later version of the daemon adds; none where this one does not.
    pub fn measure(&self, name: &str) -> Option<f64> {
        self.measures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The playing time of all observations.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.observations.iter().map(|seen| u64::from(seen.duration_ms)).sum())
    }
}

/// A part of a score.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Factor {
    /// Its name.
    pub name: String,
    /// How much it counts beside the others; 0 or more.
    pub weight: f64,
    /// 0 to 100.
    pub score: f64,
    /// Why, for the operator: with figures.
    pub words: String,
}

impl Factor {
    /// A factor. The score is brought within 0 to 100; what is no number is 0.
    pub fn new(name: &str, weight: f64, score: f64, words: impl Into<String>) -> Self {
        Self { name: name.to_owned(), weight: weight.max(0.0), score: within(score), words: words.into() }
    }
}

/// The answer of a scorer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// 0 to 100.
    pub score: u8,
    /// What it is made of; may be empty.
    pub factors: Vec<Factor>,
    /// When a monitor should look again; the daemon brings it within 1 s to 10 min.
    pub refresh_ms: u32,
    /// One sentence for the operator.
    pub words: String,
}

impl Default for Health {
    /// 100, looked at again after 10 s.
    fn default() -> Self {
        Self { score: 100, factors: Vec::new(), refresh_ms: 10_000, words: String::new() }
    }
}

impl Health {
    /// A score, rounded and brought within 0 to 100; what is no number is 0.
    pub fn new(score: f64) -> Self {
        Self { score: rounded(score), ..Self::default() }
    }

    /// The weighted mean of factors; 100 where none has a weight. The words are those of the factor that costs most.
    pub fn weighted(factors: Vec<Factor>) -> Self {
        let weights: f64 = factors.iter().map(|factor| factor.weight).sum();
        let lost = |factor: &Factor| factor.weight * (100.0 - factor.score);
        let score =
            if weights > 0.0 { 100.0 - factors.iter().map(lost).sum::<f64>() / weights } else { 100.0 };
        let worst = factors.iter().max_by(|a, b| lost(a).total_cmp(&lost(b)));
        let words = worst.map(|factor| factor.words.clone()).unwrap_or_default();
        Self { factors, words, ..Self::new(score) }
    }

    /// With a sentence for the operator.
    #[must_use]
    pub fn words(self, words: impl Into<String>) -> Self {
        Self { words: words.into(), ..self }
    }

    /// With another time after which a monitor should look again.
    #[must_use]
    pub fn refresh(self, after: Duration) -> Self {
        Self { refresh_ms: u32::try_from(after.as_millis()).unwrap_or(u32::MAX), ..self }
    }

    /// With one more factor, which does not change the score.
    #[must_use]
    pub fn factor(mut self, factor: Factor) -> Self {
        self.factors.push(factor);
        self
    }
}

/// What is no number is 0: a plugin that divided by zero knows nothing good of the stream.
fn within(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score.clamp(0.0, 100.0) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
fn rounded(score: f64) -> u8 {
    within(score).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_stays_within_0_and_100() {
        let scores = [-1.0, 0.4, 99.5, 255.0, f64::NAN, f64::INFINITY].map(|score| Health::new(score).score);
        assert_eq!(scores, [0, 0, 100, 100, 0, 100]);
    }

    #[test]
    fn a_weighted_score_is_explained_by_what_costs_most() {
        let health = Health::weighted(vec![
            Factor::new("a", 1.0, 0.0, "small but zero"),
            Factor::new("b", 3.0, 50.0, "large and half"),
        ]);
        assert_eq!((health.score, health.words.as_str()), (38, "large and half"));
        assert_eq!(Health::weighted(vec![Factor::new("a", 0.0, 0.0, "")]).score, 100);
    }

    #[test]
    fn a_recorded_window_with_a_misspelt_field_is_refused() {
        assert!(serde_json::from_str::<Sample>(r#"{"observations":[{"retrys":1}]}"#).is_err());
        assert!(serde_json::from_str::<Sample>(r#"{"observations":[{"retries":1}]}"#).is_ok());
    }
}
