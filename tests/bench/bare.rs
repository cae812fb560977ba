//! The bare peers, as child processes of the benchmark: a hyper server with a boxed service, and a client.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sluice_harness::{Ending, Listing, Process};
use tokio::net::TcpListener;
use tokio::process::Command;
use tower::util::BoxCloneSyncService;

/// What any HLS server sends with a playlist; the daemon sends the same, so that both put as many bytes on the wire.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl")),
    (CACHE_CONTROL, HeaderValue::from_static("max-age=2")),
    (ETAG, HeaderValue::from_static("\"mwqflej7-112181211-42\"")),
    (VARY, HeaderValue::from_static("accept-encoding")),
];

/// A bare server as a child process that serves `paths` with these playlists and one large object.
pub(crate) async fn start_server(playlist: &str, segment_bytes: usize) -> (Process, SocketAddr) {
    let directory = tempfile::tempdir().unwrap().keep();
    std::fs::write(directory.join("playlist"), playlist).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("bare-server").env("BARE_PLAYLIST", directory.join("playlist"));
    command.env("BARE_SEGMENT_BYTES", segment_bytes.to_string());
    let process = Process::start("the bare server", &mut command, Ending::Kill);
    let address = |line: &str| line.strip_prefix("listening ")?.parse().ok();
    let address = process.line("its address", Duration::from_secs(10), address).await;
    std::fs::remove_dir_all(directory).unwrap();
    (process, address)
}

/// The bare server.
pub(crate) async fn serve() {
    let playlist = Bytes::from(std::fs::read(std::env::var("BARE_PLAYLIST").unwrap()).unwrap());
    let size: usize = std::env::var("BARE_SEGMENT_BYTES").unwrap().parse().unwrap();
    let mut objects = HashMap::from([("/segment.ts".to_owned(), Bytes::from(vec![0x47; size]))]);
    objects.extend((0..100).map(|number| (format!("/c{number}/index.m3u8"), playlist.clone())));
    let objects = std::sync::Arc::new(objects);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let body = objects.get(request.uri().path()).cloned();
        async move {
            let mut response = Response::new(Full::new(body.clone().unwrap_or_default()));
            *response.status_mut() =
                if body.is_some() { http::StatusCode::OK } else { http::StatusCode::NOT_FOUND };
            for (name, value) in HEADERS {
                response.headers_mut().insert(name, value);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let service = BoxCloneSyncService::new(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening {}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // a client that leaves is no matter here
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// A bare client as a child process that follows the media playlists of `urls`.
pub(crate) fn start_client(urls: &[String]) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("bare-client").args(urls);
    Process::start("the bare client", &mut command, Ending::Kill)
}

/// The bare client: polls each playlist at half a target duration and takes every new segment.
pub(crate) async fn fetch(urls: &[String]) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let get = async |url: String| {
        let response = client.get(url.parse().unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let follow = async |url: &String| {
        let directory = url.trim_end_matches("index.m3u8");
        let mut next = 0;
        loop {
            let text = get(url.clone()).await;
            let listing = Listing::read(std::str::from_utf8(&text).unwrap());
            for entry in listing.entries.iter().filter(|entry| entry.sequence >= next) {
                get(format!("{directory}{}", entry.uri)).await;
            }
            next = listing.entries.last().map_or(next, |entry| entry.sequence + 1);
            tokio::time::sleep(Duration::from_secs(listing.target_secs.max(1)) / 2).await;
        }
    };
    futures_util::future::join_all(urls.iter().map(follow)).await;
}
