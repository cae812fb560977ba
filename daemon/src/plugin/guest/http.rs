//! Requests to the servers that are granted.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sluice_core::fault::{Fault, FaultKind};
use tokio::time::Instant;
use url::Url;

use super::Guest;
use super::interfaces::http::{Error, Host, Request, Response};
use crate::client::Request as Sent;

/// Requests in one call of the plugin.
const REQUESTS: u32 = 16;

/// The largest answer.
const ANSWER_BYTES: u64 = 1 << 20;

/// More headers than this are refused.
const HEADERS: usize = 64;

/// Headers that the daemon sets itself: with them one request could be made to look like two.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Host for Guest {
    async fn send(&mut self, request: Request) -> Result<Response, Error> {
        self.call.sent += 1;
        if self.call.sent > REQUESTS {
            return Err(Error::Refused(format!("more than {REQUESTS} requests in one call")));
        }
        let requests = self.environment.requests.clone();
        let requests = requests.ok_or_else(|| Error::Refused("no requests are sent here".to_owned()))?;
        let left = self.call.wait_until.saturating_duration_since(Instant::now());
        let sent = sent(request, left)?;
        let granted = self.grants.clone();
        let may = move |url: &Url| granted.http.iter().any(|server| server.covers(url));
        let answer =
            requests.send(sent, may).await.map_err(|fault| words(&fault, |text| self.strike(text)))?;
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(Response {
            status: answer.status.as_u16(),
            headers: answer.headers.iter().map(header).collect(),
            body: answer.body.into(),
        })
    }
}

fn sent(request: Request, left: Duration) -> Result<Sent, Error> {
    let invalid = |what: &str, why: &dyn std::fmt::Display| Error::Invalid(format!("{what}: {why}"));
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|error| invalid("the method", &error))?;
    if method == Method::CONNECT {
        return Err(invalid("the method", &"CONNECT is not sent"));
    }
    let url = Url::parse(&request.url).map_err(|error| invalid("the URL", &error))?;
    if request.headers.len() > HEADERS {
        return Err(invalid("the headers", &format!("more than {HEADERS}")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(name, &error))?;
        if OWN_HEADERS.contains(&known.as_str()) || known.as_str().starts_with("proxy-") {
            return Err(invalid(name, &"the daemon sets this header itself"));
        }
        headers.append(known, HeaderValue::from_str(value).map_err(|error| invalid(name, &error))?);
    }
    let within = request.timeout_ms.map_or(left, |timeout| left.min(Duration::from_millis(timeout.into())));
    let body = request.body.unwrap_or_default().into();
    Ok(Sent { method, url, headers, body, within, largest_bytes: ANSWER_BYTES })
}

fn words(fault: &Fault, strike: impl Fn(&str) -> String) -> Error {
    let words = strike(&crate::plugin::chain(fault));
    match fault.kind {
        FaultKind::Forbidden(_) | FaultKind::Redirects => Error::Refused(words),
        FaultKind::Timeout(_) => Error::Timeout,
        FaultKind::TooLarge { limit } => Error::TooLarge(limit),
        _ => Error::Failed(words),
    }
}
