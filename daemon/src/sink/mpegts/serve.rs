//! Answers the requests for one transport stream.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Response, StatusCode};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::metrics::SinkMetrics;
use sluice_core::pipeline::program::{Broadcast, Broadcasting, Reader};
use sluice_core::pipeline::{Shared, State};
use sluice_core::stage::{Body, LayerContext, Viewing};

/// When a viewer of something that cannot be carried may ask again: another source may bring what can.
const COME_AGAIN_SECS: u32 = 10;

/// The innermost service of an `mpegts` sink.
pub(super) struct Serve {
    pipeline: Weak<Shared>,
    broadcasting: Broadcasting,
    stage: Arc<str>,
    metrics: SinkMetrics,
    behind: Duration,
}

impl Serve {
    pub(super) fn new(behind: Duration, context: &LayerContext) -> Self {
        Self {
            pipeline: Arc::downgrade(&context.pipeline),
            broadcasting: context.pipeline.broadcast(behind),
            stage: context.stage.clone(),
            metrics: context.pipeline.metrics.sink(&context.stage),
            behind,
        }
    }

    pub(super) fn answer(&self, viewing: &Viewing) -> Result<Response<Body>, Fault> {
        if !matches!(viewing.method, Method::GET | Method::HEAD) {
            return Err(Fault::new(FaultKind::Method));
        }
        if !viewing.bare {
            return Err(Fault::new(FaultKind::NotFound));
        }
        let broadcast = self.broadcasting.broadcast();
        if let Some(reason) = broadcast.refusal() {
            return Ok(refusal(&reason));
        }
        self.can_begin(broadcast)?;
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("video/mp2t"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if viewing.method == Method::GET {
            let agent = viewing.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
            let sink = (&self.stage, &self.metrics);
            let seat = broadcast.audience.admit(sink, viewing.client, agent, &broadcast.ring);
            *response.body_mut() = Body::endless(Reader::new(&broadcast.ring, seat, self.behind));
        }
        Ok(response)
    }

    /// A viewer of a stream that starts waits with null packets. Where it is known that nothing comes, there is nothing
    /// to wait for.
    fn can_begin(&self, broadcast: &Broadcast) -> Result<(), Fault> {
        let pipeline = self.pipeline.upgrade().ok_or_else(|| Fault::new(FaultKind::Stopped))?;
        let state = pipeline.status().borrow().state;
        match state {
            State::Stopped => Err(Fault::new(FaultKind::Stopped)),
            State::Failed if broadcast.ring.next() == 0 => {
                let fault = pipeline.last_fault().map(|fault| fault.1.clone());
                Err(fault.unwrap_or_else(|| Fault::new(FaultKind::Starting)).after(Duration::from_secs(1)))
            }
            _ => Ok(()),
        }
    }
}

/// The reason is about the media and names nobody: viewers may know it.
fn refusal(reason: &Fault) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(format!("{reason}\n"))));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, COME_AGAIN_SECS.into());
    response
}
