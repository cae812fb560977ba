//! Small values of plugins: a namespace for each plugin and pipeline, one quota for each plugin.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{KeyValueError, Store, StoreError};

/// The most keys that are listed at once.
const LISTED: i64 = 1000;

/// Whose values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Namespace {
    /// The plugin, which has the quota.
    pub(crate) plugin: Arc<str>,
    /// None for what belongs to no pipeline.
    pub(crate) pipeline: Option<Arc<str>>,
}

impl Namespace {
    /// No pipeline is called by the empty name.
    fn pipeline(&self) -> &str {
        self.pipeline.as_deref().unwrap_or_default()
    }
}

/// What is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    /// For how long; none for always.
    pub(crate) keep: Option<Duration>,
}

impl Store {
    /// The value of a key; none where there is none, or where its time is over.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn get(&self, of: &Namespace, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        let of = of.clone();
        self.read(move |connection| get(connection, &of, &key, now_ms())).await
    }

    /// Keeps a value in the place of the one before. `quota_bytes` bounds the keys and values of the plugin, over all
    /// of its namespaces; what has expired does not count.
    ///
    /// # Errors
    /// `Quota`, or when the store cannot be written to. Nothing is changed then.
    pub(crate) async fn set(
        &self,
        of: &Namespace,
        entry: Entry,
        quota_bytes: u64,
    ) -> Result<(), KeyValueError> {
        let of = of.clone();
        self.write(move |transaction| set(transaction, &of, &entry, quota_bytes, now_ms())).await
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(crate) async fn delete(&self, of: &Namespace, key: String) -> Result<(), StoreError> {
        let of = of.clone();
        self.write(move |transaction| {
            transaction
                .prepare("DELETE FROM key_value WHERE plugin = ?1 AND pipeline = ?2 AND key = ?3")?
                .execute(params![of.plugin, of.pipeline(), key])?;
            Ok(())
        })
        .await
    }

    /// The keys with a prefix, in the order of their bytes, at most 1000.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn keys(&self, of: &Namespace, prefix: String) -> Result<Vec<String>, StoreError> {
        let of = of.clone();
        self.read(move |connection| keys(connection, &of, &prefix, now_ms())).await
    }
}

fn get(connection: &Connection, of: &Namespace, key: &str, now: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = connection.prepare(
        "SELECT value FROM key_value WHERE plugin = ?1 AND pipeline = ?2 AND key = ?3
         AND (expires_ms IS NULL OR expires_ms > ?4)",
    )?;
    Ok(found.query_row(params![of.plugin, of.pipeline(), key, now], |row| row.get(0)).optional()?)
}

fn set(
    transaction: &Transaction<'_>,
    of: &Namespace,
    entry: &Entry,
    quota_bytes: u64,
    now: i64,
) -> Result<(), KeyValueError> {
    let keep_ms = entry.keep.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    let expires = keep_ms.map(|keep| now.saturating_add(keep));
    transaction.execute("DELETE FROM key_value WHERE expires_ms <= ?1", params![now])?;
    transaction.execute(
        "INSERT INTO key_value (plugin, pipeline, key, value, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms",
        params![of.plugin, of.pipeline(), entry.key, entry.value, expires],
    )?;
    // an error undoes the transaction
    if used(transaction, &of.plugin)? > quota_bytes { Err(KeyValueError::Quota(quota_bytes)) } else { Ok(()) }
}

fn keys(connection: &Connection, of: &Namespace, prefix: &str, now: i64) -> Result<Vec<String>, StoreError> {
    let mut found = connection.prepare(
        "SELECT key FROM key_value WHERE plugin = ?1 AND pipeline = ?2 AND key >= ?3
         AND substr(key, 1, length(?3)) = ?3 AND (expires_ms IS NULL OR expires_ms > ?4)
         ORDER BY key LIMIT ?5",
    )?;
    let rows = found.query_map(params![of.plugin, of.pipeline(), prefix, now, LISTED], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn used(connection: &Connection, plugin: &str) -> Result<u64, StoreError> {
    let mut found = connection.prepare("SELECT bytes FROM usage WHERE plugin = ?1")?;
    let bytes: Option<i64> = found.query_row([plugin], |row| row.get(0)).optional()?;
    Ok(u64::try_from(bytes.unwrap_or_default()).unwrap_or_default())
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
