//! The admin listener itself: the router on the edge's server, with its limits.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use prometheus::Registry;
use sluice_core::event::HandlerTable;
use tower::ServiceExt;

use super::gate::Gate;
use super::router::{incoming, router};
use super::{Control, EventLog};
use crate::edge::{BindError, ConnectionMetrics, Handler, Limits, Listener, Server, Workers};
use crate::telemetry::LogHandle;

/// Connections at once: dashboards, scrapes, and nobody else.
const CONNECTIONS: usize = 256;

/// What the admin side shows and changes.
#[derive(Clone)]
pub(crate) struct Parts {
    /// The daemon.
    pub(crate) control: Arc<dyn Control>,
    /// Every metric.
    pub(crate) registry: Registry,
    /// The log's level.
    pub(crate) log: LogHandle,
    /// The last events.
    pub(crate) events: EventLog,
    /// The plugins that handle events.
    pub(crate) handlers: HandlerTable,
}

/// The admin side on its address.
pub(crate) struct Admin {
    server: Server<Routed>,
    listener: Listener,
    gate: Arc<Gate>,
    events: EventLog,
}

impl Admin {
    /// Listens on `address` and answers from now on. Without a token nothing can be changed there unless the
    /// address is a loopback one. Call it within a runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) fn listen(
        parts: Parts,
        address: SocketAddr,
        token: Option<String>,
    ) -> Result<Self, BindError> {
        // connections to the admin side are not viewers, and are not counted among them
        let metrics = ConnectionMetrics::new(&Registry::new())
            .map_err(|error| BindError { address, cause: std::io::Error::other(error) })?;
        let gate = Arc::new(Gate::default());
        gate.token.store(token.map(Arc::new));
        let events = parts.events.clone();
        let limits = Limits { connections: CONNECTIONS, ..Limits::default() };
        let server =
            Server::new(Routed(router(parts, gate.clone())), limits, Arc::new(metrics), Workers::here());
        let listener = server.listen(address, None)?;
        let known = gate.address.get_or_init(|| listener.local_addr());
        tracing::debug!(address = %known, "admin side listens");
        Ok(Self { server, listener, gate, events })
    }

    /// The address that it listens on.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Changes the token.
    pub(crate) fn retune(&self, token: Option<String>) {
        self.gate.token.store(token.map(Arc::new));
    }

    /// Stops to listen and ends the streams of events, and gives the rest until `within` has passed. The log of
    /// events is closed for good: not for a change of address, where a drop is enough.
    pub(crate) async fn drain(self, within: Duration) {
        drop(self.listener);
        self.events.close();
        let cut = self.server.drain(within).await;
        tracing::debug!(cut, "admin side is closed");
    }
}

/// The router as the server calls it.
struct Routed(Router);

impl Handler for Routed {
    type Body = Body;
    type Future = Answer;

    fn handle(&self, _: IpAddr, request: Request<Incoming>) -> Answer {
        Answer(Box::pin(self.0.clone().oneshot(incoming(request))))
    }
}

struct Answer(Pin<Box<dyn Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send>>);

impl Future for Answer {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        self.0.as_mut().poll(context).map(|answer| answer.unwrap_or_else(|never| match never {}))
    }
}
