//! What a change, a pipeline and a relay cost.

use std::time::Duration;

use sluice_harness::origin::{Live, Origin, Ticking};
use sluice_harness::{Connection, Metrics, Setup, Sluice, Version};
use tokio::time::Instant;

use super::Effort;
use super::bare;
use super::report::{Bar, Figure, Report};

/// How often the kernel counts processor time in a second (`USER_HZ`, fixed on Linux).
const TICKS_PER_SECOND: f64 = 100.0;
/// 1 Mbit/s in segments of 2 s.
const SEGMENT_BYTES: usize = 250_000;
const RELAYS: usize = 300;

/// So many streams behind one origin, and a daemon that relays them.
struct Relays {
    origin: Origin,
    _ticking: Vec<Ticking>,
    urls: Vec<String>,
}

impl Relays {
    async fn start(count: usize, segment_bytes: usize) -> Self {
        let origin = Origin::start().await;
        let mut ticking = Vec::new();
        for number in 0..count {
            let live = Live::with_size("a", segment_bytes).lasting(2).filled(6);
            origin.mount(&format!("/c{number}"), &live);
            ticking.push(live.ticking(Duration::from_secs(2)));
        }
        let urls = (0..count).map(|number| origin.url(&format!("/c{number}/index.m3u8"))).collect();
        Self { origin, _ticking: ticking, urls }
    }

    async fn relay(&self, count: usize) -> Sluice {
        let pipelines: String = self
            .urls
            .iter()
            .take(count)
            .enumerate()
            .map(|(at, url)| pipeline(&format!("c{at}"), url))
            .collect();
        let sluice = Setup::new(env!("CARGO_BIN_EXE_sluice")).file("relays.kdl", &pipelines).start().await;
        let labels = [("state", "live")];
        sluice.wait_for_metric("sluice_pipeline_state", &labels, count as f64, Duration::from_secs(90)).await;
        sluice
    }
}

fn pipeline(name: &str, url: &str) -> String {
    format!(
        "pipeline \"{name}\" {{\n source \"hls\" \"{url}\"\n buffer \"memory\" segments=6 bytes=\"16MiB\"
         sink \"hls\" path=\"/live/{name}\" window=6\n}}\n"
    )
}

/// From saving a file to the change applied, with 200 pipelines.
pub(crate) async fn saving(effort: Effort, report: &mut Report) {
    let relays = Relays::start(200, 20_000).await;
    let sluice = relays.relay(200).await;
    let mut connection = Connection::open(sluice.viewers, Version::One).await;
    let mut figure = Figure::default();
    for round in 0..effort.rounds {
        let (name, url) = (format!("late-{round}"), relays.origin.url("/c0/index.m3u8"));
        let path = format!("/live/{name}/index.m3u8");
        let saved = Instant::now();
        sluice.write(&format!("{name}.kdl"), &pipeline(&name, &url));
        while connection.get(&path).await.unwrap().status == 404 {
            assert!(
                saved.elapsed() < Duration::from_secs(10),
                "the change was not applied:\n{}",
                sluice.log()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        figure.push(saved.elapsed().as_secs_f64());
    }
    report.alone("from saving to applied, 200 pipelines", &figure, Bar::Within(0.3), (1e-3, "ms"));
}

/// Resident memory of a pipeline beyond its buffer: the slope between 50 and 250 pipelines.
pub(crate) async fn memory(effort: Effort, report: &mut Report) {
    let relays = Relays::start(250, 20_000).await;
    let mut figure = Figure::default();
    for _ in 0..effort.rounds.min(3) {
        let (few, many) = (beyond_buffers(&relays, 50).await, beyond_buffers(&relays, 250).await);
        figure.push((many - few) / 200.0);
    }
    report.alone("memory of a pipeline beyond its buffer", &figure, Bar::Within(262_144.0), (1024.0, "KiB"));
}

/// The resident bytes of a daemon with so many pipelines whose windows are full, without what they hold.
async fn beyond_buffers(relays: &Relays, count: usize) -> f64 {
    let mut sluice = relays.relay(count).await;
    let full = (count * 6) as f64;
    sluice.wait_for_metric("sluice_buffer_segments", &[], full, Duration::from_secs(60)).await;
    let held = Metrics::sum(&sluice.metrics().await, "sluice_buffer_bytes", &[]);
    let id = sluice.process().id();
    let pages: f64 = std::fs::read_to_string(format!("/proc/{id}/statm"))
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    pages * 4096.0 - held
}

/// Processor time of 300 relays against a bare client that fetches the same.
pub(crate) async fn relaying(effort: Effort, report: &mut Report) {
    let relays = Relays::start(RELAYS, SEGMENT_BYTES).await;
    let (mut own, mut bare) = (Figure::default(), Figure::default());
    let span = Duration::from_secs(effort.seconds * 4);
    for _ in 0..effort.rounds.min(3) {
        let mut sluice = relays.relay(RELAYS).await;
        own.push(processor_time(sluice.process().id(), span).await);
        drop(sluice);
        let client = bare::start_client(&relays.urls);
        bare.push(processor_time(client.id(), span).await);
    }
    let peer = ("a bare client", &bare);
    report.compare("300 relays of 1 Mbit/s", &own, peer, Bar::AtMost(2.0), (0.01, "% of a core"));
}

/// The share of a core that a process takes over `span`, once the rush of its start is over.
pub(super) async fn processor_time(id: u32, span: Duration) -> f64 {
    tokio::time::sleep(Duration::from_secs(4)).await;
    let used = || {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        // utime and stime, proc(5), counted from behind the name
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS_PER_SECOND
    };
    let (before, began) = (used(), Instant::now());
    tokio::time::sleep(span).await;
    (used() - before) / began.elapsed().as_secs_f64()
}
