//! What a segment's bytes are, told from the bytes: media types of origins are often wrong.

use std::sync::Arc;

use sluice_core::fault::Fault;
use sluice_core::media::{Container, Init};

/// Tells the container of a whole segment. `init` is the initialization section that its playlist gives it.
pub(super) fn container(bytes: &[u8], init: Option<&Arc<Init>>) -> Result<Container, Fault> {
    if let Some(init) = init {
        return Ok(Container::FragmentedMp4 { init: init.clone() });
    }
    let audio = |extension| Ok(Container::PackedAudio { extension });
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes {
        [0x47, ..] if bytes.get(188).is_none_or(|sync| *sync == 0x47) => Ok(Container::TransportStream),
        [b'I', b'D', b'3', ..] => audio(codec(after_id3(bytes))),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => audio(codec(bytes)),
        [0x0b, 0x77, ..] => audio(codec(bytes)),
        _ if text.starts_with(b"WEBVTT") => Ok(Container::WebVtt),
        [_, _, _, _, b's', b't', b'y', b'p', ..] | [_, _, _, _, b'm', b'o', b'o', b'f', ..] => {
            Err(Fault::malformed("an fMP4 segment whose playlist names no initialization section"))
        }
        [] => Err(Fault::malformed("an empty segment")),
        _ if looks_like_html(text) => Err(Fault::malformed("a web page in place of a segment")),
        _ => Err(Fault::malformed("a segment that is no transport stream, fMP4, packed audio or WebVTT")),
    }
}

/// ADTS has layer 00 (ISO/IEC 13818-7), MPEG audio has not; AC-3 and E-AC-3 differ in `bsid` (ETSI TS 102 366).
fn codec(frame: &[u8]) -> &'static str {
    match frame {
        [0x0b, 0x77, ..] if frame.get(5).is_some_and(|byte| byte >> 3 > 10) => "ec3",
        [0x0b, 0x77, ..] => "ac3",
        [0xff, second, ..] if second & 0x06 != 0 => "mp3",
        _ => "aac",
    }
}

/// What follows the tag; its size is 28 bits in four bytes (ID3v2.4, 3.1).
fn after_id3(bytes: &[u8]) -> &[u8] {
    let Some(size) = bytes.get(6..10) else { return &[] };
    let size = size.iter().fold(0_usize, |size, byte| size << 7 | usize::from(byte & 0x7f));
    bytes.get(10 + size..).unwrap_or_default()
}

fn looks_like_html(text: &[u8]) -> bool {
    let start = text.trim_ascii_start();
    let head = start.get(..start.len().min(9)).unwrap_or_default().to_ascii_lowercase();
    head.starts_with(b"<!doctype") || head.starts_with(b"<html") || head.starts_with(b"<head")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_container_is_told_from_its_first_bytes() {
        let mut ts = vec![0; 376];
        (ts[0], ts[188]) = (0x47, 0x47);
        let aac = [b"ID3\x04\0\0\0\0\0\x02xx".as_slice(), &[0xff, 0xf1, 0x50]].concat();
        for (bytes, extension) in [
            (ts.as_slice(), "ts"),
            (&aac, "aac"),
            (&[0xff, 0xfb, 0x90], "mp3"),
            (&[0x0b, 0x77, 0, 0, 0, 0x40], "ac3"),
            (&[0x0b, 0x77, 0, 0, 0, 0x80], "ec3"),
            (b"\xef\xbb\xbfWEBVTT\n", "vtt"),
        ] {
            assert_eq!(container(bytes, None).unwrap().extension(), extension);
        }
        let init = Arc::new(Init::new(Bytes::from_static(b"ftyp")));
        assert_eq!(container(b"\0\0\0\x08moof", Some(&init)).unwrap().extension(), "m4s");
    }

    #[test]
    fn garbage_is_a_named_fault() {
        for (bytes, words) in [
            (b"  <!DOCTYPE html><html>".as_slice(), "web page"),
            (b"", "empty"),
            (b"\0\0\0\x08moof", "initialization section"),
            (b"\x01\x02\x03\x04", "no transport stream"),
        ] {
            assert!(container(bytes, None).unwrap_err().to_string().contains(words));
        }
    }
}
