//! The admin side over sockets.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::testing::Running;

/// A deadline for what should not take any time, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// Asks and returns the status, the head and the body.
async fn ask(address: SocketAddr, line: &str, body: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn readiness_follows_the_checks_and_liveness_does_not() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    assert_eq!(ask(address, "GET /readyz", "").await.0, 503);
    assert_eq!(ask(address, "GET /livez", "").await.0, 200);
    let (_, _, verbose) = ask(address, "GET /readyz?verbose", "").await;
    assert_eq!(verbose, "[-] listeners: 1 of 1\n");
    running.control.ready.store(true, Ordering::SeqCst);
    assert_eq!(ask(address, "GET /readyz", "").await.0, 200);
}

#[tokio::test]
async fn a_pipeline_is_found_also_where_its_name_holds_a_slash() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    for path in ["/api/v1/pipelines/tv/news", "/api/v1/pipelines/tv%2Fnews"] {
        let (status, _, body) = ask(address, &format!("GET {path}"), "").await;
        let view: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &view["renditions"][0]["last_sequence"]), (200, &12.into()), "{path}");
    }
    let (status, head, body) = ask(address, "GET /api/v1/pipelines/none", "").await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problem["status"], &problem["title"]), (404, &404.into(), &"Not Found".into()));
    assert!(head.contains("content-type: application/problem+json"), "{head}");
}

#[tokio::test]
async fn the_health_of_a_pipeline_is_shown_and_what_a_scorer_sees_of_it() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    let (status, _, body) = ask(address, "GET /api/v1/pipelines/tv/news/health", "").await;
    let view: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &view["legacy_score"]), (200, &84.into()), "{body}");
    let (status, _, body) = ask(address, "GET /api/v1/pipelines/tv/news/health?observations=1", "").await;
    let sample: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &sample["pipeline"]), (200, &"tv/news".into()), "{body}");
    assert_eq!(ask(address, "GET /api/v1/pipelines/none/health", "").await.0, 404);
}

#[tokio::test]
async fn every_error_is_problem_json() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    for (line, body, expected) in [
        ("GET /nothing", "", 404),
        ("DELETE /api/v1/pipelines", "", 405),
        ("GET /api/v1/reload", "", 405),
        ("PUT /api/v1/log", "{", 422),
        ("PUT /api/v1/log", "{\"level\": \"loud\"}", 422),
        ("PUT /api/v1/log", &"x".repeat(20_000), 413),
        ("GET /api/v1/pipelines/panic", "", 500),
    ] {
        let (status, head, body) = ask(address, line, body).await;
        assert_eq!(status, expected, "{line}: {body}");
        assert!(head.contains("content-type: application/problem+json"), "{line}: {head}");
    }
}

#[tokio::test]
async fn a_reload_says_what_changes_and_one_with_problems_is_refused_with_them() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    let (status, _, body) = ask(address, "POST /api/v1/reload?dry-run", "").await;
    let view: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &view["outcome"]), (200, &"dry-run".into()));
    assert_eq!(view["changes"][0]["viewers"], 7);
    running.control.broken.store(true, Ordering::SeqCst);
    let (status, _, body) = ask(address, "POST /api/v1/reload", "").await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problem["reload"]["problems"][0]["line"]), (422, &3.into()));
}

#[tokio::test]
async fn the_log_level_changes_and_metrics_are_prometheus_text() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    let (status, _, body) = ask(address, "PUT /api/v1/log", "{\"level\": \"debug\"}").await;
    assert_eq!((status, body.as_str()), (200, "{\"level\":\"debug\"}"));
    assert_eq!(running.parts.log.level(), "debug");
    let (_, head, body) = ask(address, "GET /metrics", "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(!body.contains("sluice_connections"), "{body}");
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    let port = address.port();
    for request in [
        format!("POST /api/v1/reload HTTP/1.1\r\nHost: {address}\r\nOrigin: https://evil.example\r\n"),
        format!("GET /api/v1/config HTTP/1.1\r\nHost: evil.example:{port}\r\n"),
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{request}: {answer}");
    }
}

/// A stream of events, from behind `last` on.
struct Listening(BufReader<TcpStream>);

impl Listening {
    async fn new(address: SocketAddr, last: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n{last}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut listening = Self(BufReader::new(socket));
        while !listening.line().await.is_empty() {}
        listening
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(SOON, self.0.read_line(&mut line)).await.unwrap().unwrap();
        line.trim_end().to_owned()
    }

    /// The id and the number in the detail of the next event.
    async fn event(&mut self) -> (String, u64) {
        let mut id = String::new();
        loop {
            let line = self.line().await;
            if let Some(found) = line.strip_prefix("id: ") {
                found.clone_into(&mut id);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                return (id, event["detail"]["number"].as_u64().unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_listener_that_comes_back_misses_no_event_and_one_from_another_run_gets_all() {
    let running = Running::new().await;
    let address = running.admin.local_addr();
    let publish = |number: u64| {
        let detail = serde_json::json!({ "number": number });
        running.events.publish("test.happened", Some("news".into()), None, detail);
    };
    let mut first = Listening::new(address, "").await;
    publish(1);
    let (id, number) = first.event().await;
    assert_eq!(number, 1);
    drop(first);
    publish(2);
    publish(3);
    let mut back = Listening::new(address, &format!("Last-Event-ID: {id}\r\n")).await;
    assert_eq!((back.event().await.1, back.event().await.1), (2, 3));
    let mut other = Listening::new(address, "Last-Event-ID: 5-99\r\n").await;
    assert_eq!(other.event().await.1, 1);
    publish(4);
    assert_eq!(back.event().await.1, 4);

    let Running { admin, .. } = running;
    let draining = tokio::spawn(admin.drain(SOON));
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, back.0.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends whole");
    drop(other);
    draining.await.unwrap();
}
