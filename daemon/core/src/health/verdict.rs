//! What a scorer says of a stream.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::milliseconds;

/// More factors are refused: each is a series of metrics.
pub const MOST_FACTORS: usize = 32;

/// Within which a recommended interval is brought.
pub const REFRESH: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// A part of a score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// Its name.
    pub name: String,
    /// How much it counts beside the others; 0 or more.
    pub weight: f64,
    /// 0 to 100.
    pub score: f64,
    /// Why, for the operator.
    pub words: String,
}

/// The health of a stream, as a scorer sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// 0 to 100.
    pub score: u8,
    /// What it is made of.
    pub factors: Vec<Factor>,
    /// When a monitor should look again.
    #[serde(rename = "refresh_ms", with = "milliseconds")]
    pub refresh: Duration,
    /// One sentence for the operator.
    pub words: String,
}

impl Verdict {
    /// The verdict with its interval brought within [`REFRESH`], or why it cannot be used: what comes from a plugin has
    /// the right types and no more.
    ///
    /// # Errors
    /// In words, where the score is over 100, or a factor has no name, a weight or score that is no number, is negative
    /// or over 100, or where there are more than [`MOST_FACTORS`].
    pub fn checked(mut self) -> Result<Self, String> {
        if self.score > 100 {
            return Err(format!("the score is {}, over 100", self.score));
        }
        if self.factors.len() > MOST_FACTORS {
            return Err(format!("there are {} factors, over {MOST_FACTORS}", self.factors.len()));
        }
        let mut names = std::collections::BTreeSet::new();
        for factor in &self.factors {
            let name = &factor.name;
            if !is_name(name) {
                return Err(format!(
                    "{name:?} is no name of a factor: at most 64 bytes without control characters"
                ));
            }
            if !names.insert(name) {
                return Err(format!("the factor {name} is there twice"));
            }
            if !factor.weight.is_finite() || factor.weight < 0.0 {
                return Err(format!("the weight of {name} is {}", factor.weight));
            }
            if !(0.0..=100.0).contains(&factor.score) {
                return Err(format!("the score of {name} is {}, not within 0 to 100", factor.score));
            }
        }
        self.refresh = self.refresh.clamp(*REFRESH.start(), *REFRESH.end());
        Ok(self)
    }
}

/// The longest name of a factor.
const NAME_BYTES: usize = 64;

/// Names are labels of metrics.
fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(score: u8, factor: Factor, refresh: Duration) -> Verdict {
        Verdict { score, factors: vec![factor], refresh, words: String::new() }
    }

    fn factor(name: &str, weight: f64, score: f64) -> Factor {
        Factor { name: name.into(), weight, score, words: String::new() }
    }

    #[test]
    fn what_has_the_right_types_and_makes_no_sense_is_refused_with_the_reason() {
        let second = Duration::from_secs(1);
        let well = || factor("gaps", 1.0, 50.0);
        assert!(verdict(100, well(), second).checked().is_ok());
        for (wrong, why) in [
            (verdict(255, well(), second), "the score is 255, over 100"),
            (verdict(1, factor("gaps", f64::NAN, 1.0), second), "the weight of gaps is NaN"),
            (verdict(1, factor("gaps", -1.0, 1.0), second), "the weight of gaps is -1"),
            (verdict(1, factor("gaps", f64::INFINITY, 1.0), second), "the weight of gaps is inf"),
            (
                verdict(1, factor("gaps", 1.0, f64::NAN), second),
                "the score of gaps is NaN, not within 0 to 100",
            ),
            (
                verdict(1, factor("gaps", 1.0, 100.5), second),
                "the score of gaps is 100.5, not within 0 to 100",
            ),
            (
                verdict(1, factor("a\nb", 1.0, 1.0), second),
                "\"a\\nb\" is no name of a factor: at most 64 bytes without control characters",
            ),
        ] {
            assert_eq!(wrong.checked().unwrap_err(), why);
        }
        let mut twice = verdict(1, well(), second);
        twice.factors.push(well());
        assert_eq!(twice.checked().unwrap_err(), "the factor gaps is there twice");
        let many = (0..=MOST_FACTORS).map(|at| factor(&format!("f{at}"), 1.0, 1.0)).collect();
        let many = Verdict { factors: many, ..verdict(1, well(), second) };
        assert_eq!(many.checked().unwrap_err(), "there are 33 factors, over 32");
    }

    #[test]
    fn an_interval_is_brought_within_its_bounds() {
        for (given, kept) in [(0, 1_000), (999, 1_000), (15_000, 15_000), (u64::MAX, 600_000)] {
            let verdict = verdict(1, factor("gaps", 0.0, 0.0), Duration::from_millis(given));
            assert_eq!(verdict.checked().unwrap().refresh, Duration::from_millis(kept));
        }
    }
}
