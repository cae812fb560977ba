//! The scorer that the daemon has built in, and that stands in where another one fails.
//!
//! Four factors are judged over the newest observations, of which the older ones count less: with each half-life half
//! as much. Nothing is remembered between calls, so another instance gives the same score, and the arithmetic is such
//! that the native build and the component give the same bits.
//!
//! - `availability`: segments that are missing, or were refused.
//! - `timeliness`: segments that took long beside their playing time, playlists that grew old, media that stopped coming.
//! - `continuity`: continuity counters that do not follow, timestamps with gaps, discontinuities.
//! - `smoothness`: stalls, and attempts after the first.
//!
//! The score is the geometric mean of their weighted mean and of the one that costs most: a stream that is perfect but
//! for a stall every few seconds is not a good stream.

mod factors;
mod trouble;

use std::time::Duration;

use sluice_plugin_sdk::prelude::*;

use crate::trouble::Past;

settings! {
    /// What an operator may write in the `health "health-default"` node.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Settings {
        /// How fast the past is forgotten: what is this old counts half; 5 s to 1 h.
        pub half_life: Duration = "60s",
        /// What missing segments count; 0 leaves them out.
        pub availability: f64 = 4.0,
        /// What late segments and old playlists count; 0 leaves them out.
        pub timeliness: f64 = 3.0,
        /// What broken media counts; 0 leaves it out.
        pub continuity: f64 = 3.0,
        /// What stalls and retries count; 0 leaves them out.
        pub smoothness: f64 = 4.0,
        /// When to look again at a stream with a score of 100; up to 10 min.
        pub calm: Duration = "15s",
        /// When to look again at a stream with a score of 0; at least 1 s, and no longer than calm.
        pub trouble: Duration = "5s",
    }
}

/// The scorer. It keeps nothing but its settings.
#[derive(Debug, Clone)]
pub struct HealthDefault {
    settings: Settings,
}

impl Scorer for HealthDefault {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        let weights = [settings.availability, settings.timeliness, settings.continuity, settings.smoothness];
        if weights.iter().any(|weight| !(0.0..=1000.0).contains(weight)) {
            return Err("a weight goes from 0 to 1000".into());
        }
        if weights.iter().all(|weight| *weight == 0.0) {
            return Err("one of the weights is above 0".into());
        }
        if !(Duration::from_secs(5)..=Duration::from_secs(3600)).contains(&settings.half_life) {
            return Err("`half-life` goes from 5s to 1h".into());
        }
        let (calm, trouble) = (settings.calm, settings.trouble);
        if trouble < Duration::from_secs(1) || calm > Duration::from_secs(600) || trouble > calm {
            return Err("`trouble` is at least 1s, and `calm` goes from there to 10m".into());
        }
        Ok(Self { settings })
    }

    fn score(&mut self, sample: &Sample) -> Result<Health, String> {
        self.judge(sample)
    }
}

impl HealthDefault {
    /// The health of a stream; the same for the same sample, always.
    ///
    /// # Errors
    /// When nothing was seen yet.
    pub fn judge(&self, sample: &Sample) -> Result<Health, String> {
        let settings = &self.settings;
        if sample.observations.is_empty() {
            return Err("no segment was seen yet".into());
        }
        let past = Past::new(sample, settings.half_life);
        let factors = vec![
            factors::availability(&past, settings.availability),
            factors::timeliness(&past, settings.timeliness),
            factors::continuity(&past, settings.continuity),
            factors::smoothness(&past, settings.smoothness),
        ];
        let alive = past.alive();
        let score = combined(&factors) * alive;
        let mut health = Health::weighted(factors);
        if alive < 1.0 {
            health.words = format!("nothing came for {}", trouble::show(sample.idle_ms.into()));
        }
        health.score = Health::new(score).score;
        Ok(health.refresh(self.refresh(score)))
    }

    /// A smooth curve: bands would make the interval jump to and fro at their edges.
    fn refresh(&self, score: f64) -> Duration {
        let share = (score / 100.0) * (score / 100.0);
        let span = self.settings.calm.saturating_sub(self.settings.trouble);
        self.settings.trouble + span.mul_f64(share)
    }
}

/// The geometric mean of the weighted mean and of the factor that costs most, its cost measured by its weight beside
/// the largest one.
fn combined(factors: &[Factor]) -> f64 {
    let weights: f64 = factors.iter().map(|factor| factor.weight).sum();
    let largest = factors.iter().map(|factor| factor.weight).fold(0.0, f64::max);
    let lost = |factor: &Factor| factor.weight * (100.0 - factor.score);
    let mean = 100.0 - factors.iter().map(lost).sum::<f64>() / weights;
    let worst = 100.0 - factors.iter().map(lost).fold(0.0, f64::max) / largest;
    (mean * worst).sqrt()
}

register_scorer!(HealthDefault);

#[cfg(test)]
mod tests;
