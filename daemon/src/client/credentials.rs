//! Credentials: what the operator wrote into a URL, and the cookies that origins set.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cookie_store::{Cookie, CookieDomain, CookieError, CookieStore};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode_str;
use url::Url;

/// More cookies than this are not taken from origins.
const MAX_COOKIES: usize = 64;
/// Longer cookies than this are not taken.
const MAX_COOKIE_BYTES: usize = 4096;

/// The `Authorization` of a URL with userinfo, marked as sensitive.
pub(crate) fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The cookies that the origins of one source set. Bounded: an origin cannot make it grow.
#[derive(Default)]
pub(crate) struct Jar {
    store: Mutex<CookieStore>,
}

impl Jar {
    /// Takes the cookies of an answer from `url`.
    pub(crate) fn take(&self, headers: &HeaderMap, url: &Url) {
        for value in headers.get_all(header::SET_COOKIE) {
            let Some(text) = value.to_str().ok().filter(|text| text.len() <= MAX_COOKIE_BYTES) else {
                continue;
            };
            if let Err(error) = self.put(text, url) {
                tracing::debug!(%error, "cookie refused");
            }
        }
    }

    fn put(&self, text: &str, url: &Url) -> Result<(), CookieError> {
        let cookie = Cookie::parse(text.to_owned(), url)?;
        if matches!(&cookie.domain, CookieDomain::Suffix(domain) if !domain.contains('.')) {
            return Err(CookieError::DomainMismatch); // for a whole top-level domain
        }
        let mut store = self.lock();
        if store.iter_any().count() >= MAX_COOKIES {
            drop_expired(&mut store);
        }
        if store.iter_any().count() < MAX_COOKIES {
            store.insert(cookie, url)?;
        }
        Ok(())
    }

    /// The cookies for a request to `url`, as the value of `Cookie`.
    pub(crate) fn give(&self, url: &Url) -> Option<String> {
        let store = self.lock();
        let pairs: Vec<String> =
            store.get_request_values(url).map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn lock(&self) -> MutexGuard<'_, CookieStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_expired(store: &mut CookieStore) {
    let expired: Vec<_> = store
        .iter_any()
        .filter(|cookie| cookie.is_expired())
        .map(|cookie| (String::from(&cookie.domain), String::from(&cookie.path), cookie.name().to_owned()))
        .collect();
    for (domain, path, name) in expired {
        store.remove(&domain, &path, &name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn set(jar: &Jar, cookie: &str, from: &str) {
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, cookie.parse().unwrap());
        jar.take(&headers, &url(from));
    }

    #[test]
    fn userinfo_becomes_basic_authorization() {
        for (text, expected) in [
            ("http://Aladdin:open%20sesame@a.example/", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
            ("http://user@a.example/", Some("Basic dXNlcjo=")),
            ("http://a.example/", None),
        ] {
            let value = basic(&url(text));
            assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), expected, "{text}");
            assert!(value.is_none_or(|value| value.is_sensitive()));
        }
    }

    #[test]
    fn cookies_go_back_to_whom_they_belong() {
        let jar = Jar::default();
        set(&jar, "token=1; Path=/live", "https://a.example/live/x");
        set(&jar, "safe=1; Secure", "https://a.example/");
        set(&jar, "wide=1; Domain=example", "https://a.example/");
        set(&jar, "foreign=1; Domain=b.example", "https://a.example/");
        assert_eq!(jar.give(&url("http://a.example/live/seg.ts")).as_deref(), Some("token=1"));
        assert_eq!(jar.give(&url("https://a.example/")).as_deref(), Some("safe=1"));
        assert_eq!(jar.give(&url("https://b.example/live/")), None, "neither foreign nor wide");
        set(&jar, "token=; Max-Age=0; Path=/live", "https://a.example/live/x");
        assert_eq!(jar.give(&url("http://a.example/live/seg.ts")), None);
    }

    #[test]
    fn a_hostile_origin_cannot_fill_the_jar() {
        let jar = Jar::default();
        set(&jar, &format!("big={}", "x".repeat(MAX_COOKIE_BYTES)), "http://a.example/");
        assert_eq!(jar.give(&url("http://a.example/")), None);
        for number in 0..1000 {
            set(&jar, &format!("n{number}=1; Max-Age=60"), "http://a.example/");
        }
        assert_eq!(jar.give(&url("http://a.example/")).unwrap().split("; ").count(), MAX_COOKIES);
    }
}
