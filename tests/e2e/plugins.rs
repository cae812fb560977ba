//! Plugins in the running daemon: what they do, and what they cannot do to it.

use std::path::PathBuf;

use futures_util::future::join_all;
use http::Method;
use serde_json::Value;
use sluice_harness::origin::Live;
use sluice_harness::plugin::component;
use sluice_harness::{Setup, Sluice, Viewer, assert_alike, crowd, eventually};

use super::{SOON, Stage, setup};

/// What the plugin asks for, whatever it is told to do.
const GRANTED: &str = "kv \"8KiB\"; http \"http://127.0.0.1:9\"";

const VIEWERS: usize = 200;

/// A daemon with the scorers `well` and `evil` in its directory of plugins.
fn with_plugins() -> (Setup, PathBuf) {
    let setup = setup();
    let directory = setup.home().join("plugins");
    std::fs::create_dir_all(&directory).unwrap();
    for name in ["well", "evil"] {
        std::fs::write(directory.join(format!("{name}.wasm")), component("scorer")).unwrap();
    }
    let setup = setup.server(&format!("plugins {:?}", directory.display().to_string()));
    let text = format!("plugin \"well\" {{ {GRANTED}; }}\nplugin \"evil\" {{ {GRANTED}; }}\n");
    (setup.file("plugins.kdl", &text), directory)
}

/// A pipeline beside the one of the stage, scored by a plugin.
fn beside(stage: &Stage, name: &str, health: &str) -> String {
    let url = stage.origin.url("/news/index.m3u8");
    format!(
        "pipeline \"{name}\" {{\n    source \"hls\" \"{url}\"\n    sink \"hls\" path=\"/live/{name}\"\n    \
         health {health} every=\"1s\"\n}}\n"
    )
}

/// Waits until a plugin stands so.
async fn stands(sluice: &Sluice, name: &str, state: &str) -> Value {
    let path = format!("/api/v1/plugins/{name}");
    let found = async || Some(sluice.api(&path).await.json()).filter(|plugin| plugin["state"] == state);
    eventually(&format!("{name} is {state}"), SOON, found).await
}

/// Waits until a pipeline is scored so.
async fn scored(sluice: &Sluice, pipeline: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/v1/pipelines/{pipeline}/health");
    let found = async || Some(sluice.api(&path).await.json()["health"].clone()).filter(&is_so);
    eventually(&format!("the health of {pipeline} is {what}"), SOON, found).await
}

#[tokio::test]
async fn plugins_that_compute_without_end_are_cut_and_disabled_and_nobody_else_notices() {
    let (setup, _) = with_plugins();
    let stage = Stage::with(setup, Live::new("a"), "").await;
    let sluice = &stage.sluice;
    let viewer = Viewer::new(sluice.viewers, "/live/news/index.m3u8");
    let mut viewings = crowd(&viewer, VIEWERS);
    let evil =
        ["loop", "recursion", "memory", "long", "logs-without-end", "255", "nan", "panic", "loop", "loop"];
    let evil = evil.iter().enumerate();
    let pipelines: String = evil
        .map(|(at, mode)| beside(&stage, &format!("evil-{at}"), &format!("\"evil\" mode={mode:?}")))
        .collect();
    sluice.apply("evil.kdl", &(pipelines + &beside(&stage, "well", "\"well\" score=77"))).await;
    let disabled = stands(sluice, "evil", "disabled").await;
    assert!(disabled["reason"].as_str().unwrap().starts_with("disabled after 10 faults"), "{disabled}");
    for kind in ["deadline", "trap", "memory", "invalid"] {
        // calls that were under way when it was disabled are counted too
        let counted = async || {
            let plugin = sluice.api("/api/v1/plugins/evil").await.json();
            (plugin["faults"][kind].as_u64() > Some(0)).then_some(())
        };
        eventually(&format!("a fault of the kind {kind}"), SOON, counted).await;
    }
    let stood_in =
        |health: &Value| health["stood_in"].as_str().is_some_and(|why| why.contains("disabled after"));
    scored(sluice, "evil-0", "that of the built-in scorer", stood_in).await;
    let well = scored(sluice, "well", "that of its plugin", |health| health["score"] == 77).await;
    assert_eq!(well["stood_in"], Value::Null, "{well}");
    join_all(viewings.iter_mut().map(|viewing| viewing.takes(3, SOON))).await;
    let mut taken = Vec::new();
    for viewing in viewings {
        let one = viewing.stop().await;
        one.assert_whole();
        taken.push(one);
    }
    assert_alike(&taken);
    let metrics = sluice.metrics().await;
    assert_eq!(metrics.sum("sluice_plugin_disabled", &[("plugin", "evil")]), 1.0);
    assert_eq!(metrics.sum("sluice_plugin_disabled", &[("plugin", "well")]), 0.0);
    let enabled = sluice.ask_admin(Method::POST, "/api/v1/plugins/evil/enable", &[]).await.json();
    assert_eq!(enabled["state"], "ready", "{enabled}");
}

#[tokio::test]
async fn a_file_is_taken_up_as_it_comes_and_a_broken_one_leaves_what_was_there() {
    let (setup, directory) = with_plugins();
    let stage = Stage::with(setup, Live::new("a"), "").await;
    let sluice = &stage.sluice;
    sluice.apply("new.kdl", &beside(&stage, "new", "\"new\"")).await;
    stands(sluice, "new", "missing").await;
    sluice.apply("plugins.kdl", &format!("plugin \"new\" {{ {GRANTED}; }}\n")).await;
    let file = directory.join("new.wasm");
    std::fs::write(&file, component("scorer")).unwrap();
    scored(sluice, "new", "that of its plugin", |health| health["score"] == 90).await;
    std::fs::write(&file, &component("scorer")[..1000]).unwrap();
    let refused = async || {
        let plugin = sluice.api("/api/v1/plugins/new").await.json();
        Some(plugin).filter(|plugin| {
            plugin["reason"].as_str().is_some_and(|reason| reason.contains("ends too early"))
        })
    };
    let plugin = eventually("the broken file is refused", SOON, refused).await;
    assert_eq!(
        (&plugin["state"], &plugin["program"]["kind"]),
        (&"ready".into(), &"scorer".into()),
        "{plugin}"
    );
    assert!(sluice.log().contains("a plugin was refused"));
}

#[tokio::test]
async fn a_check_and_a_reload_name_what_a_plugin_does_not_take() {
    let (setup, _) = with_plugins();
    let stage = Stage::with(setup, Live::new("a"), "").await;
    let sluice = &stage.sluice;
    stands(sluice, "well", "ready").await;
    sluice.apply("wrong.kdl", &beside(&stage, "wrong", "\"well\" scor=5")).await;
    let problems = sluice.api("/api/v1/config").await.json()["problems"].clone();
    let problem = problems.as_array().unwrap().iter().find(|problem| problem["file"] == "wrong.kdl");
    let said = problem.and_then(|problem| problem["message"].as_str()).unwrap_or_default();
    assert!(said.contains("the plugin `well` has no key `scor`"), "{problems}");
    let checked = sluice.setup().output(&["check", &sluice.setup().directory().display().to_string()]).await;
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(78), "{told}");
    assert!(told.contains("has no key `scor`") && told.contains("did you mean `score`?"), "{told}");
}

#[tokio::test]
async fn what_plugins_keep_outlives_a_daemon_that_is_killed() {
    let (setup, _) = with_plugins();
    let mut stage = Stage::with(setup, Live::new("a"), "").await;
    let count = beside(&stage, "count", "\"well\" mode=\"count\"");
    stage.sluice.apply("count.kdl", &count).await;
    let number = |health: &Value| health["words"].as_str().and_then(|words| words.parse::<u64>().ok());
    let before = scored(&stage.sluice, "count", "counted", |health| number(health) > Some(2)).await;
    let process = stage.sluice.process();
    process.signal(nix::sys::signal::Signal::SIGKILL);
    process.ended(SOON).await;
    let again = stage.sluice.setup().start().await;
    let after = scored(&again, "count", "counted on", |health| number(health).is_some()).await;
    assert!(number(&after) > number(&before), "{before} {after}");
}
