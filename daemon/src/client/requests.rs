//! Requests of plugins: to servers that the operator named, and to no others. What they name may be anywhere, so that
//! addresses are not checked; each URL is, redirects included.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use sluice_core::fault::{Fault, FaultKind, Phase};
use tokio::time::timeout;
use url::Url;

use super::connect::{CONNECT_WITHIN, Connector, GuardedResolver, Resolver, system_resolver};
use super::policy::forbidden;
use super::{IDLE, MAX_REDIRECTS, body, faults};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION")));

/// What does not follow a redirect to another server.
const CREDENTIALS: [header::HeaderName; 3] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// A request.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The longest that all of it may take, redirects included.
    pub(crate) within: Duration,
    /// The largest body of the answer.
    pub(crate) largest_bytes: u64,
}

/// An answer, of any status.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Sends requests. Clones share connections.
#[derive(Clone)]
pub(crate) struct Requests {
    pool: legacy::Client<Connector, Full<Bytes>>,
}

impl Requests {
    /// Opens nothing. `tls` is shared by every client: see [`super::system_tls`].
    pub(crate) fn new(tls: &Arc<ClientConfig>) -> Self {
        Self::with_resolver(tls, system_resolver())
    }

    pub(super) fn with_resolver(tls: &Arc<ClientConfig>, resolver: Resolver) -> Self {
        let mut tls = ClientConfig::clone(tls);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let resolver = GuardedResolver { resolver, guard: None };
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(Connector::new(resolver, Arc::new(tls)));
        Self { pool }
    }

    /// Sends a request where `may` says that its URL may be asked, and follows redirects where it may again. Dropped, it
    /// closes the connection.
    ///
    /// # Errors
    /// `Forbidden`, `Redirects`, `Timeout`, `TooLarge`, and those of connecting and reading.
    pub(crate) async fn send(
        &self,
        request: Request,
        may: impl Fn(&Url) -> bool + Send,
    ) -> Result<Response, Fault> {
        let within = request.within;
        let sending = CONNECT_WITHIN.scope(within, self.follow(request, may));
        timeout(within, sending).await.map_err(|_| FaultKind::Timeout(Phase::Read))?
    }

    async fn follow(
        &self,
        mut request: Request,
        may: impl Fn(&Url) -> bool + Send,
    ) -> Result<Response, Fault> {
        for _ in 0..=MAX_REDIRECTS {
            if !may(&request.url) {
                return Err(forbidden(format!(
                    "{}, which is not granted",
                    request.url.origin().ascii_serialization()
                )));
            }
            let response = self.ask(&request).await?;
            if !is_redirect(response.status()) || !response.headers().contains_key(header::LOCATION) {
                let (status, headers) = (response.status(), response.headers().clone());
                let body = body::whole(response.into_body(), request.largest_bytes, request.within).await?;
                return Ok(Response { status, headers, body });
            }
            redirect(&mut request, &response)?;
        }
        Err(FaultKind::Redirects.into())
    }

    async fn ask(&self, request: &Request) -> Result<http::Response<Incoming>, Fault> {
        let mut url = request.url.clone();
        url.set_fragment(None);
        let mut sent = http::Request::new(Full::new(request.body.clone()));
        *sent.method_mut() = request.method.clone();
        *sent.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| Fault::malformed("a URL").because(error))?;
        *sent.headers_mut() = request.headers.clone();
        sent.headers_mut().entry(header::USER_AGENT).or_insert(USER_AGENT);
        self.pool.request(sent).await.map_err(faults::of_sending)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// RFC 9110, section 15.4: the method stays with 307 and 308, and becomes GET with the others, as everyone does it.
fn redirect(request: &mut Request, response: &http::Response<Incoming>) -> Result<(), Fault> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| request.url.join(location).ok());
    let next = next.ok_or_else(|| Fault::malformed("a redirect to nowhere"))?;
    if !matches!(response.status().as_u16(), 307 | 308) && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = Bytes::new();
        request.headers.remove(header::CONTENT_TYPE);
    }
    if next.origin() != request.url.origin() {
        CREDENTIALS.iter().for_each(|name| drop(request.headers.remove(name)));
    }
    request.url = next;
    Ok(())
}
