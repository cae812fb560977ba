//! The source `mpegts`: endless answers with all their faults, and datagrams.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluice_harness::origin::{After, Answer, Origin};
use sluice_harness::{Ending, Process, Setup, Sluice, Viewer, eventually, play_with_ffmpeg, probe, program};
use tokio::process::Command;

use super::players::repository;
use super::{SOON, serves, setup};

/// What the demo, twelve seconds long, plays a second.
const DEMO_BYTES_PER_SECOND: u32 = 79_258;

/// The demo, or so many of its first seconds.
pub(super) fn demo(seconds: usize) -> Bytes {
    let bytes = std::fs::read(repository().join("conf.d/media/demo.ts")).unwrap();
    let cut = (seconds * DEMO_BYTES_PER_SECOND as usize).min(bytes.len()) / 188 * 188;
    Bytes::from(bytes).slice(..cut)
}

/// The demo in real time, or twice as fast.
pub(super) fn live(seconds: usize, after: After) -> Answer {
    Answer::paced(demo(seconds), DEMO_BYTES_PER_SECOND, after)
}

/// A pipeline `news` with this source, cut into segments of a second.
fn pipeline(url: &str, more: &str) -> String {
    format!(
        "pipeline \"news\" {{
    source \"mpegts\" \"{url}\" segment=\"1s\" {more}
    sink \"hls\" path=\"/live/news\"
}}
"
    )
}

async fn start(setup: Setup, url: &str, more: &str) -> Sluice {
    setup.file("news.kdl", &pipeline(url, more)).start().await
}

/// Waits until the API says these words of the pipeline.
pub(super) async fn says(sluice: &Sluice, pipeline: &str, words: &str) {
    let path = format!("/api/v1/pipelines/{pipeline}");
    let said = async || sluice.api(&path).await.text().contains(words).then_some(());
    eventually(&format!("{words:?} of {pipeline}"), SOON, said).await;
}

/// Takes segments until there are `count`, all well formed.
async fn takes(sluice: &Sluice, count: usize) -> usize {
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(count, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_well_formed();
    for segment in &taken.segments {
        assert!(segment.bytes.len() % 188 == 0 && segment.bytes[0] == 0x47);
    }
    taken.segments.len()
}

/// Asserts that ffprobe and ffmpeg take what is served for a good stream.
async fn plays(sluice: &Sluice) {
    let url = sluice.url("/live/news/index.m3u8");
    let (complaints, streams) = probe(&url).await;
    assert!(complaints.is_empty() && streams.contains("h264"), "{complaints} {streams}");
    let playback = play_with_ffmpeg(&url, Duration::from_secs(3)).await;
    assert!(playback.complaints.is_empty() && playback.length(0) > 2.0, "{}", playback.complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_http_is_found_behind_a_redirect_and_plays() {
    let origin = Origin::start().await;
    origin.serve("/start", Answer::redirect("/live.ts?x=1"));
    origin.serve("/live.ts", live(12, After::Silence));
    let sluice = start(setup(), &origin.url("/start"), "{\n    header \"X-Key\" \"v\"\n    retry 2\n}").await;
    serves(&sluice, "/live/news/index.m3u8").await;
    plays(&sluice).await;
    takes(&sluice, 4).await;
    let asked = origin.asked("/live.ts");
    assert_eq!((asked.len(), asked[0].headers["x-key"].to_str().unwrap()), (1, "v"), "one connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_goes_on_with_the_next_connection_behind_a_discontinuity() {
    for (after, kind) in [(After::End, "ended"), (After::Cut, "truncated"), (After::Silence, "read_timeout")]
    {
        let origin = Origin::start().await;
        let connections = AtomicUsize::new(0);
        origin.script(move |_| {
            let first = connections.fetch_add(1, Ordering::Relaxed) == 0;
            Some(if first { live(4, after) } else { live(12, After::Silence) })
        });
        let sluice = start(setup(), &origin.url("/live.ts"), "{\n    timeout \"5s\" read=\"1s\"\n}").await;
        serves(&sluice, "/live/news/index.m3u8").await;
        let labels = [("pipeline", "news"), ("kind", kind)];
        sluice.wait_for_metric("sluice_source_faults_total", &labels, 1.0, SOON).await;
        takes(&sluice, 5).await;
        assert_eq!(
            sluice.metrics().await.sum("sluice_source_restarts_total", &[("pipeline", "news")]),
            0.0,
            "{kind}"
        );
        let playlist = async || {
            let text = sluice.get("/live/news/index.m3u8").await.text();
            text.contains("#EXT-X-DISCONTINUITY\n").then_some(())
        };
        eventually(&format!("a discontinuity after {kind}"), SOON, playlist).await;
        assert_eq!(origin.asked("/live.ts").len(), 2, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_named_and_tried_again() {
    let head = Duration::from_secs(3600);
    for (answer, words) in [
        (Answer::status(404), "status 404"),
        (Answer::text("<!DOCTYPE html>").header("Content-Type", "text/html"), "a web page where"),
        (Answer::text("#EXTM3U\n").header("Content-Type", "application/vnd.apple.mpegurl"), "use source"),
        (Answer::bytes(demo(12)).after(head), "nothing came for too long"),
        (Answer::endless(), "malformed"),
    ] {
        let origin = Origin::start().await;
        origin.fail("/live.ts", answer);
        origin.serve("/live.ts", live(12, After::Silence));
        let sluice = start(setup(), &origin.url("/live.ts"), "{\n    timeout \"5s\" read=\"1s\"\n}").await;
        says(&sluice, "news", words).await;
        sluice.wait_for_state("news", "failed", SOON).await;
        origin.mend();
        sluice.wait_for_state("news", "live", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_trickles_is_called_stalled() {
    let origin = Origin::start().await;
    origin.serve("/live.ts", live(5, After::Trickle));
    let sluice = start(setup(), &origin.url("/live.ts"), "").await;
    sluice.wait_for_state("news", "live", SOON).await;
    sluice.wait_for_state("news", "stalled", SOON).await;
    assert_eq!(origin.asked("/live.ts").len(), 1, "bytes still come: the connection stays");
}

/// A port of UDP that was free a moment ago.
fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// ffmpeg that sends video and sound in real time, until it is dropped.
fn sender(url: &str) -> Process {
    let mut command = Command::new(program("ffmpeg", "ffmpeg"));
    let words = "-hide_banner -loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=25 -re -f lavfi -i \
                 sine=frequency=440:sample_rate=48000 -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p \
                 -threads 1 -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac -b:a 64k -f mpegts";
    command.args(words.split_whitespace()).arg(url);
    Process::start("ffmpeg", &mut command, Ending::Kill)
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_to_an_address_and_to_groups_are_served_and_play() {
    let groups = |port: u16, group: &str| format!("udp://{group}:{port}?pkt_size=1316&localaddr=127.0.0.1");
    for (address, more) in [
        ("127.0.0.1", "from=\"127.0.0.1\""),
        ("239.255.42.1", "interface=\"lo\""),
        ("239.255.42.2", "interface=\"127.0.0.1\" from=\"127.0.0.1\""),
    ] {
        let port = free_udp_port();
        let at = if address.starts_with("239") { "@" } else { "" };
        let sluice = start(setup(), &format!("udp://{at}{address}:{port}"), more).await;
        let sending = sender(&groups(port, address));
        serves(&sluice, "/live/news/index.m3u8").await;
        plays(&sluice).await;
        takes(&sluice, 5).await;
        drop(sending);
        sluice.wait_for_state("news", "stalled", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_not_permitted_is_named() {
    let port = free_udp_port();
    let sluice = start(setup(), &format!("udp://127.0.0.1:{port}"), "from=\"127.0.0.9\"").await;
    let _sending = sender(&format!("udp://127.0.0.1:{port}?pkt_size=1316"));
    says(&sluice, "news", "the sender 127.0.0.1 is not allowed").await;
    assert_eq!(sluice.state("news").await, "starting");
}
