//! What an origin's answer or silence means.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use sluice_core::fault::{Fault, FaultKind};

use super::connect::find;

/// The fault of an exchange that brought no answer.
pub(crate) fn of_sending(error: hyper_util::client::legacy::Error) -> Fault {
    if let Some(fault) = find::<Fault>(&error) {
        return fault.clone();
    }
    let unreadable = find::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse);
    let fault = if unreadable { Fault::malformed("no HTTP answer") } else { FaultKind::Connect.into() };
    fault.because(error)
}

/// The fault of a status that is no success, with what the origin says about coming again.
pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap) -> Fault {
    let fault = Fault::new(FaultKind::Status(status));
    match retry_after(headers, SystemTime::now()) {
        Some(wait) => fault.after(wait),
        None => fault,
    }
}

/// `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
