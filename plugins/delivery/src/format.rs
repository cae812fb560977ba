//! How a message looks to the one who takes it.

use std::str::FromStr;

use sluice_plugin_sdk::Event;
use sluice_plugin_sdk::serde_json::{Value, json};

/// What is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The event as it is.
    Json,
    /// A message to an incoming webhook of Slack.
    Slack,
    /// A message to a webhook of Discord.
    Discord,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "slack" => Ok(Self::Slack),
            "discord" => Ok(Self::Discord),
            other => Err(format!("`format` is json, slack or discord, not {other}")),
        }
    }
}

impl Format {
    /// The body for an event.
    pub fn event(self, event: &Event) -> Value {
        let detail = event.read::<Value>().unwrap_or(Value::Null);
        let whole = json!({
            "id": event.id,
            "time_ms": event.time_ms,
            "kind": event.kind,
            "pipeline": event.pipeline,
            "cause": event.cause,
            "detail": detail,
        });
        let subject = event.pipeline.as_deref().unwrap_or("sluice");
        let text = match &event.cause {
            Some(cause) => format!("{}: {cause}", event.kind),
            None => event.kind.clone(),
        };
        self.message(subject, &text, whole)
    }

    /// The body for a sentence about a subject; `whole` is what machines get instead of it.
    pub fn message(self, subject: &str, text: &str, whole: Value) -> Value {
        match self {
            Self::Json => whole,
            Self::Slack => json!({"text": format!("*{}* {}", slack(subject), slack(text))}),
            // names of streams must not call people
            Self::Discord => json!({
                "content": cut(&format!("**{subject}** {text}"), 2000),
                "allowed_mentions": {"parse": []},
            }),
        }
    }
}

/// The three characters that Slack reads as markup.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Discord refuses longer ones.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_looks_right_to_each_receiver() {
        let event =
            Event::new("source.failed").of("news <1>").because("status 503").with(&json!({"source": 2}));
        assert_eq!(Format::Json.event(&event)["detail"]["source"], 2);
        assert_eq!(Format::Slack.event(&event)["text"], "*news &lt;1&gt;* source.failed: status 503");
        let discord = Format::Discord.event(&Event::new("config.reloaded"));
        assert_eq!(discord["content"], "**sluice** config.reloaded");
        assert_eq!(discord["allowed_mentions"]["parse"], json!([]));
        assert!("teams".parse::<Format>().unwrap_err().contains("slack"));
    }
}
