//! Reading what an origin sends: whole, bounded, and never waiting longer than the deadline between frames.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use flate2::read::MultiGzDecoder;
use futures_util::stream::try_unfold;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sluice_core::fault::{Fault, FaultKind, Phase};
use sluice_core::stage::{ByteRange, Class, Exchange, Frames};
use tokio::time::timeout;

/// No more than this is set aside on the word of `Content-Length` alone.
const MAX_BELIEVED_BYTES: u64 = 16 << 20;

/// More gzip than this is decoded beside the runtime, so that no other task waits for it.
const QUICK_GZIP_BYTES: usize = 64 << 10;

/// How large an object of each class may be, in bytes, decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLimits {
    /// Playlists.
    pub(crate) playlist_bytes: u64,
    /// Keys.
    pub(crate) key_bytes: u64,
    /// Initialization sections.
    pub(crate) init_bytes: u64,
    /// Segments; with a byte range, up to the range's end.
    pub(crate) segment_bytes: u64,
    /// Connections to one host that are kept without a request. Each costs about 40 KiB.
    pub(crate) idle_per_host: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            playlist_bytes: 2 << 20,
            key_bytes: 1 << 10,
            init_bytes: 4 << 20,
            segment_bytes: 256 << 20,
            idle_per_host: 3,
        }
    }
}

impl ClientLimits {
    fn of(&self, class: Class) -> u64 {
        match class {
            Class::Playlist => self.playlist_bytes,
            Class::Key => self.key_bytes,
            Class::Init => self.init_bytes,
            Class::Segment => self.segment_bytes,
            Class::Stream => u64::MAX, // it has no end; its reader bounds what it keeps
        }
    }
}

/// Reads the body of a successful answer to `exchange`, decoded and cut to the range that was asked for.
///
/// # Errors
/// `TooLarge`, `Truncated`, `Timeout(Read)`, `Malformed` for a wrong range or a broken coding, `Unsupported` for
/// a content coding that was not offered.
pub(crate) async fn read(
    response: Response<Incoming>,
    exchange: &Exchange,
    limits: &ClientLimits,
) -> Result<Bytes, Fault> {
    let limit = limits.of(exchange.class);
    let portion = portion(response.status(), response.headers(), exchange.range, limit)?;
    let gzip = is_gzip(response.headers(), exchange)?;
    let body = gather(response.into_body(), portion, exchange.deadlines.read).await?;
    match gzip {
        false => Ok(body),
        true if body.len() <= QUICK_GZIP_BYTES => gunzip(&body, limit),
        true => {
            let decoded = tokio::task::spawn_blocking(move || gunzip(&body, limit)).await;
            decoded.map_err(|error| Fault::new(FaultKind::Internal("decoding".into())).because(error))?
        }
    }
}

/// Reads a body of at most `limit` bytes as it is, with no longer than `gap` between two frames.
///
/// # Errors
/// `TooLarge`, `Truncated`, `Timeout(Read)`.
pub(crate) async fn whole(body: Incoming, limit: u64, gap: Duration) -> Result<Bytes, Fault> {
    gather(body, Portion::Whole { limit }, gap).await
}

/// The frames of a successful answer to an exchange for a stream without end.
///
/// # Errors
/// `Malformed` for a part of an object, `Unsupported` for a content coding.
pub(crate) fn frames(response: Response<Incoming>, exchange: &Exchange) -> Result<Frames, Fault> {
    portion(response.status(), response.headers(), None, u64::MAX)?;
    is_gzip(response.headers(), exchange)?;
    let gap = exchange.deadlines.read;
    Ok(Frames::new(try_unfold(response.into_body(), move |mut body| async move {
        let data = next_data(&mut body, gap).await?;
        Ok(data.map(|data| (data, body)))
    })))
}

/// The next bytes of a body; none at its end.
async fn next_data(body: &mut Incoming, gap: Duration) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = timeout(gap, body.frame()).await.map_err(|_| FaultKind::Timeout(Phase::Read))?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|error| Fault::new(FaultKind::Truncated).because(error))?;
        match frame.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            _ => {} // trailers
        }
    }
}

/// What of a body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Portion {
    /// All of it, up to a limit in bytes.
    Whole { limit: u64 },
    /// All of it, which must be so many bytes.
    Exact { length: u64 },
    /// The middle of it: the origin does not know ranges.
    Slice(ByteRange),
}

fn portion(
    status: StatusCode,
    headers: &HeaderMap,
    range: Option<ByteRange>,
    limit: u64,
) -> Result<Portion, Fault> {
    let partial = status == StatusCode::PARTIAL_CONTENT;
    let Some(range) = range else {
        return if partial {
            Err(Fault::malformed("a part of the object"))
        } else {
            Ok(Portion::Whole { limit })
        };
    };
    let end = end_of(range)?;
    if range.length > limit {
        return Err(FaultKind::TooLarge { limit }.into());
    }
    if !partial {
        return if end <= limit {
            Ok(Portion::Slice(range))
        } else {
            Err(FaultKind::TooLarge { limit }.into())
        };
    }
    if content_range(headers) == Some((range.offset, end)) {
        return Ok(Portion::Exact { length: range.length });
    }
    Err(Fault::malformed("another byte range than asked for"))
}

/// The byte after the last of a range.
///
/// # Errors
/// `Malformed` for a range without a byte, and for one that no object can have.
pub(crate) fn end_of(range: ByteRange) -> Result<u64, Fault> {
    let end = range.offset.checked_add(range.length).filter(|_| range.length > 0);
    end.ok_or_else(|| Fault::malformed("a byte range"))
}

/// The first byte and the one after the last (RFC 9110, section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, _total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse::<u64>().ok()?.checked_add(1)?))
}

fn is_gzip(headers: &HeaderMap, exchange: &Exchange) -> Result<bool, Fault> {
    let coding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    match coding.as_deref() {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") if exchange.class == Class::Playlist && exchange.range.is_none() => {
            Ok(true)
        }
        Some(_) => Err(Fault::unsupported("this content coding")),
    }
}

async fn gather(mut body: Incoming, portion: Portion, gap: Duration) -> Result<Bytes, Fault> {
    let declared = http_body::Body::size_hint(&body).exact();
    let (mut skip, room) = match portion {
        Portion::Whole { limit } => (0, limit),
        Portion::Exact { length } => (0, length),
        Portion::Slice(range) => (range.offset, range.length),
    };
    let overflow = || Fault::new(FaultKind::TooLarge { limit: room });
    let sliced = matches!(portion, Portion::Slice(_));
    if !sliced && declared.is_some_and(|length| length > room) {
        return Err(overflow());
    }
    let believed = declared.unwrap_or(0).min(room).min(MAX_BELIEVED_BYTES);
    let mut gathered = Vec::with_capacity(usize::try_from(believed).unwrap_or(0));
    while !(sliced && gathered.len() as u64 == room) {
        let Some(mut data) = next_data(&mut body, gap).await? else { break };
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(data.len());
        data.advance(skipped);
        skip -= skipped as u64;
        let left = usize::try_from(room).unwrap_or(usize::MAX) - gathered.len();
        if data.len() > left {
            if !sliced {
                return Err(overflow());
            }
            data.truncate(left);
        }
        gathered.extend_from_slice(&data);
    }
    if !matches!(portion, Portion::Whole { .. }) && (gathered.len() as u64) < room {
        return Err(FaultKind::Truncated.into());
    }
    gathered.shrink_to_fit(); // windows count bytes, not capacities
    Ok(gathered.into())
}

/// Decodes at most `limit` bytes: a bomb costs no more than that.
fn gunzip(body: &[u8], limit: u64) -> Result<Bytes, Fault> {
    let mut decoded = Vec::new();
    let result = MultiGzDecoder::new(body).take(limit + 1).read_to_end(&mut decoded);
    match result {
        Ok(_) if decoded.len() as u64 > limit => Err(FaultKind::TooLarge { limit }.into()),
        Ok(_) => Ok(decoded.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Fault::new(FaultKind::Truncated).because(error))
        }
        Err(error) => Err(Fault::malformed("broken gzip").because(error)),
    }
}
