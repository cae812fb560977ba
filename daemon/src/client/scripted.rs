//! An origin for tests: a script answers each request with raw bytes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// What the origin says to one request.
pub(super) enum Say {
    /// This, and listens for the next request.
    All(Vec<u8>),
    /// This, and hangs up.
    HangUp(Vec<u8>),
    /// This, and falls silent.
    Silence(Vec<u8>),
    /// This, and then chunks without end.
    Endless(Vec<u8>),
}

/// 200 with this body.
pub(super) fn ok(body: &str) -> Say {
    answer("200 OK", "", body)
}

/// A status with headers, each ended by CRLF, and a body.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Say {
    Say::All(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into())
}

/// A redirect.
pub(super) fn redirect(location: impl std::fmt::Display) -> Say {
    answer("302 Found", &format!("Location: {location}\r\n"), "")
}

pub(super) struct Origin {
    pub(super) address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a server for 127.0.0.1 shows, and the configuration that trusts it.
pub(super) fn certified() -> (ServerConfig, Arc<ClientConfig>) {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, Arc::new(client))
}

impl Origin {
    /// An origin that speaks HTTP. The script gets the head of a request.
    pub(super) async fn http(script: impl Fn(&str) -> Say + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(script), None).await
    }

    /// An origin that speaks HTTPS, and the configuration that trusts it.
    pub(super) async fn https(
        script: impl Fn(&str) -> Say + Send + Sync + 'static,
    ) -> (Self, Arc<ClientConfig>) {
        let (server, client) = certified();
        (Self::start(Arc::new(script), Some(Arc::new(server).into())).await, client)
    }

    async fn start(script: Arc<dyn Fn(&str) -> Say + Send + Sync>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let seen = Arc::new(Seen::default());
        let seen_by_task = seen.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen_by_task.connections.fetch_add(1, Ordering::SeqCst);
                let (script, seen, tls) = (script.clone(), seen_by_task.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, &*script, &seen).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => converse(stream, &*script, &seen).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, scheme, seen, accepting }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}://{}{path}", self.scheme, self.address)).unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests, in lower case.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &(dyn Fn(&str) -> Say + Send + Sync),
    seen: &Seen,
) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        seen.requests.lock().unwrap().push(head.to_lowercase());
        match script(&head) {
            Say::All(bytes) => stream.write_all(&bytes).await.ok()?,
            Say::HangUp(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                return stream.shutdown().await.ok();
            }
            Say::Silence(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                std::future::pending::<()>().await;
            }
            Say::Endless(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                let chunk = [b"400\r\n".as_slice(), &[7; 1024], b"\r\n"].concat();
                loop {
                    stream.write_all(&chunk).await.ok()?;
                }
            }
        }
    }
}
