//! What a source is.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Around, Feed};
use crate::fault::Fault;
use crate::stage::Upstream;

/// How a source came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There will never be more.
    ForGood,
    /// The origin ended the stream and may start another: it is asked again after a while.
    ForNow,
}

/// A task that turns an origin into segments.
pub trait Source: Send {
    /// Runs until the origin ends (`Ok`) or cannot be used any more. A fault that can pass, as an origin that
    /// answers 503, is the source's own to wait out; it reports it to the feed and goes on. Dropping the
    /// future stops the source at once.
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>>;
}

/// What a source gets when it is built.
#[derive(Clone)]
pub struct SourceContext {
    /// Its name, as `source 1 hls`.
    pub stage: Arc<str>,
    /// Where its exchanges go: the guarded client inside the layers of its stage.
    pub upstream: Upstream,
    /// Where its segments go.
    pub feed: Feed,
    /// What it may ask of the daemon beside.
    pub around: Around,
}
