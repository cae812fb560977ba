//! What is no transport stream though it was asked for as one: known by its media type, or by its first bytes.

use http::{HeaderMap, header};
use sluice_core::fault::Fault;

/// The media types of playlists (RFC 8216, section 4, and what servers say beside).
const PLAYLISTS: &[&str] =
    &["application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"];

/// The fault of an answer that says of itself that it is something else.
pub(super) fn refuse_head(headers: &HeaderMap) -> Option<Fault> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        playlist if PLAYLISTS.contains(&playlist) => Some(is_playlist()),
        "text/html" | "application/xhtml+xml" => Some(is_page()),
        "application/dash+xml" => {
            Some(Fault::unsupported("a DASH manifest where a transport stream was expected"))
        }
        _ => None,
    }
}

/// The fault of a stream that begins as something else.
pub(super) fn refuse_bytes(first: &[u8]) -> Option<Fault> {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins(b"#EXTM3U") {
        return Some(is_playlist());
    }
    (begins(b"<!doctype") || begins(b"<html")).then(is_page)
}

fn is_playlist() -> Fault {
    Fault::unsupported("a playlist where a transport stream was expected: use source \"hls\"")
}

fn is_page() -> Fault {
    Fault::malformed("a web page where a transport stream was expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_that_it_is_something_else_is_refused_with_what_it_is() {
        for (media_type, expected) in [
            ("application/vnd.apple.mpegurl", Some("use source \"hls\"")),
            ("Audio/MPEGURL; charset=utf-8", Some("use source \"hls\"")),
            ("text/html; charset=utf-8", Some("a web page")),
            ("application/dash+xml", Some("DASH")),
            ("video/mp2t", None),
            ("application/octet-stream", None),
            ("text/plain", None),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media_type.parse().unwrap())]);
            let words = refuse_head(&headers).map(|fault| fault.to_string());
            assert_eq!(words.is_some(), expected.is_some(), "{media_type}");
            assert!(expected.is_none_or(|expected| words.unwrap().contains(expected)), "{media_type}");
        }
        assert!(refuse_head(&HeaderMap::new()).is_none());
    }

    #[test]
    fn what_begins_as_something_else_is_refused_whatever_it_says() {
        for (first, refused) in [
            (&b"#EXTM3U\n#EXT-X-VERSION:3"[..], true),
            (b"\xef\xbb\xbf#EXTM3U", true),
            (b"\r\n<!DOCTYPE html>", true),
            (b"<HTML>", true),
            (b"\x47\x40\x11\x10", false),
            (b"", false),
            (b"#EXT", false),
        ] {
            assert_eq!(refuse_bytes(first).is_some(), refused, "{first:?}");
        }
    }
}
