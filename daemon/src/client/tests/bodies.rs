use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use sluice_core::fault::Phase;
use sluice_core::stage::ByteRange;

use super::super::scripted::{Origin, Say, answer, ok};
use super::*;

const OBJECT: &str = "0123456789";

async fn reading(say: impl Fn() -> Say + Send + Sync + 'static, class: Class) -> Result<Answer, Fault> {
    let origin = Origin::http(move |_| say()).await;
    let url = origin.url("/object");
    fetch(&client(&url), exchange(&url, class)).await
}

async fn ranged(
    say: impl Fn() -> Say + Send + Sync + 'static,
    offset: u64,
    length: u64,
) -> Result<Answer, Fault> {
    let origin = Origin::http(move |_| say()).await;
    let url = origin.url("/object");
    let range = Some(ByteRange { offset, length });
    let answer = fetch(&client(&url), Exchange { range, ..exchange(&url, Class::Segment) }).await;
    if let Some(head) = origin.requests().first() {
        assert!(head.contains(&format!("range: bytes={offset}-{}\r\n", offset + length - 1)), "{head}");
    }
    answer
}

fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn gzip_answer(body: &[u8]) -> Say {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    Say::All([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn a_whole_body_comes_with_its_url_and_times() {
    let answer = reading(|| ok(OBJECT), Class::Segment).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, OBJECT.as_bytes()));
    assert_eq!(answer.url.path(), "/object");
    assert!(answer.first_byte <= answer.total);
}

#[tokio::test]
async fn a_chunked_body_is_put_together() {
    let say = || {
        Say::All(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".into(),
        )
    };
    assert_eq!(reading(say, Class::Segment).await.unwrap().body, "abcde");
}

#[tokio::test]
async fn a_body_that_ends_early_is_truncated() {
    for head in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n10\r\nhalf"] {
        let say = move || Say::HangUp(format!("HTTP/1.1 200 OK\r\n{head}").into());
        assert_eq!(reading(say, Class::Segment).await.unwrap_err().kind, FaultKind::Truncated);
    }
}

#[tokio::test]
async fn a_body_that_stalls_runs_out_of_its_read_deadline() {
    let say = || Say::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".into());
    assert_eq!(reading(say, Class::Segment).await.unwrap_err().kind, FaultKind::Timeout(Phase::Read));
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_the_body() {
    // silent after the head: waiting for a byte of the body would end as a timeout
    let say = || Say::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n".into());
    for (class, limit) in [
        (Class::Segment, 256 << 20),
        (Class::Playlist, 2 << 20),
        (Class::Init, 4 << 20),
        (Class::Key, 1 << 10),
    ] {
        assert_eq!(reading(say, class).await.unwrap_err().kind, FaultKind::TooLarge { limit });
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    let say = || Say::Endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into());
    let kind = reading(say, Class::Playlist).await.unwrap_err().kind;
    assert_eq!(kind, FaultKind::TooLarge { limit: 2 << 20 });
}

#[tokio::test]
async fn gzip_is_decoded_for_playlists_and_refused_for_segments() {
    let say = || gzip_answer(&gzipped(b"#EXTM3U\n"));
    assert_eq!(reading(say, Class::Playlist).await.unwrap().body, "#EXTM3U\n");
    let kind = reading(say, Class::Segment).await.unwrap_err().kind;
    assert!(matches!(kind, FaultKind::Unsupported(_)), "{kind:?}");
}

#[tokio::test]
async fn gzip_of_any_size_within_the_limit_is_decoded() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&[7; 100_000]).unwrap();
    let large = encoder.finish().unwrap();
    let decoded = reading(move || gzip_answer(&large), Class::Playlist).await.unwrap().body;
    assert!(decoded == [7; 100_000].as_slice());
}

#[tokio::test]
async fn a_decompression_bomb_is_cut_at_the_limit() {
    let bomb = gzipped(&vec![0; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let kind = reading(move || gzip_answer(&bomb), Class::Playlist).await.unwrap_err().kind;
    assert_eq!(kind, FaultKind::TooLarge { limit: 2 << 20 });
}

#[tokio::test]
async fn broken_gzip_is_a_named_fault() {
    let whole = gzipped(b"#EXTM3U\n#EXT-X-VERSION:3\n");
    let short = whole.iter().copied().take(whole.len() / 2).collect::<Vec<_>>();
    let kind = reading(move || gzip_answer(&short), Class::Playlist).await.unwrap_err().kind;
    assert_eq!(kind, FaultKind::Truncated);
    let kind = reading(|| gzip_answer(b"not gzip at all"), Class::Playlist).await.unwrap_err().kind;
    assert!(matches!(kind, FaultKind::Malformed(_)), "{kind:?}");
}

#[tokio::test]
async fn a_range_must_be_answered_exactly() {
    let part = |range: &'static str, body: &'static str| {
        move || answer("206 Partial Content", &format!("Content-Range: {range}\r\n"), body)
    };
    assert_eq!(ranged(part("bytes 2-4/10", "234"), 2, 3).await.unwrap().body, "234");
    for (range, body) in [("bytes 0-2/10", "012"), ("bytes 2-5/10", "2345"), ("lines 2-4/10", "234")] {
        let kind = ranged(part(range, body), 2, 3).await.unwrap_err().kind;
        assert!(matches!(kind, FaultKind::Malformed(_)), "{range}: {kind:?}");
    }
    assert_eq!(ranged(part("bytes 2-4/10", "23"), 2, 3).await.unwrap_err().kind, FaultKind::Truncated);
    let unasked = reading(part("bytes 2-4/10", "234"), Class::Segment).await.unwrap_err().kind;
    assert!(matches!(unasked, FaultKind::Malformed(_)), "{unasked:?}");
}

#[tokio::test]
async fn an_origin_without_ranges_is_cut_to_size() {
    assert_eq!(ranged(|| ok(OBJECT), 2, 3).await.unwrap().body, "234");
    assert_eq!(ranged(|| ok(OBJECT), 8, 3).await.unwrap_err().kind, FaultKind::Truncated);
    // the end never comes, and is not waited for
    let say = || Say::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n0123456789".into());
    assert_eq!(ranged(say, 2, 3).await.unwrap().body, "234");
    let limit = 256 << 20;
    assert_eq!(ranged(say, limit, 3).await.unwrap_err().kind, FaultKind::TooLarge { limit });
    for (offset, length) in [(u64::MAX - 4, 6), (3, 0)] {
        let kind = ranged(|| ok(OBJECT), offset, length).await.unwrap_err().kind;
        assert!(matches!(kind, FaultKind::Malformed(_)), "{kind:?}");
    }
}
