//! HTTP/2 where an https origin offers it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::scripted::certified;
use super::*;

/// Larger than the window that a stream has at first (RFC 9113, 6.5.2), so that it must be granted more.
const BODY_BYTES: usize = 1 << 20;

/// A body of one byte, repeated; the byte is the protocol that was spoken.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let byte = if request.version() == Version::HTTP_2 { b'2' } else { b'1' };
    Ok(Response::new(Full::new(Bytes::from(vec![byte; BODY_BYTES]))))
}

#[tokio::test]
async fn an_origin_that_offers_http2_is_asked_over_one_connection() {
    let (mut server, trusting) = certified();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let accepted = connections.clone();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::SeqCst);
            let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(stream, service_fn(answer)));
        }
    });
    let client =
        Client::new(Policy::new(std::slice::from_ref(&url), &[]), ClientLimits::default(), &trusting);
    let first = fetch(&client, exchange(&url, Class::Segment)).await.unwrap();
    let more = join_all((0..8).map(|_| fetch(&client, exchange(&url, Class::Segment)))).await;
    for answer in std::iter::once(Ok(first)).chain(more) {
        assert!(answer.unwrap().body == vec![b'2'; BODY_BYTES], "all of it, over HTTP/2");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    accepting.abort();
}
