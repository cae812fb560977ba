//! A scripted origin: live streams that a test moves on, and answers that no decent server gives.

mod airing;
mod answer;
mod live;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use airing::{Airing, Mode};
pub use answer::{After, Answer};
pub use live::{Live, Ticking, packets};

/// A request as the origin got it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The path, with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// When it came.
    pub at: Instant,
}

type Script = Arc<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

/// An HTTP server on a port of its own. It ends, with all of its connections, when this is dropped.
pub struct Origin {
    address: SocketAddr,
    scripts: Arc<Scripts>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Scripts {
    routes: RwLock<Vec<Script>>,
    faults: RwLock<Vec<Script>>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
}

impl Origin {
    /// Starts an origin on 127.0.0.1 that answers 404 to everything.
    pub async fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into()).await
    }

    /// Starts an origin on another address of this machine.
    pub async fn start_on(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let scripts = Arc::new(Scripts::default());
        let accepting = tokio::spawn(scripts.clone().accept(listener));
        Self { address, scripts, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers a path, whatever its query, with the same each time.
    pub fn serve(&self, path: &str, answer: Answer) {
        let path = path.to_owned();
        self.script(move |asked| (asked.path.split('?').next() == Some(&path)).then(|| answer.clone()));
    }

    /// Serves a live stream under a directory, as `/news`: `/news/index.m3u8` and its segments.
    pub fn mount(&self, directory: &str, live: &Arc<Live>) {
        let (directory, live) = (format!("{directory}/"), live.clone());
        self.script(move |asked| live.answer(asked.path.strip_prefix(&directory)?));
    }

    /// Puts a channel on the air at a path.
    pub fn air(&self, path: &str, airing: &Arc<Airing>) {
        let (path, airing) = (path.to_owned(), airing.clone());
        self.script(move |asked| (asked.path == path).then(|| airing.answer()));
    }

    /// Answers what `script` has an answer for. Scripts that came earlier are asked first.
    pub fn script(&self, script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) {
        self.scripts.routes.write().unwrap().push(Arc::new(script));
    }

    /// Answers every path that contains `part` so, in front of all scripts, until [`Origin::mend`].
    pub fn fail(&self, part: &str, answer: Answer) {
        let part = part.to_owned();
        self.fail_by(move |asked| asked.path.contains(&part).then(|| answer.clone()));
    }

    /// Answers what `script` has an answer for, in front of all other scripts, until [`Origin::mend`].
    pub fn fail_by(&self, script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) {
        self.scripts.faults.write().unwrap().push(Arc::new(script));
    }

    /// Takes back every [`Origin::fail`].
    pub fn mend(&self) {
        self.scripts.faults.write().unwrap().clear();
    }

    /// Every request so far whose path contains `part`.
    pub fn asked(&self, part: &str) -> Vec<Asked> {
        self.scripts.asked.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        self.scripts.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Scripts {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            self.connections.fetch_add(1, Ordering::Relaxed);
            connections.spawn(self.clone().serve(stream));
            while connections.try_join_next().is_some() {}
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        if stream.set_nodelay(true).is_err() {
            return; // gone already
        }
        let service = service_fn(|request: Request<Incoming>| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer.into_response().await) }
        });
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // clients that leave in mid-exchange are part of the tests, as are answers that break off: these reset the connection
        if (&mut connection).await.is_err() {
            drop(connection.into_parts().io.into_inner().set_zero_linger());
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str()).to_owned();
        let asked = Asked { path, headers: request.headers().clone(), at: Instant::now() };
        self.asked.lock().unwrap().push(asked.clone());
        let (faults, routes) = (self.faults.read().unwrap(), self.routes.read().unwrap());
        let found = faults.iter().chain(routes.iter()).find_map(|script| script(&asked));
        found.unwrap_or_else(|| Answer::status(404))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get;

    #[tokio::test]
    async fn a_live_stream_moves_on_by_command() {
        let origin = Origin::start().await;
        let live = Live::new("a").filled(6);
        origin.mount("/news", &live);
        let before = get(&origin.url("/news/index.m3u8")).await.text();
        live.advance();
        let after = get(&origin.url("/news/index.m3u8")).await.text();
        assert!(before.contains("a-0.ts") && !before.contains("a-6.ts"), "{before}");
        assert!(!after.contains("a-0.ts") && after.contains("a-6.ts"), "{after}");
        assert_eq!(get(&origin.url("/news/a-3.ts")).await.body, live.segment(3));
        assert_eq!(origin.asked("index").len(), 2);
    }

    #[tokio::test]
    async fn a_fault_stands_before_the_stream_until_it_is_mended() {
        let origin = Origin::start().await;
        origin.serve("/x", Answer::text("well"));
        origin.fail("/x", Answer::status(503).header("Retry-After", "7"));
        let failed = get(&origin.url("/x")).await;
        assert_eq!((failed.status.as_u16(), failed.header("retry-after")), (503, "7"));
        origin.mend();
        assert_eq!(get(&origin.url("/x?y")).await.text(), "well");
    }

    #[tokio::test]
    async fn a_truncated_body_is_an_error_for_its_reader() {
        let origin = Origin::start().await;
        origin.serve("/x", Answer::bytes(vec![1; 1000]).truncated_at(10));
        let mut connection = crate::Connection::open(origin.address(), crate::Version::One).await;
        assert!(connection.get("/x").await.is_err());
    }
}
