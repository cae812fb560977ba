//! What an operator meets on the first day.

use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use sluice_harness::origin::Live;
use sluice_harness::{Connection, Listing, Pace, Version, Viewer, eventually, within};

use super::{SOON, Stage, relay, setup};

/// The exit status of a configuration with problems (sysexits.h, EX_CONFIG).
const EX_CONFIG: i32 = 78;

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_ends_the_start_with_its_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, log) = setup().listen(&address).start_in_vain().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&address), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_every_file_is_named_and_the_exit_status_is_78() {
    let good = relay("news", "http://127.0.0.1:9/index.m3u8", "");
    let setup = setup()
        .file("a.kdl", &good.replace("source", "sauce"))
        .file("b.kdl", &good.replace("window=12", "window=1200000").replace("news", "other"));
    let (status, log) = setup.start_in_vain().await;
    assert_eq!(status.code(), Some(EX_CONFIG), "{log}");
    for words in ["a.kdl", "sauce", "b.kdl", "window"] {
        assert!(log.contains(words), "{words} is missing in {log}");
    }
    let output = setup.output(&["check", "--format", "json", "conf.d"]).await;
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(problems.to_string().contains("sauce"), "{problems}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_a_file_is_named_by_check_and_waited_on_by_run() {
    let setup = setup();
    let output = setup.output(&["check", "conf.d"]).await;
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("the file conf.d/*.kdl of the configuration is missing"), "{text}");
    let output = setup.file("server.kdl", "server { drain \"1s\"; }\n").output(&["check", "conf.d"]).await;
    assert!(output.status.success(), "a configuration without pipelines is one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_of_readiness_the_state_of_things_and_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = tokio::net::UnixDatagram::bind(&path).unwrap();
    let told = async |words: &str| {
        let mut message = [0; 1024];
        let search = async {
            loop {
                let length = manager.recv(&mut message).await.unwrap();
                if String::from_utf8_lossy(&message[..length]).contains(words) {
                    return;
                }
            }
        };
        within(&format!("the service manager is told {words}"), SOON, search).await;
    };
    let mut stage =
        Stage::with(setup().variable("NOTIFY_SOCKET", path.to_str().unwrap()), Live::new("a"), "").await;
    told("READY=1").await;
    let mut viewing = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(1, SOON).await;
    told("STATUS=1 pipeline, 1 viewer").await;
    stage.origin.fail("index", sluice_harness::origin::Answer::status(503));
    told("1 degraded").await;
    viewing.stop().await;
    stage.sluice.process().signal(Signal::SIGTERM);
    told("STOPPING=1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_viewers_finish_their_bodies() {
    let live = Live::with_size("a", 1_200_000);
    let mut stage = Stage::with(setup().server("drain \"8s\""), live, "").await;
    let slow = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").pace(Pace::Slow(600_000));
    let mut viewing = slow.watch();
    viewing.takes(1, SOON).await;
    // a body is in flight nearly all the time: one lasts two seconds
    stage.sluice.process().signal(Signal::SIGTERM);
    let viewers = stage.sluice.viewers;
    let closed = async || Connection::try_open(viewers, Version::One).await.err();
    eventually("no new viewers are taken", SOON, closed).await;
    let taken = within("the viewer's end", SOON, viewing.stop()).await;
    let whole = taken.segments[0].bytes.len();
    assert!(taken.segments.iter().all(|segment| segment.bytes.len() == whole));
    let status = stage.sluice.process().ended(Duration::from_secs(12)).await;
    assert_eq!(status.code(), Some(0), "{}", stage.sluice.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let live = Live::with_size("a", 12 << 20);
    let mut stage = Stage::with(setup().server("drain \"60s\""), live, "").await;
    let listing = Listing::read(&stage.sluice.get("/live/news/index.m3u8").await.text());
    let path = format!("/live/news/{}", listing.entries.last().unwrap().uri);
    let mut idle = Connection::open_narrow(stage.sluice.viewers, Version::One).await.unwrap();
    let head = idle.send(Method::GET, &path, &[]).await.unwrap();
    stage.sluice.process().signal(Signal::SIGTERM);
    let viewers = stage.sluice.viewers;
    let closed = async || Connection::try_open(viewers, Version::One).await.err();
    eventually("no new viewers are taken", SOON, closed).await;
    assert!(stage.sluice.process().has_ended().is_none(), "the body in flight is not waited for");
    stage.sluice.process().signal(Signal::SIGTERM);
    stage.sluice.process().ended(Duration::from_secs(2)).await;
    drop(head);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_configuration_again() {
    let mut stage = Stage::new("").await;
    let before = stage.sluice.reloads().await;
    stage.sluice.process().signal(Signal::SIGHUP);
    stage.sluice.reloaded_since(before).await;
    assert_eq!(stage.sluice.state("news").await, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_served_over_ipv6() {
    let live = Live::new("a");
    let stage = Stage::with(setup().listen("[::1]:0"), live, "").await;
    assert!(stage.sluice.viewers.is_ipv6());
    let mut viewing = Viewer::new(stage.sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(2, SOON).await;
    viewing.stop().await.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_on_one_state_directory_do_not_both_run() {
    let stage = Stage::new("").await;
    let (status, log) = stage.sluice.setup().start_in_vain().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("state"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_yet_is_said_to_be_not_yet() {
    for (node, word) in [
        ("access \"viewers\" {\n allow \"10.0.0.0/8\"\n}", "access"),
        ("cluster \"edge\" {\n nats \"nats://10.0.0.1:4222\"\n}", "cluster"),
    ] {
        let setup = setup().file("later.kdl", node);
        let output = setup.output(&["check", "conf.d"]).await;
        assert_eq!(output.status.code(), Some(EX_CONFIG), "{word}");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(word) && text.contains("not yet"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_names_the_urls() {
    let stage = Stage::new("").await;
    let url = stage.sluice.url("/live/news");
    assert!(stage.sluice.log().contains(&url), "{url} is not in {}", stage.sluice.log());
}
