//! Messages that wait, in `kv`, in the order in which they came.

use sluice_plugin_sdk::kv;
use sluice_plugin_sdk::serde::{Deserialize, Serialize};

const PREFIX: &str = "queue/";
const PAUSE: &str = "pause";

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "sluice_plugin_sdk::serde")]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    /// When it came: Unix time.
    pub(crate) since_ms: u64,
}

/// Nothing is sent before a time, for what was sent last was not taken.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(crate = "sluice_plugin_sdk::serde")]
pub(crate) struct Pause {
    /// Attempts one after another that failed.
    pub(crate) failures: u32,
    /// Unix time.
    pub(crate) until_ms: u64,
}

/// The queue. It is bounded by a number of messages, and by the quota of the store.
pub(crate) struct Queue {
    pub(crate) most: usize,
}

impl Queue {
    /// Takes a message as the newest. Tells how many of the oldest made way.
    pub(crate) fn push(&self, message: &Message) -> Result<usize, kv::Error> {
        let waiting = self.keys()?;
        let next = waiting.last().and_then(|key| number(key)).map_or(0, |last| last + 1);
        let key = format!("{PREFIX}{next:020}");
        let mut oldest = waiting.iter();
        let mut dropped = 0;
        for key in oldest.by_ref().take((waiting.len() + 1).saturating_sub(self.most)) {
            kv::delete(key)?;
            dropped += 1;
        }
        loop {
            let full = match kv::write(&key, message) {
                Err(error @ kv::Error::Quota(_)) => error,
                done => return done.map(|()| dropped),
            };
            kv::delete(oldest.next().ok_or(full)?)?;
            dropped += 1;
        }
    }

    /// What waits, oldest first.
    pub(crate) fn keys(&self) -> Result<Vec<String>, kv::Error> {
        kv::keys(PREFIX)
    }

    /// A message. One that an older version kept in another form is forgotten.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Message>, kv::Error> {
        match kv::read(key) {
            Err(kv::Error::Format(_)) => kv::delete(key).map(|()| None),
            read => read,
        }
    }

    pub(crate) fn forget(&self, key: &str) -> Result<(), kv::Error> {
        kv::delete(key)
    }

    pub(crate) fn pause(&self) -> Result<Pause, kv::Error> {
        match kv::read(PAUSE) {
            Err(kv::Error::Format(_)) => Ok(Pause::default()),
            read => read.map(Option::unwrap_or_default),
        }
    }

    pub(crate) fn set_pause(&self, pause: &Pause) -> Result<(), kv::Error> {
        match kv::write(PAUSE, pause) {
            // without a pause, the next event is the next attempt
            Err(kv::Error::Quota(_)) => Ok(()),
            written => written,
        }
    }

    pub(crate) fn end_pause(&self) -> Result<(), kv::Error> {
        kv::delete(PAUSE)
    }
}

fn number(key: &str) -> Option<u64> {
    key.strip_prefix(PREFIX)?.parse().ok()
}
