//! What the edge's tests share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Response;
use prometheus::Registry;
use sluice_core::fault::Fault;
use sluice_core::stage::{Body, Served, Serving, Viewing};

use super::{Edge, EdgeMetrics, Listener, Routes, Settings, Workers};

/// Metrics that nobody reads.
pub(super) fn metrics() -> EdgeMetrics {
    EdgeMetrics::new(&Registry::new()).unwrap()
}

/// A sink that answers every request so.
pub(super) fn sink(
    answer: impl Fn(Viewing) -> Result<Response<Body>, Fault> + Send + Sync + 'static,
) -> Serving {
    Serving::from_fn(move |viewing| Served::now(answer(viewing)))
}

/// A sink that answers with this text.
pub(super) fn text(words: &'static str) -> Serving {
    sink(move |_| Ok(Response::new(Body::from(Bytes::from_static(words.as_bytes())))))
}

/// An edge on a port of its own.
pub(super) struct Running {
    pub(super) edge: Edge,
    pub(super) listener: Listener,
    pub(super) routes: Arc<ArcSwap<Routes>>,
    pub(super) metrics: EdgeMetrics,
    pub(super) registry: Registry,
}

impl Running {
    /// With one sink, mounted at `/live/news`.
    pub(super) fn new(settings: Settings, service: Serving) -> Self {
        let registry = Registry::new();
        let metrics = EdgeMetrics::new(&registry).unwrap();
        let routes = Arc::new(ArcSwap::from_pointee(table(&metrics, "news", service)));
        let edge = Edge::new(settings, routes.clone(), &metrics, Workers::here());
        let listener = edge.listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
        Self { edge, listener, routes, metrics, registry }
    }

    /// The sum of a series, as `name{label="value"}`; 0 where it is not there.
    pub(super) fn count(&self, series: &str) -> u64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = text.lines().find(|line| line.starts_with(series));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0, |value| value.parse().unwrap())
    }
}

/// A table with one sink at `/live/news`.
pub(super) fn table(metrics: &EdgeMetrics, pipeline: &str, service: Serving) -> Routes {
    let mut routes = Routes::default();
    routes.mount("/live/news", (pipeline.into(), "hls".into(), service), metrics);
    routes
}
