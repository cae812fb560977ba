//! What viewers of an endless stream do to one another, which must be nothing, and what they get of a channel that is off.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use sluice_harness::origin::{Airing, Mode, Origin};
use sluice_harness::{Connection, Sluice, Version, broken_in, eventually, within};
use tokio::time::Instant;

use super::outages::{BYTES_PER_SECOND, FIRST, Watching, encoded};
use super::{SOON, serves, setup};

const PACKET: usize = 188;
/// What a crowd that left may leave behind: allocators keep some.
const MEMORY_KIB: u64 = 24 * 1024;

/// A channel with a pipeline that serves it in both ways.
struct Channel {
    channel: Arc<Airing>,
    origin: Origin,
    sluice: Sluice,
    _directory: tempfile::TempDir,
}

fn pipeline(name: &str, url: &str) -> String {
    format!(
        "pipeline \"{name}\" {{\n    source \"mpegts\" \"{url}\" segment=\"1s\" {{\n        timeout \"10s\" read=\"4s\"\n    }}\n    \
         sink \"hls\" path=\"/live/{name}\"\n    sink \"mpegts\" path=\"/live/{name}.ts\" behind=\"1s\"\n}}\n"
    )
}

impl Channel {
    async fn new(mode: Mode) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin::start().await;
        let channel = Airing::new(encoded(&FIRST, directory.path()).await, BYTES_PER_SECOND);
        channel.turn(mode);
        origin.air("/a.ts", &channel);
        let sluice = setup().file("news.kdl", &pipeline("news", &origin.url("/a.ts"))).start().await;
        if mode == Mode::Well {
            serves(&sluice, "/live/news/index.m3u8").await;
        }
        Self { channel, origin, sluice, _directory: directory }
    }

    async fn viewers(&self) -> f64 {
        let labels = [("pipeline", "news"), ("sink", "sink 2 mpegts")];
        self.sluice.metrics().await.sum("sluice_viewers", &labels)
    }

    async fn is_watched_by(&self, count: f64) {
        let left = async || (self.viewers().await == count).then_some(());
        eventually(&format!("{count} viewers"), SOON * 2, left).await;
    }
}

/// Asserts that two bodies are the same where both were taken: one stream for all.
fn assert_alike(one: &[u8], other: &[u8]) {
    const PROBE: usize = 40 * PACKET;
    let probe = &other[100 * PACKET..100 * PACKET + PROBE];
    let at = (0..one.len() - PROBE).step_by(PACKET).find(|at| &one[*at..at + PROBE] == probe);
    let at = at.expect("both were watching at the same time");
    let length = (one.len() - at).min(other.len() - 100 * PACKET);
    assert!(length > BYTES_PER_SECOND as usize, "only {length} bytes are of the same time");
    assert!(one[at..at + length] == other[100 * PACKET..100 * PACKET + length], "they differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_viewer_among_fast_ones_and_one_who_leaves_cost_them_no_byte() {
    let channel = Channel::new(Mode::Well).await;
    let sluice = &channel.sluice;
    let mut narrow = Connection::open_narrow(sluice.viewers, Version::One).await.unwrap();
    let mut slow = narrow.send(Method::GET, "/live/news.ts", &[]).await.unwrap();
    let slow = tokio::spawn(async move {
        let _narrow = narrow;
        while let Some(Ok(_)) = slow.body_mut().frame().await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut fast =
        [Watching::start(sluice, "/live/news.ts").await, Watching::start(sluice, "/live/news.ts").await];
    let leaves = Watching::start(sluice, "/live/news.ts").await;
    channel.is_watched_by(4.0).await;
    for viewer in &mut fast {
        viewer.takes(4).await;
    }
    leaves.stop().await;
    channel.is_watched_by(3.0).await;
    for viewer in &mut fast {
        viewer.takes(8).await;
    }
    let [one, other] = fast;
    let (one, other) = (one.stop().await, other.stop().await);
    for body in [&one, &other] {
        assert_eq!(broken_in(body), [""; 0]);
    }
    assert_alike(&one, &other);
    slow.abort();
    channel.is_watched_by(0.0).await;
    assert_eq!(channel.origin.asked("/a.ts").len(), 1, "one connection for all");
}

/// Open file descriptors and resident memory in KiB of a process.
fn costs(process: u32) -> (usize, u64) {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (descriptors, resident.trim().trim_end_matches(" kB").parse().unwrap())
}

/// So many viewers who leave as soon as something comes, eight at a time.
async fn zap(sluice: &Sluice, count: usize) {
    let address = sluice.viewers;
    for _ in 0..count / 8 {
        let zapping = (0..8).map(|_| async move {
            let mut connection = Connection::open(address, Version::One).await;
            let mut response = connection.send(Method::GET, "/live/news.ts", &[]).await.unwrap();
            response.body_mut().frame().await.unwrap().unwrap();
        });
        within("eight viewers", SOON, futures_util::future::join_all(zapping)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_zapping_leaves_no_viewer_descriptor_or_memory_behind() {
    let mut channel = Channel::new(Mode::Well).await;
    let process = channel.sluice.process().id();
    zap(&channel.sluice, 80).await;
    channel.is_watched_by(0.0).await;
    let (descriptors, memory) = costs(process);
    zap(&channel.sluice, 800).await;
    channel.is_watched_by(0.0).await;
    let closed = async || (costs(process).0 <= descriptors + 4).then_some(());
    eventually("connections are closed", SOON, closed).await;
    let grown = costs(process).1.saturating_sub(memory);
    eprintln!("800 viewers left {grown} KiB");
    assert!(grown < MEMORY_KIB, "{grown} KiB more");
    assert_eq!(channel.channel.listeners(), 1);
}

/// What an origin does that is not there, and how a viewer of it fares while another channel goes on.
async fn is_off(mode: Mode) {
    let channel = Channel::new(Mode::Well).await;
    let off = Airing::new(vec![0x47; PACKET], BYTES_PER_SECOND);
    off.turn(mode);
    channel.origin.air("/off.ts", &off);
    let sluice = &channel.sluice;
    let mut other = Watching::start(sluice, "/live/news.ts").await;
    sluice.apply("off.kdl", &pipeline("off", &channel.origin.url("/off.ts"))).await;
    let began = Instant::now();
    let playlist = sluice.get("/live/off/index.m3u8").await;
    assert_eq!((playlist.status.as_u16(), playlist.header("retry-after")), (503, "1"), "{}", playlist.text());
    eprintln!("{mode:?}: a playlist is refused after {:?}", began.elapsed());
    let mut connection = Connection::open(sluice.viewers, Version::One).await;
    let mut early = connection.send(Method::GET, "/live/off.ts", &[]).await.unwrap();
    let ends = async {
        while let Some(Ok(frame)) = early.body_mut().frame().await {
            assert!(frame.data_ref().unwrap().starts_with(&[0x47, 0x1f, 0xff]), "null packets alone");
        }
    };
    within("an early viewer is let go", SOON, ends).await;
    eprintln!("{mode:?}: an early viewer is let go after {:?}", began.elapsed());
    sluice.wait_for_state("off", "failed", SOON).await;
    let late = sluice.get("/live/off.ts").await;
    assert!(late.status.is_server_error() && !late.header("retry-after").is_empty(), "{}", late.status);
    other.takes(2).await;
    assert_eq!(broken_in(&other.stop().await), [""; 0]);
    let labels = [("pipeline", "off")];
    assert_eq!(sluice.metrics().await.sum("sluice_viewers", &labels), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_hangs_in_its_headers_lets_its_viewers_go_and_harms_no_other() {
    is_off(Mode::Hanging).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_answers_and_sends_nothing_lets_its_viewers_go_and_harms_no_other() {
    is_off(Mode::Silent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_comes_on_the_air_late_is_served_to_those_who_come_again() {
    let channel = Channel::new(Mode::Hanging).await;
    channel.sluice.wait_for_state("news", "failed", SOON).await;
    channel.channel.turn(Mode::Well);
    channel.sluice.wait_for_state("news", "live", SOON * 2).await;
    let mut viewer = Watching::start(&channel.sluice, "/live/news.ts").await;
    viewer.takes(2).await;
    assert_eq!(broken_in(&viewer.stop().await), [""; 0]);
}
