//! Players: ffprobe, ffmpeg and VLC.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::process::Command;

use crate::process::program;
use crate::wait::within;

/// What a player got.
#[derive(Debug, Default)]
pub struct Playback {
    /// For each stream by number: the decoding times of its packets, in seconds.
    pub streams: BTreeMap<usize, Vec<f64>>,
    /// What the player complained about.
    pub complaints: String,
}

impl Playback {
    /// The longest step between two packets of a stream, in seconds. A loss is a step of more than a frame.
    pub fn longest_step(&self, stream: usize) -> f64 {
        self.steps_over(stream, 0.0).into_iter().fold(0.0, f64::max)
    }

    /// The steps between two packets of a stream that are longer than `seconds`.
    pub fn steps_over(&self, stream: usize, seconds: f64) -> Vec<f64> {
        let times = self.streams.get(&stream).map_or(&[][..], Vec::as_slice);
        times.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > seconds).collect()
    }

    /// The playing time of a stream, in seconds.
    pub fn length(&self, stream: usize) -> f64 {
        let times = self.streams.get(&stream).map_or(&[][..], Vec::as_slice);
        times.last().zip(times.first()).map_or(0.0, |(last, first)| last - first)
    }
}

/// What ffprobe says against a URL or file; empty is well. The streams that it finds stand in the second text.
pub async fn probe(url: &str) -> (String, String) {
    let mut command = Command::new(program("ffprobe", "ffmpeg"));
    command.args(["-v", "error", "-show_entries", "stream=codec_name,width", "-of", "csv=p=0", url]);
    let output = run(command, Duration::from_secs(30)).await;
    (text(&output.stderr), text(&output.stdout))
}

/// Plays the first video and the first audio of a live stream, where it has them, with ffmpeg for `length` of
/// playing time.
pub async fn play_with_ffmpeg(url: &str, length: Duration) -> Playback {
    let mut command = Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-i", url]);
    command.args(["-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy", "-t", &length.as_secs().to_string()]);
    command.args(["-f", "framecrc", "-"]);
    let output = run(command, length * 2 + Duration::from_secs(30)).await;
    let mut playback = Playback { complaints: text(&output.stderr), ..Playback::default() };
    let lines = text(&output.stdout);
    let mut bases = BTreeMap::new();
    for line in lines.lines() {
        if let Some((stream, base)) = line.strip_prefix("#tb ").and_then(|line| line.split_once(": ")) {
            let (over, under) = base.split_once('/').unwrap();
            let seconds: f64 = over.parse::<f64>().unwrap() / under.parse::<f64>().unwrap();
            bases.insert(stream.parse::<usize>().unwrap(), seconds);
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let stream: usize = fields[0].parse().unwrap();
            let time = fields[1].parse::<f64>().unwrap() * bases[&stream];
            playback.streams.entry(stream).or_default().push(time);
        }
    }
    playback
}

/// Plays a live stream with VLC for `length` into `directory`, and gives the playing time of what VLC wrote,
/// in seconds, with VLC's log.
pub async fn play_with_vlc(url: &str, length: Duration, directory: &Path) -> (f64, String) {
    let written = directory.join("vlc.ts");
    let mut command = Command::new(vlc(directory));
    command.args(["-I", "dummy", "--no-dbus", "--no-one-instance", "--verbose", "2", "--run-time"]);
    command.arg(length.as_secs().to_string());
    command.arg(format!("--sout=#std{{access=file,mux=ts,dst={}}}", written.display()));
    command.args([url, "vlc://quit"]).env("HOME", directory);
    let output = run(command, length * 2 + Duration::from_secs(30)).await;
    let mut command = Command::new(program("ffprobe", "ffmpeg"));
    command.args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]).arg(&written);
    let seconds = text(&run(command, Duration::from_secs(30)).await.stdout);
    (seconds.trim().parse().unwrap_or(0.0), text(&output.stderr))
}

/// VLC as it is; for root, who may not run it, a copy that does not ask.
fn vlc(directory: &Path) -> PathBuf {
    let vlc = program("vlc", "vlc-bin");
    if !Uid::effective().is_root() {
        return vlc;
    }
    let mut bytes = std::fs::read(vlc).unwrap();
    let (asked, instead) = (b"geteuid", b"getppid");
    for at in 0..bytes.len() - asked.len() {
        if bytes[at..].starts_with(asked) {
            bytes[at..at + asked.len()].copy_from_slice(instead);
        }
    }
    let copy = directory.join("vlc");
    std::fs::write(&copy, bytes).unwrap();
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    copy
}

async fn run(mut command: Command, limit: Duration) -> Output {
    let what = format!("the end of {command:?}");
    within(&what, limit, command.kill_on_drop(true).output()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
