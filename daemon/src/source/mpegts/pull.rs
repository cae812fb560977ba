//! A run over HTTP: one endless answer after another.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use http::HeaderMap;
use sluice_core::conf::{Backoff, HttpUrl};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::pipeline::{Cutting, End, Feed, Intake, Source, SourceContext};
use sluice_core::stage::{Class, Deadlines, Exchange, Frames, Provenance};
use tower::ServiceExt;

use super::super::request::Asking;
use super::pauses::{Brought, Pauses};
use super::sniff::{refuse_bytes, refuse_head};

/// An origin that wants to be left alone for longer is asked again after this.
const LONGEST_RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// A run.
pub(super) struct Pull {
    pub(super) url: HttpUrl,
    pub(super) asking: Asking,
    pub(super) reconnect: Backoff,
    pub(super) cutting: Cutting,
    pub(super) context: SourceContext,
}

/// How a connection came to its end.
enum Broken {
    /// It can be made again.
    Lost(Fault, Brought),
    /// What came cannot be used.
    Unusable(Fault),
}

impl Source for Pull {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        async move { self.pull().await }.boxed()
    }
}

impl Pull {
    /// Connects over and over. Before anything came, a fault ends the run: then it is for the pipeline to decide
    /// what is tried next. Later it is waited out where it can pass.
    async fn pull(self) -> Result<End, Fault> {
        let feed = self.feed().clone();
        let mut intake = Intake::new(feed.clone(), self.cutting);
        let mut pauses = Pauses::new(self.reconnect);
        let mut is_live = false;
        loop {
            pauses.connecting();
            let (fault, brought) = match self.take_in(&mut intake).await {
                Broken::Lost(fault, brought) => (fault, brought),
                Broken::Unusable(fault) => return Err(fault),
            };
            is_live |= brought == Brought::Bytes;
            if !is_live || !passes(&fault) {
                return Err(fault);
            }
            if brought == Brought::Bytes {
                intake.interrupted();
            }
            feed.fault(&fault);
            feed.beat();
            let asked = fault.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            tokio::time::sleep(pauses.lost(brought).max(asked)).await;
            feed.beat();
        }
    }

    fn feed(&self) -> &Feed {
        &self.context.feed
    }

    /// One connection, from asking to its end.
    async fn take_in(&self, intake: &mut Intake) -> Broken {
        let mut frames = match self.connect().await {
            Ok(frames) => frames,
            Err(fault) => return Broken::Lost(fault, Brought::Nothing),
        };
        let mut brought = Brought::Nothing;
        loop {
            let bytes = match frames.next().await {
                Some(Ok(bytes)) => bytes,
                Some(Err(fault)) => return Broken::Lost(fault, brought),
                None => return Broken::Lost(FaultKind::Ended.into(), brought),
            };
            if brought == Brought::Nothing
                && let Some(fault) = refuse_bytes(&bytes)
            {
                return Broken::Unusable(fault);
            }
            brought = Brought::Bytes;
            if let Err(fault) = intake.push(&bytes) {
                return Broken::Unusable(fault);
            }
        }
    }

    async fn connect(&self) -> Result<Frames, Fault> {
        let url = &self.url.0;
        let exchange = Exchange {
            url: url.clone(),
            provenance: Provenance::Operator,
            class: Class::Stream,
            range: None,
            headers: self.asking.header_map(),
            validators: HeaderMap::new(),
            deadlines: Deadlines::default(),
            audience: self.asking.audience(url),
        };
        let answer = self.context.upstream.clone().oneshot(exchange).await?;
        if let Some(fault) = refuse_head(&answer.headers) {
            return Err(fault);
        }
        answer.frames.ok_or_else(|| FaultKind::Internal("an answer without a stream".into()).into())
    }
}

/// Whether a fault can pass while the run waits: the origin's that a retry can help, and limits of our own.
fn passes(fault: &Fault) -> bool {
    let ours = matches!(fault.kind, FaultKind::BreakerOpen | FaultKind::RateLimited | FaultKind::Busy);
    ours || fault.is_retryable()
}
