//! Playlists and segments, under load.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluice_harness::origin::{Live, Origin, Ticking};
use sluice_harness::{Listing, Nginx, Process, Setup, Sluice, eventually};

use super::Effort;
use super::bare;
use super::load::{Load, load, script};
use super::report::{Bar, Figure, Report};

/// How many paths are asked for in turn.
const PATHS: usize = 100;
const SEGMENT_BYTES: usize = 1 << 20;

/// The three servers, with what each of them is asked.
struct Field {
    _origin: Origin,
    _ticking: Vec<Ticking>,
    _sluice: Sluice,
    _nginx: Nginx,
    _bare: Process,
    _scripts: tempfile::TempDir,
    servers: [Server; 3],
}

struct Server {
    address: std::net::SocketAddr,
    playlists: PathBuf,
    segment: PathBuf,
}

/// One load on each of the three servers, several times.
#[derive(Default)]
struct Rounds([Vec<Load>; 3]);

/// Measures the three servers in turn.
pub(crate) async fn measure(effort: Effort, report: &mut Report) {
    let field = Field::start().await;
    let (mut playlists, mut segments, mut fifty) = (Rounds::default(), Rounds::default(), Rounds::default());
    for round in 0..effort.rounds {
        for turn in 0..3 {
            // each server comes first in its turn
            let at = (round + turn) % 3;
            let server = &field.servers[at];
            playlists.0[at].push(load(server.address, &server.playlists, 64, effort.seconds).await);
            segments.0[at].push(load(server.address, &server.segment, 16, effort.seconds).await);
            fifty.0[at].push(load(server.address, &server.playlists, 50, effort.seconds).await);
        }
    }
    let requests = playlists.figures(|load| load.requests);
    let bytes = segments.figures(|load| load.bytes);
    let p99 = fifty.figures(|load| load.p99_us);
    let (thousand, giga, milli) = ((1e3, "k/s"), (1e9, "GB/s"), (1e3, "ms"));
    report.compare("playlists", &requests[0], ("nginx", &requests[1]), Bar::AtLeast(1.2), thousand);
    report.compare("playlists", &requests[0], ("bare hyper", &requests[2]), Bar::AtLeast(0.85), thousand);
    report.compare("1 MiB segments", &bytes[0], ("nginx", &bytes[1]), Bar::AtLeast(1.5), giga);
    report.compare("1 MiB segments", &bytes[0], ("bare hyper", &bytes[2]), Bar::AtLeast(0.9), giga);
    report.compare(
        "p99 of a playlist, 50 connections,",
        &p99[0],
        ("bare hyper", &p99[2]),
        Bar::AtMost(1.5),
        milli,
    );
}

impl Rounds {
    fn figures(&self, of: impl Fn(&Load) -> f64) -> [Figure; 3] {
        self.0.each_ref().map(|loads| {
            let mut figure = Figure::default();
            loads.iter().for_each(|load| figure.push(of(load)));
            figure
        })
    }
}

impl Field {
    async fn start() -> Self {
        let origin = Origin::start().await;
        let channels: Vec<Arc<Live>> = (0..PATHS).map(|_| Live::new("a").lasting(4).filled(6)).collect();
        for (number, live) in channels.iter().enumerate() {
            origin.mount(&format!("/c{number}"), live);
        }
        let large = Live::with_size("large", SEGMENT_BYTES).lasting(60).filled(6);
        origin.mount("/large", &large);
        let ticking = channels.iter().map(|live| live.ticking(Duration::from_secs(4))).collect();
        let sluice = relaying(&origin).await;
        let nginx = Nginx::caching(origin.address(), 2).await;
        // the very text that the daemon serves
        let playlist = sluice.get("/live/c0/index.m3u8").await.text();
        let (bare, bare_address) = bare::start_server(&playlist, SEGMENT_BYTES).await;
        let scripts = tempfile::tempdir().unwrap();

        let paths = |prefix: &str| {
            (0..PATHS).map(|number| format!("{prefix}/c{number}/index.m3u8")).collect::<Vec<_>>()
        };
        let server = |name: &str, address, prefix: &str, segment: String| Server {
            address,
            playlists: script(scripts.path(), &format!("{name}-playlists.lua"), &paths(prefix)),
            segment: script(scripts.path(), &format!("{name}-segment.lua"), &[segment]),
        };
        let listing = Listing::read(&sluice.get("/live/large/index.m3u8").await.text());
        let newest = format!("/live/large/{}", listing.entries.last().unwrap().uri);
        let servers = [
            server("sluice", sluice.viewers, "/live", newest),
            server("nginx", nginx.address(), "", format!("/large/large-{}.ts", large.newest())),
            server("bare", bare_address, "", "/segment.ts".to_owned()),
        ];
        Self {
            _origin: origin,
            _ticking: ticking,
            _sluice: sluice,
            _nginx: nginx,
            _bare: bare,
            _scripts: scripts,
            servers,
        }
    }
}

/// The daemon with a pipeline for each path and one with large segments.
async fn relaying(origin: &Origin) -> Sluice {
    let names = (0..PATHS).map(|number| format!("c{number}")).chain(["large".to_owned()]);
    let pipelines: String = names
        .map(|name| {
            let url = origin.url(&format!("/{name}/index.m3u8"));
            format!(
                "pipeline \"{name}\" {{\n source \"hls\" \"{url}\"\n buffer \"memory\" segments=10 bytes=\"32MiB\"
                 sink \"hls\" path=\"/live/{name}\" window=6 {{\n rate-limit 1000000 per=\"1s\" by=\"client\"\n }}\n}}\n"
            )
        })
        .collect();
    let sluice = Setup::new(env!("CARGO_BIN_EXE_sluice")).file("relays.kdl", &pipelines).start().await;
    let limit = Duration::from_secs(60);
    let live = (PATHS + 1) as f64;
    sluice.wait_for_metric("sluice_pipeline_state", &[("state", "live")], live, limit).await;
    let served = async || sluice.get("/live/large/index.m3u8").await.status.is_success().then_some(());
    eventually("the large segments", limit, served).await;
    sluice
}
