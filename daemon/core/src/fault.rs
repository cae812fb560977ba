//! What went wrong at a stage: the kind, whose fault it is, and whether a retry can help.
//!
//! Every stage fails with a [`Fault`]. Metrics count its label, retries and breakers ask it, the pipeline's
//! state shows its words, and the status code that a viewer sees is made from it in one place.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The origin or the way to it.
    Upstream,
    /// The viewer or the viewer's request.
    Viewer,
    /// This daemon: its limits, its state, a defect.
    Us,
}

/// Which wait ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Connecting, with the TLS handshake.
    Connect,
    /// The gap between two frames of a body, or the wait for the response head.
    Read,
    /// The whole exchange.
    Total,
}

/// What went wrong. Labels are a closed set, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// A name that does not resolve.
    Dns,
    /// A connection refused, reset before the head, or unreachable.
    Connect,
    /// A TLS handshake or certificate that failed.
    Tls,
    /// A wait that ran out.
    Timeout(Phase),
    /// A status that is no success.
    Status(StatusCode),
    /// A body that ended before its declared length, or in mid-frame.
    Truncated,
    /// A body or list over its limit.
    TooLarge {
        /// The limit, in bytes or entries.
        limit: u64,
    },
    /// More redirects than allowed, or a circle of them.
    Redirects,
    /// An address or host that the pipeline may not reach.
    Forbidden(Arc<str>),
    /// Content that is not what it should be: not a playlist, a broken key, no transport stream.
    Malformed(Arc<str>),
    /// Content that is understood and not supported, as SAMPLE-AES.
    Unsupported(Arc<str>),
    /// A live playlist that does not move.
    Stale,
    /// A stream without end that the origin ended all the same.
    Ended,
    /// A program that ended, with how.
    Exit(Arc<str>),
    /// Another pipeline that brings nothing, with the reason.
    Pipeline(Arc<str>),
    /// The circuit breaker is open.
    BreakerOpen,
    /// The rate limit of this daemon.
    RateLimited,
    /// The concurrency limit of this daemon.
    Busy,
    /// The pipeline has nothing to serve yet.
    Starting,
    /// The pipeline has nothing to serve, because its source failed: the label of the last fault.
    Failed(&'static str),
    /// No such object, or no longer.
    NotFound,
    /// A method that the route does not answer.
    Method,
    /// A request that makes no sense, with the reason.
    BadRequest(Arc<str>),
    /// A file that cannot be read.
    File(Arc<str>),
    /// A socket of ours that cannot be opened or read, with the reason.
    Socket(Arc<str>),
    /// No room is left where something is to be written.
    Full,
    /// Something cannot be written, with the reason.
    Write(Arc<str>),
    /// The stage was stopped.
    Stopped,
    /// A panic or another defect of this daemon.
    Internal(Arc<str>),
}

impl FaultKind {
    /// The label under which metrics count this kind.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout(Phase::Connect) => "connect_timeout",
            Self::Timeout(Phase::Read) => "read_timeout",
            Self::Timeout(Phase::Total) => "total_timeout",
            Self::Status(code) if code.is_server_error() => "status_5xx",
            Self::Status(code) if code.is_client_error() => "status_4xx",
            Self::Status(_) => "status_other",
            Self::Truncated => "truncated",
            Self::TooLarge { .. } => "too_large",
            Self::Redirects => "redirects",
            Self::Forbidden(_) => "forbidden",
            Self::Malformed(_) => "malformed",
            Self::Unsupported(_) => "unsupported",
            Self::Stale => "stale",
            Self::Ended => "ended",
            Self::Exit(_) => "exit",
            Self::Pipeline(_) => "pipeline",
            Self::BreakerOpen => "breaker_open",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::Starting => "starting",
            Self::Failed(_) => "failed",
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::BadRequest(_) => "bad_request",
            Self::File(_) => "file",
            Self::Socket(_) => "socket",
            Self::Full => "full",
            Self::Write(_) => "write",
            Self::Stopped => "stopped",
            Self::Internal(_) => "internal",
        }
    }

    /// Every label of [`FaultKind::label`], so that counters stand at zero from the start.
    pub const LABELS: &[&str] = &[
        "dns",
        "connect",
        "tls",
        "connect_timeout",
        "read_timeout",
        "total_timeout",
        "status_5xx",
        "status_4xx",
        "status_other",
        "truncated",
        "too_large",
        "redirects",
        "forbidden",
        "malformed",
        "unsupported",
        "stale",
        "ended",
        "exit",
        "pipeline",
        "breaker_open",
        "rate_limited",
        "busy",
        "starting",
        "not_found",
        "method",
        "bad_request",
        "file",
        "socket",
        "full",
        "write",
        "stopped",
        "internal",
    ];
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns => f.write_str("the host name does not resolve"),
            Self::Connect => f.write_str("the connection failed"),
            Self::Tls => f.write_str("the TLS handshake failed"),
            Self::Timeout(Phase::Connect) => f.write_str("connecting took too long"),
            Self::Timeout(Phase::Read) => f.write_str("nothing came for too long"),
            Self::Timeout(Phase::Total) => f.write_str("the exchange took too long"),
            Self::Status(code) => write!(f, "status {}", code.as_u16()),
            Self::Truncated => f.write_str("the body ended early"),
            Self::TooLarge { limit } => write!(f, "larger than the limit of {limit}"),
            Self::Redirects => f.write_str("too many redirects"),
            Self::Forbidden(what) => write!(f, "{what} is not allowed"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Stale => f.write_str("the playlist does not move"),
            Self::Ended => f.write_str("the origin ended the stream"),
            Self::Exit(how) => write!(f, "{how}"),
            Self::Pipeline(why) => write!(f, "{why}"),
            Self::BreakerOpen => f.write_str("the circuit breaker is open"),
            Self::RateLimited => f.write_str("the rate limit is reached"),
            Self::Busy => f.write_str("too many requests at once"),
            Self::Starting => f.write_str("the stream is starting"),
            Self::Failed(label) => write!(f, "the stream failed: {label}"),
            Self::NotFound => f.write_str("not found"),
            Self::Method => f.write_str("this method is not answered here"),
            Self::BadRequest(why) => write!(f, "bad request: {why}"),
            Self::File(why) | Self::Socket(why) => write!(f, "{why}"),
            Self::Full => f.write_str("no room is left on the device"),
            Self::Write(why) => write!(f, "cannot be written: {why}"),
            Self::Stopped => f.write_str("stopped"),
            Self::Internal(why) => write!(f, "internal: {why}"),
        }
    }
}

/// A failure of a stage. Cheap to clone, because a shared load fails every caller that waits for it.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// The stage that failed, as `source 1 hls`; none where the place is plain.
    pub stage: Option<Arc<str>>,
    /// How long the other side asks to be left alone.
    pub retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, stage: None, retry_after: None, cause: None }
    }

    /// Content that is not what it should be.
    pub fn malformed(what: impl Into<Arc<str>>) -> Self {
        Self::new(FaultKind::Malformed(what.into()))
    }

    /// Content that is understood and not supported.
    pub fn unsupported(what: impl Into<Arc<str>>) -> Self {
        Self::new(FaultKind::Unsupported(what.into()))
    }

    /// Adds the error beneath.
    #[must_use]
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Names the stage, unless one nearer to the cause did.
    #[must_use]
    pub fn at(mut self, stage: &Arc<str>) -> Self {
        self.stage.get_or_insert_with(|| stage.clone());
        self
    }

    /// Says when to come again.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        use FaultKind as K;
        match &self.kind {
            K::Dns
            | K::Connect
            | K::Tls
            | K::Timeout(_)
            | K::Status(_)
            | K::Truncated
            | K::TooLarge { .. } => Blame::Upstream,
            K::Redirects | K::Forbidden(_) | K::Malformed(_) | K::Unsupported(_) | K::Stale => {
                Blame::Upstream
            }
            K::Ended | K::Exit(_) | K::Pipeline(_) => Blame::Upstream,
            K::NotFound | K::Method | K::BadRequest(_) => Blame::Viewer,
            K::BreakerOpen | K::RateLimited | K::Busy | K::Starting | K::Failed(_) => Blame::Us,
            K::File(_) | K::Socket(_) | K::Full | K::Write(_) | K::Stopped | K::Internal(_) => Blame::Us,
        }
    }

    /// Whether the same request can succeed when it is sent again soon.
    pub fn is_retryable(&self) -> bool {
        use FaultKind as K;
        match &self.kind {
            K::Dns
            | K::Connect
            | K::Timeout(_)
            | K::Truncated
            | K::Ended
            | K::Starting
            | K::Failed(_)
            | K::Write(_) => true,
            K::Status(code) => {
                matches!(code.as_u16(), 408 | 425 | 429) || (code.is_server_error() && code.as_u16() != 501)
            }
            _ => false,
        }
    }

    /// The status code that a viewer gets.
    pub fn status(&self) -> StatusCode {
        use FaultKind as K;
        match &self.kind {
            K::NotFound => StatusCode::NOT_FOUND,
            K::Method => StatusCode::METHOD_NOT_ALLOWED,
            K::BadRequest(_) => StatusCode::BAD_REQUEST,
            K::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            K::Busy
            | K::Starting
            | K::Failed(_)
            | K::BreakerOpen
            | K::Stopped
            | K::Stale
            | K::Pipeline(_) => StatusCode::SERVICE_UNAVAILABLE,
            K::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            K::File(_) | K::Socket(_) | K::Full | K::Write(_) | K::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = &self.stage {
            write!(f, "{stage}: ")?;
        }
        self.kind.fmt(f)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause.as_ref() as &(dyn Error + 'static))
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self::new(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_decided_by_the_kind_and_never_by_the_words() {
        for (kind, retryable) in [
            (FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE), true),
            (FaultKind::Status(StatusCode::TOO_MANY_REQUESTS), true),
            (FaultKind::Status(StatusCode::NOT_FOUND), false),
            (FaultKind::Status(StatusCode::NOT_IMPLEMENTED), false),
            (FaultKind::Timeout(Phase::Read), true),
            (FaultKind::Malformed("timeout".into()), false),
            (FaultKind::BreakerOpen, false),
        ] {
            assert_eq!(Fault::new(kind.clone()).is_retryable(), retryable, "{kind:?}");
        }
    }

    #[test]
    fn the_stage_nearest_to_the_cause_keeps_its_name() {
        let fault = Fault::new(FaultKind::Stale).at(&"source 1 hls".into()).at(&"pipeline".into());
        assert_eq!(fault.to_string(), "source 1 hls: the playlist does not move");
    }
}
