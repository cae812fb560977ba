//! What the edge counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::StatusCode;
use prometheus::{Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use prometheus::{Opts, Registry};

use super::activity::Eviction;

/// The classes of status codes: the label `code`.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The label `route` of requests that no route answers.
const UNMATCHED: &str = "unmatched";

/// What a server counts of its connections.
pub(crate) struct ConnectionMetrics {
    pub(super) open: IntGauge,
    pub(super) accepted: IntCounter,
    pub(super) rejected: IntCounter,
    pub(super) accept_errors: IntCounter,
    pub(super) handshake_failures: IntCounter,
    evictions: [IntCounter; Eviction::ALL.len()],
}

impl ConnectionMetrics {
    /// Registers the families. They carry no listener: give the admin's server a registry that nobody reads.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let open = IntGauge::new("sluice_connections", "Connections of viewers now.")?;
        registry.register(Box::new(open.clone()))?;
        let evictions = IntCounterVec::new(
            Opts::new("sluice_viewer_evictions_total", "Viewers cut off because they did not keep up."),
            &["reason"],
        )?;
        registry.register(Box::new(evictions.clone()))?;
        Ok(Self {
            open,
            accepted: counter("sluice_connections_total", "Connections accepted.")?,
            rejected: counter(
                "sluice_connections_rejected_total",
                "Connections closed at once because the limit was reached.",
            )?,
            accept_errors: counter(
                "sluice_accept_errors_total",
                "Failures to accept a connection, as when file descriptors run out.",
            )?,
            handshake_failures: counter(
                "sluice_tls_handshake_failures_total",
                "TLS handshakes that failed.",
            )?,
            evictions: Eviction::ALL.map(|reason| evictions.with_label_values(&[reason.word()])),
        })
    }

    pub(super) fn evicted(&self, reason: Eviction) {
        self.evictions[reason as usize].inc();
    }
}

/// What the viewers' side counts: its connections, and its requests by route.
pub(crate) struct EdgeMetrics {
    pub(super) connections: Arc<ConnectionMetrics>,
    pub(super) unmatched: Arc<RouteMetrics>,
    routes: Arc<RouteFamily>,
}

impl EdgeMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let options = HistogramOpts::new(
            "sluice_http_request_duration_seconds",
            "Time from a request's head to the head of its response, by configured path and class of status.",
        )
        .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let durations = HistogramVec::new(options, &["route", "code"])?;
        registry.register(Box::new(durations.clone()))?;
        let connections = Arc::new(ConnectionMetrics::new(registry)?);
        let overruns = connections.evictions[Eviction::Overrun as usize].clone();
        let routes = Arc::new(RouteFamily { durations, overruns, alive: Mutex::default() });
        Ok(Self { connections, unmatched: routes.clone().route(UNMATCHED), routes })
    }

    /// What the route of this configured path counts: the same as long as someone holds it.
    pub(crate) fn route(&self, path: &str) -> Arc<RouteMetrics> {
        self.routes.clone().route(path)
    }
}

struct RouteFamily {
    durations: HistogramVec,
    overruns: IntCounter,
    alive: Mutex<HashMap<Arc<str>, Weak<RouteMetrics>>>,
}

impl RouteFamily {
    fn route(self: Arc<Self>, path: &str) -> Arc<RouteMetrics> {
        let mut alive = self.lock();
        if let Some(metrics) = alive.get(path).and_then(Weak::upgrade) {
            return metrics;
        }
        let path: Arc<str> = path.into();
        let metrics = Arc::new(RouteMetrics {
            by_class: CLASSES.map(|class| self.durations.with_label_values(&[&*path, class])),
            overruns: self.overruns.clone(),
            path: path.clone(),
            family: self.clone(),
        });
        alive.insert(path, Arc::downgrade(&metrics));
        metrics
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Weak<RouteMetrics>>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner) // a map of weak pointers is never half written
    }
}

/// What one route counts. Its series go with the last holder.
pub(crate) struct RouteMetrics {
    by_class: [Histogram; CLASSES.len()],
    overruns: IntCounter,
    path: Arc<str>,
    family: Arc<RouteFamily>,
}

impl RouteMetrics {
    /// The configured path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Counts viewers of streams without end who were cut off because they did not keep up.
    pub(super) fn overruns(&self) -> &IntCounter {
        &self.overruns
    }

    pub(super) fn observe(&self, status: StatusCode, duration: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.by_class[class].observe(duration.as_secs_f64());
    }
}

impl Drop for RouteMetrics {
    fn drop(&mut self) {
        let mut alive = self.family.lock();
        if alive.get(&self.path).is_some_and(|other| other.strong_count() > 0) {
            return; // the route came back meanwhile, and counts on in the same series
        }
        alive.remove(&self.path);
        for class in CLASSES {
            if let Err(error) = self.family.durations.remove_label_values(&[&*self.path, class]) {
                tracing::debug!(%error, route = %self.path, "series was gone already");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_is_built_anew_counts_on_and_one_that_is_gone_leaves_no_series() {
        let registry = Registry::new();
        let metrics = EdgeMetrics::new(&registry).unwrap();
        let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let old = metrics.route("/live/news");
        old.observe(StatusCode::OK, Duration::from_millis(3));
        let new = metrics.route("/live/news");
        drop(old);
        new.observe(StatusCode::OK, Duration::from_millis(3));
        let line = "sluice_http_request_duration_seconds_count{code=\"2xx\",route=\"/live/news\"} 2";
        assert!(text().contains(line), "{}", text());
        drop(new);
        assert!(!text().contains("/live/news"), "{}", text());
        assert!(text().contains("sluice_viewer_evictions_total{reason=\"write_deadline\"} 0"));
    }
}
