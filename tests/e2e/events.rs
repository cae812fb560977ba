//! What happens is told, kept over restarts and kills, and can be asked for.

use nix::sys::signal::Signal;
use serde_json::Value;
use sluice_harness::{Sluice, eventually};

use super::{SOON, Stage, relay, setup};

/// The newest events that a query asks for, newest first.
async fn log(sluice: &Sluice, query: &str) -> Vec<Value> {
    let reply = sluice.api(&format!("/api/v1/events/log?limit=1000&{query}")).await;
    assert!(reply.status.is_success(), "{}", reply.text());
    reply.json()["events"].as_array().unwrap().clone()
}

/// Waits until the log has an event that a query asks for, and gives it.
async fn logged(sluice: &Sluice, query: &str) -> Value {
    let found = async || log(sluice, query).await.into_iter().next();
    eventually(&format!("an event of {query}"), SOON, found).await
}

fn id(event: &Value) -> u64 {
    event["id"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_events_outlives_a_kill_and_its_ids_rise() {
    let mut stage = Stage::new("").await;
    let started = logged(&stage.sluice, "kind=stream.started&pipeline=news").await;
    assert_eq!(started["detail"]["source"], "source 1 hls", "{started}");
    stage.sluice.process().signal(Signal::SIGKILL);
    stage.sluice.process().ended(SOON).await;
    let sluice = stage.sluice.setup().start().await;
    let again = async || {
        let events = log(&sluice, "kind=stream.started&pipeline=news").await;
        (events.len() == 2).then_some(events)
    };
    let both = eventually("the start of the second run", SOON, again).await;
    assert_eq!(both[1], started, "the log of the first run is as it was");
    assert!(id(&both[0]) > id(&both[1]), "{both:?}");
    let stats = sluice.api("/api/v1/events/stats").await.json();
    assert_eq!(stats["kinds"]["stream.started"], 2, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_reason_that_it_has() {
    let stage = Stage::new("").await;
    let text = relay("second", &stage.origin.url("/news/index.m3u8"), "");
    stage.sluice.apply("second.kdl", &text).await;
    logged(&stage.sluice, "kind=stream.started&pipeline=second").await;
    stage.sluice.delete("second.kdl").await;
    let ended = logged(&stage.sluice, "kind=stream.ended&pipeline=second").await;
    assert_eq!(ended["detail"]["reason"], "removed", "{ended}");
    assert!(ended["detail"]["duration_ms"].as_u64().unwrap() > 0, "{ended}");
    let setup = stage.sluice.setup().clone();
    let (status, text) = stage.sluice.terminate().await;
    assert!(status.success(), "{text}");
    let sluice = setup.start().await;
    let ended = logged(&sluice, "kind=stream.ended&pipeline=news").await;
    assert_eq!(ended["detail"]["reason"], "shutdown", "told before the end, and kept: {ended}");
    let order: Vec<Value> =
        log(&sluice, "kind=daemon.*").await.iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(order, ["daemon.started", "daemon.stopping", "daemon.started"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_watches_is_told_and_a_configuration_that_is_refused_too() {
    let stage = Stage::new("").await;
    let first = logged(&stage.sluice, "kind=viewer.first&pipeline=news").await;
    assert_eq!(first["detail"]["viewers"], 1, "{first}");
    let before = stage.sluice.reloads().await;
    stage.sluice.write("other.kdl", "on \"steam.*\" run=\"webhook\"");
    stage.sluice.reloaded_since(before).await;
    let rejected = logged(&stage.sluice, "kind=config.rejected").await;
    let said = rejected["cause"].as_str().unwrap();
    assert!(said.contains("other.kdl:1:4: no event matches the pattern"), "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reads_the_log_and_refuses_a_pattern_that_matches_nothing() {
    let stage = Stage::new("").await;
    let admin = format!("http://{}", stage.sluice.admin);
    logged(&stage.sluice, "kind=stream.started").await;
    let shown = stage.sluice.setup().output(&["events", "--admin", &admin, "--kind", "stream.*"]).await;
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.status.success() && text.contains("stream.started") && !text.contains("pipeline.state"),
        "{text}"
    );
    let refused = stage.sluice.setup().output(&["events", "--admin", &admin, "--kind", "steam.*"]).await;
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && text.contains("did you mean \"stream.*\"?"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_that_matches_nothing_is_refused_at_the_start_with_the_nearest() {
    let setup = setup().file("a.kdl", "on \"sorce.*\" run=\"webhook\"");
    let (status, log) = setup.start_in_vain().await;
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(log.contains("did you mean \"source.*\"?"), "{log}");
}
