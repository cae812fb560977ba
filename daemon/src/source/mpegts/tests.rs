use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::StatusCode;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::pipeline::{End, Shared, State};
use sluice_core::stage::{Kinds, SourceSpec};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::testing::{
    Say, assert_refused, assert_shown_alike, demo, discontinuities, faults, pipeline, read, scripted, start,
    window,
};
use super::*;

type Run = JoinHandle<Result<End, Fault>>;

fn http() -> Box<dyn SourceSpec> {
    read(&MPEGTS, r#"source "mpegts" "http://origin.example/news.ts""#).0.unwrap()
}

fn pull(script: Vec<Say>) -> (Arc<Shared>, Run) {
    let shared = pipeline("news");
    let run = start(&*http(), &shared, scripted(script), 1);
    (shared, run)
}

#[test]
fn a_node_is_read_and_shown_the_same() {
    assert_shown_alike(
        &MPEGTS,
        &[
            r#"source "mpegts" "http://origin.example/news.ts" segment="2s" reconnect="500ms..8s""#,
            "source \"mpegts\" \"https://origin.example/news\" segment=\"4s\" program=3 reconnect=\"1s..1s\" {\n    header \"user-agent\" \"x\"\n    allow-hosts \"cdn.example\"\n}",
            r#"source "mpegts" "udp://@239.0.0.1:5000" segment="2s" interface="eth0" from="10.0.0.9""#,
            r#"source "mpegts" "udp://0.0.0.0:5000" segment="2s" from="10.0.0.9""#,
            r#"source "mpegts" "udp://@[ff15::1]:5000" segment="2s" interface="eth0""#,
        ],
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_words() {
    assert_refused(
        &MPEGTS,
        &[
            (r#"source "mpegts""#, "URL"),
            (r#"source "mpegts" "http://x/a.ts" interface="eth0""#, "no effect on an HTTP origin"),
            (r#"source "mpegts" "http://x/a.ts" reconnect="1s..2m""#, "at most 60s"),
            (r#"source "mpegts" "http://x/a.ts" program=0"#, "out of bounds"),
            (r#"source "mpegts" "udp://@239.0.0.1:5000" from="::1""#, "another address family"),
            (r#"source "mpegts" "udp://@239.0.0.1:5000" from="eth0""#, "an address, as"),
            (
                r#"source "mpegts" "udp://10.0.0.1:5000" interface="eth0""#,
                "no effect on an address of this machine",
            ),
            (r#"source "mpegts" "udp://10.0.0.1:5000" reconnect="1s""#, "no effect on datagrams"),
            (
                "source \"mpegts\" \"udp://10.0.0.1:5000\" {\n    header \"a\" \"b\"\n}",
                "no effect on datagrams",
            ),
            (r#"source "mpegts" "http://origin.example/Live.M3U8?x=1""#, "use source \"hls\""),
        ],
    );
    let (spec, problems) = read(&MPEGTS, r#"source "mpegts" "http://origin.example/live.m3u8""#);
    assert!(spec.is_some() && !problems.are_fatal(), "a name is no proof");
}

#[test]
fn layers_stand_on_http_and_are_a_problem_on_datagrams() {
    for (url, is_fine) in [("http://origin.example/a.ts", true), ("udp://@239.0.0.1:5000", false)] {
        let text = format!(
            "pipeline \"a\" {{\n    source \"mpegts\" \"{url}\" {{\n        retry 3\n    }}\n    sink \"hls\" path=\"/a\"\n}}\n"
        );
        let kinds: Kinds = crate::kinds::KINDS;
        let (_, problems) =
            sluice_core::plan::read(&[("a.kdl".into(), text)], &kinds, &sluice_core::conf::NoSecrets);
        let words: Vec<_> = problems.iter().map(|one| one.message.clone()).collect();
        assert_eq!(words.is_empty(), is_fine, "{words:?}");
        assert!(is_fine || words[0].contains("this source asks nothing of an origin"), "{words:?}");
    }
}

#[test]
fn an_address_is_listened_on_by_one_pipeline_and_a_group_by_many() {
    for (url, is_fine) in
        [("udp://@239.0.0.1:5000", true), ("udp://0.0.0.0:5000", false), ("http://origin.example/a.ts", true)]
    {
        let one = |name: &str| {
            let text = format!(
                "pipeline \"{name}\" {{\n    source \"mpegts\" \"{url}\"\n    sink \"hls\" path=\"/{name}\"\n}}\n"
            );
            (format!("{name}.kdl"), text)
        };
        let kinds: Kinds = crate::kinds::KINDS;
        let (_, problems) =
            sluice_core::plan::read(&[one("a"), one("b")], &kinds, &sluice_core::conf::NoSecrets);
        let words: Vec<_> = problems.iter().map(|one| one.message.clone()).collect();
        assert_eq!(words.is_empty(), is_fine, "{words:?}");
        assert!(is_fine || words[0].contains("two sources listen on udp://0.0.0.0:5000"), "{words:?}");
    }
}

#[test]
fn two_sources_of_one_pipeline_on_an_address_are_not_told_to_follow_a_pipeline() {
    let source = "    source \"mpegts\" \"udp://0.0.0.0:5000\"\n";
    let text = format!("pipeline \"a\" {{\n{source}{source}    sink \"hls\" path=\"/a\"\n}}\n");
    let kinds: Kinds = crate::kinds::KINDS;
    let (_, problems) =
        sluice_core::plan::read(&[("a.kdl".into(), text)], &kinds, &sluice_core::conf::NoSecrets);
    let help: Vec<_> = problems.iter().map(|one| one.help.clone()).collect();
    assert_eq!(help, ["leave one of them out"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_connected_again_at_once_behind_a_discontinuity() {
    let begin = || demo().slice(..demo().len() / 2);
    let (shared, run) = pull(vec![
        Say::Break(begin(), FaultKind::Truncated),
        Say::End("video/mp2t", begin()),
        Say::Hang(begin()),
    ]);
    let began = Instant::now();
    let snapshot = window(&shared, |snapshot| discontinuities(snapshot) == 2).await;
    assert!(snapshot.segments.len() >= 4, "{}", snapshot.segments.len());
    assert!(
        began.elapsed() < Duration::from_millis(600),
        "one wait of the first length: {:?}",
        began.elapsed()
    );
    assert_eq!(faults(&shared), "the origin ended the stream");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_fault_before_the_first_byte_ends_the_run_and_a_passing_one_later_does_not() {
    let (_, run) = pull(vec![Say::Refuse(FaultKind::Connect.into())]);
    assert_eq!(run.await.unwrap().unwrap_err().kind, FaultKind::Connect);
    let gone = FaultKind::Status(StatusCode::NOT_FOUND);
    let (shared, run) = pull(vec![
        Say::Break(demo(), FaultKind::Truncated),
        Say::Refuse(FaultKind::Connect.into()),
        Say::Refuse(FaultKind::BreakerOpen.into()),
        Say::Refuse(Fault::new(gone.clone())),
    ]);
    assert_eq!(run.await.unwrap().unwrap_err().kind, gone);
    assert_eq!(shared.status().borrow().state, State::Live, "what came is served");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_wants_to_be_left_alone_is_left_alone() {
    let busy = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE);
    let (shared, run) = pull(vec![
        Say::Break(demo(), FaultKind::Truncated),
        Say::Refuse(Fault::new(busy).after(Duration::from_secs(7))),
        Say::Hang(demo()),
    ]);
    let began = Instant::now();
    window(&shared, |snapshot| discontinuities(snapshot) == 1).await;
    assert!((7..9).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_playlist_or_a_page_is_named() {
    let playlist = || bytes::Bytes::from_static(b"#EXTM3U\n");
    for (say, words) in [
        (Say::End("application/vnd.apple.mpegurl", playlist()), "use source \"hls\""),
        (Say::End("application/octet-stream", playlist()), "use source \"hls\""),
        (Say::End("text/html", demo()), "a web page"),
    ] {
        let fault = pull(vec![say]).1.await.unwrap().unwrap_err();
        assert!(fault.to_string().contains(words), "{fault}");
        assert!(!fault.is_retryable());
    }
}

fn listen(address: SocketAddr, more: &str) -> (Arc<Shared>, Run) {
    let (spec, problems) = read(&MPEGTS, &format!("source \"mpegts\" \"udp://{address}\" {more}"));
    assert!(problems.is_empty(), "{problems:?}");
    let shared = pipeline("news");
    let run = start(&*spec.unwrap(), &shared, scripted(Vec::new()), 1);
    (shared, run)
}

/// An address of this machine where nothing listens.
async fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Sends the demo to `to`, from this address, over and over, until it is aborted. `header` stands before each.
fn send(from: Ipv4Addr, to: SocketAddr, header: &'static [u8], packets: usize) -> JoinHandle<()> {
    tokio::spawn(async move {
        let socket = UdpSocket::bind((from, 0)).await.unwrap();
        loop {
            for datagram in demo().chunks(packets * 188) {
                // nobody may listen yet
                drop(socket.send_to(&[header, datagram].concat(), to).await);
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
    })
}

#[tokio::test]
async fn datagrams_of_any_size_and_with_an_rtp_header_are_taken_in() {
    for (header, packets) in [(&[][..], 7), (&[0x80, 33, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], 7), (&[], 1)] {
        let address = free_address().await;
        let (shared, run) = listen(address, "");
        let sending = send(Ipv4Addr::LOCALHOST, address, header, packets);
        let snapshot = window(&shared, |snapshot| snapshot.segments.len() >= 3).await;
        for segment in &snapshot.segments {
            assert!(
                segment.media.parts.iter().all(|part| part.bytes[0] == 0x47 && part.bytes.len() % 188 == 0)
            );
        }
        sending.abort();
        run.abort();
    }
}

#[tokio::test]
async fn only_the_permitted_sender_is_listened_to() {
    let address = free_address().await;
    let (shared, run) = listen(address, "from=\"127.0.0.9\"");
    let stranger = send(Ipv4Addr::LOCALHOST, address, &[], 7);
    // the stranger is named after a silence; nothing of it is taken
    for _ in 0..200 {
        if faults(&shared).contains("127.0.0.1") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(faults(&shared), "the sender 127.0.0.1 is not allowed");
    assert!(shared.renditions().is_none());
    stranger.abort();
    let sending = send(Ipv4Addr::new(127, 0, 0, 9), address, &[], 7);
    window(&shared, |snapshot| !snapshot.segments.is_empty()).await;
    sending.abort();
    run.abort();
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_a_fault_that_names_it() {
    let (_, run) = listen("239.255.0.1:5000".parse().unwrap(), "interface=\"nowhere7\"");
    let fault = run.await.unwrap().unwrap_err();
    assert_eq!(fault.to_string(), "cannot listen on udp://@239.255.0.1:5000: no interface `nowhere7`");
}

#[tokio::test]
async fn a_group_is_joined_on_the_interface_that_is_named_for_the_sender_alone() {
    for (group, local, more) in [
        ("239.255.77.1", "127.0.0.1", "interface=\"lo\""),
        ("239.255.77.2", "127.0.0.1", "interface=\"127.0.0.1\" from=\"127.0.0.1\""),
    ] {
        let group = SocketAddr::new(group.parse().unwrap(), free_address().await.port());
        let (shared, run) = listen(group, more);
        let sender = UdpSocket::bind((local.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
        let sender = socket2::Socket::from(sender.into_std().unwrap());
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let sender = UdpSocket::from_std(sender.into()).unwrap();
        let sending = tokio::spawn(async move {
            loop {
                for datagram in demo().chunks(7 * 188) {
                    drop(sender.send_to(datagram, group).await);
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            }
        });
        window(&shared, |snapshot| snapshot.segments.len() >= 2).await;
        sending.abort();
        run.abort();
    }
}

#[tokio::test]
async fn a_group_of_ipv6_is_joined() {
    let address = Datagrams(SocketAddr::new("ff11::77".parse().unwrap(), free_address().await.port()));
    let listening = Listening { address, interface: Some("lo".to_owned()), from: None };
    // nothing is sent: many machines have no route for groups on the loopback
    let (socket, _) = socket::open(&listening).unwrap();
    assert_eq!(socket.local_addr().unwrap().ip(), address.0.ip());
}
