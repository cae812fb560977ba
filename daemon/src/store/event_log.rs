//! The log of events: the newest ones, by id.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};

use super::{Store, StoreError};

/// So many of the newest events are kept at least.
pub(super) const KEPT_EVENTS: u64 = 10_000;

/// So many more there may be, so that not each event looks for what is to go.
const SLACK: u64 = 500;

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptEvent {
    /// Rises with each event, over restarts.
    pub(crate) id: u64,
    /// When, to the millisecond.
    pub(crate) time: Timestamp,
    pub(crate) kind: String,
    pub(crate) pipeline: Option<String>,
    pub(crate) cause: Option<String>,
    /// A JSON object.
    pub(crate) detail: String,
}

/// Which events are asked for. All that is given must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptEvents {
    /// Kinds, in which `*` stands for anything; none for every kind.
    pub(crate) kinds: Vec<String>,
    pub(crate) pipeline: Option<String>,
    /// Events with a higher id.
    pub(crate) after: Option<u64>,
    /// Events with a lower id: the next page.
    pub(crate) before: Option<u64>,
    /// Events of this time or later.
    pub(crate) since: Option<Timestamp>,
    /// Events before this time.
    pub(crate) until: Option<Timestamp>,
    /// At most so many, the newest ones; 0 for all that are kept.
    pub(crate) limit: u64,
}

impl Store {
    /// Keeps events, in one transaction, and forgets what is too old. One whose id is kept already is left out.
    ///
    /// # Errors
    /// When the store cannot be written to: none is kept then.
    pub(crate) async fn append(&self, events: Vec<KeptEvent>) -> Result<(), StoreError> {
        self.write(move |transaction| append(transaction, &events)).await
    }

    /// The events that were asked for, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn events(&self, wanted: KeptEvents) -> Result<Vec<KeptEvent>, StoreError> {
        self.read(move |connection| query(connection, &wanted)).await
    }
}

pub(super) fn last_id(connection: &Connection) -> Result<u64, StoreError> {
    let last: Option<i64> = connection.query_row("SELECT max(id) FROM event", [], |row| row.get(0))?;
    Ok(u64::try_from(last.unwrap_or_default()).unwrap_or_default())
}

fn append(transaction: &Transaction<'_>, events: &[KeptEvent]) -> Result<(), StoreError> {
    let mut adding = transaction.prepare(
        "INSERT INTO event (id, time_ms, kind, pipeline, cause, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO NOTHING",
    )?;
    for event in events {
        let time = event.time.as_millisecond();
        adding.execute(params![
            number(event.id),
            time,
            event.kind,
            event.pipeline,
            event.cause,
            event.detail
        ])?;
    }
    let span: i64 =
        transaction.query_row("SELECT ifnull(max(id) - min(id) + 1, 0) FROM event", [], |row| row.get(0))?;
    if span > number(KEPT_EVENTS + SLACK) {
        transaction.execute(
            "DELETE FROM event WHERE id <= (SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?1)",
            [number(KEPT_EVENTS)],
        )?;
    }
    Ok(())
}

fn query(connection: &Connection, wanted: &KeptEvents) -> Result<Vec<KeptEvent>, StoreError> {
    let (mut conditions, mut values): (Vec<String>, Vec<Value>) = (vec!["1".to_owned()], Vec::new());
    let mut hold = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(condition.to_owned());
            values.push(value);
        }
    };
    hold("pipeline = ?", wanted.pipeline.clone().map(Value::Text));
    hold("id > ?", wanted.after.map(|id| Value::Integer(number(id))));
    hold("id < ?", wanted.before.map(|id| Value::Integer(number(id))));
    hold("time_ms >= ?", wanted.since.map(|time| Value::Integer(time.as_millisecond())));
    hold("time_ms < ?", wanted.until.map(|time| Value::Integer(time.as_millisecond())));
    if !wanted.kinds.is_empty() {
        conditions.push(format!("({})", vec!["kind GLOB ?"; wanted.kinds.len()].join(" OR ")));
        values.extend(wanted.kinds.iter().map(|pattern| Value::Text(glob(pattern))));
    }
    let limit = if wanted.limit == 0 { -1 } else { number(wanted.limit) };
    let mut found = connection.prepare(&format!(
        "SELECT id, time_ms, kind, pipeline, cause, detail FROM event WHERE {} ORDER BY id DESC LIMIT {limit}",
        conditions.join(" AND ")
    ))?;
    let rows = found.query_map(params_from_iter(values), event)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn event(row: &Row<'_>) -> rusqlite::Result<KeptEvent> {
    Ok(KeptEvent {
        id: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
        time: Timestamp::from_millisecond(row.get(1)?).unwrap_or_default(),
        kind: row.get(2)?,
        pipeline: row.get(3)?,
        cause: row.get(4)?,
        detail: row.get(5)?,
    })
}

/// Only the star is more than itself.
fn glob(pattern: &str) -> String {
    pattern.chars().fold(String::new(), |glob, character| match character {
        '[' | '?' => format!("{glob}[{character}]"),
        other => format!("{glob}{other}"),
    })
}

fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
