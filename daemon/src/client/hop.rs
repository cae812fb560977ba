//! One step on the way to an answer: the exchange itself, or a redirect. What each step may carry.

use http::{HeaderMap, HeaderValue, Response, header};
use sluice_core::fault::Fault;
use sluice_core::stage::{Class, Exchange, Provenance};
use url::Url;

use super::body::end_of;
use super::credentials::{Jar, basic};
use super::policy::{Policy, forbidden};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION")));
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// Where a step goes, and who named it.
pub(super) struct Hop {
    pub(super) url: Url,
    pub(super) provenance: Provenance,
}

impl Hop {
    /// The next hop, where the answer is a redirect.
    ///
    /// # Errors
    /// `Malformed` without a usable `Location`; `Forbidden` from https to http.
    pub(super) fn next<B>(&self, response: &Response<B>) -> Result<Option<Self>, Fault> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let url = location.and_then(|location| self.url.join(location).ok());
        let url = url.ok_or_else(|| Fault::malformed("a redirect to nowhere"))?;
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Err(forbidden("a redirect from https to http"));
        }
        let stays = self.url.host() == url.host();
        let provenance = if stays { self.provenance.clone() } else { Provenance::Learned };
        Ok(Some(Self { url, provenance }))
    }

    /// The URL without credentials and fragment.
    pub(super) fn bare_url(&self) -> Url {
        let mut url = self.url.clone();
        url.set_fragment(None);
        if url.set_username("").and_then(|()| url.set_password(None)).is_err() {
            tracing::trace!("a URL without a host carries no credentials");
        }
        url
    }

    /// The headers of the request: the operator's go to the operator's own origin, `User-Agent` everywhere.
    ///
    /// # Errors
    /// `Malformed` for an impossible byte range.
    pub(super) fn headers(
        &self,
        exchange: &Exchange,
        policy: &Policy,
        jar: &Jar,
    ) -> Result<HeaderMap, Fault> {
        let own = policy.is_own(&self.url)
            || (exchange.provenance == Provenance::Operator && exchange.url.origin() == self.url.origin());
        let mut headers = if own { HeaderMap::clone(&exchange.headers) } else { HeaderMap::new() };
        let agent = exchange.headers.get(header::USER_AGENT).cloned().unwrap_or(USER_AGENT);
        headers.insert(header::USER_AGENT, agent);
        headers.entry(header::ACCEPT).or_insert(ANYTHING);
        let gzip = exchange.class == Class::Playlist && exchange.range.is_none();
        let coding = HeaderValue::from_static(if gzip { "gzip" } else { "identity" });
        headers.insert(header::ACCEPT_ENCODING, coding);
        headers.extend(exchange.validators.clone());
        headers.remove(header::RANGE);
        if let Some(range) = exchange.range {
            let last = end_of(range)? - 1;
            put(&mut headers, header::RANGE, format!("bytes={}-{last}", range.offset).into_bytes());
        }
        if own && let Some(basic) = basic(&self.url).or_else(|| policy.credentials(&self.url)) {
            headers.entry(header::AUTHORIZATION).or_insert(basic);
        }
        if let Some(set) = jar.give(&self.url) {
            let written = headers.get(header::COOKIE).map(|value| value.as_bytes());
            let both = written.map(|written| [written, b"; ", set.as_bytes()].concat());
            put(&mut headers, header::COOKIE, both.unwrap_or_else(|| set.into_bytes()));
        }
        Ok(headers)
    }
}

fn put(headers: &mut HeaderMap, name: header::HeaderName, value: Vec<u8>) {
    match HeaderValue::try_from(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(error) => tracing::debug!(%name, %error, "header left out"),
    }
}
