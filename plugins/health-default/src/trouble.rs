//! How much of the recent past was bad.

use std::time::Duration;

use sluice_plugin_sdk::{Observation, Sample};

/// What is taken to have been good before the oldest observation, in observations: one bad segment at the very start is
/// no dead stream.
const BENEFIT: f64 = 3.0;

/// The observations of a sample with what each counts.
pub(crate) struct Past<'a> {
    pub(crate) sample: &'a Sample,
    /// The target duration, or what stands for it.
    pub(crate) target_ms: f64,
    weights: Vec<f64>,
    total: f64,
}

/// How bad something was over the past, and in words how often.
pub(crate) struct Share {
    /// 0 to 1.
    pub(crate) bad: f64,
    /// Observations that were bad at all.
    pub(crate) count: usize,
}

impl<'a> Past<'a> {
    /// Weighs the observations by their age, which is counted from the newest of them or from now.
    pub(crate) fn new(sample: &'a Sample, half_life: Duration) -> Self {
        let newest_ms = sample.observations.iter().map(|seen| seen.at_ms).fold(sample.now_ms, u64::max);
        let weights: Vec<f64> = sample
            .observations
            .iter()
            .map(|seen| faded((newest_ms - seen.at_ms) as f64 / half_life.as_millis() as f64))
            .collect();
        let target_ms = match sample.target_duration_ms {
            0 => 6000.0,
            ms => f64::from(ms),
        };
        Self { sample, target_ms, total: weights.iter().sum(), weights }
    }

    /// The weighted share of a badness, which goes from 0 to 1 for each observation.
    pub(crate) fn share(&self, badness: impl Fn(&Observation) -> f64) -> Share {
        let mut share = Share { bad: 0.0, count: 0 };
        for (seen, weight) in self.sample.observations.iter().zip(&self.weights) {
            let bad = badness(seen).clamp(0.0, 1.0);
            share.bad += bad * weight;
            share.count += usize::from(bad > 0.0);
        }
        share.bad /= self.total + BENEFIT;
        share
    }

    /// 1 while media comes; falls to 0 from one and a half target durations without any to four.
    pub(crate) fn alive(&self) -> f64 {
        let idle = f64::from(self.sample.idle_ms) / self.target_ms;
        ((4.0 - idle) / 2.5).clamp(0.0, 1.0)
    }
}

/// What is left of 1 after so many half-lives: halved for each, and straight in between. `powf` would differ in its last
/// bits between the native build and the component.
fn faded(half_lives: f64) -> f64 {
    let (mut left, mut rest) = (1.0, half_lives.min(60.0));
    while rest >= 1.0 {
        left /= 2.0;
        rest -= 1.0;
    }
    left * (1.0 - rest / 2.0)
}

/// A duration for the operator.
pub(crate) fn show(ms: f64) -> String {
    sluice_plugin_sdk::units::show_ms(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_fades_by_half_with_each_half_life_and_never_grows() {
        assert_eq!([0.0, 1.0, 2.0, 10.0].map(faded), [1.0, 0.5, 0.25, 1.0 / 1024.0]);
        let steps: Vec<f64> = (0..1000).map(|step| faded(f64::from(step) / 50.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[0] > pair[1]));
        assert!(faded(1e300) >= 0.0);
    }
}
