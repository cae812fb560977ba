//! Connecting: names are resolved, addresses checked, TCP and TLS set up, all within one deadline.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use sluice_core::fault::{Fault, FaultKind, Phase};
use sluice_core::stage::Deadlines;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::policy::{Policy, forbidden};

tokio::task_local! {
    /// How long connecting may take for the exchange at hand. The pool hands its connector nothing but a URI.
    pub(crate) static CONNECT_WITHIN: Duration;
}

/// Turns a host name into addresses.
pub(crate) type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The resolver of the system.
pub(crate) fn system_resolver() -> Resolver {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// TLS with the certificates that the system trusts. Make it once and share it: reading them takes time.
/// A system without any is logged; every HTTPS origin then fails with `Tls`.
///
/// # Errors
/// When the TLS provider has no usable protocol version, which is a defect of the build.
pub(crate) fn system_tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    };
    let config = match builder()?.with_native_roots() {
        Ok(trusting) => trusting,
        Err(error) => {
            tracing::warn!(%error, "no system certificates: https origins cannot be verified");
            builder()?.with_root_certificates(RootCertStore::empty())
        }
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Resolves, and lets only such addresses through as the policy permits: the connector connects to no others.
#[derive(Clone)]
pub(crate) struct GuardedResolver {
    pub(crate) resolver: Resolver,
    /// None where the host may resolve anywhere.
    pub(crate) guard: Option<Arc<Policy>>,
}

impl GuardedResolver {
    async fn resolve(self, host: String) -> Result<Vec<SocketAddr>, Fault> {
        let found =
            (self.resolver)(host.clone()).await.map_err(|error| Fault::new(FaultKind::Dns).because(error))?;
        let refused = found.first().copied();
        let permitted = |address: &IpAddr| self.guard.as_ref().is_none_or(|policy| policy.permits(*address));
        let kept: Vec<SocketAddr> =
            found.into_iter().filter(permitted).map(|address| SocketAddr::new(address, 0)).collect();
        match refused {
            None => Err(FaultKind::Dns.into()),
            Some(address) if kept.is_empty() => Err(forbidden(format!("the address {address} of {host}"))),
            Some(_) => Ok(kept),
        }
    }
}

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Self::Response, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.clone().resolve(name.as_str().to_owned());
        Box::pin(async move { Ok(resolving.await?.into_iter()) })
    }
}

/// Connects within [`CONNECT_WITHIN`], TLS included, and fails with a [`Fault`].
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<GuardedResolver>,
    tls: Arc<ClientConfig>,
}

impl Connector {
    /// A connector. `tls` must offer `h2` and `http/1.1` by ALPN for HTTP/2 to be used.
    pub(crate) fn new(resolver: GuardedResolver, tls: Arc<ClientConfig>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, tls }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Self::Response, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let within = CONNECT_WITHIN.try_with(|within| *within).unwrap_or(Deadlines::default().connect);
        let mut tcp = self.tcp.clone();
        tcp.set_connect_timeout(Some(within)); // divided among the addresses: a dead one leaves time for the next
        let connecting = HttpsConnector::from((tcp, self.tls.clone())).call(uri);
        Box::pin(async move {
            match timeout(within, connecting).await {
                Ok(connected) => connected.map_err(|error| fault_of(error.as_ref())),
                Err(_) => Err(FaultKind::Timeout(Phase::Connect).into()),
            }
        })
    }
}

fn fault_of(error: &(dyn Error + 'static)) -> Fault {
    if let Some(fault) = find::<Fault>(error) {
        return fault.clone();
    }
    if let Some(cause) = find::<rustls::Error>(error) {
        return Fault::new(FaultKind::Tls).because(cause.clone());
    }
    let timed_out = find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    let kind = if timed_out { FaultKind::Timeout(Phase::Connect) } else { FaultKind::Connect };
    Fault::new(kind).because(io::Error::other(error.to_string()))
}

/// The first error of type `T` in the chain. `io::Error` hides what it wraps from `source`.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}
