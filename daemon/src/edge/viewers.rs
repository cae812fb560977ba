//! The viewers' side: a request finds its sink, and a sink's answer goes out.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::stage::{Body, Served, Viewing};
use tokio::time::Instant;

use super::answer::Sharing;
use super::metrics::RouteMetrics;
use super::path::Target;
use super::server::{Handler, Listener, Server};
use super::socket::BindError;
use super::{EdgeMetrics, Identity, Mount, Routes, Settings, Workers, answer, forwarded};

/// Where viewers connect. Clones are one edge.
#[derive(Clone)]
pub(crate) struct Edge {
    server: Server<Viewers>,
}

impl Edge {
    /// An edge without listeners. Whoever holds `routes` swaps the table; a request sees one or the other.
    pub(crate) fn new(
        settings: Settings,
        routes: Arc<ArcSwap<Routes>>,
        metrics: &EdgeMetrics,
        workers: Workers,
    ) -> Self {
        let limits = settings.limits.clone();
        let viewers = Viewers {
            settings: ArcSwap::from_pointee(settings),
            routes,
            unmatched: metrics.unmatched.clone(),
        };
        Self { server: Server::new(viewers, limits, metrics.connections.clone(), workers) }
    }

    /// Listens on `address` and accepts from now on, with TLS where an identity is given. Call it within a runtime.
    /// The listener stops when it is dropped.
    ///
    /// # Errors
    /// When the address cannot be listened on; nothing has changed then.
    pub(crate) fn listen(
        &self,
        address: SocketAddr,
        identity: Option<Arc<Identity>>,
    ) -> Result<Listener, BindError> {
        self.server.listen(address, identity)
    }

    /// Changes the settings: those of requests at once, the limits for connections that come.
    pub(crate) fn retune(&self, settings: Settings) {
        self.server.retune(settings.limits.clone());
        self.server.handler().settings.store(Arc::new(settings));
    }

    /// Connections that are open.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }

    /// As [`Server::drain`].
    pub(crate) async fn drain(&self, within: Duration) -> usize {
        self.server.drain(within).await
    }
}

/// Answers the requests of viewers.
pub(super) struct Viewers {
    settings: ArcSwap<Settings>,
    routes: Arc<ArcSwap<Routes>>,
    unmatched: Arc<RouteMetrics>,
}

impl Handler for Viewers {
    type Body = Body;
    type Future = Answer;

    fn handle(&self, peer: IpAddr, request: Request<Incoming>) -> Answer {
        let began = Instant::now();
        let settings = self.settings.load();
        let sharing = Sharing::new(&settings.cors, request.headers());
        let (progress, mount) = self.admit(peer, request, &settings);
        let asked = mount.map_or_else(|| Asked::Nothing(self.unmatched.clone()), Asked::Mount);
        Answer { progress, asked, sharing, began }
    }
}

impl Viewers {
    fn admit(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
        settings: &Settings,
    ) -> (Progress, Option<Arc<Mount>>) {
        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
            return (Progress::Ready(Some(answer::options())), None);
        }
        let routes = self.routes.load();
        let target = Target::new(parts.uri.path());
        let found = target.as_ref().and_then(|target| Some((target, routes.find(target)?)));
        let Some((target, (mount, length))) = found else {
            return (refuse(FaultKind::NotFound), None);
        };
        let mounted = Some(mount.clone());
        if !body.is_end_stream() {
            return (Progress::Ready(Some(answer::body_refused())), mounted);
        }
        if parts.method == Method::OPTIONS {
            return (Progress::Ready(Some(answer::options())), mounted);
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return (refuse(FaultKind::Method), mounted);
        }
        let (rest, bare) = target.behind(length);
        let viewing = Viewing {
            rest_at: parts.uri.path().len() - rest.len(),
            bare,
            client: forwarded::client(peer, &parts.headers, &settings.trusted_proxies),
            method: parts.method,
            headers: parts.headers,
            uri: parts.uri,
        };
        // a sink that panics fails this request, and not what else the connection carries
        match std::panic::catch_unwind(AssertUnwindSafe(|| mount.service.answer(viewing))) {
            Ok(served) => (Progress::Serving(served), mounted),
            Err(_) => (refuse(panicked()), mounted),
        }
    }
}

fn panicked() -> FaultKind {
    FaultKind::Internal("a sink panicked".into())
}

fn refuse(kind: FaultKind) -> Progress {
    Progress::Ready(Some(answer::refusal(&Fault::new(kind))))
}

enum Progress {
    Ready(Option<Response<Body>>),
    Serving(Served),
}

/// What a request asked for.
enum Asked {
    Mount(Arc<Mount>),
    Nothing(Arc<RouteMetrics>),
}

impl Asked {
    fn metrics(&self) -> &RouteMetrics {
        match self {
            Self::Mount(mount) => &mount.metrics,
            Self::Nothing(unmatched) => unmatched,
        }
    }
}

/// An answer to come.
pub(super) struct Answer {
    progress: Progress,
    asked: Asked,
    sharing: Sharing,
    began: Instant,
}

impl Future for Answer {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let mut response = match &mut self.progress {
            Progress::Ready(response) => match response.take() {
                Some(response) => response,
                None => return Poll::Pending, // a future is not polled after it was ready
            },
            Progress::Serving(future) => {
                let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(context)));
                match polled {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(Ok(response))) => response,
                    Ok(Poll::Ready(Err(fault))) => answer::refusal(&fault),
                    Err(_) => answer::refusal(&Fault::new(panicked())),
                }
            }
        };
        std::mem::take(&mut self.sharing).tell(response.headers_mut());
        let duration = self.began.elapsed();
        if response.body().is_endless() {
            response.body_mut().count_cuts(self.asked.metrics().overruns());
        }
        self.asked.metrics().observe(response.status(), duration);
        self.log(&response, duration);
        Poll::Ready(response)
    }
}

impl Answer {
    /// The path up to the mount only: tokens may travel behind it.
    fn log(&self, response: &Response<Body>, duration: Duration) {
        let mount = match &self.asked {
            Asked::Mount(mount) => Some(mount),
            Asked::Nothing(_) => None,
        };
        tracing::debug!(
            route = self.asked.metrics().path(),
            pipeline = mount.map(|mount| &*mount.pipeline),
            sink = mount.map(|mount| &*mount.sink),
            status = response.status().as_u16(),
            bytes = response.body().len_bytes(),
            duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            "request was answered"
        );
    }
}
