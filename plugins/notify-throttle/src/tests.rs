use sluice_plugin_sdk::serde_json::{Value, from_slice};
use sluice_plugin_sdk::testing::MockHost;

use super::*;

fn host() -> MockHost {
    let host = MockHost::new()
        .set("url", "https://hooks.example/in")
        .grant("https://hooks.example")
        .grant_kv("64KiB");
    (0..50).fold(host, |host, _| host.answer(http::Response::new(200)))
}

fn happen(host: &MockHost, kind: &str) -> Reaction {
    let event = Event { id: host.now_ms() % 1_000_000, ..Event::new(kind) }.of("news");
    host.handler::<NotifyThrottle>().unwrap().handle(&event).unwrap()
}

fn wake(host: &MockHost) -> Reaction {
    host.handler::<NotifyThrottle>().unwrap().wake().unwrap()
}

fn posted(host: &MockHost) -> Vec<Value> {
    host.requests().iter().map(|request| from_slice(request.body.as_deref().unwrap()).unwrap()).collect()
}

fn kinds(host: &MockHost) -> Vec<String> {
    posted(host).iter().map(|body| body["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_flapping_stream_makes_one_message_and_one_when_it_is_over() {
    let host = host();
    for _ in 0..10 {
        happen(&host, "stream.stalled");
        host.pass(Duration::from_secs(5));
        assert_eq!(happen(&host, "stream.recovered").wake_after_ms, Some(60_000));
        host.pass(Duration::from_secs(5));
    }
    assert_eq!(kinds(&host), ["stream.stalled"]);
    // 55 s are left of the calm minute
    assert_eq!(wake(&host).wake_after_ms, Some(55_000));
    host.pass(Duration::from_secs(55));
    assert_eq!(wake(&host), Reaction::none());
    let over = posted(&host).pop().unwrap();
    assert_eq!(
        (&over["kind"], &over["of"], &over["count"]),
        (&"resolved".into(), &"stream.stalled".into(), &10.into())
    );
    assert_eq!(over["until_ms"].as_u64().unwrap() - over["since_ms"].as_u64().unwrap(), 95_000);
    assert!(host.kept().is_empty());
}

#[test]
fn a_trouble_without_an_end_is_told_once() {
    let host = host();
    for _ in 0..100 {
        assert_eq!(happen(&host, "source.failed"), Reaction::none());
        host.pass(Duration::from_secs(60));
    }
    assert_eq!(kinds(&host), ["source.failed"]);
}

#[test]
fn families_and_pipelines_are_apart() {
    let host = host();
    happen(&host, "stream.stalled");
    happen(&host, "source.failed");
    let mut plugin = host.handler::<NotifyThrottle>().unwrap();
    plugin.handle(&Event::new("stream.stalled").of("sport")).unwrap();
    assert_eq!(kinds(&host), ["stream.stalled", "source.failed", "stream.stalled"]);
}

#[test]
fn a_stream_that_plays_ends_the_trouble_of_its_source_too() {
    let host = host();
    happen(&host, "source.failed");
    happen(&host, "stream.stalled");
    happen(&host, "stream.recovered");
    host.pass(Duration::from_secs(60));
    wake(&host);
    assert_eq!(kinds(&host), ["source.failed", "stream.stalled", "resolved", "resolved"]);
    assert!(host.kept().is_empty());
}

#[test]
fn what_is_meant_to_be_is_no_trouble_and_what_is_still_wrong_is_not_over() {
    let host = host();
    let mut plugin = host.handler::<NotifyThrottle>().unwrap();
    let mut happen = |kind: &str, detail| plugin.handle(&Event::new(kind).of("news").with(&detail)).unwrap();
    happen("stream.ended", json!({"reason": "shutdown"}));
    happen("config.reloaded", json!({"outcome": "partial"}));
    assert!(kinds(&host).is_empty());
    happen("config.rejected", json!({}));
    assert_eq!(happen("config.reloaded", json!({"outcome": "partial"})).wake_after_ms, None);
    assert_eq!(happen("config.reloaded", json!({"outcome": "applied"})).wake_after_ms, Some(60_000));
    happen("stream.ended", json!({"reason": "ended"}));
    assert_eq!(kinds(&host), ["config.rejected", "stream.ended"]);
    assert_eq!(happen("stream.ended", json!({"reason": "removed"})).wake_after_ms, Some(60_000));
}

#[test]
fn health_is_over_when_it_is_good_again() {
    let host = host();
    let mut plugin = host.handler::<NotifyThrottle>().unwrap();
    let mut change =
        |to: &str| plugin.handle(&Event::new("health.changed").of("news").with(&json!({"to": to}))).unwrap();
    change("degraded");
    change("failing");
    assert_eq!(change("good").wake_after_ms, Some(60_000));
    host.pass(Duration::from_secs(60));
    wake(&host);
    assert_eq!(kinds(&host), ["health.changed", "resolved"]);
}

#[test]
fn what_is_neither_good_nor_bad_is_told_once_in_a_while() {
    let host = host();
    for _ in 0..4 {
        happen(&host, "viewer.first");
        host.pass(Duration::from_secs(30));
    }
    assert_eq!(kinds(&host), ["viewer.first", "viewer.first"]);
}
