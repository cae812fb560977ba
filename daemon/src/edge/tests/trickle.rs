//! Viewers who take a little within each write limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::settings::Floor;
use super::super::testing::Running;
use super::{Limits, SOON, Settings, emptied, get, large};

/// A pause after each read: slower than the floor of [`demanding`], and far quicker than its write limit.
const PACE: Duration = Duration::from_millis(5);

/// An edge that asks for more than loopback gives at [`PACE`].
fn demanding() -> Settings {
    let floor = Floor { bytes: 512 * 1024 * 1024, span: Duration::from_millis(500) };
    // a connection is looked at first when the time for its first head is over
    let head = floor.span;
    Settings { limits: Limits { head, write: SOON, floor, ..Limits::default() }, ..Settings::default() }
}

#[tokio::test]
async fn a_viewer_that_trickles_over_http1_is_cut_off_and_what_it_held_is_free() {
    let held = Arc::new(AtomicUsize::new(0));
    let running = Running::new(demanding(), large(&held));
    let mut socket = TcpStream::connect(running.listener.local_addr()).await.unwrap();
    socket.write_all(get("/live/news/x").as_bytes()).await.unwrap();
    let mut taken = vec![0; 16 * 1024];
    let reading = async {
        while socket.read(&mut taken).await.is_ok_and(|bytes| bytes > 0) {
            tokio::time::sleep(PACE).await
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap();
    emptied(&running).await;
    assert_eq!(held.load(Ordering::SeqCst), 0);
    assert_eq!(running.count("sluice_viewer_evictions_total{reason=\"slow_read\"}"), 1);
}

#[tokio::test]
async fn a_stream_that_trickles_over_http2_is_reset_and_what_it_held_is_free() {
    let held = Arc::new(AtomicUsize::new(0));
    let running = Running::new(demanding(), large(&held));
    let socket = TcpStream::connect(running.listener.local_addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://x/live/news/x").body(Empty::<Bytes>::new()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let reading = async {
        loop {
            match body.frame().await {
                Some(Ok(_)) => tokio::time::sleep(PACE).await,
                end => return end.is_some(),
            }
        }
    };
    assert!(tokio::time::timeout(SOON, reading).await.unwrap(), "the body came to its end");
    assert_eq!(running.count("sluice_viewer_evictions_total{reason=\"slow_read\"}"), 1);
    assert_eq!(held.load(Ordering::SeqCst), 0);
}
