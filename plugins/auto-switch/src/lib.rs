//! Asks for another source by a rule of the operator: when the health of a stream stays low, or when it stalls again and
//! again.
//!
//! ```kdl
//! plugin "auto-switch" { kv "64KiB"; actions "switch-source" }
//! // in the pipeline
//! on "health.changed" "stream.stalled" "source.switched" run="auto-switch" { below 40; last "20s" }
//! ```
//! The daemon has its own rules for a source that is down. This one is for a source that is up and not good enough.

use std::time::Duration;

use sluice_plugin_sdk::prelude::*;
use sluice_plugin_sdk::serde::{Deserialize, Serialize};

const STATE: &str = "state";

settings! {
    /// What an operator may write in the `on … run="auto-switch"` node.
    #[derive(Debug)]
    pub struct Settings {
        /// A health score below this is low; 0 leaves health out.
        pub below: u32 = 30,
        /// How long the score must stay low; up to 1 h.
        pub last: Duration = "20s",
        /// So many stalls are too many; 0 leaves stalls out.
        pub stalls: u32 = 3,
        /// The time in which stalls are counted; up to 24 h.
        pub within: Duration = "5m",
        /// What is asked for: switch-source or restart-source. The node `plugin` must allow it.
        pub action: String = "switch-source",
        /// The place of the source to switch to, from 1; the next one without it.
        pub source: Option<u32>,
        /// How long nothing more is asked for afterwards; 1 s to 24 h.
        pub hold_off: Duration = "2m",
    }
}

/// What is known of a pipeline; in `kv`, for an instance may be replaced.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(crate = "sluice_plugin_sdk::serde", default)]
struct State {
    /// Since when the score is low: Unix time.
    low_since_ms: Option<u64>,
    /// The newest stalls: Unix time.
    stalls_ms: Vec<u64>,
    /// When something was asked for: Unix time.
    asked_ms: Option<u64>,
}

/// The detail of `health.changed`.
#[derive(Deserialize)]
#[serde(crate = "sluice_plugin_sdk::serde")]
struct Changed {
    score: f64,
}

/// The handler.
pub struct AutoSwitch {
    settings: Settings,
}

impl Handler for AutoSwitch {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if !["switch-source", "restart-source"].contains(&settings.action.as_str()) {
            return Err("`action` is switch-source or restart-source".into());
        }
        if settings.source.is_some() && settings.action != "switch-source" || settings.source == Some(0) {
            return Err("`source` is the place of a source to switch to, from 1".into());
        }
        if settings.below > 100 || settings.stalls > 100 {
            return Err("`below` and `stalls` go from 0 to 100".into());
        }
        let day = Duration::from_secs(86_400);
        if settings.within > day || !(Duration::from_secs(1)..=day).contains(&settings.hold_off) {
            return Err("`within` goes to 24h, and `hold-off` from 1s to 24h".into());
        }
        if settings.last > Duration::from_secs(3600) {
            return Err("`last` goes to 1h".into());
        }
        Ok(Self { settings })
    }

    fn handle(&mut self, event: &Event) -> Result<Reaction, String> {
        if event.pipeline.is_none() {
            return Ok(Reaction::none());
        }
        let mut state = read()?;
        match event.kind.as_str() {
            "health.changed" => {
                let low = event.read::<Changed>()?.score < f64::from(self.settings.below);
                state.low_since_ms = if low { state.low_since_ms.or(Some(clock::now_ms())) } else { None };
            }
            "stream.stalled" => {
                state.stalls_ms.push(clock::now_ms());
                let spare = state.stalls_ms.len().saturating_sub(self.settings.stalls.max(1) as usize);
                state.stalls_ms.drain(..spare);
            }
            // another source begins with a clean slate
            "source.switched" => (state.low_since_ms, state.stalls_ms) = (None, Vec::new()),
            _ => return Ok(Reaction::none()),
        }
        self.decide(state)
    }

    fn wake(&mut self) -> Result<Reaction, String> {
        self.decide(read()?)
    }
}

impl AutoSwitch {
    fn decide(&self, mut state: State) -> Result<Reaction, String> {
        let now_ms = clock::now_ms();
        let since = |then_ms: u64| Duration::from_millis(now_ms.saturating_sub(then_ms));
        let held = state.asked_ms.and_then(|asked| self.settings.hold_off.checked_sub(since(asked)));
        let held = held.filter(|held| !held.is_zero());
        let low = state.low_since_ms.filter(|_| self.settings.below > 0).map(since);
        let too_low = low.is_some_and(|low| low >= self.settings.last);
        let recent = state.stalls_ms.iter().filter(|then| since(**then) <= self.settings.within).count();
        let too_many = self.settings.stalls > 0 && recent >= self.settings.stalls as usize;

        let reaction = match (too_low || too_many, held) {
            (true, None) => {
                let why = if too_low {
                    format!(
                        "the health was below {} for {} s",
                        self.settings.below,
                        low.unwrap_or_default().as_secs()
                    )
                } else {
                    format!("{recent} stalls in {} s", self.settings.within.as_secs())
                };
                log::info(format!("asking for {}: {why}", self.settings.action));
                state = State {
                    asked_ms: Some(now_ms),
                    low_since_ms: state.low_since_ms.map(|_| now_ms),
                    stalls_ms: Vec::new(),
                };
                // a score that stays low is no new event
                let again = self.settings.hold_off.max(self.settings.last);
                if state.low_since_ms.is_some() { self.ask().wake_after(again) } else { self.ask() }
            }
            (true, Some(held)) => Reaction::none().wake_after(held),
            (false, _) => match low {
                Some(low) => Reaction::none().wake_after(self.settings.last.saturating_sub(low)),
                None => Reaction::none(),
            },
        };
        kv::write(STATE, &state)?;
        Ok(reaction)
    }

    fn ask(&self) -> Reaction {
        match (self.settings.action.as_str(), self.settings.source) {
            ("restart-source", _) => Reaction::restart_source(),
            (_, Some(place)) => Reaction::switch_source_to(place as usize),
            (_, None) => Reaction::switch_source(),
        }
    }
}

/// What is kept. What another version kept in another form is forgotten.
fn read() -> Result<State, String> {
    match kv::read(STATE) {
        Err(kv::Error::Format(_)) => Ok(State::default()),
        read => Ok(read?.unwrap_or_default()),
    }
}

register_handler!(AutoSwitch);

#[cfg(test)]
mod tests;
