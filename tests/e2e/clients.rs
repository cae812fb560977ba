//! Clients of an endless transport stream that are not like the others: old ones, and too many.

use std::time::Duration;

use http::Method;
use sluice_harness::{Connection, Sluice, Version, eventually, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::players::repository;
use super::{SOON, setup};

/// The demo's clip in a loop, on the sink `mpegts` with these layers.
async fn on_air(layers: &str) -> Sluice {
    let clip = repository().join("conf.d/media/demo.ts");
    let text = format!(
        "pipeline \"news\" {{
    source \"file\" \"{}\" loop=#true
    sink \"mpegts\" path=\"/live/news.ts\" behind=\"1s\" {layers}
}}
",
        clip.display()
    );
    let sluice = setup().file("news.kdl", &text).start().await;
    sluice.wait_for_state("news", "live", SOON).await;
    sluice
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_gets_bare_packets_until_it_goes() {
    let sluice = on_air("").await;
    let mut socket = TcpStream::connect(sluice.viewers).await.unwrap();
    socket.write_all(b"GET /live/news.ts HTTP/1.0\r\nUser-Agent: old\r\n\r\n").await.unwrap();
    let mut taken = Vec::new();
    let reading = async {
        while taken.len() < 100_000 {
            assert!(socket.read_buf(&mut taken).await.unwrap() > 0, "the stream ended");
        }
    };
    within("100 kB", SOON, reading).await;
    let end = taken.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (head, body) = taken.split_at(end);
    let head = String::from_utf8(head.to_vec()).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.0 200") || head.starts_with("http/1.1 200"), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    assert!(!head.contains("keep-alive"), "the end of the connection is the end of the body: {head}");
    let (packets, _) = body.as_chunks::<188>();
    assert!(packets.len() > 100 && packets.iter().all(|packet| packet[0] == 0x47), "bare packets");
    drop(socket);
    let gone = async || {
        let metrics = sluice.metrics().await;
        (metrics.sum("sluice_viewers", &[("pipeline", "news")]) == 0.0).then_some(())
    };
    eventually("the viewer to be gone", SOON, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_of_concurrency_is_taken_until_a_viewer_of_the_stream_goes() {
    let sluice = on_air("{\n        concurrency 2\n    }").await;
    let ask = async |version| {
        let mut connection = Connection::open(sluice.viewers, version).await;
        let response = connection.send(Method::GET, "/live/news.ts", &[]).await.unwrap();
        (connection, response)
    };
    let (one, two) = (ask(Version::One).await, ask(Version::Two).await);
    assert_eq!((one.1.status().as_u16(), two.1.status().as_u16()), (200, 200));
    // a place stays taken while the body goes on, long after the head of the answer
    for _ in 0..3 {
        let (_, refused) = ask(Version::One).await;
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    drop(one);
    let free = async || (ask(Version::One).await.1.status() == 200).then_some(());
    eventually("a free place", SOON, free).await;
    let refused = sluice.metrics().await.sum("sluice_concurrency_limited_total", &[("pipeline", "news")]);
    assert!(refused >= 3.0, "{refused}");
    drop(two);
}
