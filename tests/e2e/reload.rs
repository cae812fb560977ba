//! Saving a file applies it, and viewers do not notice.

use std::time::Duration;

use sluice_harness::origin::Live;
use sluice_harness::{Pace, Viewer, assert_alike, crowd, eventually};

use super::{SOON, Stage, relay, setup};

/// How many viewers watch.
const VIEWERS: usize = 50;

/// How many changes are made.
const CHANGES: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_changes_to_other_pipelines_cost_no_viewer_a_byte() {
    let stage = Stage::new("").await;
    let viewer = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8");
    let mut viewings = crowd(&viewer, VIEWERS);
    viewings[0].takes(1, SOON).await;
    for change in 0..CHANGES {
        // each other pipeline is added, changed twice and deleted
        let (file, step) = (format!("other-{}.kdl", change / 4), change % 4);
        if step == 3 {
            stage.sluice.delete(&file).await;
        } else {
            let path = format!("/nothing/{step}/index.m3u8");
            let text = relay(&format!("other-{}", change / 4), &stage.origin.url(&path), "");
            stage.sluice.apply(&file, &text).await;
        }
    }
    break_and_mend(&stage).await;
    let newest = stage.live.segment(stage.live.newest());
    viewings[0].takes(3, SOON).await;
    let mut all = Vec::new();
    for viewing in viewings {
        all.push(viewing.stop().await);
    }
    all.iter().for_each(|taken| taken.assert_whole());
    assert_alike(&all);
    assert!(all[0].segments.iter().any(|segment| segment.bytes == newest));
    let sequence = |taken: &sluice_harness::Taken| taken.segments.last().map(|last| last.entry.sequence);
    let (first, last) = (all.iter().map(sequence).min(), all.iter().map(sequence).max());
    assert!(last.flatten() <= first.flatten().map(|first| first + 2), "some viewers fell behind");
}

/// Breaks the file of the watched pipeline, sees its problem named and the pipeline live, and mends it.
async fn break_and_mend(stage: &Stage) {
    let sluice = &stage.sluice;
    let right = relay("news", &stage.origin.url("/news/index.m3u8"), "");
    sluice.apply("news.kdl", &right.replace("window=12", "windw=12")).await;
    assert_eq!(sluice.state("news").await, "live");
    let metrics = sluice.metrics().await;
    assert_eq!(metrics.sum("sluice_config_last_reload_successful", &[]), 0.0);
    let config = sluice.api("/api/v1/config").await.text();
    assert!(config.contains("windw") && config.contains("news.kdl"), "the API names the problem: {config}");
    assert!(sluice.log().contains("windw"), "the log names the problem");
    sluice.apply("news.kdl", &right).await;
    let mended = async || {
        (sluice.metrics().await.sum("sluice_config_last_reload_successful", &[]) == 1.0).then_some(())
    };
    eventually("a reload without problems", SOON, mended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watched_pipeline_is_retuned_under_bodies_in_flight() {
    // a segment lasts a throttled viewer about a second and a half
    let live = Live::with_size("a", 600_000);
    let stage = Stage::with(setup(), live, "").await;
    stage.origin.mount("/moved", &stage.live);
    let viewer = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8");
    let slow = crowd(&viewer.clone().pace(Pace::Slow(500_000)), 8);
    let mut quick = viewer.watch();
    quick.takes(2, SOON).await;
    let text = relay("news", &stage.origin.url("/news/index.m3u8"), "");
    let connections = stage.sluice.metrics().await;
    let retuned = text
        .replace("window=12", "window=9")
        .replace("        \n", "        retry 2 backoff=\"100ms..1s\"\n");
    assert_ne!(text, retuned);
    stage.sluice.apply("news.kdl", &retuned).await;
    quick.takes(2, SOON).await;
    stage.sluice.apply("news.kdl", &retuned.replace("segments=40", "segments=30")).await;
    quick.takes(2, SOON).await;
    let moved = retuned.replace("/news/index", "/moved/index");
    stage.sluice.apply("news.kdl", &moved).await;
    quick.takes(4, SOON).await;
    assert!(!stage.origin.asked("/moved/a-").is_empty(), "the new source is in use");
    let taken = quick.stop().await;
    taken.assert_whole();
    for viewing in slow {
        let taken = viewing.stop().await;
        assert_eq!(taken.failures, [""; 0], "no connection broke");
        assert_eq!(taken.violations, [""; 0]);
        assert!(taken.segments.iter().all(|segment| segment.bytes.len() == taken.segments[0].bytes.len()));
    }
    assert!(connections.has("sluice_segments_total", &[("pipeline", "news")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_read_however_it_is_saved() {
    let stage = Stage::new("").await;
    let directory = stage.sluice.setup().directory();
    let text = |name: &str| relay(name, &stage.origin.url("/news/index.m3u8"), "");
    let before = stage.sluice.reloads().await;
    std::fs::write(directory.join("in-place.kdl"), text("in-place")).unwrap();
    stage.sluice.reloaded_since(before).await;
    stage.sluice.wait_for_state("in-place", "live", SOON).await;
    stage.sluice.apply("renamed.kdl", &text("renamed")).await;
    stage.sluice.wait_for_state("renamed", "live", SOON).await;
    stage.sluice.delete("renamed.kdl").await;
    stage.sluice.wait_for_state("renamed", "404 Not Found", SOON).await;
    assert!(!stage.sluice.metrics().await.has("sluice_segments_total", &[("pipeline", "renamed")]));
    assert_eq!(stage.sluice.get("/live/renamed/index.m3u8").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_of_the_data_link_as_kubernetes_does_it_is_read() {
    let stage = Stage::new("").await;
    let directory = stage.sluice.setup().directory();
    let link = |version: &str| {
        std::os::unix::fs::symlink(version, directory.join("..fresh")).unwrap();
        std::fs::rename(directory.join("..fresh"), directory.join("..data")).unwrap();
    };
    let text =
        |path: &str| relay("mapped", &stage.origin.url("/news/index.m3u8"), "").replace("/live/mapped", path);
    for (version, path) in [("..one", "/live/one"), ("..two", "/live/two")] {
        std::fs::create_dir(directory.join(version)).unwrap();
        std::fs::write(directory.join(version).join("mapped.kdl"), text(path)).unwrap();
    }
    link("..one");
    std::os::unix::fs::symlink("..data/mapped.kdl", directory.join("mapped.kdl")).unwrap();
    let serves = async |path: &str| stage.sluice.get(path).await.status.is_success().then_some(());
    eventually("the first version", SOON, async || serves("/live/one/index.m3u8").await).await;
    link("..two");
    eventually("the second version", SOON, async || serves("/live/two/index.m3u8").await).await;
    assert_eq!(stage.sluice.get("/live/one/index.m3u8").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_logged_with_the_viewers_that_it_touches() {
    let stage = Stage::new("").await;
    let mut viewing = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(1, SOON).await;
    let text = relay("news", &stage.origin.url("/news/index.m3u8"), "").replace("window=12", "window=10");
    stage.sluice.apply("news.kdl", &text).await;
    let log = stage.sluice.log();
    let line = log.lines().find(|line| line.contains("retune") && line.contains("news"));
    assert!(line.is_some_and(|line| line.contains("viewers")), "{log}");
    viewing.stop().await.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_named_until_there_was_one() {
    let stage = Stage::new("").await;
    let server = std::fs::read_to_string(stage.sluice.setup().directory().join("00-server.kdl")).unwrap();
    let moved = server.replace("format=\"json\"", "format=\"logfmt\"").replace("/state\"", "/other\"");
    stage.sluice.apply("00-server.kdl", &moved).await;
    let admin = format!("http://{}", stage.sluice.admin);
    for arguments in [&["reload", "--dry-run", "--admin", &admin][..], &["reload", "--admin", &admin]] {
        let output = stage.sluice.setup().output(arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("to apply state-dir, log format\n"), "{text}");
    }
    stage.sluice.apply("00-server.kdl", &server).await;
    let output = stage.sluice.setup().output(&["reload", "--admin", &admin]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("restart"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_what_would_change_and_changes_nothing() {
    let stage = Stage::new("").await;
    let before = stage.sluice.reloads().await;
    let reply = stage.sluice.ask_admin(http::Method::POST, "/api/v1/reload?dry-run", &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(stage.sluice.reloads().await, before);
    tokio::time::timeout(Duration::from_secs(1), stage.sluice.wait_for_state("news", "live", SOON))
        .await
        .unwrap();
}
