//! A scorer for broadcasters: each fault of the last minutes costs its full price until it is over.
//!
//! Where `health-default` asks what a viewer notices, this one asks whether anything was wrong at all. A stream with
//! nothing wrong has 100; the price of each kind of fault is a setting.

use std::time::Duration;

use sluice_plugin_sdk::prelude::*;
use sluice_plugin_sdk::units::show_ms;

settings! {
    /// What an operator may write in the `health "health-strict"` node. Prices are for each segment with such a fault.
    #[derive(Debug)]
    pub struct Settings {
        /// How long a fault counts; 10 s to 1 h.
        pub memory: Duration = "2m",
        /// The price of a segment with continuity errors or gaps in its timestamps.
        pub continuity: f64 = 30.0,
        /// The price of a stall.
        pub stall: f64 = 50.0,
        /// The price of a segment that is missing.
        pub missing: f64 = 50.0,
        /// The price of a segment that took longer than it plays.
        pub late: f64 = 20.0,
        /// The price of an attempt after the first.
        pub retry: f64 = 5.0,
        /// The price of a discontinuity.
        pub discontinuity: f64 = 0.0,
    }
}

/// The scorer.
pub struct HealthStrict {
    settings: Settings,
}

impl Scorer for HealthStrict {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if !(Duration::from_secs(10)..=Duration::from_secs(3600)).contains(&settings.memory) {
            return Err("`memory` goes from 10s to 1h".into());
        }
        let s = &settings;
        if [s.continuity, s.stall, s.missing, s.late, s.retry, s.discontinuity]
            .iter()
            .any(|price| !(0.0..=100.0).contains(price))
        {
            return Err("a price goes from 0 to 100".into());
        }
        Ok(Self { settings })
    }

    fn score(&mut self, sample: &Sample) -> Result<Health, String> {
        if sample.observations.is_empty() {
            return Err("no segment was seen yet".into());
        }
        let silent =
            sample.target_duration_ms > 0 && sample.idle_ms > sample.target_duration_ms.saturating_mul(2);
        if silent {
            let words = format!("nothing came for {}", show_ms(sample.idle_ms.into()));
            let factor = Factor::new("silence", 1.0, 0.0, words.clone());
            return Ok(Health::new(0.0).factor(factor).words(words).refresh(Duration::from_secs(2)));
        }
        let mut health = self.add(&self.faults(sample));
        health.refresh_ms = if health.score == 100 { 10_000 } else { 3000 };
        Ok(health)
    }
}

/// A kind of fault: its name, its price, how many there were, and what one of them is called.
type Fault = (&'static str, f64, u64, &'static str);

impl HealthStrict {
    fn faults(&self, sample: &Sample) -> [Fault; 6] {
        let memory_ms = u64::try_from(self.settings.memory.as_millis()).unwrap_or(u64::MAX);
        let since_ms = sample.now_ms.saturating_sub(memory_ms);
        let recent = || sample.observations.iter().filter(|seen| seen.at_ms >= since_ms);
        let with = |fault: &dyn Fn(&Observation) -> bool| recent().filter(|seen| fault(seen)).count() as u64;
        let s = &self.settings;
        [
            (
                "continuity",
                s.continuity,
                with(&|seen| seen.continuity_errors > 0 || seen.pts_gap_ms > 0),
                "broken segments",
            ),
            ("stalls", s.stall, recent().map(|seen| u64::from(seen.stalls)).sum(), "stalls"),
            ("availability", s.missing, with(&|seen| seen.gap || seen.status >= 400), "missing segments"),
            (
                "timeliness",
                s.late,
                with(&|seen| !seen.gap && seen.download_ms > seen.duration_ms),
                "late segments",
            ),
            ("retries", s.retry, recent().map(|seen| u64::from(seen.retries)).sum(), "retries"),
            ("discontinuities", s.discontinuity, with(&|seen| seen.discontinuity), "discontinuities"),
        ]
    }

    /// Prices add up; a factor counts as much as its price, and has what is left of 100.
    fn add(&self, faults: &[Fault]) -> Health {
        let lost: f64 = faults.iter().map(|(_, price, count, _)| price * *count as f64).sum();
        let named = faults.iter().filter(|(.., count, _)| *count > 0);
        let words: Vec<_> = named.map(|(.., count, what)| format!("{what}: {count}")).collect();
        let words = if words.is_empty() { "nothing was wrong".to_owned() } else { words.join(", ") };
        let health = Health::new(100.0 - lost).words(words);
        faults.iter().fold(health, |health, (name, price, count, what)| {
            let score = 100.0 - price * *count as f64;
            health.factor(Factor::new(name, *price, score, format!("{what}: {count}, {price} each")))
        })
    }
}

register_scorer!(HealthStrict);

#[cfg(test)]
mod tests {
    use sluice_plugin_sdk::testing::{MockHost, samples};

    use super::*;

    fn judge(sample: &Sample) -> Health {
        MockHost::new().scorer::<HealthStrict>().unwrap().score(sample).unwrap()
    }

    #[test]
    fn a_single_broken_segment_costs_its_price_until_it_is_over() {
        let broken = |at: usize| {
            judge(&samples::of(60, |place, seen| seen.continuity_errors = u32::from(place == at)))
        };
        assert_eq!(broken(59).score, 70);
        assert_eq!(broken(59).words, "broken segments: 1");
        // 21 segments of 6 s fit in two minutes, both ends included
        assert_eq!((broken(39).score, broken(38).score), (70, 100));
    }

    #[test]
    fn faults_add_up_and_silence_is_zero() {
        assert_eq!(judge(&samples::healthy(60)).score, 100);
        assert_eq!(judge(&samples::stalling(60)).score, 0);
        assert_eq!(judge(&samples::dead(60)).words, "nothing came for 60 s");
        let two = judge(&samples::of(30, |place, seen| {
            seen.retries = u32::from(place == 29);
            seen.pts_gap_ms = if place == 28 { 40 } else { 0 };
        }));
        assert_eq!((two.score, two.words.as_str()), (65, "broken segments: 1, retries: 1"));
    }

    #[test]
    fn prices_are_the_operators() {
        let host = MockHost::new().set("continuity", 100).set("memory", "30s");
        let mut strict = host.scorer::<HealthStrict>().unwrap();
        let broken =
            |at: usize| samples::of(60, |place, seen| seen.continuity_errors = u32::from(place == at));
        assert_eq!(strict.score(&broken(59)).unwrap().score, 0);
        assert_eq!(strict.score(&broken(50)).unwrap().score, 100);
        assert!(MockHost::new().set("stall", 101).scorer::<HealthStrict>().is_err());
        assert!(MockHost::new().set("memory", "1s").scorer::<HealthStrict>().is_err());
    }
}
