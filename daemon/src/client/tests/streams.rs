use futures_util::StreamExt;
use sluice_core::fault::Phase;

use super::super::scripted::{Origin, Say, answer, redirect};
use super::*;

/// Asks for a stream at `/live`, whatever leads there; gives how many bytes came before the end, and the end.
async fn streaming(
    say: impl Fn(&str) -> Say + Send + Sync + 'static,
) -> Result<(usize, Option<FaultKind>), Fault> {
    let origin = Origin::http(say).await;
    let url = origin.url("/start");
    let answer = fetch(&client(&url), exchange(&url, Class::Stream)).await?;
    assert!(answer.body.is_empty());
    let (mut frames, mut bytes) = (answer.frames.unwrap(), 0);
    while let Some(frame) = frames.next().await {
        match frame {
            Ok(frame) => bytes += frame.len(),
            Err(fault) => return Ok((bytes, Some(fault.kind))),
        }
        if bytes > 4 << 20 {
            break;
        }
    }
    Ok((bytes, None))
}

#[tokio::test]
async fn a_stream_has_no_limit_and_is_answered_with_its_head() {
    let say = |_: &str| Say::Endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into());
    let (bytes, end) = streaming(say).await.unwrap();
    assert!(bytes > 4 << 20 && end.is_none());
}

#[tokio::test]
async fn a_stream_is_found_behind_redirects() {
    let say = |head: &str| match head.split(' ').nth(1).unwrap() {
        "/start" => redirect("/live"),
        _ => Say::HangUp(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc".into()),
    };
    assert_eq!(streaming(say).await.unwrap(), (3, None), "a connection that closes is a clean end");
}

#[tokio::test]
async fn how_a_stream_ends_is_told_apart() {
    for (say, expected) in [
        (Say::HangUp as fn(Vec<u8>) -> Say, FaultKind::Truncated),
        (Say::Silence, FaultKind::Timeout(Phase::Read)),
    ] {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let (bytes, end) = streaming(move |_| say(head.to_vec())).await.unwrap();
        assert_eq!((bytes, end), (3, Some(expected)));
    }
}

#[tokio::test]
async fn what_is_no_whole_stream_is_refused_at_its_head() {
    let kind = async |say: fn(&str) -> Say| streaming(say).await.unwrap_err().kind;
    let gone = kind(|_| answer("404 Not Found", "", "")).await;
    assert_eq!(gone, FaultKind::Status(http::StatusCode::NOT_FOUND));
    let part = kind(|_| answer("206 Partial Content", "Content-Range: bytes 0-2/9\r\n", "abc")).await;
    assert!(matches!(part, FaultKind::Malformed(_)), "{part:?}");
    let coded = kind(|_| answer("200 OK", "Content-Encoding: gzip\r\n", "abc")).await;
    assert!(matches!(coded, FaultKind::Unsupported(_)), "{coded:?}");
    let mute = kind(|_| Say::Silence(Vec::new())).await;
    assert_eq!(mute, FaultKind::Timeout(Phase::Read), "a hang before the head");
}

#[tokio::test]
async fn dropping_the_frames_closes_the_connection() {
    let origin =
        Origin::http(|_| Say::Endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into())).await;
    let url = origin.url("/live");
    let client = client(&url);
    let answer = fetch(&client, exchange(&url, Class::Stream)).await.unwrap();
    drop(answer);
    let again = fetch(&client, exchange(&url, Class::Stream)).await.unwrap();
    assert!(again.frames.is_some());
    assert_eq!(origin.connections(), 2, "the first is not used again");
}
