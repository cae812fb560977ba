//! TLS over real sockets: the protocol it agrees on, a certificate that changes, a handshake that stalls.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::testing::{Running, text};
use super::super::{Identity, Settings};
use super::{SOON, emptied, large, short};

/// Writes a new pair for localhost and returns its certificate.
fn renew(directory: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

#[tokio::test]
async fn both_protocols_are_served_and_a_renewed_certificate_shows_without_a_cut() {
    let directory = tempfile::tempdir().unwrap();
    let first = renew(directory.path());
    let identity =
        Identity::load(&directory.path().join("cert.pem"), &directory.path().join("key.pem")).unwrap();
    let running = Running::new(Settings::default(), text("ok"));
    let listener = running.edge.listen("127.0.0.1:0".parse().unwrap(), Some(identity.clone())).unwrap();
    let address = listener.local_addr();

    let get = || Request::get("https://localhost/live/news/x").body(Empty::<Bytes>::new()).unwrap();
    let stream = TokioIo::new(connect(address, &first, b"h2").await.unwrap());
    let (mut old, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(old.send_request(get()).await.unwrap().version(), Version::HTTP_2);

    let second = renew(directory.path());
    assert!(identity.refresh().unwrap());
    assert!(connect(address, &first, b"h2").await.is_err(), "the old certificate is not shown any more");
    let stream = TokioIo::new(connect(address, &second, b"http/1.1").await.unwrap());
    let (mut new, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let answer = new.send_request(get()).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_11);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
    let answer = old.send_request(get()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok", "the old connection goes on");
}

#[tokio::test]
async fn a_handshake_that_stalls_or_is_none_ends_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    renew(directory.path());
    let identity =
        Identity::load(&directory.path().join("cert.pem"), &directory.path().join("key.pem")).unwrap();
    let running = Running::new(short(), text("ok"));
    let listener = running.edge.listen("127.0.0.1:0".parse().unwrap(), Some(identity)).unwrap();
    let mut silent = TcpStream::connect(listener.local_addr()).await.unwrap();
    let ended = tokio::time::timeout(SOON, silent.read(&mut [0; 16])).await.unwrap();
    assert_eq!(ended.unwrap_or(0), 0);
    let mut plain = TcpStream::connect(listener.local_addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, plain.read_to_end(&mut answer)).await.unwrap().ok();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    emptied(&running).await;
    assert_eq!(running.count("sluice_tls_handshake_failures_total"), 2);
}

#[tokio::test]
async fn a_head_that_stalls_behind_a_handshake_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = renew(directory.path());
    let identity =
        Identity::load(&directory.path().join("cert.pem"), &directory.path().join("key.pem")).unwrap();
    let mut settings = short();
    settings.limits.idle = Duration::from_millis(300);
    let running = Running::new(settings, text("ok"));
    let listener = running.edge.listen("127.0.0.1:0".parse().unwrap(), Some(identity)).unwrap();
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let mut stream = connect(listener.local_addr(), &certificate, protocol).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().ok();
        emptied(&running).await;
    }
}

#[tokio::test]
async fn a_drain_waits_neither_for_handshakes_nor_for_streams_that_get_no_window() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = renew(directory.path());
    let identity =
        Identity::load(&directory.path().join("cert.pem"), &directory.path().join("key.pem")).unwrap();
    let held = Arc::new(AtomicUsize::new(0));
    let Running { edge, .. } = Running::new(Settings::default(), large(&held));
    let listener = edge.listen("127.0.0.1:0".parse().unwrap(), Some(identity)).unwrap();
    let mut silent = TcpStream::connect(listener.local_addr()).await.unwrap();
    let stream = TokioIo::new(connect(listener.local_addr(), &certificate, b"h2").await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/live/news/x").body(Empty::<Bytes>::new()).unwrap();
    let _unread = sender.send_request(request).await.unwrap();
    drop(listener);
    let cut = tokio::time::timeout(SOON, edge.drain(Duration::from_millis(100))).await.unwrap();
    assert_eq!((cut, held.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn tls_is_turned_on_and_off_on_a_listener_that_stands() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = renew(directory.path());
    let identity =
        Identity::load(&directory.path().join("cert.pem"), &directory.path().join("key.pem")).unwrap();
    let mut running = Running::new(Settings::default(), text("ok"));
    let address = running.listener.local_addr();
    let plain = || async move {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request =
            Request::get("/live/news/x").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
        sender.send_request(request).await.is_ok()
    };
    assert!(plain().await);
    running.listener.identify(Some(identity)).unwrap();
    assert!(connect(address, &certificate, b"h2").await.is_ok());
    assert!(!plain().await, "a plain request is no handshake");
    running.listener.identify(None).unwrap();
    assert!(plain().await);
    assert!(connect(address, &certificate, b"h2").await.is_err());
}
