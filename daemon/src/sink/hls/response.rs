//! The answers of the sink that are no media objects: playlists, the page, redirects.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH, LOCATION,
    VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::stage::Body;

use super::object::matches;
use super::page;
use super::rendered::Rendered;

const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const VARY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// How long a playlist may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Until there may be a newer one.
    Brief,
    /// For long: the request names what is in it.
    Long,
}

/// A playlist, compressed for those who take it.
pub(super) fn text(rendered: &Rendered, asked: &HeaderMap, keeping: Keeping) -> Response<Body> {
    let shown = if takes_gzip(asked) { &rendered.gzip } else { &rendered.plain };
    let headers = match keeping {
        Keeping::Brief => &shown.brief,
        Keeping::Long => &shown.kept,
    };
    let known = asked.get(IF_NONE_MATCH).is_some_and(|known| matches(known, &shown.etag));
    let mut response = Response::new(if known { Body::empty() } else { Body::from(shown.bytes.clone()) });
    *response.headers_mut() = headers.clone();
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
            response.headers_mut().remove(name);
        }
    }
    response
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

/// A page.
pub(super) fn html(page: String) -> Response<Body> {
    let bytes = Bytes::from(page);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    response.map(|_| Body::from(bytes))
}

/// The script of the player, compressed for those who take it.
pub(super) fn player(asked: &HeaderMap) -> Response<Body> {
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
pub(super) fn redirect(to: &str, query: Option<&str>) -> Result<Response<Body>, Fault> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{to}{query}"))
        .map_err(|error| Fault::new(FaultKind::BadRequest("the query".into())).because(error))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    Ok(response)
}
