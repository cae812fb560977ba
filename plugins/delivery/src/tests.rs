use sluice_plugin_sdk::serde_json::json;
use sluice_plugin_sdk::testing::MockHost;

use super::*;

struct Courier(Delivery);

impl Handler for Courier {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Delivery::new(settings).map(Self)
    }

    fn handle(&mut self, event: &Event) -> Result<Reaction, String> {
        self.0.send(&format!("evt_{}", event.id), &json!({"id": event.id}))
    }

    fn wake(&mut self) -> Result<Reaction, String> {
        self.0.flush()
    }
}

fn host() -> MockHost {
    MockHost::new().set("url", "https://hooks.example/in").grant("https://hooks.example").grant_kv("64KiB")
}

fn send(host: &MockHost, id: u64) -> Reaction {
    host.handler::<Courier>().unwrap().handle(&Event { id, ..Event::new("stream.stalled") }).unwrap()
}

fn wake(host: &MockHost) -> Reaction {
    host.handler::<Courier>().unwrap().wake().unwrap()
}

fn ids(host: &MockHost) -> Vec<String> {
    let id = |request: &http::Request| {
        request.headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.clone()
    };
    host.requests().iter().map(id).collect()
}

#[test]
fn a_message_that_is_taken_is_forgotten() {
    let host = host().set("token", "t").set("signing-key", "k").answer(http::Response::new(204));
    assert_eq!(send(&host, 7), Reaction::none());
    assert!(host.kept().is_empty());
    let request = &host.requests()[0];
    let header = |name: &str| &request.headers.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!((request.method.as_str(), header("authorization").as_str()), ("POST", "Bearer t"));
    assert!(header("webhook-signature").starts_with("v1,"));
    assert_eq!(request.body.as_deref(), Some(&br#"{"id":7}"#[..]));
}

#[test]
fn a_server_that_is_down_is_asked_with_growing_waits_and_gets_all_in_order() {
    let host = host();
    let waits: Vec<u64> = (0..4)
        .map(|round| {
            let reaction = if round == 0 { send(&host, 1) } else { wake(&host) };
            let wait = reaction.wake_after_ms.unwrap();
            host.pass(Duration::from_millis(wait));
            wait
        })
        .collect();
    assert_eq!(waits, [1000, 2000, 4000, 8000]);
    let host = host.answer(http::Response::new(500));
    // while it pauses, a new message waits behind the first
    assert_eq!(wake(&host).wake_after_ms, Some(16_000));
    host.pass(Duration::from_secs(1));
    assert_eq!(send(&host, 2).wake_after_ms, Some(15_000));
    host.pass(Duration::from_secs(15));
    let host = host.answer(http::Response::new(200)).answer(http::Response::new(200));
    assert_eq!(wake(&host), Reaction::none());
    assert_eq!(ids(&host), ["evt_1", "evt_1", "evt_1", "evt_1", "evt_1", "evt_1", "evt_2"]);
    assert!(host.kept().is_empty());
}

#[test]
fn a_wait_that_the_server_asks_for_is_kept_within_the_limit() {
    let host = host().set("longest-wait", "30s");
    let host = host.answer(http::Response::new(429).header("Retry-After", "7"));
    assert_eq!(send(&host, 1).wake_after_ms, Some(7000));
    host.pass(Duration::from_secs(7));
    let host = host.answer(http::Response::new(503).header("Retry-After", "86400"));
    assert_eq!(wake(&host).wake_after_ms, Some(30_000));
}

#[test]
fn what_no_attempt_will_help_is_dropped_and_said() {
    let host = host().answer(http::Response::new(400)).answer(http::Response::new(204));
    assert_eq!(send(&host, 1), Reaction::none());
    assert_eq!(send(&host, 2), Reaction::none());
    assert_eq!(host.logs()[0].message, "evt_1 is dropped: status 400");
    assert!(host.kept().is_empty());
}

#[test]
fn a_message_that_nobody_takes_is_dropped_in_time() {
    let host = host().set("give-up", "1h");
    send(&host, 1);
    host.pass(Duration::from_secs(3600));
    wake(&host);
    assert!(host.logs().iter().any(|line| line.message.starts_with("evt_1 is dropped")));
    assert_eq!(host.kept(), ["pause"]);
}

#[test]
fn a_full_queue_loses_the_oldest() {
    let host = host().set("queue", 3);
    for id in 1..=5 {
        send(&host, id);
    }
    host.pass(Duration::from_secs(1));
    let host = (0..3).fold(host, |host, _| host.answer(http::Response::new(200)));
    wake(&host);
    assert_eq!(ids(&host), ["evt_1", "evt_3", "evt_4", "evt_5"]);
    assert_eq!(host.logs().iter().filter(|line| line.message.contains("queue is full")).count(), 2);
}

#[test]
fn a_quota_that_is_used_up_loses_the_oldest_too() {
    let host = host().grant_kv("200B");
    for id in 1..=5 {
        send(&host, id);
    }
    assert!(host.kept().len() < 5);
    host.pass(Duration::from_secs(1));
    let host = (0..5).fold(host, |host, _| host.answer(http::Response::new(200)));
    wake(&host);
    assert_eq!(ids(&host).last().unwrap(), "evt_5");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    assert!(MockHost::new().handler::<Courier>().err().unwrap().contains("`url` is missing"));
    for (key, value) in [("url", "ftp://x"), ("format", "teams"), ("signing-key", "whsec_?")] {
        assert!(host().set(key, value).handler::<Courier>().is_err(), "{key}");
    }
    assert!(host().set("queue", 0).handler::<Courier>().is_err());
}
