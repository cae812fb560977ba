//! A small store that survives reloads of the plugin and restarts of the daemon. Each plugin has one for each pipeline,
//! and one for what belongs to none; together they stay within the quota `kv` of the plugin's node, without which a
//! plugin that calls these functions is not loaded.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::host;

/// Why the store refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The write would exceed the quota, in bytes. Nothing was written.
    #[error("the quota of {0} bytes is used up")]
    Quota(u64),
    /// A key is longer than 256 bytes, or empty.
    #[error("a key has 1 to 256 bytes")]
    Key,
    /// The store cannot be used now; in words.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
    /// What is kept is no such type; in words.
    #[error("what is kept is something else: {0}")]
    Format(String),
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

/// The value of a key; none where there is none, or where its time is over.
///
/// # Errors
/// When the store cannot be used.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    host::kv_get(key)
}

/// Keeps a value.
///
/// # Errors
/// When the quota is used up or the store cannot be used; nothing was written.
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    host::kv_set(key, value, None)
}

/// Keeps a value for a time.
///
/// # Errors
/// As [`set`].
pub fn set_for(key: &str, value: &[u8], time: Duration) -> Result<(), Error> {
    host::kv_set(key, value, Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// Forgets a key. One that is not there is no error.
///
/// # Errors
/// When the store cannot be used.
pub fn delete(key: &str) -> Result<(), Error> {
    host::kv_delete(key)
}

/// The keys with this prefix, in order, at most 1000.
///
/// # Errors
/// When the store cannot be used.
pub fn keys(prefix: &str) -> Result<Vec<String>, Error> {
    host::kv_keys(prefix)
}

/// The value of a key that [`write()`] kept.
///
/// # Errors
/// When the store cannot be used, or holds something else: after an update of the plugin that changed its types.
pub fn read<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    let Some(bytes) = get(key)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Format(error.to_string()))
}

/// Keeps a value as JSON.
///
/// # Errors
/// As [`set`], and when the value cannot be JSON.
pub fn write<T: Serialize>(key: &str, value: &T) -> Result<(), Error> {
    set(key, &serde_json::to_vec(value).map_err(|error| Error::Format(error.to_string()))?)
}
