//! Sources that wait for their turn: one that shows an old list is played and not believed in, and a slate keeps viewers
//! while nothing else works.

use std::time::Duration;

use sluice_harness::origin::{After, Airing, Answer, Live, Mode, Origin};
use sluice_harness::{Sluice, Viewer, eventually};

use super::failover::{chain, fed_by, hls, switches, view};
use super::outages::states;
use super::players::repository;
use super::{SOON, serves, setup};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_whose_playlist_does_not_move_is_played_and_passed_over() {
    let origin = Origin::start().await;
    let [a, frozen, c] = ["a", "b", "c"].map(|name| Live::new(name).filled(6));
    for (directory, live) in [("/a", &a), ("/b", &frozen), ("/c", &c)] {
        origin.mount(directory, live);
    }
    let _ticking = [&a, &c].map(|live| live.ticking(Duration::from_secs(1)));
    let sources = ["a", "b", "c"].map(|name| hls(&origin, name));
    let sluice = setup().file("news.kdl", &chain(&sources, "return-after=\"1h\"")).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(2, SOON).await;
    origin.fail("/a/index", Answer::status(404));
    let view = fed_by(&sluice, 2, SOON).await;
    assert_eq!(view["last_switch"]["reason"], "status_4xx", "{view}");
    assert_eq!(view["last_switch"]["from"], "source 1 hls", "{view}");
    assert_eq!(switches(&sluice).await, 1.0, "one failure, one switch");
    // the log is read a moment after it is written
    let passed = async || (states(&sluice) == ["live", "stalled", "live"]).then_some(());
    eventually("the states, among which an old list is not called live", SOON, passed).await;
    viewing.takes(3, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_whole();
    let is_frozen = |bytes| (0..6).any(|number| frozen.segment(number) == bytes);
    assert!(taken.segments.iter().any(|segment| is_frozen(segment.bytes.clone())), "what it lists is played");
}

/// A pipeline `news` of these sources and a slate.
fn with_slate(sources: &[String]) -> String {
    let slate = format!("\"file\" {:?}", repository().join("conf.d/media/demo.ts").display().to_string());
    let sources: Vec<String> = sources.iter().cloned().chain([slate]).collect();
    chain(&sources, "return-after=\"1h\"")
}

async fn budget_left(sluice: &Sluice) -> u64 {
    view(sluice).await["switches_left"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slate_plays_while_dead_sources_are_tried_and_the_first_that_works_takes_over() {
    let origin = Origin::start().await;
    let demo = std::fs::read(repository().join("conf.d/media/demo.ts")).unwrap();
    let [a, b, c] = [(); 3].map(|()| Airing::new(demo.clone(), 79_258));
    for (path, channel) in [("/a.ts", &a), ("/b.ts", &b), ("/c.ts", &c)] {
        origin.air(path, channel);
    }
    b.turn(Mode::Hanging);
    c.turn(Mode::Hanging);
    let source = |path| format!("\"mpegts\" \"{}\" segment=\"1s\"", origin.url(path));
    let text = with_slate(&["/a.ts", "/b.ts", "/c.ts"].map(source));
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(2, SOON).await;
    a.turn(Mode::Hanging);
    let view = fed_by(&sluice, 3, SOON).await;
    assert_eq!(view["last_switch"]["reason"], "stall", "{view}");
    assert_eq!(view["sources"][1]["state"], "starting", "it is still in its trial: {view}");
    eprintln!("no media for {} s before the slate", view["last_switch"]["gap_seconds"]);
    let tried = async || (!origin.asked("/c.ts").is_empty() && origin.asked("/a.ts").len() > 1).then_some(());
    eventually("every source is tried behind the slate", SOON * 2, tried).await;
    assert_eq!(switches(&sluice).await, 1.0, "one failure, one switch");
    assert_eq!(sluice.state("news").await, "live");
    b.turn(Mode::Well);
    let view = fed_by(&sluice, 1, SOON * 3).await;
    assert_eq!(view["last_switch"]["reason"], "return", "{view}");
    assert_eq!((switches(&sluice).await, budget_left(&sluice).await), (2.0, 8));
    viewing.takes(3, SOON).await;
    viewing.stop().await.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slate_that_bridged_is_left_for_a_playlist_only_when_that_moves() {
    let origin = Origin::start().await;
    let [a, b] = ["a", "b"].map(|name| Live::new(name).filled(6));
    origin.mount("/a", &a);
    origin.mount("/b", &b);
    let ticking = a.ticking(Duration::from_secs(1));
    let sluice =
        setup().file("news.kdl", &with_slate(&["a", "b"].map(|name| hls(&origin, name)))).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    origin.fail("/b/", Answer::status(200).after(Duration::from_secs(3600)));
    drop(ticking);
    let view = fed_by(&sluice, 2, SOON).await;
    assert_eq!(view["last_switch"]["reason"], "stall", "{view}");
    origin.mend();
    let asked = origin.asked("/b/index").len();
    let polled = async || (origin.asked("/b/index").len() > asked + 3).then_some(());
    eventually("the second playlist is watched", SOON * 2, polled).await;
    assert_eq!(switches(&sluice).await, 1.0, "it does not move");
    let _ticking = b.ticking(Duration::from_secs(1));
    let view = fed_by(&sluice, 1, SOON * 3).await;
    assert_eq!(view["last_switch"]["reason"], "return", "{view}");
    assert_eq!((switches(&sluice).await, budget_left(&sluice).await), (2.0, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slate_is_not_left_for_a_burst_of_what_an_origin_had_kept() {
    let origin = Origin::start().await;
    let demo = std::fs::read(repository().join("conf.d/media/demo.ts")).unwrap();
    let channel = Airing::new(demo.clone(), 79_258);
    origin.air("/a.ts", &channel);
    let source = format!("\"mpegts\" \"{}\" segment=\"1s\"", origin.url("/a.ts"));
    let sluice = setup().file("news.kdl", &with_slate(&[source])).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let burst = Answer::paced(demo[..1700 * 188].to_vec(), 800_000, After::Silence);
    origin.fail("/a.ts", burst);
    channel.turn(Mode::Ended);
    let view = fed_by(&sluice, 1, SOON).await;
    assert_eq!(view["last_switch"]["reason"], "stall", "a burst followed, and silence: {view}");
    let asked = origin.asked("/a.ts").len();
    let tried = async || (origin.asked("/a.ts").len() > asked + 2).then_some(());
    eventually("the first source is tried three times", SOON * 3, tried).await;
    assert_eq!((switches(&sluice).await, budget_left(&sluice).await), (1.0, 9));
    origin.mend();
    channel.turn(Mode::Well);
    let view = fed_by(&sluice, 0, SOON * 3).await;
    assert_eq!(view["last_switch"]["reason"], "return", "{view}");
    assert_eq!(switches(&sluice).await, 2.0);
}
