//! Hostile and broken origins: each fault is counted under its name, viewers go on from the window, and the
//! stream goes on when the origin does.

use std::time::Duration;

use sluice_harness::origin::{Answer, Live, packets};
use sluice_harness::{Taken, Viewer, eventually};

use super::{SOON, Stage, relay, setup};

/// What memory a body without end may take, with all else that the daemon holds.
const MEMORY_LIMIT_KIB: u64 = 256 * 1024;

/// Breaks what `part` of the paths names, waits for the count of `kind` (and where it is the playlist, for the
/// state), mends it, and expects the stream to go on whole for a viewer who watches all the while.
async fn survives(stage: &Stage, part: &str, answer: Answer, kind: &str) -> Taken {
    let mut viewing = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(1, SOON).await;
    let before = stage.faults(kind).await;
    stage.origin.fail(part, answer);
    stage.fault_after(kind, before).await;
    if part == "index" {
        stage.sluice.wait_for_state("news", "stalled", SOON).await;
        assert_eq!(stage.sluice.get("/live/news/index.m3u8").await.status, 200, "viewers have the window");
    }
    stage.origin.mend();
    let number = stage.live.newest() + 1;
    let bytes = stage.live.segment(number);
    viewing.takes(2, SOON).await;
    stage.sluice.wait_for_state("news", "live", SOON).await;
    let labels = [("pipeline", "news")];
    let now = stage.sluice.metrics().await.sum("sluice_segments_total", &labels);
    stage.sluice.wait_for_metric("sluice_segments_total", &labels, now + 3.0, SOON).await;
    viewing.takes(3, SOON).await;
    let taken = viewing.stop().await;
    assert!(taken.segments.iter().any(|segment| segment.bytes == bytes), "segment {number} did not come");
    assert_eq!(taken.failures, [""; 0]);
    assert_eq!(taken.violations, [""; 0]);
    assert_eq!(taken.lost, [0; 0]);
    assert_eq!(taken.gaps, [0; 0]);
    taken
}

/// A part of paths that names the segment after the next one.
fn upcoming(stage: &Stage) -> String {
    format!("a-{}.ts", stage.live.newest() + 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_not_found_becomes_a_gap() {
    let stage = Stage::new("").await;
    let taken = survives_segment(&stage, Answer::status(404), "status_4xx").await;
    assert_eq!(taken.gaps.len(), 1, "{:?}", taken.gaps);
    assert_eq!(stage.sluice.state("news").await, "live");
}

/// Breaks one segment for good.
async fn survives_segment(stage: &Stage, answer: Answer, kind: &str) -> Taken {
    let mut viewing = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(1, SOON).await;
    let before = stage.faults(kind).await;
    stage.origin.fail(&upcoming(stage), answer);
    stage.fault_after(kind, before).await;
    let gap = [("pipeline", "news")];
    stage.sluice.wait_for_metric("sluice_segment_gaps_total", &gap, 1.0, SOON).await;
    viewing.takes(4, SOON).await;
    let taken = viewing.stop().await;
    assert_eq!(taken.failures, [""; 0]);
    assert_eq!(taken.violations, [""; 0]);
    assert_eq!(taken.lost, [0; 0]);
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_answers_500_stalls_the_pipeline_and_the_window_goes_on() {
    let stage = Stage::new("").await;
    stage.origin.fail("index", Answer::status(500));
    stage.sluice.wait_for_state("news", "stalled", SOON).await;
    let reason = stage.sluice.api("/api/v1/pipelines/news").await.text();
    assert!(reason.contains("500"), "the reason names the status: {reason}");
    stage.origin.mend();
    survives(&stage, "index", Answer::status(500), "status_5xx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    let stage = Stage::new("").await;
    let before = stage.faults("status_5xx").await;
    stage.origin.fail("index", Answer::status(503).header("Retry-After", "3"));
    stage.fault_after("status_5xx", before).await;
    let asked = stage.origin.asked("index").len();
    let again = async || stage.origin.asked("index").get(asked).map(|asked| asked.at);
    let second = eventually("the next request", SOON, again).await;
    let first = stage.origin.asked("index")[asked - 1].at;
    assert!(second - first >= Duration::from_millis(2900), "asked again after {:?}", second - first);
    stage.origin.mend();
    survives(&stage, "index", Answer::status(503), "status_5xx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_stalls_in_the_middle_is_fetched_again() {
    let stage = Stage::new("timeout \"8s\" connect=\"1s\" read=\"1s\"").await;
    let stalled = Answer::bytes(packets("x", 18_800)).stalled_at(1000);
    let part = upcoming(&stage);
    survives(&stage, &part, stalled, "read_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_segment_is_never_passed_on() {
    let stage = Stage::new("").await;
    let truncated = Answer::bytes(packets("x", 18_800)).truncated_at(9_400);
    let part = upcoming(&stage);
    let taken = survives(&stage, &part, truncated, "truncated").await;
    assert!(taken.segments.iter().all(|segment| segment.bytes.len() == 18_800));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_redirects_ends() {
    let stage = Stage::new("").await;
    let circle = Answer::redirect("/news/index.m3u8");
    survives(&stage, "index", circle, "redirects").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_two_gigabytes_is_refused_and_costs_no_memory() {
    let stage = Stage::new("").await;
    survives(&stage, "index", Answer::endless(), "too_large").await;
    survives_segment(&stage, Answer::zeroes(2 << 30), "too_large").await;
    let mut stage = stage;
    let id = stage.sluice.process().id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_LIMIT_KIB, "{peak} KiB were resident");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_in_place_of_a_playlist_is_a_named_fault() {
    let stage = Stage::new("").await;
    let page = Answer::text("<!DOCTYPE html><title>Sorry</title>").header("Content-Type", "text/html");
    survives(&stage, "index", page, "malformed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_counts_from_zero_again_is_a_discontinuity_and_our_sequence_goes_on() {
    let stage = Stage::with(setup(), Live::new("a").from_sequence(5000), "").await;
    let mut viewing = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(3, SOON).await;
    stage.live.restart_at(0);
    let labels = [("pipeline", "news")];
    stage.sluice.wait_for_metric("sluice_discontinuities_total", &labels, 1.0, SOON).await;
    viewing.takes(4, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_whole();
    let eras: Vec<u64> = taken.segments.iter().map(|segment| segment.entry.discontinuity_sequence).collect();
    assert_eq!(eras.last().unwrap() - eras[0], 1, "{eras:?}");
    let sequences: Vec<u64> = taken.segments.iter().map(|segment| segment.entry.sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_fails_one_pipeline_and_no_other() {
    let stage = Stage::new("").await;
    let wrong = relay("lost", "http://nowhere.invalid/index.m3u8", "");
    stage.sluice.apply("lost.kdl", &wrong).await;
    let labels = [("pipeline", "lost"), ("kind", "dns")];
    stage.sluice.wait_for_metric("sluice_source_faults_total", &labels, 1.0, SOON).await;
    stage.sluice.wait_for_state("lost", "failed", SOON).await;
    let refused = stage.sluice.get("/live/lost/index.m3u8").await;
    assert_eq!(refused.status, 503);
    assert_ne!(refused.header("retry-after"), "");
    assert_eq!(stage.sluice.state("news").await, "live");
    let right = relay("lost", &stage.origin.url("/news/index.m3u8"), "");
    stage.sluice.apply("lost.kdl", &right).await;
    stage.sluice.wait_for_state("lost", "live", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_starts_while_its_origin_is_down_goes_live_when_it_is_up() {
    let origin = sluice_harness::origin::Origin::start().await;
    let live = Live::new("a").filled(6);
    let text = relay("news", &origin.url("/news/index.m3u8"), "");
    let sluice = setup().file("news.kdl", &text).start().await;
    let labels = [("pipeline", "news"), ("kind", "status_4xx")];
    sluice.wait_for_metric("sluice_source_faults_total", &labels, 1.0, SOON).await;
    assert_eq!(sluice.get("/live/news/index.m3u8").await.status, 503);
    origin.mount("/news", &live);
    let _ticking = live.ticking(Duration::from_secs(1));
    sluice.wait_for_state("news", "live", SOON).await;
}
