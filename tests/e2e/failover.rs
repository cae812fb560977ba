//! Sources that fail: one switch for each failure, for the right reason, and viewers notice a discontinuity alone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sluice_harness::origin::{Answer, Live, Origin, Ticking};
use sluice_harness::{Encoder, Ladder, Nginx, Protection, Sluice, Taken, Viewer, eventually};

use super::{SOON, serves, setup};

/// How long a source that brings three quarters of its time may take to be found slow.
pub(super) const SLOW: Duration = Duration::from_secs(60);

/// Two live streams of one origin behind one pipeline: `a` first, then `b`.
struct Chain {
    origin: Origin,
    a: Arc<Live>,
    b: Arc<Live>,
    sluice: Sluice,
    tick_a: Option<Ticking>,
    _tick_b: Ticking,
}

pub(super) fn chain(sources: &[String], failover: &str) -> String {
    let sources: String = sources.iter().map(|source| format!("    source {source}\n")).collect();
    format!(
        "pipeline \"news\" {{\n{sources}    failover {failover}\n    buffer \"memory\" segments=60 bytes=\"64MiB\"\n    \
         sink \"hls\" path=\"/live/news\" window=30\n}}\n"
    )
}

pub(super) fn hls(origin: &Origin, name: &str) -> String {
    format!("\"hls\" \"{}\"", origin.url(&format!("/{name}/index.m3u8")))
}

impl Chain {
    async fn new(failover: &str) -> Self {
        let origin = Origin::start().await;
        let [a, b] = ["a", "b"].map(|name| Live::new(name).filled(6));
        origin.mount("/a", &a);
        origin.mount("/b", &b);
        let [tick_a, tick_b] = [&a, &b].map(|live| live.ticking(Duration::from_secs(1)));
        let text = chain(&[hls(&origin, "a"), hls(&origin, "b")], failover);
        let sluice = setup().file("news.kdl", &text).start().await;
        serves(&sluice, "/live/news/index.m3u8").await;
        Self { origin, a, b, sluice, tick_a: Some(tick_a), _tick_b: tick_b }
    }

    /// Which stream each segment is of, in order, without repeats.
    fn order(&self, taken: &Taken) -> String {
        let mut order = String::new();
        for segment in &taken.segments {
            let is_of = |live: &Live| (0..=live.newest()).any(|number| live.segment(number) == segment.bytes);
            let name = if is_of(&self.a) {
                'a'
            } else if is_of(&self.b) {
                'b'
            } else {
                '?'
            };
            if !order.ends_with(name) {
                order.push(name);
            }
        }
        order
    }
}

pub(super) async fn view(sluice: &Sluice) -> Value {
    serde_json::from_slice(&sluice.api("/api/v1/pipelines/news").await.body).unwrap()
}

/// Waits until the source at this place, from 0, feeds the pipeline.
pub(super) async fn fed_by(sluice: &Sluice, at: usize, limit: Duration) -> Value {
    let active = async || {
        let view = view(sluice).await;
        (view["sources"][at]["state"] == "active").then_some(view)
    };
    eventually(&format!("source {} is active", at + 1), limit, active).await
}

pub(super) async fn switches(sluice: &Sluice) -> f64 {
    sluice.metrics().await.sum("sluice_source_switches_total", &[("pipeline", "news")])
}

/// Lets `fail` happen while a viewer watches, and expects one switch to `b` for `reason`.
async fn switches_once(fail: impl FnOnce(&mut Chain), reason: &str, limit: Duration) {
    let mut chain = Chain::new("return-after=\"1h\"").await;
    let mut viewing = Viewer::new(chain.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(2, SOON).await;
    fail(&mut chain);
    let view = fed_by(&chain.sluice, 1, limit).await;
    let last = &view["last_switch"];
    assert_eq!(last["reason"], reason, "{last}");
    eprintln!("{reason}: no media for {} s", last["gap_seconds"]);
    viewing.takes(5, SOON).await;
    let taken = viewing.stop().await;
    assert_eq!(taken.failures, [""; 0]);
    assert_eq!(taken.violations, [""; 0]);
    assert_eq!(taken.lost, [0; 0]);
    assert_eq!(chain.order(&taken), "ab");
    let eras: Vec<u64> = taken.segments.iter().map(|segment| segment.entry.discontinuity_sequence).collect();
    assert_eq!(eras.last().unwrap() - eras[0], 1, "one discontinuity: {eras:?}");
    assert_eq!(switches(&chain.sluice).await, 1.0, "one switch");
    let labels = [("pipeline", "news"), ("reason", reason)];
    assert_eq!(chain.sluice.metrics().await.sum("sluice_source_switches_total", &labels), 1.0);
    assert_eq!(chain.sluice.state("news").await, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_stops_is_left_as_a_stall() {
    switches_once(|chain| drop(chain.tick_a.take()), "stall", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_is_left_and_the_playlist_goes_on() {
    let end = |chain: &mut Chain| {
        chain.tick_a.take();
        chain.origin.fail("/a/index", Answer::text(format!("{}#EXT-X-ENDLIST\n", chain.a.playlist())));
    };
    switches_once(end, "ended", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_had_ended_before_it_was_taken_is_played_to_its_end() {
    let origin = Origin::start().await;
    let [a, b] = ["a", "b"].map(|name| Live::new(name).window(9).filled(9));
    origin.mount("/a", &a);
    origin.mount("/b", &b);
    let _tick = b.ticking(Duration::from_secs(1));
    origin.fail("/a/index", Answer::text(format!("{}#EXT-X-ENDLIST\n", a.playlist())));
    let text = chain(&[hls(&origin, "a"), hls(&origin, "b")], "");
    let sluice = setup().file("news.kdl", &text).start().await;
    let view = fed_by(&sluice, 1, SOON).await;
    assert_eq!(view["last_switch"]["reason"], "ended", "{view}");
    let served = sluice.get("/live/news/index.m3u8").await.text();
    let played = served.lines().take_while(|line| *line != "#EXT-X-DISCONTINUITY");
    assert_eq!(played.filter(|line| line.starts_with("#EXTINF")).count(), 9, "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_that_feeds_viewers_is_shown_while_it_still_proves_itself() {
    let origin = Origin::start().await;
    let [a, b] = ["a", "b"].map(|name| Live::new(name).lasting(4).filled(6));
    origin.mount("/a", &a);
    origin.mount("/b", &b);
    let _tick = a.ticking(Duration::from_secs(4));
    let text = chain(&[hls(&origin, "a"), hls(&origin, "b")], "return-after=\"1h\"");
    let sluice = setup().file("news.kdl", &text).start().await;
    fed_by(&sluice, 0, SOON).await;
    origin.fail("/a/", Answer::status(403));
    let proving = async || {
        let view = view(&sluice).await;
        (view["sources"][1]["state"] == "proving").then_some(view)
    };
    let view = eventually("the second source proves itself", SOON, proving).await;
    assert_eq!(view["source"], "source 2 hls", "{view}");
    let metrics = sluice.metrics().await;
    let active = |source| metrics.sum("sluice_source_active", &[("pipeline", "news"), ("source", source)]);
    assert_eq!((active("source 1 hls"), active("source 2 hls")), (0.0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_stay_down_for_the_same_reason_are_logged_once() {
    let origin = Origin::start().await;
    let text = chain(&[hls(&origin, "a"), hls(&origin, "b")], "");
    let sluice = setup().file("news.kdl", &text).start().await;
    let again = [("pipeline", "news"), ("source", "source 1 hls")];
    sluice.wait_for_metric("sluice_source_restarts_total", &again, 3.0, SOON).await;
    let log = sluice.log();
    let said: Vec<_> =
        log.lines().filter(|line| line.contains("WARN") && line.contains("source failed")).collect();
    assert_eq!(said.len(), 2, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_is_gone_is_left_for_its_status() {
    switches_once(|chain| chain.origin.fail("/a/index", Answer::status(404)), "status_4xx", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_left_for_that() {
    let broken = Answer::text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n").truncated_at(9);
    switches_once(|chain| chain.origin.fail("/a/index", broken), "truncated", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_hangs_in_its_headers_is_left_as_a_stall() {
    let silent = Answer::status(200).after(Duration::from_secs(3600));
    switches_once(|chain| chain.origin.fail("/a/", silent), "stall", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_no_media_are_left_as_malformed() {
    let page = Answer::text("<!DOCTYPE html><title>Sorry</title>");
    switches_once(|chain| chain.origin.fail("/a/a-", page), "malformed", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_at_three_quarters_of_its_time_is_left_as_slow() {
    let slow = |chain: &mut Chain| {
        chain.tick_a.take();
        chain.tick_a = Some(chain.a.ticking(Duration::from_millis(1350)));
    };
    switches_once(slow, "slow", SLOW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_better_source_is_returned_to_once_its_playlist_has_moved_for_long_enough() {
    let chain = Chain::new("return-after=\"3s\"").await;
    let mut viewing = Viewer::new(chain.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(2, SOON).await;
    chain.origin.fail("/a/", Answer::status(503));
    fed_by(&chain.sluice, 1, SOON).await;
    viewing.takes(3, SOON).await;
    chain.origin.mend();
    let segments = chain.origin.asked("/a/a-").len();
    let proving = async || (view(&chain.sluice).await["sources"][0]["state"] == "proving").then_some(());
    eventually("the first source is watched", SLOW, proving).await;
    assert_eq!(chain.origin.asked("/a/a-").len(), segments, "its playlist is enough");
    let view = fed_by(&chain.sluice, 0, SLOW).await;
    assert_eq!(view["last_switch"]["reason"], "return", "{view}");
    viewing.takes(3, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_whole();
    assert_eq!(chain.order(&taken), "aba");
    assert_eq!(switches(&chain.sluice).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_switches_by_the_api_and_by_the_command_line() {
    let chain = Chain::new("return-after=\"1s\"").await;
    let admin = format!("http://{}", chain.sluice.admin);
    let switch = async |more: &[&str]| {
        let mut arguments = vec!["switch", "--admin", &admin, "news"];
        arguments.extend(more);
        chain.sluice.setup().output(&arguments).await
    };
    let output = switch(&["2"]).await;
    assert!(output.status.success(), "{output:?}");
    let view = fed_by(&chain.sluice, 1, SOON).await;
    assert_eq!(view["last_switch"]["reason"], "manual");
    let output = switch(&["2"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "news: source 2 hls is the active one already\n");
    assert_eq!(switches(&chain.sluice).await, 1.0);
    let log = chain.sluice.log();
    let said = log.lines().find(|line| line.contains("switched sources")).unwrap();
    assert!(said.contains("INFO"), "what was asked for is no trouble: {said}");
    assert!(switch(&[]).await.status.success(), "the next one wraps");
    fed_by(&chain.sluice, 0, SOON).await;
    let output = switch(&["3"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("has no source 3"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_another_container_is_refused_and_the_next_one_is_taken() {
    let chain = Chain::new("return-after=\"1h\"").await;
    let fragmented = Encoder::start(Ladder::FragmentedMp4).await;
    let nginx = Nginx::serving(fragmented.directory()).await;
    let sources = [
        hls(&chain.origin, "a"),
        format!("\"hls\" \"{}\"", nginx.url("/index.m3u8")),
        hls(&chain.origin, "b"),
    ];
    chain.sluice.apply("news.kdl", &self::chain(&sources, "return-after=\"1h\"")).await;
    chain.origin.fail("/a/index", Answer::status(404));
    let view = fed_by(&chain.sluice, 2, SOON).await;
    assert_eq!(view["sources"][1]["state"], "refused", "{view}");
    assert!(view["sources"][1]["reason"].as_str().unwrap().contains("fragmented MP4"), "{view}");
    assert_eq!(view["last_switch"]["reason"], "status_4xx");
    assert_eq!(switches(&chain.sluice).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_chain_keeps_the_source_that_feeds_it() {
    let chain = Chain::new("").await;
    let mut viewing = Viewer::new(chain.sluice.viewers, "/live/news/index.m3u8").watch();
    chain.origin.fail("/a/", Answer::status(404));
    fed_by(&chain.sluice, 1, SOON).await;
    let text = self::chain(&[hls(&chain.origin, "b"), hls(&chain.origin, "a")], "stall=\"20s\"");
    chain.sluice.apply("news.kdl", &text).await;
    fed_by(&chain.sluice, 0, SOON).await;
    viewing.takes(3, SOON).await;
    let taken = viewing.stop().await;
    assert_eq!(taken.violations, [""; 0]);
    assert_eq!(chain.order(&taken), "ab");
    assert_eq!(switches(&chain.sluice).await, 1.0, "the change is no switch");
}

/// Decode everything, with the times as they are: pictures at another rate than the first have times between those that
/// ffmpeg would give them.
pub(super) const DECODING: [&str; 7] =
    ["-fps_mode", "passthrough", "-enc_time_base:v", "1:90000", "-f", "null", "-"];

/// Decodes what a viewer took; gives what ffmpeg complains about.
pub(super) async fn decode(taken: &Taken, directory: &std::path::Path) -> String {
    let mut playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n".to_owned();
    let mut era = taken.segments[0].entry.discontinuity_sequence;
    for (at, segment) in taken.segments.iter().enumerate() {
        std::fs::write(directory.join(format!("{at}.ts")), &segment.bytes).unwrap();
        if std::mem::replace(&mut era, segment.entry.discontinuity_sequence) != era {
            playlist.push_str("#EXT-X-DISCONTINUITY\n");
        }
        playlist.push_str(&format!("#EXTINF:2,\n{at}.ts\n"));
    }
    std::fs::write(directory.join("taken.m3u8"), format!("{playlist}#EXT-X-ENDLIST\n")).unwrap();
    let mut command = tokio::process::Command::new(sluice_harness::program("ffmpeg", "ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-i"]).arg(directory.join("taken.m3u8"));
    command.args(DECODING);
    let run = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A stream of 50 pictures a second with PIDs of its own, whose clock wraps 4 s after its start.
pub(super) async fn slate(directory: &std::path::Path) -> std::path::PathBuf {
    let path = directory.join("slate.ts");
    let mut command = tokio::process::Command::new(sluice_harness::program("ffmpeg", "ffmpeg"));
    command.args(["-v", "error", "-f", "lavfi", "-i", "smptebars=size=640x360:rate=50"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=880:sample_rate=44100", "-t", "8"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-sc_threshold", "0", "-bf", "2"]);
    command.args([
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-output_ts_offset",
        "95439.7",
        "-mpegts_start_pid",
        "0x321",
    ]);
    command.args(["-mpegts_pmt_start_pid", "0x1abc", "-f", "mpegts"]).arg(&path);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_decodes_across_a_stall_into_a_slate_that_differs_in_everything() {
    let directory = tempfile::tempdir().unwrap();
    let slate = slate(directory.path()).await;
    let encoder = Encoder::start(Ladder::TransportStream(Protection::Clear)).await;
    let nginx = Nginx::serving(encoder.directory()).await;
    let sources = [
        format!("\"hls\" \"{}\"", nginx.url("/index.m3u8")),
        format!("\"file\" \"{}\" loop=#true", slate.display()),
    ];
    let sluice = setup().file("news.kdl", &chain(&sources, "")).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(4, SOON).await;
    encoder.pause();
    let view = fed_by(&sluice, 1, SOON).await;
    assert_eq!(view["last_switch"]["reason"], "stall", "{view}");
    eprintln!("stall: no media for {} s", view["last_switch"]["gap_seconds"]);
    viewing.takes(8, SLOW).await;
    assert_eq!(sluice.state("news").await, "live");
    assert_eq!(switches(&sluice).await, 1.0, "one failure, one switch");
    let taken = viewing.stop().await;
    assert_eq!(decode(&taken, directory.path()).await, "");
    assert_eq!((taken.failures, taken.violations, taken.lost), (vec![], vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_left_the_chain_is_named_where_its_switch_is_told() {
    let chain = Chain::new("").await;
    fed_by(&chain.sluice, 0, SOON).await;
    chain.sluice.apply("news.kdl", &self::chain(&[hls(&chain.origin, "b")], "")).await;
    let switched = async || {
        let view = chain.sluice.api("/api/v1/pipelines/news").await.json();
        view["last_switch"].is_object().then_some(view)
    };
    let view = eventually("the edited chain to feed the pipeline", SOON, switched).await;
    let last = &view["last_switch"];
    assert_eq!((&last["from"], &last["to"]), (&"source 1 hls, which left".into(), &"source 1 hls".into()));
    let said = r#""from":"source 1 hls, which left","to":"source 1 hls","reason":"reload""#;
    let log = chain.sluice.log();
    let line = log.lines().find(|line| line.contains(said)).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(r#""switches_left":10"#), "{line}");
    let warned = log.lines().find(|line| line.contains("has no effect on a pipeline with one source"));
    assert!(warned.unwrap().contains("\"WARN\""), "it is no error: {log}");
}
