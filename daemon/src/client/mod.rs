//! The guarded client: how sources ask origins. Origins are hostile, so it decides by who named a host where
//! an exchange may go, bounds every wait and every size, and keeps credentials on their origin.

mod address;
mod body;
mod connect;
mod credentials;
mod faults;
mod hop;
mod policy;
mod requests;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use sluice_core::fault::{Fault, FaultKind, Phase};
use sluice_core::stage::{Answer, Class, Exchange, Freshness};
use tokio::time::{Instant, timeout};
use tower::Service;

pub(crate) use body::ClientLimits;
pub(crate) use connect::system_tls;
pub(crate) use policy::Policy;
pub(crate) use requests::{Request, Requests};

use connect::{CONNECT_WITHIN, Connector, GuardedResolver, Resolver, system_resolver};
use credentials::Jar;
use hop::Hop;
use policy::Trust;

const MAX_REDIRECTS: usize = 5;
const IDLE: Duration = Duration::from_secs(30);
/// What is read at once at most. hyper lets each connection grow to 400 KiB, and a relay of a live stream has a few that
/// are mostly idle; much less, and a segment takes many turns between the connection and its reader.
const READ_BUFFER_BYTES: usize = 32 * 1024;

type Pool = legacy::Client<Connector, Empty<Bytes>>;

/// A client for the exchanges of one source. Clones share connections and cookies. Dropping an exchange closes
/// its HTTP/1 connection, or resets its HTTP/2 stream.
#[derive(Clone)]
pub(crate) struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Arc<Policy>,
    limits: ClientLimits,
    // one for each trust, because a pool knows its connections by authority alone
    open: Pool,
    guarded: Pool,
    jar: Jar,
}

impl Client {
    /// A client under `policy`. Opens nothing. `tls` is shared by every client: see [`system_tls`].
    pub(crate) fn new(policy: Policy, limits: ClientLimits, tls: &Arc<ClientConfig>) -> Self {
        Self::with_resolver(policy, limits, tls, system_resolver())
    }

    /// A client with a resolver of its own.
    pub(crate) fn with_resolver(
        policy: Policy,
        limits: ClientLimits,
        tls: &Arc<ClientConfig>,
        resolver: Resolver,
    ) -> Self {
        let policy = Arc::new(policy);
        let mut tls = ClientConfig::clone(tls);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tls = Arc::new(tls);
        let pool = |guard| {
            let resolver = GuardedResolver { resolver: resolver.clone(), guard };
            legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(limits.idle_per_host)
                .http1_max_buf_size(READ_BUFFER_BYTES)
                .build(Connector::new(resolver, tls.clone()))
        };
        let (open, guarded) = (pool(None), pool(Some(policy.clone())));
        Self { inner: Arc::new(Inner { policy, limits, open, guarded, jar: Jar::default() }) }
    }
}

impl Service<Exchange> for Client {
    type Response = Answer;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Answer, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move { inner.exchange(&exchange).await })
    }
}

impl Inner {
    async fn exchange(&self, exchange: &Exchange) -> Result<Answer, Fault> {
        let began = Instant::now();
        let mut hop = Hop { url: exchange.url.clone(), provenance: exchange.provenance.clone() };
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&hop, exchange).await?;
            match hop.next(&response)? {
                Some(next) => hop = next,
                None => return self.answer(response, hop, exchange, began).await,
            }
        }
        Err(FaultKind::Redirects.into())
    }

    async fn send(&self, hop: &Hop, exchange: &Exchange) -> Result<Response<Incoming>, Fault> {
        let pool = match self.policy.admit(&hop.url, &hop.provenance)? {
            Trust::Open => &self.open,
            Trust::Guarded => &self.guarded,
        };
        let mut request = http::Request::new(Empty::new());
        *request.uri_mut() = hop
            .bare_url()
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| Fault::malformed("a URL").because(error))?;
        *request.headers_mut() = hop.headers(exchange, &self.policy, &self.jar)?;
        let mut connection = capture_connection(&mut request);
        let answering = CONNECT_WITHIN.scope(exchange.deadlines.connect, pool.request(request));
        let connected = async { drop(connection.wait_for_connection_metadata().await) };
        tokio::pin!(answering);
        let response = tokio::select! {
            biased;
            response = &mut answering => response,
            () = connected => timeout(exchange.deadlines.read, answering)
                .await
                .map_err(|_| FaultKind::Timeout(Phase::Read))?,
        };
        let response = response.map_err(faults::of_sending)?;
        self.jar.take(response.headers(), &hop.url);
        Ok(response)
    }

    async fn answer(
        &self,
        response: Response<Incoming>,
        hop: Hop,
        exchange: &Exchange,
        began: Instant,
    ) -> Result<Answer, Fault> {
        let first_byte = began.elapsed();
        let (status, headers) = (response.status(), response.headers().clone());
        let (mut body, mut frames) = (Bytes::new(), None);
        match status {
            StatusCode::NOT_MODIFIED if !exchange.validators.is_empty() => {}
            _ if !status.is_success() => return Err(faults::of_status(status, &headers)),
            _ if exchange.class == Class::Stream => frames = Some(body::frames(response, exchange)?),
            _ => body = body::read(response, exchange, &self.limits).await?,
        }
        let (url, total, freshness) = (hop.bare_url(), began.elapsed(), Freshness::Origin);
        Ok(Answer { status, headers, body, frames, url, first_byte, total, retries: 0, freshness })
    }
}
