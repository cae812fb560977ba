//! Texts as they are served: plain, compressed, and with the headers that describe them.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue};
use sluice_core::fault::{Fault, FaultKind};

/// A playlist that was waited for may be kept for six target durations (draft-pantos-hls-rfc8216bis, 6.2.5.2): its URL
/// names the newest thing in it.
const KEPT_TARGETS: u64 = 6;

/// A text as it is served, plain and compressed.
pub(super) struct Rendered {
    /// The newest version of what it shows that would read the same.
    version: AtomicU64,
    pub(super) subject: Subject,
    pub(super) plain: Encoded,
    pub(super) gzip: Encoded,
}

/// A text in one content coding, with its headers: made once, so that a request copies them and hashes no names.
pub(super) struct Encoded {
    pub(super) bytes: Bytes,
    pub(super) etag: HeaderValue,
    /// For requests that take what there is.
    pub(super) brief: HeaderMap,
    /// For requests that name what must be in it.
    pub(super) kept: HeaderMap,
}

const PLAYLIST: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const VARY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

impl Encoded {
    fn new(bytes: Bytes, tag: &str, coding: Option<&'static str>, subject: Subject) -> Result<Self, Fault> {
        let etag = header(format!("\"{tag}\""))?;
        let mut brief = HeaderMap::new();
        brief.insert(CONTENT_TYPE, PLAYLIST);
        brief.insert(CONTENT_LENGTH, bytes.len().into());
        brief.insert(ETAG, etag.clone());
        brief.insert(VARY, VARY_ENCODING);
        if let Some(coding) = coding {
            brief.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let mut kept = brief.clone();
        // at most half a target duration, so that a cache between never makes a player late
        brief.insert(CACHE_CONTROL, max_age(subject.target_duration_secs / 2)?);
        kept.insert(CACHE_CONTROL, max_age(subject.target_duration_secs * KEPT_TARGETS)?);
        Ok(Self { bytes, etag, brief, kept })
    }
}

/// What a text depends on. Equal ones read the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Subject {
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    /// The open segment and its parts, where they are listed.
    pub(super) open: Option<(u64, usize)>,
    pub(super) ended: bool,
    pub(super) target_duration_secs: u64,
}

impl Rendered {
    /// Takes the text of a subject. `tag` names it among all texts of its URL.
    pub(super) fn new(text: String, version: u64, subject: Subject, tag: &str) -> Result<Self, Fault> {
        let gzip = gzip(text.as_bytes(), Compression::fast())
            .map_err(|error| internal("compression").because(error))?;
        Ok(Self {
            version: AtomicU64::new(version),
            subject,
            plain: Encoded::new(text.into(), tag, None, subject)?,
            gzip: Encoded::new(gzip, &format!("{tag}-gzip"), Some("gzip"), subject)?,
        })
    }
}

/// Where the newest text stands, rendered once for each subject and shared by every request.
#[derive(Default)]
pub(super) struct Slot {
    rendered: ArcSwapOption<Rendered>,
    rendering: Mutex<()>,
}

impl Slot {
    /// The text if it shows `version`.
    pub(super) fn known(&self, version: u64) -> Option<Guard<Option<Arc<Rendered>>>> {
        let rendered = self.rendered.load();
        let shows = |rendered: &Arc<Rendered>| rendered.version.load(Ordering::Relaxed) == version;
        rendered.as_ref().is_some_and(shows).then_some(rendered)
    }

    /// The text now. Rendered by the first request after a change; the others wait for it, microseconds. `look` gives
    /// the version and subject now, `render` what to show.
    pub(super) fn current<T>(
        &self,
        look: impl FnOnce() -> Result<(u64, Subject, T), Fault>,
        render: impl FnOnce(u64, Subject, T) -> Result<Rendered, Fault>,
    ) -> Result<Guard<Option<Arc<Rendered>>>, Fault> {
        let _one_at_a_time = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, subject, shown) = look()?;
        let rendered = self.rendered.load();
        match rendered.as_ref().filter(|rendered| rendered.subject == subject) {
            Some(same) => same.version.store(version, Ordering::Relaxed),
            None => self.rendered.store(Some(Arc::new(render(version, subject, shown)?))),
        }
        Ok(self.rendered.load())
    }
}

/// The bytes as they are sent to those who take gzip.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

/// Short times, which nearly all are, need no shared text.
fn max_age(secs: u64) -> Result<HeaderValue, Fault> {
    const SHORT: [&str; 6] = ["no-cache", "max-age=1", "max-age=2", "max-age=3", "max-age=4", "max-age=5"];
    let short = usize::try_from(secs).ok().and_then(|secs| SHORT.get(secs));
    short.map_or_else(|| header(format!("max-age={secs}")), |text| Ok(HeaderValue::from_static(text)))
}

fn header(text: String) -> Result<HeaderValue, Fault> {
    HeaderValue::try_from(text).map_err(|error| internal("a header").because(error))
}

fn internal(what: &'static str) -> Fault {
    Fault::new(FaultKind::Internal(what.into()))
}
