//! Answers that the edge makes itself: refusals, preflights, and the headers that every answer gets.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE,
    ORIGIN, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::stage::Body;

use super::Cors;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The answer to a fault: the only place where one becomes a response. What went wrong at the origin stays
/// between the daemon and its operator; a viewer learns what helps a viewer.
pub(super) fn refusal(fault: &Fault) -> Response<Body> {
    let status = fault.status();
    let mut response = text(status, words(fault));
    let headers = response.headers_mut();
    let caching = match status {
        StatusCode::NOT_FOUND => "max-age=1", // a segment that is asked for too early is there a second later
        _ => "no-store",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, METHODS);
    }
    let comes_again = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let Some(wait) = fault.retry_after.or(comes_again.then_some(Duration::from_secs(1))) {
        headers.insert(RETRY_AFTER, seconds(wait));
    }
    response
}

/// The answer to a request with a body: nothing here reads one, so the connection ends with it.
pub(super) fn body_refused() -> Response<Body> {
    let mut response =
        text(StatusCode::PAYLOAD_TOO_LARGE, Bytes::from_static(b"requests have no body here\n"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to OPTIONS, preflights included.
pub(super) fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Range, If-None-Match, If-Range"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// What lets pages of other origins read an answer.
#[derive(Default)]
pub(super) struct Sharing {
    origin: Option<HeaderValue>,
    varies: bool,
}

impl Sharing {
    /// As `cors` has it for a request with these headers.
    pub(super) fn new(cors: &Cors, asked: &HeaderMap) -> Self {
        Self { origin: cors.allow(asked.get(ORIGIN)), varies: matches!(cors, Cors::Origins(_)) }
    }

    /// Adds the headers.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let readable = HeaderValue::from_static("Content-Length, Content-Range, Date, ETag, Retry-After");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, readable);
        }
    }
}

fn text(status: StatusCode, words: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(words));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn words(fault: &Fault) -> Bytes {
    Bytes::from_static(match &fault.kind {
        // labels are a closed set, and name nobody
        FaultKind::Failed(label) => {
            return Bytes::from(format!("the stream failed ({label}) and is tried again, come again soon\n"));
        }
        FaultKind::BadRequest(why) => return Bytes::from(format!("bad request: {why}\n")),
        FaultKind::NotFound => b"not found\n",
        FaultKind::Method => b"this method is not answered here\n",
        FaultKind::RateLimited => b"too many requests, come again later\n",
        FaultKind::Busy => b"too many viewers at once, come again later\n",
        FaultKind::Starting => b"the stream is starting, come again soon\n",
        FaultKind::Stopped => b"the stream is stopped\n",
        _ => match fault.status() {
            StatusCode::INTERNAL_SERVER_ERROR => b"internal error\n",
            StatusCode::SERVICE_UNAVAILABLE => b"the stream is not available, come again later\n",
            StatusCode::GATEWAY_TIMEOUT => b"the origin did not answer in time\n",
            _ => b"the origin failed\n",
        },
    })
}

/// Whole seconds, rounded up, at least one.
fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(response: &'a Response<Body>, name: &http::HeaderName) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_fault_says_when_to_come_again_and_how_long_it_holds() {
        for (fault, status, retry_after, caching) in [
            (Fault::new(FaultKind::NotFound), 404, None, "max-age=1"),
            (
                Fault::new(FaultKind::RateLimited).after(Duration::from_millis(2300)),
                429,
                Some("3"),
                "no-store",
            ),
            (Fault::new(FaultKind::Starting), 503, Some("1"), "no-store"),
            (Fault::new(FaultKind::Dns), 502, None, "no-store"),
            (Fault::new(FaultKind::Dns).after(Duration::from_secs(1)), 502, Some("1"), "no-store"),
            (Fault::new(FaultKind::Internal("secret".into())), 500, None, "no-store"),
        ] {
            let response = refusal(&fault);
            assert_eq!(response.status().as_u16(), status, "{fault}");
            assert_eq!(header(&response, &RETRY_AFTER), retry_after, "{fault}");
            assert_eq!(header(&response, &CACHE_CONTROL), Some(caching), "{fault}");
        }
        assert_eq!(header(&refusal(&Fault::new(FaultKind::Method)), &ALLOW), Some("GET, HEAD, OPTIONS"));
    }

    #[test]
    fn what_the_origin_is_called_is_not_told_to_viewers() {
        let fault = Fault::new(FaultKind::Forbidden("host inner.example".into())).at(&"source 1 hls".into());
        assert_eq!(&words(&fault)[..], b"the origin failed\n");
    }
}
