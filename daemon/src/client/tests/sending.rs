use http::{HeaderValue, StatusCode, header};
use sluice_core::fault::Phase;
use tokio::net::TcpListener;

use super::super::connect::Resolver;
use super::super::scripted::{Origin, Say, answer, ok, redirect};
use super::*;

fn resolving(answer: std::io::Result<&'static str>) -> Resolver {
    let answer = answer.map(|ip| ip.parse().unwrap()).map_err(|error| error.kind());
    Arc::new(move |_| Box::pin(async move { answer.map(|ip| vec![ip]).map_err(Into::into) }))
}

async fn status_fault(status: &'static str, headers: &'static str) -> Fault {
    let origin = Origin::http(move |_| answer(status, headers, "sorry")).await;
    let url = origin.url("/");
    fetch(&client(&url), exchange(&url, Class::Playlist)).await.unwrap_err()
}

#[tokio::test]
async fn a_status_that_is_no_success_is_a_fault_with_its_retry_after() {
    let fault = status_fault("503 Service Unavailable", "Retry-After: 7\r\n").await;
    assert_eq!(fault.kind, FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(fault.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(status_fault("404 Not Found", "").await.kind, FaultKind::Status(StatusCode::NOT_FOUND));
    let unasked = status_fault("304 Not Modified", "").await;
    assert_eq!(unasked.kind, FaultKind::Status(StatusCode::NOT_MODIFIED), "no validators were sent");
}

#[tokio::test]
async fn not_modified_is_an_answer_to_validators() {
    let origin = Origin::http(|_| Say::All(b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".into())).await;
    let url = origin.url("/");
    let validators = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"1\""))]);
    let asked = Exchange { validators, ..exchange(&url, Class::Playlist) };
    let answer = fetch(&client(&url), asked).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    assert!(origin.requests()[0].contains("if-none-match: \"1\""));
}

#[tokio::test]
async fn silence_before_the_head_is_a_read_timeout() {
    let origin = Origin::http(|_| Say::Silence(Vec::new())).await;
    let url = origin.url("/");
    assert_eq!(fault(&client(&url), exchange(&url, Class::Key)).await, FaultKind::Timeout(Phase::Read));
}

#[tokio::test]
async fn what_hangs_up_or_refuses_is_a_connection_fault() {
    let origin = Origin::http(|_| Say::HangUp(Vec::new())).await;
    let url = origin.url("/");
    assert_eq!(fault(&client(&url), exchange(&url, Class::Key)).await, FaultKind::Connect);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = Url::parse(&format!("http://{closed}/")).unwrap();
    assert_eq!(fault(&client(&url), exchange(&url, Class::Key)).await, FaultKind::Connect);
}

#[tokio::test]
async fn what_is_not_http_is_malformed() {
    let origin = Origin::http(|_| Say::HangUp(b"220 mail.example ESMTP\r\n\r\n".into())).await;
    let url = origin.url("/");
    let kind = fault(&client(&url), exchange(&url, Class::Key)).await;
    assert!(matches!(kind, FaultKind::Malformed(_)), "{kind:?}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_fault() {
    let url = Url::parse("http://origin.example/").unwrap();
    let resolver = resolving(Err(std::io::ErrorKind::NotFound.into()));
    let policy = Policy::new(std::slice::from_ref(&url), &[]);
    let client = Client::with_resolver(policy, ClientLimits::default(), &system_tls().unwrap(), resolver);
    assert_eq!(fault(&client, exchange(&url, Class::Key)).await, FaultKind::Dns);
}

#[tokio::test]
async fn the_connect_deadline_covers_resolving_and_the_tls_handshake() {
    let url = Url::parse("http://origin.example/").unwrap();
    let resolver: Resolver = Arc::new(|_| Box::pin(std::future::pending()));
    let policy = Policy::new(std::slice::from_ref(&url), &[]);
    let client = Client::with_resolver(policy, ClientLimits::default(), &system_tls().unwrap(), resolver);
    let hurried = |url: &Url| {
        let deadlines = Deadlines { connect: Duration::from_millis(50), read: PATIENCE };
        Exchange { deadlines, ..exchange(url, Class::Key) }
    };
    assert_eq!(fault(&client, hurried(&url)).await, FaultKind::Timeout(Phase::Connect));
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap(); // accepts in the kernel, and never speaks
    let url = Url::parse(&format!("https://{}/", mute.local_addr().unwrap())).unwrap();
    assert_eq!(fault(&self::client(&url), hurried(&url)).await, FaultKind::Timeout(Phase::Connect));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_tls_fault_and_a_trusted_one_works() {
    let (origin, trusting) = Origin::https(|_| ok("secret")).await;
    let url = origin.url("/");
    assert_eq!(fault(&client(&url), exchange(&url, Class::Key)).await, FaultKind::Tls);
    let policy = Policy::new(std::slice::from_ref(&url), &[]);
    let client = Client::new(policy, ClientLimits::default(), &trusting);
    assert_eq!(fetch(&client, exchange(&url, Class::Key)).await.unwrap().body, "secret");
}

#[tokio::test]
async fn redirects_are_followed_against_the_current_url() {
    let origin = Origin::http(|head| match head.split(' ').nth(1).unwrap() {
        "/a/start" => redirect("../b/next"),
        "/b/next" => redirect("end?x=1#part"),
        _ => ok("there"),
    })
    .await;
    let url = origin.url("/a/start");
    let answer = fetch(&client(&url), exchange(&url, Class::Playlist)).await.unwrap();
    assert_eq!((answer.url, &answer.body[..]), (origin.url("/b/end?x=1"), &b"there"[..]));
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let origin = Origin::http(|_| redirect("/again")).await;
    let url = origin.url("/");
    assert_eq!(fault(&client(&url), exchange(&url, Class::Playlist)).await, FaultKind::Redirects);
    assert_eq!(origin.requests().len(), 6);
}

#[tokio::test]
async fn connections_are_used_again() {
    let origin = Origin::http(|_| ok("x")).await;
    let url = origin.url("/");
    let client = client(&url);
    for _ in 0..100 {
        fetch(&client, exchange(&url, Class::Segment)).await.unwrap();
    }
    assert_eq!((origin.requests().len(), origin.connections()), (100, 1));
}
