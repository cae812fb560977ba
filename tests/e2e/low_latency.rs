//! Low latency: reloads that wait, parts, delta updates, and the players that use them.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use sluice_conformance::Follower;
use sluice_harness::origin::{Live, Origin};
use sluice_harness::{
    Browser, Connection, Listing, Reply, Sluice, Version, Viewer, eventually, play_with_ffmpeg,
    play_with_vlc, probe,
};

use super::players::repository;
use super::{SOON, relay, serves, setup};

const INDEX: &str = "/live/news/index.m3u8";

/// A clip as a live stream of one-second segments in parts, served in low latency.
fn clip(source: &str) -> String {
    let clip = repository().join("conf.d/media/demo.ts");
    format!(
        "pipeline \"news\" {{
    source \"file\" \"{}\" segment=\"1s\" {source}
    buffer \"memory\" segments=60 bytes=\"64MiB\"
    sink \"hls\" path=\"/live/news\" window=14 low-latency=#true
}}
",
        clip.display()
    )
}

async fn play(source: &str) -> Sluice {
    let sluice = setup().file("news.kdl", &clip(source)).start().await;
    serves(&sluice, INDEX).await;
    sluice
}

/// The newest end of a playlist.
#[derive(Debug, Clone, PartialEq)]
struct Edge {
    /// The last closed segment.
    last: u64,
    /// The parts of the open one.
    parts: usize,
    /// The part that is hinted at.
    hint: String,
}

impl Edge {
    fn read(text: &str) -> Self {
        let last = Listing::read(text).entries.last().expect("a segment").sequence;
        let behind = text.lines().rev().take_while(|line| line.starts_with('#'));
        let parts = behind.filter(|line| line.starts_with("#EXT-X-PART:")).count();
        let hint = text.lines().find_map(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""));
        Self { last, parts, hint: hint.unwrap_or_default().trim_end_matches('"').to_owned() }
    }

    /// The playlist with the next part.
    fn next(&self) -> String {
        format!("{INDEX}?_HLS_msn={}&_HLS_part={}", self.last + 1, self.parts)
    }

    fn is_behind(&self, other: &Self) -> bool {
        (self.last, self.parts) < (other.last, other.parts)
    }
}

/// The URIs of the parts that a playlist lists, each with the segment that it belongs to, closed ones only.
fn closed_parts(text: &str) -> Vec<(String, Vec<String>)> {
    let (mut closed, mut parts) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(part) = line.strip_prefix("#EXT-X-PART:") {
            let (_, uri) = part.split_once("URI=\"").unwrap();
            parts.push(uri.split('"').next().unwrap().to_owned());
        } else if !line.starts_with('#') && !parts.is_empty() {
            closed.push((line.to_owned(), std::mem::take(&mut parts)));
        }
    }
    closed
}

async fn ask(sluice: &Sluice, query: &str) -> Reply {
    sluice.get(&format!("{INDEX}?{query}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_grows_part_by_part_and_every_reload_conforms_whole_or_as_a_delta() {
    let sluice = play("").await;
    let mut connection = Connection::open(sluice.viewers, Version::One).await;
    let mut follower = Follower::default();
    let text = connection.get(INDEX).await.unwrap().text();
    assert_eq!(follower.observe(&text), [], "{text}");
    assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:"), "asked for by the draft, B.1: {text}");
    let (mut edge, mut deltas) = (Edge::read(&text), 0);
    for turn in 0..60 {
        let skip = if turn % 2 == 1 { "&_HLS_skip=YES" } else { "" };
        let reply = connection.get(&format!("{}{skip}", edge.next())).await.unwrap();
        let text = reply.text();
        assert_eq!(reply.status, 200, "{text}");
        assert_eq!(reply.header("cache-control"), "max-age=6", "six target durations");
        assert_eq!(follower.observe(&text), [], "{text}");
        deltas += usize::from(text.contains("#EXT-X-SKIP:"));
        let now = Edge::read(&text);
        assert!(edge.is_behind(&now), "{edge:?} and then {now:?}");
        edge = now;
    }
    assert!(deltas > 5, "only {deltas} delta updates");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_playlist_comes_with_the_first_segment() {
    // a file comes with some segments at once
    let live = "source \"exec\" \"ffmpeg\" \"-v\" \"error\" \"-re\" \"-stream_loop\" \"9\" \"-i\"";
    let rest = "\"-c\" \"copy\" \"-f\" \"mpegts\" \"-\" segment=";
    let text = clip("").replace("source \"file\"", live).replace("segment=\"", &format!("{rest}\""));
    let text = text.replace("low-latency=#true", "low-latency=#true { retry 100 backoff=\"20s\"; }");
    let sluice = setup().file("news.kdl", &text).start().await;
    // held by the retry until there is something to play
    let text = sluice.get(INDEX).await.text();
    let segments = Listing::read(&text).entries.len();
    assert!((1..3).contains(&segments), "{segments} segments: {text}");
    assert_eq!(Follower::default().observe(&text), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_immutable_objects_that_come_to_their_segment_and_the_next_can_be_waited_for() {
    let sluice = play("").await;
    let text = sluice.get(INDEX).await.text();
    let closed = closed_parts(&text);
    assert!(!closed.is_empty(), "{text}");
    for (segment, parts) in closed {
        let whole = sluice.get(&format!("/live/news/{segment}")).await.body;
        let mut joined = Vec::new();
        for part in parts {
            let reply = sluice.get(&format!("/live/news/{part}")).await;
            assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "video/mp2t"));
            assert!(reply.header("cache-control").contains("immutable"));
            joined.extend_from_slice(&reply.body);
        }
        assert_eq!(Bytes::from(joined), whole, "{segment}");
    }
    let mut waited = 0;
    for _ in 0..10 {
        let edge = Edge::read(&sluice.get(INDEX).await.text());
        let hinted = sluice.get(&format!("/live/news/{}", edge.hint)).await;
        // a segment may end where a part was hinted at
        if hinted.status == 200 {
            waited += 1;
            assert_eq!(hinted.body.len() % 188, 0);
            let later = sluice.get(&format!("/live/news/{}", edge.hint)).await;
            assert_eq!(later.body, hinted.body);
        }
    }
    assert!(waited >= 5, "{waited} of 10 hints came true");
    let beyond = Edge::read(&sluice.get(INDEX).await.text()).hint.replace(".ts", "9.ts");
    assert_eq!(sluice.get(&format!("/live/news/{beyond}")).await.status, 404, "{beyond}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directives_that_make_no_sense_are_refused_and_others_do_not_matter() {
    let sluice = play("").await;
    let edge = Edge::read(&sluice.get(INDEX).await.text());
    let last = edge.last;
    for (query, status) in [
        ("_HLS_part=1".to_owned(), 400),
        ("_HLS_msn=soon".to_owned(), 400),
        ("_HLS_msn=1&_HLS_msn=2".to_owned(), 400),
        (format!("_HLS_msn={}", last + 50), 400),
        (format!("_HLS_msn={}&_HLS_part=1000", last + 1), 400),
        (format!("_HLS_msn={last}"), 200),
        (format!("_HLS_msn={last}&_HLS_part=0"), 200),
        ("_HLS_msn=0&_HLS_part=7".to_owned(), 200),
        ("session=1&_HLS_nothing=x".to_owned(), 200),
        ("_HLS_skip=YES".to_owned(), 200),
    ] {
        let reply = ask(&sluice, &query).await;
        assert_eq!(reply.status, status, "{query}: {}", reply.text());
    }
    let brief = sluice.get(INDEX).await;
    assert_eq!(brief.header("cache-control"), "no-cache", "half of one second, in whole seconds");
    // behind the last part of a segment comes the first of the next
    let behind = ask(&sluice, &format!("_HLS_msn={last}&_HLS_part=99")).await;
    let now = Edge::read(&behind.text());
    assert!((now.last, now.parts) >= (last, 1), "{now:?} after {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rendering_serves_all_who_wait_for_a_part() {
    const WAITERS: usize = 100;
    let sluice = play("").await;
    let labels = [("pipeline", "news")];
    let renderings = async || sluice.metrics().await.sum("sluice_playlist_renderings_total", &labels);
    let mut edge = Edge::read(&sluice.get(INDEX).await.text());
    let mut connections = Vec::new();
    for _ in 0..WAITERS {
        connections.push(Connection::open(sluice.viewers, Version::One).await);
    }
    let (before, mut texts) = (renderings().await, BTreeSet::new());
    for _ in 0..10 {
        let path = edge.next();
        let replies = futures_util::future::join_all(connections.iter_mut().map(|one| one.get(&path))).await;
        for reply in replies {
            let reply = reply.unwrap();
            assert_eq!(reply.status, 200);
            edge = Edge::read(&reply.text());
            texts.insert(reply.text());
        }
    }
    assert_eq!(renderings().await - before, texts.len() as f64, "{} texts", texts.len());
}

/// A stream of whole segments in low latency, which moves only when it is told to.
async fn whole(live: &std::sync::Arc<Live>) -> (Origin, Sluice) {
    let origin = Origin::start().await;
    origin.mount("/news", live);
    let text = relay("news", &origin.url("/news/index.m3u8"), "");
    let text = text.replace("window=12", "window=12 low-latency=#true");
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, INDEX).await;
    (origin, sluice)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_parts_is_served_in_whole_segments_that_can_be_waited_for() {
    let live = Live::new("a").window(20).filled(6);
    let (_origin, sluice) = whole(&live).await;
    let text = sluice.get(INDEX).await.text();
    assert!(text.contains("CAN-BLOCK-RELOAD=YES") && !text.contains("PART"), "{text}");
    assert_eq!(Follower::default().observe(&text), []);
    let said = sluice.log().matches("the source is not paced in parts").count();
    assert_eq!(said, 1);
    let view = sluice.api("/api/v1/pipelines/news").await.json();
    assert!(view["part_target_seconds"].is_null(), "{view}");

    let last = Listing::read(&text).entries.last().unwrap().sequence;
    let path = format!("{INDEX}?_HLS_msn={}", last + 1);
    let (_, reply) = tokio::join!(
        async {
            sluice.wait_for_metric("sluice_waiting_requests", &[("pipeline", "news")], 1.0, SOON).await;
            live.advance();
        },
        sluice.get(&path)
    );
    assert_eq!(Listing::read(&reply.text()).entries.last().unwrap().sequence, last + 1);

    // nothing comes any more: three target durations, then 503
    let late = sluice.get(&format!("{INDEX}?_HLS_msn={}", last + 2)).await;
    assert_eq!((late.status.as_u16(), late.header("retry-after")), (503, "1"), "{}", late.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_viewer() {
    const WAITERS: usize = 50;
    let live = Live::new("a").lasting(20).window(20).filled(6);
    let (_origin, sluice) = whole(&live).await;
    let last = Listing::read(&sluice.get(INDEX).await.text()).entries.last().unwrap().sequence;
    let path = format!("{INDEX}?_HLS_msn={}", last + 1);
    let mut viewers = Vec::new();
    for version in [Version::One, Version::Two].into_iter().cycle().take(WAITERS) {
        let mut connection = Connection::open(sluice.viewers, version).await;
        let path = path.clone();
        viewers.push(tokio::spawn(async move { connection.get(&path).await }));
    }
    let labels = [("pipeline", "news")];
    sluice.wait_for_metric("sluice_waiting_requests", &labels, WAITERS as f64, SOON).await;
    viewers.iter().for_each(tokio::task::JoinHandle::abort);
    let none = async || (sluice.metrics().await.sum("sluice_waiting_requests", &labels) == 0.0).then_some(());
    // a wait lasts a minute by itself
    eventually("nobody waits", SOON, none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_waited_for_behind_the_end() {
    let sluice = play("loop=#false").await;
    let ended = async || {
        let text = sluice.get(INDEX).await.text();
        text.ends_with("#EXT-X-ENDLIST\n").then_some(text)
    };
    let text = eventually("the end of the clip", Duration::from_secs(40), ended).await;
    assert!(!text.contains("PRELOAD-HINT"), "{text}");
    let last = Listing::read(&text).entries.last().unwrap().sequence;
    let reply = ask(&sluice, &format!("_HLS_msn={}&_HLS_part=3", last + 9)).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multivariant_playlist_tells_what_a_single_rendition_is() {
    let sluice = play("").await;
    let viewers = Viewer::new(sluice.viewers, "/live/news/multivariant.m3u8").renditions().await;
    assert_eq!(viewers.len(), 1);
    let text = sluice.get("/live/news/multivariant.m3u8").await.text();
    let rate = |name: &str| -> u64 {
        let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name} in {text}"));
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    let (peak, average) = (rate(":BANDWIDTH="), rate("AVERAGE-BANDWIDTH="));
    // the clip has 450 kbit/s of video and 64 of audio
    assert!((400_000..800_000).contains(&average) && average <= peak && peak < 1_500_000, "{text}");
    assert!(text.ends_with("\nindex.m3u8\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn players_without_low_latency_play_the_same_playlist() {
    let sluice = play("").await;
    let url = sluice.url(INDEX);
    let viewing = Viewer::new(sluice.viewers, INDEX).watch();
    let (complaints, streams) = probe(&url).await;
    assert_eq!(complaints, "", "{streams}");
    let playback = play_with_ffmpeg(&url, Duration::from_secs(15)).await;
    assert!(playback.length(0) > 14.0, "{} s: {}", playback.length(0), playback.complaints);
    assert!(playback.longest_step(0) < 0.1, "a step of {} s", playback.longest_step(0));
    let directory = tempfile::tempdir().unwrap();
    let (seconds, log) = play_with_vlc(&url, Duration::from_secs(10), directory.path()).await;
    assert!(seconds > 5.0, "{seconds} s\n{log}");
    viewing.stop().await.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_plays_close_to_the_live_edge_in_chromium() {
    let sluice = play("").await;
    let browser = Browser::start().await;
    browser.open(&sluice.url("/live/news/")).await;
    browser.run("const video = document.querySelector('video'); video.muted = true; video.play()").await;
    let state = async || {
        let state = "const v = document.querySelector('video');
            return [v.currentTime, window.player.latency, window.player.targetLatency,
                document.getElementById('latency').textContent]";
        browser.run(state).await
    };
    let begin =
        eventually("the first picture", SOON, async || state().await[0].as_f64().filter(|at| *at > 0.0))
            .await;
    let close = async || {
        let now = state().await;
        let (at, latency) = (now[0].as_f64()?, now[1].as_f64()?);
        (at > begin + 8.0 && latency < 3.0).then_some(now)
    };
    let what = || "eight seconds of playback, less than 3 s behind live".to_owned();
    let now = eventually(what, Duration::from_secs(40), close).await;
    assert!(now[3].as_str().unwrap().ends_with("s behind live"), "{now}");
    let labels = [("pipeline", "news")];
    sluice.wait_for_metric("sluice_waiting_requests", &labels, 1.0, SOON).await;
}
