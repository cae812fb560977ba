//! The source `exec`: programs that run beside the daemon, and never outlive what they run for.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use sluice_harness::{Setup, Sluice, Viewer, eventually, play_with_ffmpeg, probe};

use super::mpegts::says;
use super::players::repository;
use super::{SOON, serves, setup};

/// A pipeline `camera` whose source is a script of a shell, which is the first of its process group.
fn pipeline(script: &str) -> String {
    let demo = repository().join("conf.d/media/demo.ts");
    let script = script.replace("DEMO", &demo.display().to_string());
    format!(
        "pipeline \"camera\" {{
    source \"exec\" \"sh\" \"-c\" \"{script}\" segment=\"1s\" {{
        env KEY=\"hunter2\"
    }}
    sink \"hls\" path=\"/live/camera\"
}}
"
    )
}

const FFMPEG: &str = "ffmpeg -hide_banner -loglevel error -re -stream_loop -1 -i DEMO -c copy -f mpegts -";

fn start(script: &str) -> Setup {
    setup().file("camera.kdl", &pipeline(script))
}

/// The numbers of all processes by the fields of `/proc/PID/stat` that come after the name: parent and group.
fn processes(is_wanted: impl Fn(u32, u32) -> bool) -> BTreeSet<u32> {
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let wanted = |process: &u32| {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // one that is just going has no group any more: -1
        let (Ok(parent), Ok(group)) = (fields[1].parse(), fields[2].parse()) else { return false };
        fields[0] != "Z" && is_wanted(parent, group)
    };
    all.filter(wanted).collect()
}

/// The group of the only program that the daemon runs, with at least `count` processes.
async fn group(sluice: &mut Sluice, count: usize) -> u32 {
    let daemon = sluice.process().id();
    let found = async || {
        let leader = processes(|parent, _| parent == daemon).pop_first()?;
        (processes(|_, group| group == leader).len() >= count).then_some(leader)
    };
    eventually("the program and its children", SOON, found).await
}

async fn is_gone(group: u32) {
    let gone = async || processes(|_, its| its == group).is_empty().then_some(());
    eventually(&format!("the end of group {group}"), SOON, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_writes_is_served_and_plays() {
    let sluice = start(FFMPEG).start().await;
    serves(&sluice, "/live/camera/index.m3u8").await;
    let url = sluice.url("/live/camera/index.m3u8");
    let (complaints, streams) = probe(&url).await;
    assert!(complaints.is_empty() && streams.contains("h264"), "{complaints} {streams}");
    let playback = play_with_ffmpeg(&url, Duration::from_secs(3)).await;
    assert!(playback.complaints.is_empty() && playback.length(0) > 2.0, "{}", playback.complaints);
    let mut viewing = Viewer::new(sluice.viewers, "/live/camera/index.m3u8").watch();
    viewing.takes(5, SOON).await;
    let taken = viewing.stop().await;
    taken.assert_well_formed();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_group_ends_with_its_pipeline_with_the_daemon_and_with_a_change() {
    // a shell that waits for ffmpeg: two processes, of which one does not heed SIGTERM
    let script = format!("trap '' TERM; {FFMPEG} & while true; do wait; done");
    let mut sluice = start(&script).start().await;
    let first = group(&mut sluice, 2).await;
    sluice
        .apply(
            "camera.kdl",
            &pipeline(&script).replace("pipeline \"camera\"", "pipeline \"camera\" enabled=#false"),
        )
        .await;
    is_gone(first).await;
    sluice.apply("camera.kdl", &pipeline(&script)).await;
    let second = group(&mut sluice, 2).await;
    assert_ne!(first, second);
    sluice.process().signal(Signal::SIGTERM);
    sluice.process().ended(SOON).await;
    assert!(processes(|_, its| its == second).is_empty(), "it was waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_does_not_outlive_a_daemon_that_is_killed() {
    let mut sluice = start(&format!("exec {FFMPEG}")).start().await;
    let program = group(&mut sluice, 1).await;
    serves(&sluice, "/live/camera/index.m3u8").await;
    sluice.process().signal(Signal::SIGKILL);
    sluice.process().ended(SOON).await;
    is_gone(program).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_is_run_again_and_its_last_words_are_the_reason() {
    // the first run plays three seconds and fails, the second goes on
    let once = FFMPEG.replace("-c copy", "-t 3 -c copy");
    let script = format!("if mkdir $PWD/ran; then {once}; echo lost $KEY >&2; exit 7; fi; exec {FFMPEG}");
    let sluice = start(&script).start().await;
    serves(&sluice, "/live/camera/index.m3u8").await;
    says(&sluice, "camera", "`sh` ended with exit code 7: lost ***").await;
    sluice.wait_for_metric("sluice_source_restarts_total", &[("pipeline", "camera")], 1.0, SOON).await;
    sluice.wait_for_state("camera", "live", SOON).await;
    assert!(!sluice.log().contains("hunter2"), "{}", sluice.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_missing_is_named_by_check_and_at_its_start() {
    let text = pipeline("").replace("\"sh\"", "\"no-such-program-7\"");
    let setup = setup().file("camera.kdl", &text);
    let output = setup.output(&["check", "conf.d"]).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains("the program no-such-program-7 of pipeline `camera` is missing"), "{words}");
    let sluice = setup.start().await;
    says(&sluice, "camera", "cannot start no-such-program-7").await;
}
