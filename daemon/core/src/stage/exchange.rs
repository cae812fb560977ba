//! One exchange with an origin: what a source asks, and what comes back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tower::util::BoxCloneSyncService;
use url::Url;

use super::{Ask, Frames, Reply};
use crate::fault::Fault;
pub use crate::media::ByteRange;

/// The service that a source sends its exchanges through: the guarded client inside the stage's layers.
/// Answers are successful (2xx, or 304 to a conditional request) and, save those to [`Class::Stream`], whole; all else
/// is a fault.
pub type Upstream = BoxCloneSyncService<Exchange, Answer, Fault>;

/// Who named the host of a URL. Decides what the guard allows it to resolve to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// The operator wrote it: it may resolve anywhere.
    Operator,
    /// A playlist, key, map or redirect named it. It must be the operator's own host, public, or allowed.
    Learned,
}

/// What kind of object is asked for. Decides its size limit, and what a cache may do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A playlist that changes: never cached by TTL, asked for conditionally, polled ahead of segments.
    Playlist,
    /// A media segment.
    Segment,
    /// An initialization section.
    Init,
    /// A decryption key.
    Key,
    /// A stream without end: answered with its head, its frames follow in [`Answer::frames`]. Never shared or kept.
    Stream,
}

/// How long the waits beneath the layers may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Resolving, connecting and the TLS handshake.
    pub connect: Duration,
    /// The wait for the head, and the gap between two frames of the body.
    pub read: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(10) }
    }
}

/// A request to an origin.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What is asked for.
    pub url: Url,
    /// Who named its host.
    pub provenance: Provenance,
    /// The kind of object.
    pub class: Class,
    /// A part of it.
    pub range: Option<ByteRange>,
    /// Headers that the operator wrote. They are sent to the operator's own origin only, save `User-Agent`.
    pub headers: Arc<HeaderMap>,
    /// The validators of the answer that is known already (`If-None-Match`, `If-Modified-Since`).
    pub validators: HeaderMap,
    /// How long the waits may last.
    pub deadlines: Deadlines,
    /// Who may share the answer: a hash of all that the operator wrote and that decides what comes back, or
    /// whether it may be asked for (the origin with its credentials, the headers, the allowed hosts).
    pub audience: u64,
}

impl Ask for Exchange {
    fn key(&self) -> Option<String> {
        if self.class == Class::Stream {
            return None;
        }
        let range = self.range.map(|range| format!("#{}+{}", range.offset, range.length)).unwrap_or_default();
        Some(format!("{}{range}", self.url))
    }

    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn is_urgent(&self) -> bool {
        self.class == Class::Playlist
    }

    fn bound(&mut self, deadlines: Deadlines) {
        self.deadlines = deadlines;
    }
}

/// Where an answer came from.
#[derive(Debug, Clone)]
pub enum Freshness {
    /// From the origin, now.
    Origin,
    /// From the cache, within its time.
    Cache,
    /// From the cache beyond its time, because the origin failed so.
    Stale(Fault),
}

/// The answer of an origin.
#[derive(Debug)]
pub struct Answer {
    /// 200, 206 or 304.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The whole body, decoded from any content coding; empty for [`Class::Stream`].
    pub body: Bytes,
    /// What follows the head, for [`Class::Stream`] alone.
    pub frames: Option<Frames>,
    /// The URL that answered, after redirects: the base of relative URIs.
    pub url: Url,
    /// From sending the request to the head of the answer.
    pub first_byte: Duration,
    /// From sending the request to the last byte; for [`Class::Stream`] to the head.
    pub total: Duration,
    /// Attempts after the first that a layer made.
    pub retries: u32,
    /// Where it came from.
    pub freshness: Freshness,
}

impl Answer {
    /// The same for another caller, the body shared. Frames come once: the other has none.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self {
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.clone(),
            frames: None,
            url: self.url.clone(),
            first_byte: self.first_byte,
            total: self.total,
            retries: self.retries,
            freshness: self.freshness.clone(),
        }
    }
}

impl Reply for Answer {
    fn holding<T: Send + Sync + 'static>(mut self, held: T) -> Self {
        // where the body is whole, whatever was held has done its work
        self.frames = self.frames.map(|frames| frames.holding(held));
        self
    }

    fn retried(mut self, times: u32) -> Self {
        self.retries += times;
        self
    }
}
