//! Handlers: what to do about events.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::Settings;

/// Handles events. One instance serves one `on "PATTERN" run="NAME"` node, and may be replaced by a new one between
/// calls. It runs beside the stream: a slow one loses events, never media.
pub trait Handler: Sized {
    /// What the operator writes in the `on` node; `()` for nothing.
    type Settings: Settings;

    /// Makes an instance.
    ///
    /// # Errors
    /// When the settings cannot be; a sentence for the operator, with which the configuration is refused.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// An event that a pattern of the node matched.
    ///
    /// # Errors
    /// When it could not be handled; counted and logged. The event is not sent again: what should be tried again is
    /// kept with [`kv`](crate::kv), and tried in [`wake`](Self::wake).
    fn handle(&mut self, event: &Event) -> Result<Reaction, String>;

    /// The time that [`Reaction::wake_after`] asked for is over; also called once after each start.
    ///
    /// # Errors
    /// As [`handle`](Self::handle).
    fn wake(&mut self) -> Result<Reaction, String> {
        Ok(Reaction::none())
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Event {
    /// Rises with each event, over restarts of the daemon.
    pub id: u64,
    /// Unix time.
    pub time_ms: u64,
    /// As `source.switched`.
    pub kind: String,
    /// The pipeline that it happened to; none for events of the daemon.
    pub pipeline: Option<String>,
    /// Why, in words.
    pub cause: Option<String>,
    /// The particulars: a JSON object. In a recorded event it may stand as an object or as its text.
    #[serde(serialize_with = "as_object", deserialize_with = "object_or_text")]
    pub detail: String,
}

impl Event {
    /// An event for a test.
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), detail: "{}".to_owned(), ..Self::default() }
    }

    /// Of a pipeline.
    #[must_use]
    pub fn of(self, pipeline: &str) -> Self {
        Self { pipeline: Some(pipeline.to_owned()), ..self }
    }

    /// At a time.
    #[must_use]
    pub fn at(self, time_ms: u64) -> Self {
        Self { time_ms, ..self }
    }

    /// With a cause.
    #[must_use]
    pub fn because(self, cause: &str) -> Self {
        Self { cause: Some(cause.to_owned()), ..self }
    }

    /// With particulars.
    #[must_use]
    pub fn with(self, detail: &serde_json::Value) -> Self {
        Self { detail: detail.to_string(), ..self }
    }

    /// The particulars, typed.
    ///
    /// ```
    /// # use sluice_plugin_sdk::prelude::*;
    /// # use sluice_plugin_sdk::serde_json::json;
    /// #[derive(serde::Deserialize)]
    /// struct Changed {
    ///     score: u8,
    /// }
    /// let event = Event::new("health.changed").with(&json!({"score": 12, "verdict": "failing"}));
    /// assert_eq!(event.read::<Changed>().unwrap().score, 12);
    /// ```
    ///
    /// # Errors
    /// When they are something else; in words.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(&self.detail).map_err(|error| format!("the detail of {}: {error}", self.kind))
    }
}

fn as_object<S: Serializer>(detail: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<serde_json::Value>(detail) {
        Ok(object) => object.serialize(serializer),
        Err(_) => detail.serialize(serializer),
    }
}

fn object_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        value => value.to_string(),
    })
}

/// Something that a plugin asks of the daemon; the `plugin "NAME"` node must list its name in `actions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// `switch-source` or `restart-source`.
    pub name: String,
    /// Of `switch-source`: the place of the source in the chain, from 1; none for the next one.
    pub argument: Option<String>,
}

/// The answer of a handler.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reaction {
    /// What the daemon is asked for.
    pub actions: Vec<Action>,
    /// When [`Handler::wake`] is called: 10 ms to 24 h from now. A later one replaces it, none leaves it as it is.
    pub wake_after_ms: Option<u64>,
}

impl Reaction {
    /// Nothing more to do.
    pub fn none() -> Self {
        Self::default()
    }

    /// Asks for another source: the next one of the chain.
    pub fn switch_source() -> Self {
        Self::none().and("switch-source", None)
    }

    /// Asks for another source: the one with this place in the chain, from 1.
    pub fn switch_source_to(place: usize) -> Self {
        Self::none().and("switch-source", Some(place.to_string()))
    }

    /// Asks that the source which feeds the pipeline is opened anew.
    pub fn restart_source() -> Self {
        Self::none().and("restart-source", None)
    }

    /// Asks for [`Handler::wake`].
    #[must_use]
    pub fn wake_after(self, wait: Duration) -> Self {
        Self { wake_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    fn and(mut self, name: &str, argument: Option<String>) -> Self {
        self.actions.push(Action { name: name.to_owned(), argument });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_event_may_hold_its_detail_as_an_object_or_as_text() {
        for detail in [r#"{"to":"source 2"}"#, r#""{\"to\":\"source 2\"}""#] {
            let event: Event =
                serde_json::from_str(&format!(r#"{{"kind":"source.switched","detail":{detail}}}"#)).unwrap();
            assert_eq!(event.detail, r#"{"to":"source 2"}"#);
            assert!(serde_json::to_string(&event).unwrap().contains(r#""detail":{"to":"source 2"}"#));
        }
    }
}
