//! One request of a viewer.

use std::net::IpAddr;

use http::{HeaderMap, Method, Response};
use tower::util::BoxCloneSyncService;

use super::{Ask, Body, Deadlines, Reply};
use crate::fault::Fault;

/// The service that a sink mounts on its route, inside the stage's layers.
pub type Serving = BoxCloneSyncService<Viewing, Response<Body>, Fault>;

/// A request of a viewer. Sinks answer GET and HEAD; the route refuses what has a body.
#[derive(Debug, Clone)]
pub struct Viewing {
    /// GET or HEAD; other methods reach the sink too and are its to refuse.
    pub method: Method,
    /// What stands behind the mount point, without a leading slash: `index.m3u8`. Percent-encoded as it came.
    pub rest: String,
    /// Whether the path ended at the mount point itself, without a slash.
    pub bare: bool,
    /// The query, as it came.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// Who asks: the peer, or what a trusted proxy says.
    pub client: IpAddr,
}

impl Ask for Viewing {
    fn key(&self) -> Option<String> {
        matches!(self.method, Method::GET | Method::HEAD)
            .then(|| format!("{} {}?{}", self.method, self.rest, self.query.as_deref().unwrap_or_default()))
    }

    fn client(&self) -> Option<IpAddr> {
        Some(self.client)
    }

    fn again(&self) -> Option<Self> {
        matches!(self.method, Method::GET | Method::HEAD).then(|| self.clone())
    }

    fn bound(&mut self, _: Deadlines) {} // nothing beneath a sink connects or reads
}

impl Reply for Response<Body> {
    fn holding<T: Send + Sync + 'static>(self, held: T) -> Self {
        self.map(|body| body.holding(held))
    }
}
