//! One message for a trouble, and one when it is over, however often it comes and goes in between.
//!
//! Events are taken together by pipeline and family (`stream`, `source`, `health`, `recording`, …). The first bad one opens
//! a trouble and is posted. What follows is counted. When nothing bad came for a while after a good one, the trouble is
//! over, and that is posted with its length and the count. Events that are neither good nor bad are posted at most
//! once in that while.

mod incident;

use std::time::Duration;

use delivery::Delivery;
use sluice_plugin_sdk::prelude::*;
use sluice_plugin_sdk::serde_json::json;
use sluice_plugin_sdk::units::show_ms;

use incident::{Incident, Meaning, meaning};

settings! {
    /// What an operator may write besides the settings of the delivery.
    #[derive(Debug)]
    pub struct Settings {
        /// How long a stream must be well before its trouble is over; 1 s to 24 h.
        pub calm: Duration = "1m",
    }
}

/// The handler. Troubles and what waits to be sent are in `kv`.
pub struct NotifyThrottle {
    delivery: Delivery,
    calm: Duration,
}

impl Handler for NotifyThrottle {
    type Settings = (delivery::Settings, Settings);

    fn new((delivery, settings): Self::Settings) -> Result<Self, String> {
        if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&settings.calm) {
            return Err("`calm` goes from 1s to 24h".into());
        }
        Ok(Self { delivery: Delivery::new(delivery)?, calm: settings.calm })
    }

    fn handle(&mut self, event: &Event) -> Result<Reaction, String> {
        match meaning(event) {
            Meaning::Bad => {
                let key = incident::key(event);
                if let Some(mut incident) = Incident::read(&key)? {
                    incident.count += 1;
                    incident.calm_since_ms = None;
                    incident.write(&key)?;
                } else {
                    Incident::of(event).write(&key)?;
                    self.post(event)?;
                }
            }
            Meaning::Good => {
                for key in incident::ended_by(event) {
                    let Some(mut incident) = Incident::read(&key)? else { continue };
                    incident.calm_since_ms.get_or_insert(clock::now_ms());
                    incident.write(&key)?;
                }
            }
            Meaning::Nothing => {}
            Meaning::Neither => {
                let posted =
                    format!("posted/{}/{}", event.pipeline.as_deref().unwrap_or_default(), event.kind);
                if kv::get(&posted)?.is_none() {
                    kv::set_for(&posted, b"", self.calm)?;
                    self.post(event)?;
                }
            }
        }
        self.settle()
    }

    fn wake(&mut self) -> Result<Reaction, String> {
        self.settle()
    }
}

impl NotifyThrottle {
    fn post(&self, event: &Event) -> Result<(), String> {
        self.delivery.send(&format!("evt_{}", event.id), &self.delivery.format.event(event)).map(drop)
    }

    /// Posts what is over, sends what waits, and asks to be woken for whichever is next.
    fn settle(&self) -> Result<Reaction, String> {
        let calm_ms = u64::try_from(self.calm.as_millis()).unwrap_or(u64::MAX);
        let mut next_ms: Option<u64> = None;
        for key in kv::keys(incident::PREFIX)? {
            let Some(incident) = Incident::read(&key)? else { continue };
            let Some(since_ms) = incident.calm_since_ms else { continue };
            let calm_for_ms = clock::now_ms().saturating_sub(since_ms);
            if calm_for_ms >= calm_ms {
                kv::delete(&key)?;
                self.resolved(&incident, since_ms)?;
            } else {
                next_ms = next_ms.into_iter().chain([calm_ms - calm_for_ms]).min();
            }
        }
        let mut reaction = self.delivery.flush()?;
        reaction.wake_after_ms = reaction.wake_after_ms.into_iter().chain(next_ms).min();
        Ok(reaction)
    }

    fn resolved(&self, incident: &Incident, until_ms: u64) -> Result<(), String> {
        let lasted_ms = until_ms.saturating_sub(incident.since_ms);
        let subject = incident.pipeline.as_deref().unwrap_or("sluice");
        let text = format!(
            "resolved: {} after {}, {} in all",
            incident.kind,
            show_ms(lasted_ms as f64),
            incident.count,
        );
        let whole = json!({
            "kind": "resolved",
            "of": incident.kind,
            "pipeline": incident.pipeline,
            "since_ms": incident.since_ms,
            "until_ms": until_ms,
            "count": incident.count,
        });
        let body = self.delivery.format.message(subject, &text, whole);
        self.delivery.send(&format!("resolved_{}", incident.id), &body).map(drop)
    }
}

register_handler!(NotifyThrottle);

#[cfg(test)]
mod tests;
