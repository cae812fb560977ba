//! Listeners and the connections that they accept, for whatever answers the requests.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::activity::{Activity, Order};
use super::serve::connect;
use super::socket::{self, BindError};
use super::{ConnectionMetrics, Identity, Limits, Workers};

/// The pause after a failure to accept that is not the peer's, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers requests. It is shared by all connections, and fails only by what it answers.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The answer's body.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;
    /// The answer to come. Dropped when the peer leaves.
    type Future: Future<Output = Response<Self::Body>> + Send + Unpin + 'static;

    /// Answers a request that `peer` sent.
    fn handle(&self, peer: IpAddr, request: Request<Incoming>) -> Self::Future;
}

/// Accepts connections and holds them to their limits. Clones are one server.
pub(crate) struct Server<H> {
    shared: Arc<Shared<H>>,
}

impl<H> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

/// What the connections of a server share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    limits: ArcSwap<Limits>,
    pub(super) metrics: Arc<ConnectionMetrics>,
    connections: Mutex<Connections>,
    draining: AtomicBool,
    pub(super) tasks: TaskTracker,
    workers: Workers,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, Arc<Activity>>,
}

/// A listener that accepts. Dropped, it stops to; connections that it accepted go on.
pub(crate) struct Listener {
    address: SocketAddr,
    acceptor: Arc<ArcSwapOption<TlsAcceptor>>,
    accepting: JoinHandle<()>,
    following: Option<JoinHandle<()>>,
}

impl Listener {
    /// The address that it listens on, with the port that the system chose where 0 was asked for.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Changes how connections that come are met: by TLS with this identity, or plainly. Call it within a runtime.
    ///
    /// # Errors
    /// When rustls refuses; all is as it was then.
    pub(crate) fn identify(&mut self, identity: Option<Arc<Identity>>) -> Result<(), rustls::Error> {
        self.acceptor.store(acceptor(identity.as_ref())?);
        self.follow(identity);
        Ok(())
    }

    fn follow(&mut self, identity: Option<Arc<Identity>>) {
        if let Some(before) = self.following.take() {
            before.abort();
        }
        self.following = identity.map(|identity| tokio::spawn(identity.follow()));
    }
}

fn acceptor(identity: Option<&Arc<Identity>>) -> Result<Option<Arc<TlsAcceptor>>, rustls::Error> {
    let config = identity.map(Identity::server_config).transpose()?;
    Ok(config.map(|config| Arc::new(TlsAcceptor::from(Arc::new(config)))))
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
        self.following.iter().for_each(JoinHandle::abort);
    }
}

impl<H: Handler> Server<H> {
    /// A server without listeners. Its connections live on `workers`.
    pub(crate) fn new(handler: H, limits: Limits, metrics: Arc<ConnectionMetrics>, workers: Workers) -> Self {
        Self {
            shared: Arc::new(Shared {
                handler,
                limits: ArcSwap::from_pointee(limits),
                metrics,
                connections: Mutex::default(),
                draining: AtomicBool::new(false),
                tasks: TaskTracker::new(),
                workers,
            }),
        }
    }

    /// What answers.
    pub(super) fn handler(&self) -> &H {
        &self.shared.handler
    }

    /// Changes the limits, for connections that come.
    pub(crate) fn retune(&self, limits: Limits) {
        self.shared.limits.store(Arc::new(limits));
    }

    /// Listens on `address` and accepts from now on, with TLS where an identity is given. Call it within a runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on; nothing has changed then.
    pub(crate) fn listen(
        &self,
        address: SocketAddr,
        identity: Option<Arc<Identity>>,
    ) -> Result<Listener, BindError> {
        let named = |cause: io::Error| BindError { address, cause };
        let socket = tokio::net::TcpListener::from_std(socket::bind(address)?).map_err(named)?;
        let address = socket.local_addr().map_err(named)?;
        let acceptor = acceptor(identity.as_ref()).map_err(|error| named(io::Error::other(error)))?;
        let acceptor = Arc::new(ArcSwapOption::new(acceptor));
        let accepting = tokio::spawn(accept(self.shared.clone(), socket, acceptor.clone()));
        let mut listener = Listener { address, acceptor, accepting, following: None };
        listener.follow(identity);
        Ok(listener)
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Takes no more connections and no more requests (`Connection: close`, GOAWAY), waits for those under way
    /// until `within` has passed, and cuts the others. Drop the listeners first. Returns how many were cut.
    pub(crate) async fn drain(&self, within: Duration) -> usize {
        self.shared.draining.store(true, Ordering::Release);
        self.shared.tasks.close();
        self.order(Order::Finish);
        if tokio::time::timeout(within, self.shared.tasks.wait()).await.is_ok() {
            return 0;
        }
        let cut = self.order(Order::Abort);
        self.shared.tasks.wait().await;
        cut
    }

    fn order(&self, order: Order) -> usize {
        let open: Vec<_> = self.shared.lock().open.values().cloned().collect();
        open.iter().for_each(|activity| activity.order(order));
        open.len()
    }
}

impl<H> Shared<H> {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner) // each change is one insert or remove
    }

    /// Room for a connection; none where the limit is reached.
    fn admit(self: &Arc<Self>) -> Option<Place<H>> {
        let limits = self.limits.load_full();
        let activity = Activity::begin();
        let mut connections = self.lock();
        if connections.open.len() >= limits.connections {
            self.metrics.rejected.inc();
            return None;
        }
        let id = connections.next;
        connections.next += 1;
        connections.open.insert(id, activity.clone());
        drop(connections);
        if self.draining.load(Ordering::Acquire) {
            activity.order(Order::Finish); // accepted while the drain began
        }
        self.metrics.accepted.inc();
        self.metrics.open.inc();
        Some(Place { shared: self.clone(), id, activity, limits })
    }
}

/// The room that a connection takes up.
pub(super) struct Place<H> {
    pub(super) shared: Arc<Shared<H>>,
    id: u64,
    pub(super) activity: Arc<Activity>,
    pub(super) limits: Arc<Limits>,
}

impl<H> Drop for Place<H> {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.id);
        self.shared.metrics.open.dec();
    }
}

async fn accept<H: Handler>(
    shared: Arc<Shared<H>>,
    socket: tokio::net::TcpListener,
    acceptor: Arc<ArcSwapOption<TlsAcceptor>>,
) {
    let mut failing = false;
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_peer(&error) => continue,
            Err(error) => {
                shared.metrics.accept_errors.inc();
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await; // the listener would report the same at once, for ever
                continue;
            }
        };
        failing = false;
        let Some(place) = shared.admit() else { continue };
        if socket::tune(&stream).is_err() {
            continue; // the peer left already
        }
        let acceptor = acceptor.load().as_deref().cloned();
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                shared.metrics.accept_errors.inc();
                tracing::error!(%error, "a connection cannot change its thread");
                continue;
            }
        };
        let connection = connect(place, stream, peer.ip().to_canonical(), acceptor);
        shared.tasks.spawn_on(connection, shared.workers.handle());
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted)
}
