//! The source `pipeline`: several pipelines on one connection.

use sluice_harness::origin::{After, Origin};
use sluice_harness::{Viewer, eventually, probe};

use super::mpegts::{live, says};
use super::{SOON, Stage, serves, setup};

fn follower(name: &str, followed: &str) -> String {
    format!(
        "pipeline \"{name}\" {{
    source \"pipeline\" \"{followed}\"
    sink \"hls\" path=\"/live/{name}\" window=12
}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_share_one_connection_and_serve_the_same_bytes() {
    let origin = Origin::start().await;
    origin.serve("/live.ts", live(12, After::Trickle));
    let upper = format!(
        "pipeline \"upper\" {{\n    source \"mpegts\" \"{}\" segment=\"1s\"\n    sink \"hls\" path=\"/live/upper\"\n}}\n",
        origin.url("/live.ts")
    );
    let setup = setup()
        .file("a.kdl", &follower("b", "a"))
        .file("b.kdl", &follower("a", "upper"))
        .file("c.kdl", &upper);
    let sluice = setup.start().await;
    serves(&sluice, "/live/b/index.m3u8").await;
    let views = ["/live/upper/index.m3u8", "/live/a/index.m3u8", "/live/b/index.m3u8"];
    let crowd: Vec<_> = views.iter().map(|path| Viewer::new(sluice.viewers, path).watch()).collect();
    for viewing in &crowd {
        eventually("four segments", SOON, async || (viewing.count() >= 4).then_some(())).await;
    }
    let mut taken = Vec::new();
    for viewing in crowd {
        let one = viewing.stop().await;
        one.assert_well_formed();
        taken.push(one.segments);
    }
    for other in &taken[1..] {
        let shared = other.iter().filter(|one| taken[0].iter().any(|first| first.bytes == one.bytes)).count();
        assert!(shared >= 2, "{shared} segments in common");
    }
    let (complaints, streams) = probe(&sluice.url("/live/b/index.m3u8")).await;
    assert!(complaints.is_empty() && streams.contains("h264"), "{complaints} {streams}");
    assert_eq!(origin.asked("/live.ts").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_stops_is_named_and_followed_again_when_it_is_back() {
    let stage = Stage::new("").await;
    let sluice = &stage.sluice;
    sluice.apply("b.kdl", &follower("b", "news")).await;
    serves(sluice, "/live/b/index.m3u8").await;
    let text = std::fs::read_to_string(sluice.setup().directory().join("news.kdl")).unwrap();
    sluice.apply("news.kdl", &text.replace("\"news\" {", "\"news\" enabled=#false {")).await;
    says(sluice, "b", "the pipeline `news` does not run").await;
    sluice.wait_for_state("b", "stalled", SOON).await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/b/index.m3u8").watch();
    sluice.apply("news.kdl", &text).await;
    sluice.wait_for_state("b", "live", SOON).await;
    let before = sluice.get("/live/b/index.m3u8").await.text();
    let moved = async || (sluice.get("/live/b/index.m3u8").await.text() != before).then_some(());
    eventually("more segments", SOON, moved).await;
    viewing.takes(3, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_well_formed();
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_and_circles_are_problems_with_both_places() {
    let setup = setup()
        .file("a.kdl", &follower("a", "b"))
        .file("b.kdl", &follower("b", "a"))
        .file("c.kdl", &follower("c", "c"))
        .file("d.kdl", &follower("d", "e"));
    let output = setup.output(&["check", "conf.d"]).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{words}");
    for expected in [
        "the pipeline `a` follows itself, by way of b, a",
        "and back",
        "b.kdl:2",
        "the pipeline `c` follows itself",
        "unknown pipeline `e`",
    ] {
        assert!(words.contains(expected), "{expected:?} is missing in {words}");
    }
}
