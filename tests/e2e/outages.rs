//! Transport streams over HTTP that fail: each fault is found in time and is one switch for its own reason, and what
//! viewers get goes on without a flaw.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use sluice_harness::origin::{Airing, Mode, Origin};
use sluice_harness::{Connection, Sluice, Version, Viewer, broken_in, eventually, program, within, wraps_in};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::failover::{DECODING, decode, fed_by, switches};
use super::{SOON, serves, setup};

pub(super) const BYTES_PER_SECOND: u32 = 100_000;
/// When the clock of [`SECOND`] wraps: 2^33 ticks are 95,443.7 s.
const WRAPS_AT: Duration = Duration::from_secs(26);
/// How long a fault may stay unseen on a machine that does much else; it is 2 s by the rules.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

/// What an encoder is told.
pub(super) struct Shape {
    video: &'static str,
    encoding: &'static str,
    mux: &'static str,
}

/// 25 pictures a second, some hours into its clock.
pub(super) const FIRST: Shape = Shape {
    video: "testsrc2=size=320x180:rate=25",
    encoding: "-profile:v baseline -g 25 -bf 0 -ar 48000",
    mux: "-output_ts_offset 12345.6",
};

/// 50 pictures a second of another size, with other PIDs, and a clock that wraps [`WRAPS_AT`] after its start.
const SECOND: Shape = Shape {
    video: "smptebars=size=480x270:rate=50",
    encoding: "-profile:v main -g 50 -bf 2 -ar 44100",
    mux: "-output_ts_offset 95417.7 -mpegts_start_pid 0x321 -mpegts_pmt_start_pid 0x1abc",
};

/// A minute at a constant rate.
pub(super) async fn encoded(shape: &Shape, directory: &Path) -> Vec<u8> {
    let file = directory.join("encoded.ts");
    let mut command = Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i", shape.video]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440", "-t", "60"]);
    let muxrate = (BYTES_PER_SECOND * 8).to_string();
    let fixed = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -sc_threshold 0 -b:v 300k -maxrate 300k -bufsize 150k \
                 -c:a aac -b:a 64k -f mpegts -muxrate";
    command.args(shape.encoding.split(' ')).args(fixed.split_whitespace()).arg(muxrate);
    command.args(shape.mux.split(' ')).arg(&file);
    let output = within("ffmpeg", SOON * 3, command.output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(&file).unwrap()
}

/// A viewer of an endless transport stream.
pub(super) struct Watching {
    stop: watch::Sender<bool>,
    count: watch::Receiver<usize>,
    task: JoinHandle<Vec<u8>>,
}

impl Watching {
    pub(super) async fn start(sluice: &Sluice, path: &str) -> Self {
        let mut connection = Connection::open(sluice.viewers, Version::One).await;
        let mut response = connection.send(Method::GET, path, &[]).await.unwrap();
        assert_eq!(response.status(), 200);
        let (stop, mut stopped) = watch::channel(false);
        let (counter, count) = watch::channel(0);
        let task = tokio::spawn(async move {
            let (_connection, mut taken) = (connection, Vec::new());
            loop {
                let frame = tokio::select! {
                    frame = response.body_mut().frame() => frame,
                    _ = stopped.changed() => return taken,
                };
                let Some(frame) = frame else { return taken };
                taken.extend_from_slice(frame.unwrap().data_ref().unwrap());
                counter.send_replace(taken.len());
            }
        });
        Self { stop, count, task }
    }

    /// Waits for so many seconds of media.
    pub(super) async fn takes(&mut self, seconds: u32) {
        let wanted = *self.count.borrow() + (seconds * BYTES_PER_SECOND / 2) as usize;
        within("a viewer takes more", SOON, self.count.wait_for(|count| *count >= wanted)).await.unwrap();
    }

    pub(super) async fn stop(self) -> Vec<u8> {
        self.stop.send_replace(true);
        let mut taken = within("the end of a viewer", SOON, self.task).await.unwrap();
        taken.truncate(taken.len() / 188 * 188);
        taken
    }
}

/// Two channels that differ in everything behind one pipeline.
struct Outage {
    origin: Origin,
    a: Arc<Airing>,
    b: Arc<Airing>,
    sluice: Sluice,
    directory: tempfile::TempDir,
}

impl Outage {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin::start().await;
        let first = encoded(&FIRST, directory.path()).await;
        let second = encoded(&SECOND, directory.path()).await;
        let [a, b] = [first, second].map(|bytes| Airing::new(bytes, BYTES_PER_SECOND));
        origin.air("/a.ts", &a);
        origin.air("/b.ts", &b);
        let source = |name| format!("source \"mpegts\" \"{}\" segment=\"1s\"", origin.url(name));
        let text = format!(
            "pipeline \"news\" {{\n    {}\n    {}\n    failover return-after=\"1h\"\n    buffer \"memory\" segments=60 \
             bytes=\"64MiB\"\n    sink \"hls\" path=\"/live/news\" window=30\n    sink \"mpegts\" path=\"/live/news.ts\" \
             behind=\"1s\"\n}}\n",
            source("/a.ts"),
            source("/b.ts"),
        );
        let sluice = setup().file("news.kdl", &text).start().await;
        serves(&sluice, "/live/news/index.m3u8").await;
        Self { origin, a, b, sluice, directory }
    }

    /// How long after `fault` the second source was asked.
    fn found_after(&self, fault: Instant) -> Duration {
        self.origin.asked("/b.ts")[0].at - fault
    }
}

/// Turns the first channel to `mode` while viewers watch, and expects one switch for `reason`.
async fn switches_once(mode: Mode, reason: &str) {
    switches_once_until(mode, reason, Duration::ZERO).await;
}

/// The same, until the second channel has been on the air for so long; gives the segments that a viewer took.
async fn switches_once_until(mode: Mode, reason: &str, on_air: Duration) -> Vec<u8> {
    let outage = Outage::new().await;
    let sluice = &outage.sluice;
    let mut watching = Watching::start(sluice, "/live/news.ts").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    watching.takes(3).await;
    let fault = outage.a.turn(mode);
    let view = fed_by(sluice, 1, SOON).await;
    let last = &view["last_switch"];
    assert_eq!(last["reason"], reason, "{last}");
    let found = outage.found_after(fault);
    eprintln!("{mode:?}: {} found after {found:?}, no media for {} s", last["reason"], last["gap_seconds"]);
    assert!(found < SEEN_WITHIN, "{found:?}");
    watching.takes(6).await;
    while outage.b.on_air() < on_air {
        watching.takes(1).await;
    }
    viewing.takes(4, SOON).await;
    assert_eq!(switches(sluice).await, 1.0, "one switch");
    assert_eq!(sluice.state("news").await, "live");
    let body = watching.stop().await;
    assert_eq!(broken_in(&body), [""; 0]);
    assert_eq!(complaints(&body, outage.directory.path()).await, "");
    let taken = viewing.stop().await;
    assert_eq!(decode(&taken, outage.directory.path()).await, "");
    let eras: Vec<u64> = taken.segments.iter().map(|segment| segment.entry.discontinuity_sequence).collect();
    assert_eq!(eras.last().unwrap() - eras[0], 1, "one discontinuity: {eras:?}");
    assert_eq!((&taken.failures, &taken.violations, &taken.lost), (&vec![], &vec![], &vec![]));
    taken.segments.iter().flat_map(|segment| &segment.bytes).copied().collect()
}

/// What ffmpeg says when it decodes everything but the last second: that is not whole.
async fn complaints(body: &[u8], directory: &Path) -> String {
    let file = directory.join("body.ts");
    let tables = |packet: &&[u8]| packet[1] & 0x1f == 0 && packet[2] == 0;
    let cut = body.chunks(188).enumerate().rfind(|(_, packet)| tables(packet)).unwrap().0;
    std::fs::write(&file, &body[..cut * 188]).unwrap();
    let mut command = Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-i"]).arg(&file).args(DECODING);
    let output = within("ffmpeg", SOON * 3, command.output()).await.unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_left_as_a_stall_for_one_whose_clock_wraps() {
    let segments = switches_once_until(Mode::Silent, "stall", WRAPS_AT + Duration::from_secs(4)).await;
    assert!(wraps_in(&segments) > 0, "the clock of the second source wrapped meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_hangs_altogether_is_left_as_a_stall() {
    switches_once(Mode::Hanging, "stall").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_is_left_as_ended() {
    switches_once(Mode::Ended, "ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_reset_is_left_for_that() {
    switches_once(Mode::Cut, "truncated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_gone_is_left_for_its_status() {
    switches_once(Mode::Gone, "status_4xx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_in_place_of_packets_is_left_as_malformed() {
    switches_once(Mode::Noise, "malformed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_is_left_as_slow() {
    switches_once(Mode::Trickle, "slow").await;
}

/// The states that a pipeline went into, by its log.
pub(super) fn states(sluice: &Sluice) -> Vec<String> {
    let changes = sluice.log();
    let to = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let fields = event.get("fields").unwrap_or(&event);
        (fields["message"] == "pipeline changed state").then(|| fields["to"].as_str().unwrap().to_owned())
    };
    changes.lines().filter_map(to).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_origin_is_not_called_live_when_its_read_timeout_comes() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let channel = Airing::new(encoded(&FIRST, directory.path()).await, BYTES_PER_SECOND);
    origin.air("/a.ts", &channel);
    let text = format!(
        "pipeline \"news\" {{\n    source \"mpegts\" \"{}\" segment=\"1s\" {{\n        timeout \"10s\" read=\"6s\"\n    }}\n    \
         sink \"hls\" path=\"/live/news\"\n}}\n",
        origin.url("/a.ts")
    );
    let sluice = setup().file("news.kdl", &text).start().await;
    sluice.wait_for_state("news", "live", SOON).await;
    channel.turn(Mode::Silent);
    let labels = [("pipeline", "news"), ("kind", "read_timeout")];
    sluice.wait_for_metric("sluice_source_faults_total", &labels, 2.0, SOON).await;
    assert_eq!(states(&sluice), ["live", "stalled"]);
    channel.turn(Mode::Well);
    let live = async || (states(&sluice) == ["live", "stalled", "live"]).then_some(());
    eventually("it is live again", SOON, live).await;
}
