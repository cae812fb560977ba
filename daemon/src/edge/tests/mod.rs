//! The edge over real sockets.

mod tls;
mod trickle;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::stage::{Body, Serving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::testing::{Running, sink, table, text};
use super::{Cors, Limits, Settings};

/// Larger than what the sockets of both sides hold together.
const LARGE_BYTES: usize = 64 * 1024 * 1024;

/// A deadline for what should not take any time, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

fn short() -> Settings {
    let limits = Limits {
        head: Duration::from_millis(300),
        write: Duration::from_millis(300),
        idle: Duration::from_secs(30),
        ..Limits::default()
    };
    Settings { limits, ..Settings::default() }
}

/// Sends bytes as they are and reads until the other side closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// A sink whose bodies hold a count while they live.
fn large(held: &Arc<AtomicUsize>) -> Serving {
    struct Held(Arc<AtomicUsize>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let held = held.clone();
    let chunk = Bytes::from(vec![0; 1024 * 1024]);
    sink(move |_| {
        held.fetch_add(1, Ordering::SeqCst);
        let chunks = std::iter::repeat_n(chunk.clone(), LARGE_BYTES / chunk.len());
        Ok(Response::new(Body::chunks(chunks).holding(Held(held.clone()))))
    })
}

/// Waits until the edge has no connection left.
async fn emptied(running: &Running) {
    let empty = async {
        while running.edge.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, empty).await.unwrap();
}

#[tokio::test]
async fn a_viewer_gets_its_object_and_head_gets_its_length() {
    let echo = sink(|viewing| Ok(Response::new(Body::from(Bytes::from(viewing.rest().to_owned())))));
    let running = Running::new(Settings::default(), echo);
    let address = running.listener.local_addr();
    let answer = exchange(address, &get("/live/news/a%20b.m3u8?x=1")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("\r\n\r\na%20b.m3u8"), "{answer}");
    let head = exchange(address, &get("/live/news/abc").replacen("GET", "HEAD", 1)).await;
    assert!(head.contains("content-length: 3"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let series = "sluice_http_request_duration_seconds_count{code=\"2xx\",route=\"/live/news\"}";
    assert_eq!(running.count(series), 2);
}

#[tokio::test]
async fn what_no_route_answers_is_refused_with_the_right_status() {
    let running = Running::new(Settings::default(), text("ok"));
    let address = running.listener.local_addr();
    let close = "Host: x\r\nConnection: close\r\n";
    for (request, status, contains) in [
        (get("/live/other"), "404", "cache-control: max-age=1"),
        (get("/live/news/../../etc/passwd"), "404", "not found"),
        (get("/live/news/%2e%2e/x"), "404", "not found"),
        (get("/live/news").replacen("GET", "DELETE", 1), "405", "allow: GET, HEAD, OPTIONS"),
        (get("/live/news").replacen("GET", "OPTIONS", 1), "204", "access-control-max-age"),
        (format!("OPTIONS * HTTP/1.1\r\n{close}\r\n"), "204", "allow: "),
        (format!("POST /live/news HTTP/1.1\r\n{close}Content-Length: 3\r\n\r\nabc"), "413", "close"),
        (format!("GET /live/news HTTP/1.1\r\n{close}Transfer-Encoding: chunked\r\n\r\n"), "413", "close"),
        ("nonsense\r\n\r\n".to_owned(), "400", ""),
        (format!("GET / HTTP/1.1\r\n{close}X: {}\r\n\r\n", "a".repeat(100_000)), "431", ""),
        (format!("GET / HTTP/1.1\r\n{close}{}\r\n", "X: a\r\n".repeat(200)), "431", ""),
    ] {
        let answer = exchange(address, &request).await;
        let head = request.lines().next().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        assert!(answer.contains(contains), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_sink_that_faults_or_panics_costs_its_request_and_not_the_connection() {
    let service = sink(|viewing| match viewing.rest() {
        "starting" => Err(Fault::new(FaultKind::Starting)),
        "panic" => panic!("on purpose"),
        _ => Ok(Response::new(Body::from(Bytes::from_static(b"fine")))),
    });
    let running = Running::new(Settings::default(), service);
    let keep = |rest: &str| format!("GET /live/news/{rest} HTTP/1.1\r\nHost: x\r\n\r\n");
    let requests = format!("{}{}{}", keep("starting"), keep("panic"), get("/live/news/x"));
    let answers = exchange(running.listener.local_addr(), &requests).await;
    let statuses: Vec<_> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .map(|line| line.get(..3).unwrap())
        .collect();
    assert_eq!(statuses, ["503", "500", "200"], "{answers}");
    assert!(answers.contains("retry-after: 1"), "{answers}");
}

#[tokio::test]
async fn only_pages_of_the_configured_origins_may_read() {
    let cors = Cors::from_words(["https://tv.example"]).unwrap();
    let running = Running::new(Settings { cors, ..Settings::default() }, text("ok"));
    let address = running.listener.local_addr();
    let from = |origin: &str| get("/live/news").replace("Host: x", &format!("Host: x\r\nOrigin: {origin}"));
    let ours = exchange(address, &from("https://tv.example")).await;
    assert!(ours.contains("access-control-allow-origin: https://tv.example"), "{ours}");
    let theirs = exchange(address, &from("https://evil.example")).await;
    assert!(!theirs.contains("access-control-allow-origin"), "{theirs}");
    assert!(theirs.contains("vary: Origin"), "{theirs}");
    running.edge.retune(Settings { cors: Cors::Any, ..Settings::default() });
    let any = exchange(address, &get("/live/news/")).await;
    assert!(any.contains("access-control-allow-origin: *"), "{any}");
}

#[tokio::test]
async fn a_viewer_that_reads_nothing_over_http1_is_cut_off_and_what_it_held_is_free() {
    let held = Arc::new(AtomicUsize::new(0));
    let running = Running::new(short(), large(&held));
    let mut socket = TcpStream::connect(running.listener.local_addr()).await.unwrap();
    socket.write_all(get("/live/news/x").as_bytes()).await.unwrap();
    let mut first = [0; 1024];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(held.load(Ordering::SeqCst), 1);
    emptied(&running).await;
    assert_eq!(held.load(Ordering::SeqCst), 0);
    assert_eq!(running.count("sluice_viewer_evictions_total{reason=\"write_deadline\"}"), 1);
    assert_eq!(running.count("sluice_connections "), 0);
}

#[tokio::test]
async fn a_viewer_that_grants_no_window_over_http2_is_reset_and_what_it_held_is_free() {
    let held = Arc::new(AtomicUsize::new(0));
    let running = Running::new(short(), large(&held));
    let socket = TcpStream::connect(running.listener.local_addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://x/live/news/x").body(Empty::<Bytes>::new()).unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(held.load(Ordering::SeqCst), 1);
    // the connection's task reads the socket on, but nobody takes the body: the window is used up
    let freed = async {
        while held.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, freed).await.unwrap();
    emptied(&running).await;
    assert_eq!(running.count("sluice_viewer_evictions_total{reason=\"stream_lag\"}"), 1);
    let ended = loop {
        match response.frame().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(ended, Some(Err(_))), "a cut body does not look whole");
    connection.await.unwrap().ok();
}

#[tokio::test]
async fn a_slow_viewer_that_keeps_reading_gets_everything_over_both_protocols() {
    let held = Arc::new(AtomicUsize::new(0));
    let running = Running::new(short(), large(&held));
    let mut socket = TcpStream::connect(running.listener.local_addr()).await.unwrap();
    socket.write_all(get("/live/news/x").as_bytes()).await.unwrap();
    let (mut taken, mut buffer) = (0, vec![0; 4 * 1024 * 1024]);
    loop {
        // half the limit, for longer than the limit in total
        tokio::time::sleep(Duration::from_millis(30)).await;
        match socket.read(&mut buffer).await.unwrap() {
            0 => break,
            some => taken += some,
        }
    }
    assert!(taken > LARGE_BYTES, "{taken}");

    let socket = TcpStream::connect(running.listener.local_addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://x/live/news/x").body(Empty::<Bytes>::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes().len(), LARGE_BYTES);
}

#[tokio::test]
async fn a_head_that_dribbles_is_cut_off_also_as_the_first_bytes_and_as_a_second_request() {
    let running = Running::new(short(), text("ok"));
    let address = running.listener.local_addr();
    let beginnings =
        ["", "P", "PRI * HTTP/2.0\r\n", "GET / HT", "GET /live/news HTTP/1.1\r\nHost: x\r\n\r\nGET /"];
    for (beginning, number) in beginnings.iter().zip(1..) {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(beginning.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        if beginning.ends_with("GET /") {
            // the second head begins once the first answer is out
            let mut first = [0; 64];
            socket.read_exact(&mut first).await.unwrap();
            socket.write_all(b"live").await.unwrap();
        }
        let ended = tokio::time::timeout(SOON, socket.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{beginning:?} holds its connection");
        let evicted = running.count("sluice_viewer_evictions_total{reason=\"slow_head\"}");
        assert_eq!(evicted, number, "{beginning:?}");
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_and_counted_and_room_comes_back() {
    let mut settings = Settings::default();
    settings.limits.connections = 1;
    let running = Running::new(settings, text("ok"));
    let address = running.listener.local_addr();
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"GET /live/news HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    first.read_exact(&mut [0; 16]).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(second.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(running.count("sluice_connections_rejected_total"), 1);
    drop(first);
    emptied(&running).await;
    assert!(exchange(address, &get("/live/news")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_finds_its_route_while_tables_are_swapped() {
    let running = Running::new(Settings::default(), text("ok"));
    let address = running.listener.local_addr();
    let viewers: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let socket = TcpStream::connect(address).await.unwrap();
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
                tokio::spawn(connection);
                for _ in 0..200 {
                    let request =
                        Request::get("/live/news/x").header("host", "x").body(Empty::<Bytes>::new()).unwrap();
                    let response = sender.send_request(request).await.unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
                }
            })
        })
        .collect();
    let mut swaps = 0;
    while viewers.iter().any(|viewer| !viewer.is_finished()) {
        swaps += 1;
        let pipeline = format!("news-{swaps}");
        running.routes.store(Arc::new(table(&running.metrics, &pipeline, text("ok"))));
        tokio::task::yield_now().await;
    }
    for viewer in viewers {
        viewer.await.unwrap();
    }
    assert!(swaps > 10, "{swaps}");
    let series = "sluice_http_request_duration_seconds_count{code=\"2xx\",route=\"/live/news\"}";
    assert_eq!(running.count(series), 1600, "the series goes on over the swaps");
}

#[tokio::test]
async fn a_drain_ends_idle_connections_at_once_lets_bodies_finish_and_cuts_the_rest() {
    let held = Arc::new(AtomicUsize::new(0));
    let Running { edge, listener, .. } = Running::new(Settings::default(), large(&held));
    let address = listener.local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 16]).await.unwrap();
    let mut reading = TcpStream::connect(address).await.unwrap();
    reading.write_all(b"GET /live/news/x HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    reading.read_exact(&mut [0; 16]).await.unwrap();
    let mut stuck = TcpStream::connect(address).await.unwrap();
    stuck.write_all(b"GET /live/news/x HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stuck.read_exact(&mut [0; 16]).await.unwrap();

    drop(listener);
    let draining = tokio::spawn(async move { edge.drain(Duration::from_secs(3)).await });
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    rest.clear();
    tokio::time::timeout(SOON, reading.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.len() > LARGE_BYTES, "{}", rest.len());
    assert_eq!(draining.await.unwrap(), 1, "only the one that reads nothing is cut");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert_eq!(held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_a_dropped_listener_gives_it_back() {
    let running = Running::new(Settings::default(), text("ok"));
    let address = running.listener.local_addr();
    let error = running.edge.listen(address, None).err().unwrap();
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    let Running { edge, listener, .. } = running;
    drop(listener);
    let again = async {
        loop {
            match edge.listen(address, None) {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await, // the accept task ends at its next turn
            }
        }
    };
    let again = tokio::time::timeout(SOON, again).await.unwrap();
    assert!(exchange(again.local_addr(), &get("/live/news")).await.starts_with("HTTP/1.1 200"));
}
