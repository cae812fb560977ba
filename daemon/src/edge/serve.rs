//! One accepted connection from its first byte to its last, and the requests on it.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Handler;
use super::activity::{Activity, InFlight};
use super::connection::{Driven, Ending, Watched};
use super::lag::Streams;
use super::outgoing::Outgoing;
use super::server::{Place, Shared};

/// The smallest buffer that hyper works with; a lower limit of heads counts as this one.
const LEAST_BUFFER_BYTES: usize = 8192;

/// Serves a connection until it ends; `place` is its room in the server.
pub(super) async fn connect<H: Handler>(
    place: Place<H>,
    socket: std::net::TcpStream,
    peer: IpAddr,
    acceptor: Option<TlsAcceptor>,
) {
    let socket = match TcpStream::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            place.shared.metrics.accept_errors.inc();
            tracing::error!(%error, "a connection cannot be waited on");
            return;
        }
    };
    let activity = place.activity.clone();
    let ending = match acceptor {
        None => serve(&place, Watched::plain(socket, activity), peer).await,
        Some(acceptor) => match shake_hands(&place, socket, acceptor).await {
            Some(stream) => serve(&place, stream, peer).await,
            None => Ending::Failed,
        },
    };
    if let Ending::Evicted(reason) = ending {
        place.shared.metrics.evicted(reason);
        tracing::debug!(%peer, reason = reason.word(), "viewer was cut off");
    }
}

/// The TLS handshake; none where it fails, takes too long, or the server drains.
async fn shake_hands<H>(
    place: &Place<H>,
    socket: TcpStream,
    acceptor: TlsAcceptor,
) -> Option<TlsStream<Watched>> {
    let activity = &place.activity;
    let handshake = acceptor.accept(Watched::beneath_tls(socket, activity.clone()));
    tokio::select! {
        outcome = tokio::time::timeout(place.limits.head, handshake) => {
            if let Ok(Ok(stream)) = outcome {
                activity.open(stream.get_ref().1.alpn_protocol() == Some(b"h2"));
                return Some(stream);
            }
            place.shared.metrics.handshake_failures.inc();
            None
        }
        () = activity.ordered() => None,
    }
}

async fn serve<H, I>(place: &Place<H>, stream: I, peer: IpAddr) -> Ending
where
    H: Handler,
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (shared, limits, activity) = (&place.shared, &place.limits, &place.activity);
    let streams = Streams {
        tasks: shared.tasks.clone(),
        activity: activity.clone(),
        metrics: shared.metrics.clone(),
        limit: limits.write,
        floor: limits.floor,
    };
    let mut builder = Builder::new(streams);
    // hyper's own limit of 100 headers stands: one of ours would cost an allocation for each request
    // heads have their time in `Activity`: one clock for each connection instead of a timer for each request
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes.max(LEAST_BUFFER_BYTES))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping);
    let service = Requests { shared: shared.clone(), activity: activity.clone(), peer };
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    Driven::new(connection, activity.clone(), limits.clone()).await
}

/// The requests of one connection.
struct Requests<H> {
    shared: Arc<Shared<H>>,
    activity: Arc<Activity>,
    peer: IpAddr,
}

impl<H: Handler> hyper::service::Service<Request<Incoming>> for Requests<H> {
    type Response = Response<Outgoing<H::Body>>;
    type Error = Infallible;
    type Future = Answering<H::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Answering {
            http2: request.version() == Version::HTTP_2,
            request: Some(self.activity.request()),
            answer: self.shared.handler.handle(self.peer, request),
        }
    }
}

/// An answer to come; the request is under way until its body is gone.
struct Answering<F> {
    answer: F,
    request: Option<InFlight>,
    http2: bool,
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Response<B>> + Unpin,
    B: http_body::Body,
{
    type Output = Result<Response<Outgoing<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(response) = Pin::new(&mut self.answer).poll(context) else { return Poll::Pending };
        // a future is not polled after it was ready
        let Some(request) = self.request.take() else { return Poll::Pending };
        Poll::Ready(Ok(response.map(|body| match self.http2 {
            true => Outgoing::framed(body, request),
            false => Outgoing::whole(body, request),
        })))
    }
}
