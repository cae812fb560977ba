//! Gauges of an age, which goes on while nobody sets it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Error, GaugeVec, Opts};
use tokio::time::Instant;

/// A family of ages in seconds, reckoned when they are collected.
#[derive(Clone)]
pub(super) struct Ages {
    gauges: GaugeVec,
    /// When each series was of age 0, by the values of its labels.
    since: Arc<Mutex<BTreeMap<Vec<String>, Instant>>>,
}

impl Ages {
    /// A family without series.
    ///
    /// # Errors
    /// When the name or a label is none.
    pub(super) fn new(opts: Opts, labels: &[&str]) -> Result<Self, Error> {
        Ok(Self { gauges: GaugeVec::new(opts, labels)?, since: Arc::default() })
    }

    /// Makes the series, or sets it.
    pub(super) fn set(&self, labels: &[&str], age: Duration) {
        let now = Instant::now();
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.lock().insert(labels, now.checked_sub(age).unwrap_or(now));
    }

    /// Removes the series whose labels have these values.
    pub(super) fn forget(&self, gone: impl Fn(&[String]) -> bool) {
        self.lock().retain(|labels, _| !gone(labels));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<String>, Instant>> {
        // a panic leaves a map that is valid
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let since = self.lock();
        self.gauges.reset();
        for (labels, since) in &*since {
            self.gauges.with_label_values(labels).set(since.elapsed().as_secs_f64());
        }
        self.gauges.collect()
    }
}
