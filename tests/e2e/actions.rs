//! What plugins ask for, with the plugin `auto-switch` that ships: refused until its node allows it.

use std::time::Duration;

use serde_json::Value;
use sluice_harness::origin::{Answer, Live, Origin};
use sluice_harness::{Sluice, eventually};

use super::failover::{chain, hls};
use super::players::repository;
use super::{SOON, relay, serves, setup};

/// Waits until an action has come out so, and gives its event.
async fn acted(sluice: &Sluice, outcome: &str) -> Value {
    let found = async || {
        let page = sluice.api("/api/v1/events/log?kind=plugin.action&limit=1000").await.json();
        let events = page["events"].as_array().unwrap().clone();
        events.into_iter().find(|event| event["detail"]["outcome"] == outcome)
    };
    eventually(&format!("an action that is {outcome}"), SOON * 2, found).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_started_anew_for_a_plugin_that_may_ask_for_it_and_for_no_other() {
    let origin = Origin::start().await;
    let live = Live::new("a").window(20).filled(6);
    origin.mount("/news", &live);
    let ticking = live.ticking(Duration::from_secs(1));
    let handled = "    on \"stream.*\" run=\"auto-switch\" { stalls 1; below 0; hold-off \"1s\"; action \"restart-source\"; }\n}\n";
    let text = relay("news", &origin.url("/news/index.m3u8"), "");
    let text = text.trim_end().trim_end_matches('}').to_owned() + handled;
    let plugins = format!("plugins {:?}", repository().join("plugins").display().to_string());
    let granted =
        |actions: &str| format!("plugin \"auto-switch\" {{ kv \"64KiB\"; deadline \"1s\"; {actions} }}\n");
    let setup = setup().server(&plugins).file("grants.kdl", &granted("")).file("news.kdl", &text);
    let sluice = setup.start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    drop(ticking);
    let refused = acted(&sluice, "refused").await;
    assert!(refused["cause"].as_str().unwrap().contains("does not list restart-source"), "{refused}");
    sluice.apply("grants.kdl", &granted("actions \"restart-source\"")).await;
    let ticking = live.ticking(Duration::from_secs(1));
    sluice.wait_for_state("news", "live", SOON).await;
    drop(ticking);
    let done = acted(&sluice, "done").await;
    assert_eq!(
        (&done["pipeline"], &done["detail"]["plugin"]),
        (&"news".into(), &"auto-switch".into()),
        "{done}"
    );
    let _ticking = live.ticking(Duration::from_secs(1));
    let labels = [("pipeline", "news"), ("reason", "plugin")];
    sluice.wait_for_metric("sluice_source_switches_total", &labels, 1.0, SOON).await;
    sluice.wait_for_state("news", "live", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_does_not_undo_a_failover_that_is_under_way() {
    let origin = Origin::start().await;
    let live = Live::new("a").window(20).filled(6);
    origin.mount("/a", &live);
    let ticking = live.ticking(Duration::from_secs(1));
    origin.serve("/b/index.m3u8", Answer::status(200).after(Duration::from_secs(3600)));
    let handled = "    on \"stream.*\" \"pipeline.state\" run=\"auto-switch\" { stalls 1; below 0; hold-off \"1s\"; }\n}\n";
    let text = chain(&[hls(&origin, "a"), hls(&origin, "b")], "");
    let text = text.trim_end().trim_end_matches('}').to_owned() + handled;
    let plugins = format!("plugins {:?}", repository().join("plugins").display().to_string());
    let granted = "plugin \"auto-switch\" { kv \"64KiB\"; deadline \"1s\"; actions \"switch-source\"; }\n";
    let setup = setup().server(&plugins).file("grants.kdl", granted).file("news.kdl", &text);
    let sluice = setup.start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    drop(ticking);
    let failed = acted(&sluice, "failed").await;
    assert_eq!(failed["detail"]["action"], "switch-source", "{failed}");
}
