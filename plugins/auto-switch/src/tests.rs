use sluice_plugin_sdk::serde_json::json;
use sluice_plugin_sdk::testing::MockHost;

use super::*;

fn host() -> MockHost {
    MockHost::new().grant_kv("64KiB")
}

fn happen(host: &MockHost, event: &Event) -> Reaction {
    host.handler::<AutoSwitch>().unwrap().handle(event).unwrap()
}

fn score(host: &MockHost, score: u8) -> Reaction {
    happen(host, &Event::new("health.changed").of("news").with(&json!({"score": score, "to": "failing"})))
}

fn stall(host: &MockHost) -> Reaction {
    happen(host, &Event::new("stream.stalled").of("news"))
}

fn wake(host: &MockHost) -> Reaction {
    host.handler::<AutoSwitch>().unwrap().wake().unwrap()
}

#[test]
fn a_score_that_stays_low_asks_for_another_source_once_and_then_holds_off() {
    let host = host();
    assert_eq!(score(&host, 20), Reaction::none().wake_after(Duration::from_secs(20)));
    host.pass(Duration::from_secs(20));
    assert_eq!(wake(&host), Reaction::switch_source().wake_after(Duration::from_secs(120)));
    host.pass(Duration::from_secs(60));
    assert!(score(&host, 10).actions.is_empty());
    assert_eq!(host.logs()[0].message, "asking for switch-source: the health was below 30 for 20 s");
    // it did not help: the score is still low after the hold-off
    host.pass(Duration::from_secs(60));
    assert_eq!(wake(&host).actions.len(), 1);
}

#[test]
fn a_score_that_recovers_in_time_asks_for_nothing() {
    let host = host();
    score(&host, 20);
    host.pass(Duration::from_secs(10));
    assert_eq!(score(&host, 80), Reaction::none());
    host.pass(Duration::from_secs(10));
    assert_eq!(wake(&host), Reaction::none());
}

#[test]
fn stalls_count_within_their_time_and_a_switch_forgets_them() {
    let host = host();
    for (wait, asked) in [(0, 0), (200, 0), (200, 0), (10, 1), (10, 0)] {
        host.pass(Duration::from_secs(wait));
        assert_eq!(stall(&host).actions.len(), asked, "after {wait} s");
    }
    let other = self::host();
    stall(&other);
    stall(&other);
    happen(&other, &Event::new("source.switched").of("news"));
    assert_eq!(stall(&other), Reaction::none());
}

#[test]
fn what_is_asked_for_is_the_operators_choice() {
    let host = host().set("action", "restart-source").set("stalls", 1).set("below", 0);
    assert_eq!(stall(&host), Reaction::restart_source());
    let host = self::host().set("source", 3).set("stalls", 1);
    assert_eq!(stall(&host), Reaction::switch_source_to(3));
    assert_eq!(score(&self::host().set("below", 0), 0), Reaction::none());
    for (key, value) in [("action", "reboot"), ("hold-off", "0s"), ("last", "2h")] {
        assert!(self::host().set(key, value).handler::<AutoSwitch>().is_err(), "{key}");
    }
    assert!(self::host().set("source", 0).handler::<AutoSwitch>().is_err());
}
