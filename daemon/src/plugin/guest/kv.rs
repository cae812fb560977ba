//! Values that last.

use std::time::Duration;

use super::Guest;
use super::interfaces::kv::{Error, Host};
use crate::store::{Entry, KeyValueError, Store, StoreError};

/// Calls of the store in one call of the plugin.
const CALLS: u32 = 1000;

/// The longest key.
const KEY_BYTES: usize = 256;

impl Host for Guest {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store(&key)?.get(&self.space, key).await?)
    }

    async fn set(&mut self, key: String, value: Vec<u8>, keep_ms: Option<u64>) -> Result<(), Error> {
        let store = self.store(&key)?;
        let entry = Entry { key, value, keep: keep_ms.map(Duration::from_millis) };
        Ok(store.set(&self.space, entry, self.grants.kv_bytes).await?)
    }

    async fn delete(&mut self, key: String) -> Result<(), Error> {
        Ok(self.store(&key)?.delete(&self.space, key).await?)
    }

    async fn keys(&mut self, prefix: String) -> Result<Vec<String>, Error> {
        Ok(self.any_store()?.keys(&self.space, prefix).await?)
    }
}

impl Guest {
    /// The store, where the key may be one.
    fn store(&mut self, key: &str) -> Result<Store, Error> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(Error::Key);
        }
        self.any_store()
    }

    fn any_store(&mut self) -> Result<Store, Error> {
        self.call.kept += 1;
        if self.call.kept > CALLS {
            return Err(Error::Unavailable(format!("more than {CALLS} calls of the store in one call")));
        }
        let store = self.environment.store.clone();
        store.ok_or_else(|| Error::Unavailable("nothing is kept here".to_owned()))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a plugin's value was not kept or read");
        Self::Unavailable("the store failed; the daemon's log says why".to_owned())
    }
}

impl From<KeyValueError> for Error {
    fn from(error: KeyValueError) -> Self {
        match error {
            KeyValueError::Quota(bytes) => Self::Quota(bytes),
            KeyValueError::Store(error) => error.into(),
        }
    }
}
