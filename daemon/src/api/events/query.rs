//! What is asked of the log of events, and what is answered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_core::event::Pattern;

use super::EventView;
use crate::store::{KeptEvents, Store, StoreError};

/// Events of a page where nothing is said, and at most.
const PAGE: (u64, u64) = (100, 1000);

/// Which events are streamed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StreamQuery {
    /// Patterns of kinds, between commas; none for every kind.
    kind: Option<String>,
    /// The pipeline.
    pipeline: Option<String>,
}

/// Which page of the log is asked for. All that is given must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct LogQuery {
    /// Patterns of kinds, between commas; none for every kind.
    kind: Option<String>,
    /// The pipeline.
    pipeline: Option<String>,
    /// Events with a higher id.
    after: Option<u64>,
    /// Events with a lower id: the next page.
    before: Option<u64>,
    /// Events of this time or later (RFC 3339).
    since: Option<Timestamp>,
    /// Events before this time.
    until: Option<Timestamp>,
    /// At most so many.
    limit: Option<u64>,
}

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventPage {
    /// The events, newest first.
    pub(crate) events: Vec<EventView>,
}

/// How many events the log has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventStats {
    /// All of them.
    pub(crate) total: u64,
    /// Of each kind.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// The time of the oldest.
    pub(crate) oldest: Option<Timestamp>,
    /// The time of the newest.
    pub(crate) newest: Option<Timestamp>,
}

impl StreamQuery {
    /// Whether every pattern is one.
    ///
    /// # Errors
    /// In words, with the nearest pattern, where one matches no event that there is.
    pub(in crate::api) fn checked(self) -> Result<Self, String> {
        patterns(self.kind.as_deref())?;
        Ok(self)
    }

    pub(super) fn wants(&self, event: &EventView) -> bool {
        let of_pipeline = self.pipeline.is_none() || self.pipeline == event.pipeline;
        let mut kinds = self.kind.iter().flat_map(|kinds| kinds.split(','));
        let mut of_kind =
            || kinds.any(|one| Pattern::read(one).is_ok_and(|pattern| pattern.matches(&event.kind)));
        of_pipeline && (self.kind.is_none() || of_kind())
    }
}

impl LogQuery {
    /// As the store is asked.
    ///
    /// # Errors
    /// In words, where a pattern matches no event that there is.
    pub(in crate::api) fn wanted(self) -> Result<KeptEvents, String> {
        Ok(KeptEvents {
            kinds: patterns(self.kind.as_deref())?,
            pipeline: self.pipeline,
            after: self.after,
            before: self.before,
            since: self.since,
            until: self.until,
            limit: self.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1),
        })
    }
}

impl EventStats {
    pub(super) async fn of(store: &Store) -> Result<Self, StoreError> {
        let events = store.events(KeptEvents::default()).await?;
        let mut kinds = BTreeMap::new();
        for event in &events {
            *kinds.entry(event.kind.clone()).or_default() += 1;
        }
        let (oldest, newest) = (events.last(), events.first());
        Ok(Self {
            total: events.len() as u64,
            oldest: oldest.map(|event| event.time),
            newest: newest.map(|event| event.time),
            kinds,
        })
    }
}

fn patterns(kinds: Option<&str>) -> Result<Vec<String>, String> {
    let kinds = kinds.into_iter().flat_map(|kinds| kinds.split(','));
    let read = kinds.map(|kind| match Pattern::read(kind) {
        Ok(pattern) => Ok(pattern.as_str().to_owned()),
        Err(unknown) => Err(match &unknown.nearest {
            Some(near) => format!("{unknown}: did you mean \"{near}\"?"),
            None => unknown.to_string(),
        }),
    });
    read.collect()
}
