//! Who may ask: the checks of Host, Origin and token that stand before every route.
//!
//! A web page can send requests to loopback through its visitor's browser. It cannot choose the Host that the
//! browser sends for its own name (DNS rebinding), nor hide the Origin of what it posts.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use arc_swap::ArcSwapOption;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use subtle::ConstantTimeEq;

use super::problem::Refusal;

/// Routes that tell nothing worth hiding, for probes.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// The checks of one listener.
#[derive(Default)]
pub(super) struct Gate {
    /// Where it listens; nobody gets in before that is known.
    pub(super) address: OnceLock<SocketAddr>,
    /// The bearer token.
    pub(super) token: ArcSwapOption<String>,
}

impl Gate {
    /// Lets a request in or says why not.
    pub(super) fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(address) = self.address.get() else {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the listener starts"));
        };
        let host = asked_host(uri, headers)?;
        if address.ip().to_canonical().is_loopback() && !is_ours(&host, *address) {
            let detail = format!("ask for {address} or localhost:{}, not for another host", address.port());
            return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        if headers.contains_key(ORIGIN) && !is_same_origin(&host, headers) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "pages of other origins may not ask here"));
        }
        if address.ip().to_canonical().is_loopback() || OPEN.contains(&uri.path()) {
            return Ok(());
        }
        self.authorize(matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS), headers)
    }

    fn authorize(&self, reads: bool, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = self.token.load_full() else {
            return match reads {
                true => Ok(()),
                false => {
                    Err(Refusal::new(StatusCode::FORBIDDEN, "no token is configured: nothing can be changed"))
                }
            };
        };
        let given = single(headers, AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let matches = given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(token.as_bytes())));
        match matches {
            true => Ok(()),
            false => Err(Refusal::new(StatusCode::UNAUTHORIZED, "a bearer token is needed")),
        }
    }
}

/// The host that the request is for: of its URI (HTTP/2), else of the one header `Host` that it must have.
fn asked_host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
    if let Some(authority) = uri.authority() {
        return Ok(authority.clone());
    }
    single(headers, HOST)
        .and_then(|host| host.parse().ok())
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "one valid Host is needed"))
}

fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether `host` names a loopback listener at `address`, by address or as localhost.
fn is_ours(host: &Authority, address: SocketAddr) -> bool {
    let name = host.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let loopback = name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    loopback && host.port_u16().unwrap_or(80) == address.port()
}

fn is_same_origin(host: &Authority, headers: &HeaderMap) -> bool {
    let Some(origin) = single(headers, ORIGIN) else { return false };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(listens: &str, token: Option<&str>, method: &Method, headers: &[(HeaderName, &str)]) -> u16 {
        let gate = Gate::default();
        gate.address.set(listens.parse().unwrap()).unwrap();
        gate.token.store(token.map(|token| token.to_owned().into()));
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        match gate.admit(method, &Uri::from_static("/api/v1/reload"), &headers) {
            Ok(()) => 200,
            Err(refusal) => axum::response::IntoResponse::into_response(refusal).status().as_u16(),
        }
    }

    #[test]
    fn a_loopback_listener_answers_its_own_names_and_no_page_of_another_origin() {
        for (host, origin, expected) in [
            ("127.0.0.1:9090", None, 200),
            ("localhost:9090", None, 200),
            ("LOCALHOST:9090", None, 200),
            ("[::1]:9090", None, 200),
            ("localhost", None, 403),
            ("localhost:80", None, 403),
            ("evil.example:9090", None, 403),
            ("127.0.0.1.evil.example:9090", None, 403),
            ("192.168.1.5:9090", None, 403),
            ("", None, 400),
            ("localhost:9090", Some("http://localhost:9090"), 200),
            ("localhost:9090", Some("http://localhost:8080"), 403),
            ("localhost:9090", Some("https://evil.example"), 403),
            ("localhost:9090", Some("null"), 403),
        ] {
            let mut headers = vec![(HOST, host)];
            headers.extend(origin.map(|origin| (ORIGIN, origin)));
            for method in [Method::GET, Method::POST] {
                assert_eq!(status("127.0.0.1:9090", None, &method, &headers), expected, "{headers:?}");
            }
        }
        assert_eq!(status("127.0.0.1:9090", None, &Method::GET, &[]), 400, "no host at all");
        let two =
            [(HOST, "localhost:9090"), (ORIGIN, "http://localhost:9090"), (ORIGIN, "http://evil.example")];
        assert_eq!(status("127.0.0.1:9090", None, &Method::POST, &two[..1]), 200);
    }

    #[test]
    fn elsewhere_a_change_needs_the_token_and_so_does_a_read_once_there_is_one() {
        for (token, authorization, read, change) in [
            (None, None, 200, 403),
            (None, Some("Bearer x"), 200, 403),
            (Some("secret"), None, 401, 401),
            (Some("secret"), Some("Bearer secret"), 200, 200),
            (Some("secret"), Some("bearer secret"), 200, 200),
            (Some("secret"), Some("Bearer secreT"), 401, 401),
            (Some("secret"), Some("Bearer secret2"), 401, 401),
            (Some("secret"), Some("Basic secret"), 401, 401),
            (Some("secret"), Some("Bearer"), 401, 401),
        ] {
            let mut headers = vec![(HOST, "10.0.0.5:9090")];
            headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
            assert_eq!(status("0.0.0.0:9090", token, &Method::GET, &headers), read, "{headers:?}");
            assert_eq!(status("0.0.0.0:9090", token, &Method::POST, &headers), change, "{headers:?}");
        }
        let foreign = [(HOST, "10.0.0.5:9090"), (ORIGIN, "http://evil.example"), (AUTHORIZATION, "Bearer s")];
        assert_eq!(status("0.0.0.0:9090", Some("s"), &Method::POST, &foreign), 403);
    }
}
