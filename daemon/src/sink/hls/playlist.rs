//! Playlists, rendered once for each change and shared by every request.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::playlist::render::{self, MediaOptions};
use sluice_core::pipeline::{Rendition, RenditionSet, Snapshot};

/// A text as it is served, plain and compressed.
pub(super) struct Rendered {
    /// The window's version that it shows.
    version: u64,
    pub(super) plain: Bytes,
    pub(super) gzip: Bytes,
    pub(super) etag: HeaderValue,
    pub(super) etag_gzip: HeaderValue,
    pub(super) cache_control: HeaderValue,
}

/// The playlist of one rendition.
pub(super) struct MediaPlaylist {
    rendition: Arc<Rendition>,
    rendered: ArcSwapOption<Rendered>,
    rendering: Mutex<()>,
}

impl MediaPlaylist {
    pub(super) fn new(rendition: Arc<Rendition>) -> Self {
        Self { rendition, rendered: ArcSwapOption::empty(), rendering: Mutex::new(()) }
    }

    pub(super) fn rendition(&self) -> &Rendition {
        &self.rendition
    }

    /// The playlist now. Rendered by the first request after a change; the others wait for it, microseconds.
    pub(super) fn current(
        &self,
        set: &RenditionSet,
        window: usize,
    ) -> Result<Guard<Option<Arc<Rendered>>>, Fault> {
        if let Some(rendered) = self.known() {
            return Ok(rendered);
        }
        let _one_at_a_time = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rendered) = self.known() {
            return Ok(rendered);
        }
        let snapshot = self.rendition.window.snapshot();
        let rendered = Arc::new(render(&snapshot, set, window)?);
        self.rendered.store(Some(rendered));
        Ok(self.rendered.load())
    }

    fn known(&self) -> Option<Guard<Option<Arc<Rendered>>>> {
        let version = self.rendition.window.version();
        let rendered = self.rendered.load();
        rendered.as_ref().is_some_and(|rendered| rendered.version == version).then_some(rendered)
    }
}

/// A player needs three segments to start (RFC 8216, 6.3.3); until they are there the stream is starting.
const FIRST_SEGMENTS: usize = 3;

fn render(snapshot: &Snapshot, set: &RenditionSet, window: usize) -> Result<Rendered, Fault> {
    let segments = &snapshot.segments;
    // players that come from other renditions have a buffer already
    let needed = if snapshot.ended || set.succeeds { 1 } else { FIRST_SEGMENTS };
    if segments.len() < needed {
        return Err(Fault::new(FaultKind::Starting).after(Duration::from_secs(1)));
    }
    let options = MediaOptions {
        target_duration: set.target_duration(),
        independent_segments: set.independent_segments,
        ended: snapshot.ended,
        epoch: &set.epoch,
    };
    let newest = segments.get(segments.len().saturating_sub(window)..).unwrap_or_default();
    let text = render::media(newest, &options);
    // at most half a target duration, so that a cache between never makes a player late
    let max_age = set.target_duration().as_secs() / 2;
    // versions begin anew where other renditions take the place of these; sequences never do
    let last = segments.last().map_or(0, |segment| segment.sequence);
    Rendered::new(text, snapshot.version, &format!("{}-{last}-{}", set.epoch, snapshot.version), max_age)
}

/// The bytes as they are sent to those who take gzip.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

impl Rendered {
    /// The multivariant playlist; it changes only with the renditions.
    pub(super) fn multivariant(set: &RenditionSet) -> Result<Self, Fault> {
        let specs: Vec<_> = set.renditions.iter().map(|rendition| rendition.spec.clone()).collect();
        let text = render::multivariant(
            &specs,
            |spec| format!("{}/index.m3u8", spec.name),
            set.independent_segments,
        );
        let max_age = set.target_duration().as_secs() / 2;
        let tag =
            format!("{}-{:016x}", set.epoch, BuildHasherDefault::<DefaultHasher>::default().hash_one(&text));
        Self::new(text, 0, &tag, max_age)
    }

    fn new(text: String, version: u64, tag: &str, max_age_secs: u64) -> Result<Self, Fault> {
        let gzip = gzip(text.as_bytes(), Compression::fast())
            .map_err(|error| internal("compression").because(error))?;
        Ok(Self {
            version,
            plain: text.into(),
            gzip,
            etag: header(format!("\"{tag}\""))?,
            etag_gzip: header(format!("\"{tag}-gzip\""))?,
            cache_control: max_age(max_age_secs)?,
        })
    }
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
