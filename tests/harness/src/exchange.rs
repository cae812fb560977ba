//! A plain HTTP client: one connection that is seen when it breaks.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};
use url::Url;

use crate::wait::within;

/// How long any one exchange of a test may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2 with prior knowledge.
    Two,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// One connection to a server. It is never opened anew: a request on a broken one is an error.
pub struct Connection {
    sender: Sender,
    authority: String,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn open(address: SocketAddr, version: Version) -> Self {
        Self::try_open(address, version).await.unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn try_open(address: SocketAddr, version: Version) -> io::Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?, version).await)
    }

    /// Opens a connection whose receive buffer in the kernel is small, so that a reader who is slow is felt by
    /// the server.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open_narrow(address: SocketAddr, version: Version) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_recv_buffer_size(16 * 1024)?;
        Ok(Self::over(socket.connect(address).await?, version).await)
    }

    async fn over(stream: TcpStream, version: Version) -> Self {
        let authority = stream.peer_addr().unwrap().to_string();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let sender = match version {
            Version::One => {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::One(sender)
            }
            Version::Two => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                Sender::Two(sender)
            }
        };
        Self { sender, authority }
    }

    /// Sends a request and gives the head with the body unread.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> hyper::Result<http::Response<Incoming>> {
        let mut request = Request::builder().method(method);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", &self.authority);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::default();
        match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request.uri(path).body(body).unwrap()).await
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                let uri = format!("http://{}{path}", self.authority);
                sender.send_request(request.uri(uri).body(body).unwrap()).await
            }
        }
    }

    /// Gets the whole answer for a path.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn get(&mut self, path: &str) -> hyper::Result<Reply> {
        self.ask(Method::GET, path, &[]).await
    }

    /// Sends a request and gives the whole answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> hyper::Result<Reply> {
        let exchange = async {
            let (head, body) = self.send(method, path, headers).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Reply { status: head.status, headers: head.headers, body })
        };
        within(path, LIMIT, exchange).await
    }
}

impl Reply {
    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("a body of text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Gets a URL over a connection of its own.
///
/// # Panics
/// When that fails.
pub async fn get(url: &str) -> Reply {
    let url = Url::parse(url).unwrap();
    let address = url.socket_addrs(|| None).unwrap().remove(0);
    let mut connection = Connection::open(address, Version::One).await;
    let target = &url[url::Position::BeforePath..];
    connection.get(target).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}
