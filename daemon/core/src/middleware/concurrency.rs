//! `concurrency`: how many exchanges or answers are under way at once.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kdl::KdlNode;
use prometheus::IntCounter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::waiting::ours;
use super::{Inner, WINDOW_IS_MEMORY, take_ready};
use crate::conf::{Node, Reveal, Shown};
use crate::fault::{Fault, FaultKind};
use crate::stage::{
    Ask, Configured, Doc, Entry, LayerContext, LayerKind, LayerSpec, Outlet, Place, Reply, Serving, Upstream,
};

/// When a viewer who was refused is asked to come again.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// The kind `concurrency`.
pub const CONCURRENCY: LayerKind = LayerKind {
    doc: Doc {
        name: "concurrency",
        about: "Limits how many requests are under way at once.",
        example: "concurrency 5",
        entries: &[Entry {
            form: "MOST",
            about: "so many at once, each until the last byte of its answer; 1 to 100000",
            default: "",
        }],
    },
    meaning: |place| match place {
        Place::Source => Ok("exchanges with the origin wait for a free place; polls of playlists need none"),
        Place::Sink => Ok("a viewer over the limit gets 503 and Retry-After"),
        Place::PushingSink => Ok("operations, as writing a segment, wait for a free place"),
        Place::MemoryBuffer => Err(WINDOW_IS_MEMORY),
    },
    decode: |node| decode(node).map(|spec| Box::new(spec) as Box<dyn LayerSpec>),
};

fn decode(node: &Node<'_>) -> Option<Concurrency> {
    Some(Concurrency { most: node.argument_within("limit", 1..=100_000)? })
}

/// `concurrency` as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    most: usize,
}

impl Configured for Concurrency {
    fn kind(&self) -> &'static str {
        CONCURRENCY.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        Shown::new(self.kind()).argument(self.most).node()
    }
}

impl LayerSpec for Concurrency {
    fn wrap_upstream(&self, inner: Upstream, context: &LayerContext) -> Upstream {
        BoxCloneSyncService::new(self.around(inner, WhenFull::Wait, context))
    }

    fn wrap_serving(&self, inner: Serving, context: &LayerContext) -> Serving {
        Serving::new(self.around(inner, WhenFull::Refuse, context))
    }

    fn wrap_pushing(&self, inner: Outlet, context: &LayerContext) -> Outlet {
        BoxCloneSyncService::new(self.around(inner, WhenFull::Wait, context))
    }
}

impl Concurrency {
    fn around<S>(&self, inner: S, when_full: WhenFull, context: &LayerContext) -> Limited<S> {
        let (stage, count) = (context.stage.clone(), context.metrics.concurrency_limited());
        let places = context.state(self, || Semaphore::new(self.most));
        Limited { inner, gate: Gate { places, when_full, stage, count } }
    }
}

#[derive(Clone, Copy)]
enum WhenFull {
    Wait,
    Refuse,
}

#[derive(Clone)]
struct Limited<S> {
    inner: S,
    gate: Gate,
}

#[derive(Clone)]
struct Gate {
    places: Arc<Semaphore>,
    when_full: WhenFull,
    stage: Arc<str>,
    count: IntCounter,
}

impl Gate {
    async fn pass(self) -> Result<OwnedSemaphorePermit, Fault> {
        let stopped = || Fault::new(FaultKind::Stopped).at(&self.stage);
        match self.places.clone().try_acquire_owned() {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::NoPermits) => self.count.inc(),
            Err(TryAcquireError::Closed) => return Err(stopped()),
        }
        match self.when_full {
            WhenFull::Wait => ours(self.places.clone().acquire_owned()).await.map_err(|_| stopped()),
            WhenFull::Refuse => Err(Fault::new(FaultKind::Busy).after(COME_AGAIN).at(&self.stage)),
        }
    }
}

impl<R: Ask, S: Inner<R>> Service<R> for Limited<S> {
    type Response = S::Response;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<S::Response, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let gate = self.gate.clone();
        Box::pin(async move {
            if request.is_urgent() {
                return inner.call(request).await;
            }
            let permit = gate.pass().await?;
            Ok(inner.call(request).await?.holding(permit))
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use futures_util::StreamExt;

    use super::super::fixture::{Bench, answer, endless, page, segment, stream, viewing};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn exchanges_wait_for_a_free_place() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&["concurrency 2"]);
        let asked: Vec<_> = ["a", "b", "c"].map(|name| bench.ask(&mut upstream, segment(name))).into();
        let (first, second) = (origin.next_request().await.unwrap(), origin.next_request().await.unwrap());
        assert!(bench.is_idle(&mut origin).await, "the third waits");
        first.1.send_response(answer("a"));
        let (third, respond) = origin.next_request().await.unwrap();
        assert!(third.url.path().ends_with('c'));
        respond.send_response(answer("c"));
        second.1.send_response(answer("b"));
        for asked in asked {
            asked.await.unwrap();
        }
        assert_eq!(bench.context.metrics.concurrency_limited().get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_with_the_end_of_the_body_and_not_with_its_head() {
        let bench = Bench::new();
        let (mut serving, mut sink) = bench.serving(&["concurrency 1"]);
        let first = bench.view(&mut serving, viewing());
        sink.next_request().await.unwrap().1.send_response(page("body"));
        let mut response = first.await.unwrap();

        let refused = bench.view(&mut serving, viewing()).fault().await;
        assert_eq!((refused.kind, refused.retry_after), (FaultKind::Busy, Some(COME_AGAIN)));

        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::Pin::new(response.body_mut()).poll_frame(&mut cx).is_ready());
        drop(response);
        let third = bench.view(&mut serving, viewing());
        sink.next_request().await.unwrap().1.send_response(page("body"));
        assert!(third.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_end_keeps_its_place_until_it_ends() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&["concurrency 1", "timeout \"5s\"", "cache"]);
        let first = bench.ask(&mut upstream, stream("live"));
        let (head, frames) = endless();
        origin.next_request().await.unwrap().1.send_response(head);
        let mut first = first.await.unwrap().frames.unwrap();
        let second = bench.ask(&mut upstream, segment("b"));
        assert!(bench.is_idle(&mut origin).await, "the place is taken");
        tokio::time::advance(Duration::from_secs(3)).await;
        frames.send("x".into()).await.unwrap();
        assert_eq!(first.next().await.unwrap().unwrap(), "x", "the total time was for the head");
        drop(frames);
        assert!(first.next().await.is_none());
        origin.next_request().await.unwrap().1.send_response(answer("b"));
        assert!(second.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_gives_the_place_back() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&["concurrency 1"]);
        let leaving = bench.ask(&mut upstream, segment("a"));
        let _unanswered = origin.next_request().await.unwrap();
        leaving.leave().await;
        let next = bench.ask(&mut upstream, segment("b"));
        origin.next_request().await.unwrap().1.send_response(answer("b"));
        assert!(next.await.is_ok());
    }
}
