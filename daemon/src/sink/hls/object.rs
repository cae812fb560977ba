//! Segments and initialization sections: immutable objects, by range, without a copy.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::playlist::render::low_latency::{next_part, part_name, parts_of};
use sluice_core::pipeline::Snapshot;
use sluice_core::stage::Body;

/// A name never gets other bytes, so it may be kept for ever.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// An object of a window.
pub(super) struct Object {
    pub(super) media_type: &'static str,
    pub(super) parts: Vec<Bytes>,
}

impl Object {
    /// Finds what `name` names: an initialization section, a segment, or a part where they are listed with a
    /// `part_target`. `NotFound` for what left the window, never was in it, or is a gap.
    pub(super) fn find(
        snapshot: &Snapshot,
        epoch: &str,
        name: &str,
        part_target: Option<Duration>,
    ) -> Result<Self, Fault> {
        let not_found = || Fault::new(FaultKind::NotFound);
        let (stem, extension) = name.rsplit_once('.').ok_or_else(not_found)?;
        if extension == "mp4" {
            return Self::find_init(snapshot, stem).ok_or_else(not_found);
        }
        let number =
            stem.strip_prefix(epoch).and_then(|rest| rest.strip_prefix('-')).ok_or_else(not_found)?;
        if let Some((number, part)) = number.split_once('.') {
            let place = number.parse().ok().zip(part.parse().ok()).ok_or_else(not_found)?;
            return Self::find_part(snapshot, place, extension, part_target).ok_or_else(not_found);
        }
        let sequence = number.parse().map_err(|_| not_found())?;
        let segment = snapshot.find(sequence).filter(|segment| !segment.media.gap).ok_or_else(not_found)?;
        if segment.media.container.extension() != extension {
            return Err(not_found());
        }
        let parts = segment.media.parts.iter().map(|part| part.bytes.clone()).collect();
        Ok(Self { media_type: segment.media.container.media_type(), parts })
    }

    fn find_part(
        snapshot: &Snapshot,
        (sequence, part): (u64, usize),
        extension: &str,
        part_target: Option<Duration>,
    ) -> Option<Self> {
        let open = snapshot.open.as_ref().filter(|open| open.sequence == sequence);
        let segment = open.or_else(|| snapshot.find(sequence))?;
        let part = parts_of(segment, part_target).get(part).filter(|part| !part.bytes.is_empty())?;
        let container = &segment.media.container;
        let media_type = container.media_type();
        (container.extension() == extension).then(|| Self { media_type, parts: vec![part.bytes.clone()] })
    }

    /// Whether `name` names the part that comes next, which playlists hint at.
    pub(super) fn is_next(
        snapshot: &Snapshot,
        epoch: &str,
        name: &str,
        part_target: Option<Duration>,
    ) -> bool {
        let (last, open) = (snapshot.segments.last().map(|last| &**last), snapshot.open.as_deref());
        let next = next_part(last, open, part_target).filter(|_| !snapshot.ended);
        let hinted = next
            .zip(open.or(last))
            .map(|(next, newest)| part_name(epoch, next, newest.media.container.extension()));
        hinted.is_some_and(|hinted| hinted == name)
    }

    fn find_init(snapshot: &Snapshot, name: &str) -> Option<Self> {
        let inits = snapshot.segments.iter().filter_map(|segment| segment.media.container.init());
        let init = inits.rev().find(|init| init.name == name)?;
        Some(Self { media_type: "video/mp4", parts: vec![init.bytes.clone()] })
    }

    /// The answer to a GET with these headers; for a HEAD the connection drops the body.
    pub(super) fn answer(self, name: &str, asked: &HeaderMap) -> Result<Response<Body>, Fault> {
        let etag =
            HeaderValue::try_from(format!("\"{name}\"")).map_err(|_| Fault::new(FaultKind::NotFound))?;
        let mut response = Response::new(Body::empty());
        if asked.get(IF_NONE_MATCH).is_some_and(|known| matches(known, &etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let total: usize = self.parts.iter().map(Bytes::len).sum();
            match wanted(asked, &etag, total) {
                Wanted::Whole => {
                    response.headers_mut().insert(CONTENT_LENGTH, total.into());
                    *response.body_mut() = Body::chunks(self.parts);
                }
                Wanted::Part(range) => self.answer_part(range, total, &mut response)?,
                Wanted::Nothing => {
                    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                    response.headers_mut().insert(CONTENT_RANGE, content_range(&format!("*/{total}"))?);
                    return Ok(response);
                }
            }
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
            response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        response.headers_mut().insert(ETAG, etag);
        response.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
        Ok(response)
    }

    fn answer_part(
        &self,
        range: Range<usize>,
        total: usize,
        response: &mut Response<Body>,
    ) -> Result<(), Fault> {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let described = format!("{}-{}/{total}", range.start, range.end - 1);
        response.headers_mut().insert(CONTENT_RANGE, content_range(&described)?);
        response.headers_mut().insert(CONTENT_LENGTH, range.len().into());
        *response.body_mut() = Body::chunks(slice(&self.parts, range));
        Ok(())
    }
}

fn content_range(range: &str) -> Result<HeaderValue, Fault> {
    HeaderValue::try_from(format!("bytes {range}"))
        .map_err(|error| Fault::new(FaultKind::Internal("a header".into())).because(error))
}

/// Whether an If-None-Match or If-Range names `etag`, or anything.
pub(super) fn matches(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let known = known.as_bytes();
    known == b"*"
        || known.split(|byte| *byte == b',').any(|one| {
            let one = one.trim_ascii();
            one.strip_prefix(b"W/").unwrap_or(one) == etag.as_bytes()
        })
}

#[derive(Debug, PartialEq)]
enum Wanted {
    Whole,
    Part(Range<usize>),
    Nothing,
}

/// RFC 9110, 14.2: one range is answered; several, or what cannot be read, get the whole.
fn wanted(asked: &HeaderMap, etag: &HeaderValue, total: usize) -> Wanted {
    let Some(range) = asked.get(RANGE) else { return Wanted::Whole };
    if asked.get(IF_RANGE).is_some_and(|condition| condition != etag) {
        return Wanted::Whole;
    }
    let spec = range.to_str().ok().and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.trim().split_once('-')) else { return Wanted::Whole };
    let part = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(total),
        (Ok(first), Err(_)) if last.is_empty() => first..total,
        (Err(_), Ok(suffix)) if first.is_empty() => total.saturating_sub(suffix)..total,
        _ => return Wanted::Whole,
    };
    if part.start < part.end { Wanted::Part(part) } else { Wanted::Nothing }
}

/// The bytes of `range` over the parts, shared.
fn slice(parts: &[Bytes], range: Range<usize>) -> Vec<Bytes> {
    let mut start = 0;
    let mut sliced = Vec::new();
    for part in parts {
        let (from, to) = (range.start.max(start), range.end.min(start + part.len()));
        if from < to {
            sliced.push(part.slice(from - start..to - start));
        }
        start += part.len();
    }
    sliced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_rfc_9110_says() {
        let etag = HeaderValue::from_static("\"x\"");
        for (range, expected) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=-5", Wanted::Part(95..100)),
            ("bytes=-500", Wanted::Part(0..100)),
            ("bytes=50-500", Wanted::Part(50..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
        ] {
            let asked = HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]);
            assert_eq!(wanted(&asked, &etag, 100), expected, "{range}");
        }
    }

    #[test]
    fn an_if_range_with_another_etag_gets_the_whole() {
        let etag = HeaderValue::from_static("\"x\"");
        for (condition, expected) in [("\"x\"", Wanted::Part(0..1)), ("\"y\"", Wanted::Whole)] {
            let range = (RANGE, HeaderValue::from_static("bytes=0-0"));
            let asked = HeaderMap::from_iter([range, (IF_RANGE, HeaderValue::from_static(condition))]);
            assert_eq!(wanted(&asked, &etag, 100), expected);
        }
    }

    #[test]
    fn a_range_spans_parts_without_a_copy() {
        let parts = [Bytes::from_static(b"0123"), Bytes::from_static(b"4567"), Bytes::from_static(b"89")];
        assert_eq!(slice(&parts, 3..9), [&b"3"[..], b"4567", b"8"]);
    }
}
