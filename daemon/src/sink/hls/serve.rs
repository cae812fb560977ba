//! Answers the requests under one mount.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    LOCATION, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::pipeline::{RenditionSet, Shared, Viewers};
use sluice_core::stage::{Body, LayerContext, Viewing};

use super::Hls;
use super::object::{Object, matches};
use super::page;
use super::playlist::{MediaPlaylist, Rendered};

const PLAYLIST: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const VARY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// After so many target durations a rendition without segments is late.
const LATE_AFTER_TARGETS: u32 = 3;

/// The innermost service of an `hls` sink.
pub(super) struct Serve {
    pipeline: Arc<Shared>,
    viewers: Arc<Viewers>,
    window: usize,
    player: bool,
    last_segment_of_path: String,
    views: ArcSwapOption<Views>,
}

/// What is rendered for one set of renditions.
struct Views {
    set: Arc<RenditionSet>,
    /// None where there is one rendition only: its playlist is the index.
    multivariant: Option<Rendered>,
    playlists: Vec<MediaPlaylist>,
}

impl Serve {
    pub(super) fn new(spec: &Hls, context: &LayerContext) -> Self {
        let pipeline = context.pipeline.clone();
        let viewers = pipeline.viewers_of(&context.stage);
        let last_segment_of_path = spec.path.rsplit('/').next().unwrap_or_default().to_owned();
        let (window, player, views) = (spec.window, spec.player, ArcSwapOption::empty());
        Self { pipeline, viewers, window, player, last_segment_of_path, views }
    }

    pub(super) fn answer(&self, viewing: &Viewing) -> Result<Response<Body>, Fault> {
        if !matches!(viewing.method, Method::GET | Method::HEAD) {
            return Err(Fault::new(FaultKind::Method));
        }
        if viewing.bare {
            return redirect(&format!("{}/", self.last_segment_of_path), viewing.query());
        }
        match viewing.rest() {
            "" if self.player => return Ok(html(page::page(&self.pipeline.name))),
            "" => return redirect("index.m3u8", viewing.query()),
            page::PLAYER_NAME if self.player => return Ok(player(&viewing.headers)),
            _ => {}
        }
        let views = self.views()?;
        let agent = viewing.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        let views = views.as_ref().ok_or_else(not_found)?;
        let response = self.media(views, viewing)?;
        self.viewers.saw(viewing.client, agent);
        Ok(response.map(|body| body.counted(self.viewers.metrics.bytes.clone())))
    }

    fn media(&self, views: &Views, viewing: &Viewing) -> Result<Response<Body>, Fault> {
        let (playlist, name) = match (&views.multivariant, views.playlists.as_slice()) {
            (None, [only]) => (only, viewing.rest()),
            (Some(multivariant), _) if viewing.rest() == "index.m3u8" => {
                self.has_started(views)?;
                return Ok(text(multivariant, &viewing.headers));
            }
            (_, playlists) => {
                let (rendition, name) = viewing.rest().split_once('/').ok_or_else(not_found)?;
                let named = playlists.iter().find(|playlist| playlist.rendition().spec.name == rendition);
                (named.ok_or_else(not_found)?, name)
            }
        };
        if name == "index.m3u8" {
            let rendered = playlist.current(&views.set, self.window)?;
            let rendered = rendered.as_ref().ok_or_else(not_found)?;
            return Ok(text(rendered, &viewing.headers));
        }
        let snapshot = playlist.rendition().window.snapshot();
        Object::find(&snapshot, &views.set.epoch, name)?.answer(name, &viewing.headers)
    }

    /// A player may choose any rendition, so that a ladder has started when all have. Those that are late keep
    /// the others waiting no longer.
    fn has_started(&self, views: &Views) -> Result<(), Fault> {
        let current = |playlist: &MediaPlaylist| playlist.current(&views.set, self.window).err();
        let mut faults: Vec<Fault> = views.playlists.iter().filter_map(current).collect();
        let some = faults.len() < views.playlists.len();
        let late = views.set.since.elapsed() >= LATE_AFTER_TARGETS * views.set.target_duration();
        match faults.pop() {
            Some(fault) if !(some && late) => Err(fault),
            _ => Ok(()),
        }
    }

    /// The views of the renditions that are served now.
    fn views(&self) -> Result<Guard<Option<Arc<Views>>>, Fault> {
        let views = self.views.load();
        if views.as_ref().is_some_and(|views| self.pipeline.serves(&views.set)) {
            return Ok(views);
        }
        let starting = || Fault::new(FaultKind::Starting).after(Duration::from_secs(1));
        let set = self.pipeline.renditions().ok_or_else(starting)?;
        let many = set.renditions.len() > 1;
        let multivariant = many.then(|| Rendered::multivariant(&set)).transpose()?;
        let playlists =
            set.renditions.iter().map(|rendition| MediaPlaylist::new(rendition.clone())).collect();
        self.views.store(Some(Arc::new(Views { set, multivariant, playlists })));
        Ok(self.views.load())
    }
}

fn not_found() -> Fault {
    Fault::new(FaultKind::NotFound)
}

/// A playlist, compressed for those who take it.
fn text(rendered: &Rendered, asked: &HeaderMap) -> Response<Body> {
    let gzip = takes_gzip(asked);
    let (bytes, etag) =
        if gzip { (&rendered.gzip, &rendered.etag_gzip) } else { (&rendered.plain, &rendered.etag) };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(ETAG, etag.clone());
    headers.insert(CACHE_CONTROL, rendered.cache_control.clone());
    headers.insert(VARY, VARY_ENCODING);
    if asked.get(IF_NONE_MATCH).is_some_and(|known| matches(known, etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, PLAYLIST);
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    if gzip {
        headers.insert(CONTENT_ENCODING, GZIP);
    }
    response.map(|_| Body::from(bytes.clone()))
}

/// Whether Accept-Encoding has gzip, and not with q=0 (RFC 9110, 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let accepted = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip")
            && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn html(page: String) -> Response<Body> {
    let bytes = Bytes::from(page);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    response.map(|_| Body::from(bytes))
}

fn player(asked: &HeaderMap) -> Response<Body> {
    let gzip = takes_gzip(asked).then(page::player_gzip).flatten();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(VARY, VARY_ENCODING);
    if gzip.is_some() {
        headers.insert(CONTENT_ENCODING, GZIP);
    }
    let bytes = gzip.unwrap_or_else(page::player);
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    response.map(|_| Body::from(bytes))
}

/// A relative redirect, which also holds behind a proxy that adds a prefix.
fn redirect(to: &str, query: Option<&str>) -> Result<Response<Body>, Fault> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{to}{query}"))
        .map_err(|error| Fault::new(FaultKind::BadRequest("the query".into())).because(error))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    Ok(response)
}
