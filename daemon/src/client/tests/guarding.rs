use std::net::IpAddr;
use std::sync::Mutex;

use http::{HeaderValue, header};

use super::super::connect::Resolver;
use super::super::scripted::{Origin, Say, answer, ok, redirect};
use super::*;

fn operator() -> Url {
    Url::parse("http://origin.example/").unwrap()
}

/// A resolver that gives these answers one after another, and then the last for ever.
fn resolver(answers: &[&str]) -> Resolver {
    let mut left: Vec<IpAddr> = answers.iter().rev().map(|text| text.parse().unwrap()).collect();
    let next = Mutex::new(move || if left.len() > 1 { left.pop() } else { left.last().copied() });
    Arc::new(move |_| {
        let found = (next.lock().unwrap())();
        Box::pin(async move { Ok(found.into_iter().collect()) })
    })
}

fn guarded(allow_hosts: &[&str], answers: &[&str]) -> Client {
    let allow_hosts: Vec<_> = allow_hosts.iter().map(|host| host.parse().unwrap()).collect();
    let policy = Policy::new(&[operator()], &allow_hosts);
    Client::with_resolver(policy, ClientLimits::default(), &system_tls().unwrap(), resolver(answers))
}

fn at(host: &str, origin: &Origin) -> Url {
    Url::parse(&format!("http://{host}:{}/", origin.address.port())).unwrap()
}

#[track_caller]
fn assert_forbidden(kind: &FaultKind) {
    assert!(matches!(kind, FaultKind::Forbidden(_)), "{kind:?}");
}

#[tokio::test]
async fn a_learned_host_that_resolves_inside_is_not_connected_to() {
    let origin = Origin::http(|_| ok("inside")).await;
    let client = guarded(&[], &["127.0.0.1"]);
    assert_forbidden(&fault(&client, learned(&at("cdn.example", &origin))).await);
    assert_forbidden(&fault(&client, learned(&origin.url("/"))).await);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn the_operators_host_and_allowed_ones_may_resolve_inside() {
    let origin = Origin::http(|_| ok("inside")).await;
    for (allow, host) in [
        (&[][..], "origin.example"),
        (&["cdn.example"][..], "cdn.example"),
        (&["*.cdn.example"][..], "a.cdn.example"),
        (&["127.0.0.0/8"][..], "cdn.example"),
        (&["127.0.0.1"][..], "127.0.0.1"),
    ] {
        let client = guarded(allow, &["127.0.0.1"]);
        let answer = fetch(&client, learned(&at(host, &origin))).await;
        assert_eq!(answer.unwrap().body, "inside", "{host}");
    }
}

#[tokio::test]
async fn a_name_that_turns_inside_after_the_first_look_is_still_refused() {
    let origin = Origin::http(|_| ok("inside")).await;
    let client = guarded(&[], &["192.88.98.1", "127.0.0.1"]);
    let url = at("rebinding.example", &origin);
    let deadlines = Deadlines { connect: Duration::from_millis(50), read: PATIENCE };
    let first = fault(&client, Exchange { deadlines, ..learned(&url) }).await;
    assert!(!matches!(first, FaultKind::Forbidden(_)), "the public address is tried: {first:?}");
    assert_forbidden(&fault(&client, learned(&url)).await);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_connection_of_the_operator_is_not_lent_to_a_learned_host() {
    let origin = Origin::http(|_| ok("inside")).await;
    let client = guarded(&[], &["127.0.0.1"]);
    let url = at("other.example", &origin);
    fetch(&client, exchange(&url, Class::Segment)).await.unwrap();
    assert_forbidden(&fault(&client, learned(&url)).await);
}

#[tokio::test]
async fn a_redirect_inside_is_refused() {
    let inside = Origin::http(|_| ok("inside")).await;
    let target = at("127.0.0.2", &inside);
    let origin = Origin::http(move |_| redirect(&target)).await;
    let client = guarded(&[], &["127.0.0.1"]);
    assert_forbidden(&fault(&client, exchange(&at("origin.example", &origin), Class::Playlist)).await);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn https_never_falls_to_http() {
    let plain = Origin::http(|_| ok("plain")).await;
    let target = plain.url("/");
    let (origin, trusting) = Origin::https(move |_| redirect(&target)).await;
    let url = origin.url("/");
    let policy = Policy::new(std::slice::from_ref(&url), &[]);
    let client = Client::new(policy, ClientLimits::default(), &trusting);
    assert_forbidden(&fault(&client, exchange(&url, Class::Playlist)).await);
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn credentials_stay_on_the_operators_origin() {
    let foreign = Origin::http(|_| ok("foreign")).await;
    let target = foreign.url("/");
    let origin = Origin::http(move |_| {
        let headers = format!("Location: {target}\r\nSet-Cookie: session=1\r\n");
        answer("302 Found", &headers, "")
    })
    .await;
    let mut url = origin.url("/live.m3u8");
    url.set_username("user").unwrap();
    url.set_password(Some("word")).unwrap();
    let headers = Arc::new(HeaderMap::from_iter([
        (header::COOKIE, HeaderValue::from_static("written=1")),
        ("x-token".parse().unwrap(), HeaderValue::from_static("t")),
        (header::USER_AGENT, HeaderValue::from_static("box")),
    ]));
    // the same address on another port is another origin, and the same host
    let client = client(&url);
    let answer = fetch(&client, Exchange { headers: headers.clone(), ..exchange(&url, Class::Playlist) });
    assert_eq!(answer.await.unwrap().url.as_str(), foreign.url("/").as_str());
    let (own, other) = (origin.requests(), foreign.requests());
    for secret in ["authorization: basic dxnlcjp3b3jk", "cookie: written=1", "x-token: t"] {
        assert!(own[0].contains(secret), "{own:?}");
    }
    for secret in ["authorization", "written", "x-token"] {
        assert!(!other[0].contains(secret), "{other:?}");
    }
    assert!(other[0].contains("user-agent: box"), "{other:?}");

    // a segment that the playlist names on the operator's origin is the operator's own
    fetch(&client, Exchange { headers, ..learned(&origin.url("/segment.ts")) }).await.unwrap();
    let own = origin.requests();
    assert!(own[1].contains("authorization: basic dxnlcjp3b3jk"), "{own:?}");
    assert!(own[1].contains("cookie: written=1; session=1"), "{own:?}");
}

#[tokio::test]
async fn userinfo_in_a_learned_url_is_not_sent() {
    let origin = Origin::http(|_| Say::HangUp(b"HTTP/1.1 204 No Content\r\n\r\n".into())).await;
    let mut url = at("cdn.example", &origin);
    url.set_username("user").unwrap();
    let client = guarded(&["cdn.example"], &["127.0.0.1"]);
    let answer = fetch(&client, learned(&url)).await.unwrap();
    assert_eq!(answer.url.username(), "");
    assert!(!origin.requests()[0].contains("authorization"));
}
