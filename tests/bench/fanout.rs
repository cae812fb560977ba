//! One transport stream to many viewers: how many, at what cost in time and memory, and how soon the first picture
//! comes. Beside a bare tokio writer (`bare_fanout`) and icecast2, on the same stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluice_harness::{Ending, Process, Setup, Sluice, eventually, program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Effort;
use super::cost::processor_time;
use super::report::{Bar, Figure, Report};

/// What is fanned out, and the share of it that every viewer must get over any [`WINDOW`].
const RATE_BPS: f64 = 2_000_000.0;
const LEAST_SHARE: f64 = 0.99;
const WINDOW: Duration = Duration::from_secs(5);
/// The clip once.
const WINDOWS: usize = 4;
/// A moment between two releases is looked for so often, each time 5 ms apart.
const SETTLING: usize = 40;
/// How many are tried, one after the other; `SLUICE_VIEWERS` gives others.
const STEPS: &str = "1000 2000 4000 6000 8000";
/// How many the cost is measured with.
const MANY: usize = 800;
/// So many connections begin at once.
const AT_ONCE: usize = 100;
const PATH: &str = "/live/bench.ts";

/// A stream of [`RATE_BPS`] in a file that loops.
async fn clip(directory: &std::path::Path) -> std::path::PathBuf {
    let file = directory.join("clip.ts");
    let mut command = Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20"]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "25",
        "-keyint_min",
        "25",
        "-sc_threshold",
        "0",
    ]);
    command.args([
        "-b:v", "1850k", "-minrate", "1850k", "-maxrate", "1850k", "-bufsize", "1850k", "-nal-hrd", "cbr",
    ]);
    command.args(["-muxrate", &format!("{RATE_BPS:.0}"), "-f", "mpegts"]).arg(&file);
    assert!(command.status().await.unwrap().success(), "ffmpeg makes a clip");
    file
}

/// A daemon that has the stream on the air.
async fn start(directory: &std::path::Path) -> Sluice {
    let clip = clip(directory).await;
    let text = format!(
        "pipeline \"bench\" {{\n source \"file\" {:?} loop=#true\n buffer \"memory\" segments=10 bytes=\"32MiB\"
         sink \"mpegts\" path=\"{PATH}\" behind=\"1s\"\n}}\n",
        clip.display().to_string()
    );
    let sluice = Setup::new(env!("CARGO_BIN_EXE_sluice")).file("bench.kdl", &text).start().await;
    sluice.wait_for_state("bench", "live", Duration::from_secs(30)).await;
    sluice
}

/// Viewers at work, each with the bytes that it took.
struct Crowd {
    taken: Vec<Arc<AtomicU64>>,
    _tasks: JoinSet<()>,
}

/// What a crowd got.
struct Got {
    /// What the worst viewer got in any window, beside what most got in the same: the rate of a stream changes with its
    /// pictures.
    worst_share: f64,
    /// Bytes in a second, for each viewer.
    bytes_each: f64,
    /// Bytes in a second, for all.
    bytes: f64,
}

impl Crowd {
    async fn gather(address: SocketAddr, path: &str, count: usize) -> Self {
        let (mut taken, mut tasks) = (Vec::new(), JoinSet::new());
        for at in 0..count {
            let own = Arc::new(AtomicU64::new(0));
            taken.push(own.clone());
            let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
            let stream = connect(address).await;
            tasks.spawn(async move {
                // one whose stream ends shows as a viewer who gets nothing
                drop(read(stream, &request, &own).await);
            });
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Self { taken, _tasks: tasks }
    }

    fn counts(&self) -> Vec<u64> {
        self.taken.iter().map(|own| own.load(Ordering::Relaxed)).collect()
    }

    /// The counts between two releases, where there is a moment between them: within one, some have it and some have not.
    async fn settled(&self) -> Vec<u64> {
        let mut before = self.counts();
        for _ in 0..SETTLING {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = self.counts();
            if now == before {
                break;
            }
            before = now;
        }
        before
    }

    async fn watch(&self, windows: usize) -> Got {
        let (mut worst_share, mut bytes) = (f64::MAX, 0.0);
        let began = Instant::now();
        for _ in 0..windows {
            let before = self.settled().await;
            tokio::time::sleep(WINDOW).await;
            let after = self.settled().await;
            let mut got: Vec<f64> =
                before.into_iter().zip(after).map(|(before, after)| (after - before) as f64).collect();
            got.sort_by(f64::total_cmp);
            worst_share = worst_share.min(got[0] / got[got.len() / 2].max(1.0));
            bytes += got.iter().sum::<f64>();
        }
        let bytes = bytes / began.elapsed().as_secs_f64();
        Got { worst_share, bytes_each: bytes / self.taken.len() as f64, bytes }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let open = async || TcpStream::connect(address).await.ok();
    eventually("a connection", Duration::from_secs(30), open).await
}

async fn read(mut stream: TcpStream, request: &str, taken: &AtomicU64) -> std::io::Result<()> {
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            read => taken.fetch_add(read as u64, Ordering::Relaxed),
        };
    }
}

/// How many viewers get all of it, beside a bare writer.
pub(crate) async fn viewers(report: &mut Report) {
    let directory = tempfile::tempdir().unwrap();
    let sluice = start(directory.path()).await;
    let (_process, bare) = super::bare_fanout::start(RATE_BPS).await;
    let (mut own, mut peer) = (Figure::default(), Figure::default());
    own.push(knee("sluice", sluice.viewers, PATH).await);
    peer.push(knee("a bare tokio writer", bare, "/").await);
    let what = "viewers at 2 Mbit/s, each with 99 % of it,";
    report.reaches(what, &own, 6000.0, "viewers");
    report.reaches("the same of a bare tokio writer", &peer, 6000.0, "viewers");
}

/// The last step at which every viewer got all of it.
async fn knee(name: &str, address: SocketAddr, path: &str) -> f64 {
    let steps = std::env::var("SLUICE_VIEWERS").unwrap_or_else(|_| STEPS.to_owned());
    let (mut held, mut alone) = (0.0, None);
    for step in std::iter::once("1").chain(steps.split_whitespace()) {
        let count: usize = step.parse().expect("a number of viewers");
        let crowd = Crowd::gather(address, path, count).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let got = crowd.watch(WINDOWS).await;
        let share = got.bytes_each / *alone.get_or_insert(got.bytes_each);
        let worst = share.min(got.worst_share);
        let (percent, gigabits) = (worst * 100.0, got.bytes * 8.0 / 1e9);
        println!("{name}, {count} viewers: {percent:.1} % of the rate for the worst, {gigabits:.2} Gbit/s");
        if worst < LEAST_SHARE {
            break;
        }
        held = f64::from(u32::try_from(count).unwrap());
    }
    held
}

/// Processor time for each Gbit/s, beside the peers.
pub(crate) async fn fanning(effort: Effort, report: &mut Report) {
    let directory = tempfile::tempdir().unwrap();
    let mut sluice = start(directory.path()).await;
    let (mut own, mut bare, mut icecast) = (Figure::default(), Figure::default(), Figure::default());
    let (process, address) = super::bare_fanout::start(RATE_BPS).await;
    let peer = Icecast::start(&directory.path().join("clip.ts")).await;
    for _ in 0..effort.rounds.min(3) {
        own.push(cost(sluice.viewers, PATH, sluice.process().id(), effort).await);
        bare.push(cost(address, "/", process.id(), effort).await);
        icecast.push(cost(peer.address, "/bench.ts", peer.server.id(), effort).await);
    }
    let what = "CPU of the fan-out for each Gbit/s";
    let shown = (1.0, "cores");
    report.compare(what, &own, ("a bare tokio writer", &bare), Bar::AtMost(1.3), shown);
    report.compare(what, &own, ("icecast2", &icecast), Bar::AtMost(1.0), shown);
}

/// Cores for each Gbit/s that a process sends to a crowd.
async fn cost(address: SocketAddr, path: &str, process: u32, effort: Effort) -> f64 {
    let many = std::env::var("SLUICE_MANY").map_or(MANY, |text| text.parse().expect("a number"));
    let crowd = Crowd::gather(address, path, many).await;
    let windows = usize::try_from(effort.seconds).unwrap_or(3).div_ceil(5);
    let span = WINDOW * u32::try_from(windows).unwrap_or(1);
    let watch = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        crowd.watch(windows).await.bytes
    };
    let (cores, bytes) = tokio::join!(processor_time(process, span), watch);
    cores / (bytes * 8.0 / 1e9)
}

/// Resident memory of a viewer beyond the ring, and the time from a request to the first picture.
pub(crate) async fn joining(effort: Effort, report: &mut Report) {
    let directory = tempfile::tempdir().unwrap();
    let mut sluice = start(directory.path()).await;
    tokio::time::sleep(Duration::from_secs(8)).await; // the ring is as full as it gets with `behind`
    let mut soon = Figure::default();
    for _ in 0..effort.rounds * 10 {
        soon.push(first_byte(sluice.viewers).await);
    }
    report.alone("join to the first byte of a keyframe", &soon, Bar::Within(0.005), (1e-3, "ms"));
    let mut memory = Figure::default();
    let count = std::env::var("SLUICE_MANY").map_or(2 * MANY, |text| text.parse().expect("a number"));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = resident_bytes(sluice.process().id());
    let crowd = Crowd::gather(sluice.viewers, PATH, count).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    memory.push((resident_bytes(sluice.process().id()) - before) / count as f64);
    drop(crowd);
    report.alone("memory of a viewer beyond the ring", &memory, Bar::Within(16_384.0), (1024.0, "KiB"));
}

/// From the request to the first bytes of the body: they are PAT, PMT and a keyframe in one.
async fn first_byte(address: SocketAddr) -> f64 {
    let mut stream = connect(address).await;
    stream.set_nodelay(true).unwrap();
    let (began, mut read) = (Instant::now(), Vec::new());
    stream.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes()).await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        read.extend_from_slice(&buffer[..count]);
        let body = read.windows(4).position(|window| window == b"\r\n\r\n");
        if body.is_some_and(|at| read.len() > at + 3 * 188) {
            return began.elapsed().as_secs_f64();
        }
    }
}

fn resident_bytes(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

/// icecast2 with ffmpeg as its source.
struct Icecast {
    server: Process,
    address: SocketAddr,
    _source: Process,
}

impl Icecast {
    async fn start(clip: &std::path::Path) -> Self {
        let port = sluice_harness::free_port();
        let directory = clip.parent().unwrap().join("icecast");
        std::fs::create_dir_all(directory.join("web")).unwrap();
        let home = directory.display();
        let text = format!(
            "<icecast><limits><clients>20000</clients><sources>2</sources><burst-size>65535</burst-size></limits>
<authentication><source-password>x</source-password><admin-user>a</admin-user><admin-password>x</admin-password></authentication>
<listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket><hostname>localhost</hostname>
<paths><logdir>{home}</logdir><webroot>{home}/web</webroot><adminroot>{home}/web</adminroot></paths>
<logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
<security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security></icecast>"
        );
        let file = directory.join("icecast.xml");
        std::fs::write(&file, text).unwrap();
        for path in [&directory, &directory.join("web")] {
            // icecast drops its rights before it opens its logs
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let parent = directory.parent().unwrap();
        std::fs::set_permissions(parent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new(program("icecast2", "icecast2"));
        command.arg("-c").arg(&file);
        let server = Process::start("icecast2", &mut command, Ending::Kill);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        drop(connect(address).await);
        let mut command = Command::new(program("ffmpeg", "ffmpeg"));
        command.args(["-v", "error", "-re", "-stream_loop", "-1", "-i"]).arg(clip);
        command.args(["-c", "copy", "-f", "mpegts", "-content_type", "video/mp2t"]);
        command.arg(format!("icecast://source:x@127.0.0.1:{port}/bench.ts"));
        let source = Process::start("the source of icecast2", &mut command, Ending::Kill);
        tokio::time::sleep(Duration::from_secs(3)).await;
        Self { server, address, _source: source }
    }
}
