//! Delivers the messages of a plugin by HTTP POST: signed, queued in `kv`, tried again with growing waits.
//!
//! A message is kept before it is sent and forgotten once it is answered, so that it outlives the plugin, the daemon and
//! a server that is down. It may arrive twice, never out of order: `webhook-id` stays the same with every attempt.

mod format;
mod queue;
mod signature;

use std::time::Duration;

use sluice_plugin_sdk::prelude::*;
use sluice_plugin_sdk::serde_json::Value;

pub use format::Format;
use queue::{Message, Queue};

/// The most messages that one call sends: a call has a deadline.
const AT_ONCE: usize = 8;
/// The shortest wait after a message that was not taken.
const FIRST_WAIT: Duration = Duration::from_secs(1);

settings! {
    /// The settings of a plugin that delivers, beside its own.
    #[derive(Debug)]
    pub struct Settings {
        /// Where to POST: an http or https URL of a server that the node `plugin` grants.
        pub url: Secret,
        /// Sent as `Authorization: Bearer …`.
        pub token: Option<Secret>,
        /// Signs each message by the rules of standardwebhooks.com (HMAC-SHA256): any text, or `whsec_` and base64.
        pub signing_key: Option<Secret>,
        /// What is posted: json, slack or discord.
        pub format: String = "json",
        /// How long an answer may take.
        pub timeout: Duration = "5s",
        /// The longest wait between attempts; the first is 1 s, and each is twice the one before.
        pub longest_wait: Duration = "5m",
        /// When a message that no one took is dropped, and said so in the log.
        pub give_up: Duration = "24h",
        /// Messages that may wait; of more, the oldest is dropped; 1 to 1000.
        pub queue: u32 = 200,
    }
}

/// Sends messages to one URL.
pub struct Delivery {
    settings: Settings,
    /// How messages look.
    pub format: Format,
    queue: Queue,
}

/// What became of an attempt.
enum Outcome {
    Taken,
    /// No attempt will help; in words.
    Refused(String),
    /// Another attempt may help, after the wait that the server asks for; in words.
    Failed(String, Option<Duration>),
}

impl Delivery {
    /// Checks the settings.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let url = settings.url.expose();
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err("`url` begins with https:// or http://".into());
        }
        if !(1..=1000).contains(&settings.queue) {
            return Err("`queue` goes from 1 to 1000".into());
        }
        if let Some(key) = &settings.signing_key {
            signature::key(key.expose())?;
        }
        let format = settings.format.parse()?;
        Ok(Self { format, queue: Queue { most: settings.queue as usize }, settings })
    }

    /// Takes a message, and sends what is due. `id` is the same for the same message: of an event, its number.
    ///
    /// # Errors
    /// When the store is of no use, so that the message is lost.
    pub fn send(&self, id: &str, body: &Value) -> Result<Reaction, String> {
        let dropped = self.queue.push(&Message {
            id: id.to_owned(),
            body: body.to_string(),
            since_ms: clock::now_ms(),
        })?;
        if dropped > 0 {
            log::warn(format!("{dropped} messages were dropped: the queue is full"));
        }
        self.flush()
    }

    /// Sends what is due, and asks to be woken for the rest.
    ///
    /// # Errors
    /// When the store is of no use.
    pub fn flush(&self) -> Result<Reaction, String> {
        let mut pause = self.queue.pause()?;
        if pause.until_ms > clock::now_ms() {
            return Ok(Reaction::none().wake_after(Duration::from_millis(pause.until_ms - clock::now_ms())));
        }
        for key in self.queue.keys()?.into_iter().take(AT_ONCE) {
            let Some(message) = self.queue.get(&key)? else { continue };
            let (words, asked) = match self.attempt(&message) {
                Outcome::Taken => {
                    self.queue.forget(&key)?;
                    continue;
                }
                Outcome::Refused(words) => {
                    self.give_up(&key, &message, &words)?;
                    continue;
                }
                Outcome::Failed(words, asked) => (words, asked),
            };
            let age = Duration::from_millis(clock::now_ms().saturating_sub(message.since_ms));
            if age >= self.settings.give_up {
                self.give_up(&key, &message, &words)?;
            }
            let wait = self.wait(pause.failures, asked);
            pause.failures = pause.failures.saturating_add(1);
            pause.until_ms = clock::now_ms() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2);
            self.queue.set_pause(&pause)?;
            log::warn(format!("{} was not taken: {words}; trying again in {} s", message.id, wait.as_secs()));
            return Ok(Reaction::none().wake_after(wait));
        }
        if pause.failures > 0 {
            self.queue.end_pause()?;
        }
        let more = !self.queue.keys()?.is_empty();
        Ok(if more { Reaction::none().wake_after(Duration::from_millis(10)) } else { Reaction::none() })
    }

    fn give_up(&self, key: &str, message: &Message, words: &str) -> Result<(), String> {
        log::error(format!("{} is dropped: {words}", message.id));
        Ok(self.queue.forget(key)?)
    }

    /// Twice the one before, or what the server asks for, within the operator's limit.
    fn wait(&self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(1 << failures.min(20));
        asked.unwrap_or(doubled).clamp(FIRST_WAIT, self.settings.longest_wait.max(FIRST_WAIT))
    }

    fn attempt(&self, message: &Message) -> Outcome {
        let mut request = http::Request::post(self.settings.url.expose())
            .header("content-type", "application/json")
            .header("webhook-id", &*message.id)
            .body(message.body.as_str())
            .timeout(self.settings.timeout);
        if let Some(token) = &self.settings.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        if let Some(key) = &self.settings.signing_key {
            let time = clock::now().as_secs();
            let signature = signature::sign(key.expose(), &message.id, time, message.body.as_bytes());
            request =
                request.header("webhook-timestamp", time.to_string()).header("webhook-signature", signature);
        }
        match request.send() {
            Ok(answer) if answer.is_success() => Outcome::Taken,
            Ok(answer) => {
                let words = format!("status {}", answer.status);
                // what is wrong with a request stays wrong, except for these (RFC 9110, 15.5)
                match answer.status {
                    408 | 425 | 429 | 500..=599 => Outcome::Failed(words, retry_after(&answer)),
                    _ => Outcome::Refused(words),
                }
            }
            Err(error @ (http::Error::Refused(_) | http::Error::Invalid(_))) => {
                Outcome::Refused(error.to_string())
            }
            Err(http::Error::TooLarge(_)) => Outcome::Taken,
            Err(error) => Outcome::Failed(error.to_string(), None),
        }
    }
}

/// The seconds of a `Retry-After`; dates are not read.
fn retry_after(answer: &http::Response) -> Option<Duration> {
    answer.get("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
