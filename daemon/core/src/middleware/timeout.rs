//! `timeout`: how long an exchange may take, in all and in its parts.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kdl::KdlNode;
use prometheus::IntCounter;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::waiting::Waiting;
use super::{Inner, WINDOW_IS_MEMORY};
use crate::conf::{Node, Reveal, Shown};
use crate::fault::{Fault, FaultKind, Phase};
use crate::stage::{
    Ask, Configured, Deadlines, Doc, Entry, LayerContext, LayerKind, LayerSpec, Outlet, Place, Serving,
    Upstream,
};

const BOUNDS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

/// The kind `timeout`.
pub const TIMEOUT: LayerKind = LayerKind {
    doc: Doc {
        name: "timeout",
        about: "Ends what takes too long.",
        example: r#"timeout "10s" connect="5s" read="10s""#,
        entries: &[
            Entry {
                form: "TOTAL",
                about: "to the last byte of an exchange, to the head of one without end, or to the head of a viewer's answer; \
                        1ms to 1h",
                default: "",
            },
            Entry {
                form: r#"connect="5s""#,
                about: "resolving, connecting and the TLS handshake, on a source; 1ms to 1h",
                default: "5s",
            },
            Entry {
                form: r#"read="10s""#,
                about: "the wait for the head and the gap between two frames, on a source; 1ms to 1h",
                default: "10s",
            },
        ],
    },
    meaning: |place| match place {
        Place::Source => Ok("ends an exchange with the origin"),
        Place::Sink => Ok("ends the wait for the head of an answer"),
        Place::PushingSink => Ok("ends the wait for an operation, as writing a segment"),
        Place::MemoryBuffer => Err(WINDOW_IS_MEMORY),
    },
    decode: |node| decode(node).map(|spec| Box::new(spec) as Box<dyn LayerSpec>),
};

fn decode(node: &Node<'_>) -> Option<Timeout> {
    let default = Deadlines::default();
    let total = node.argument_within("total", BOUNDS);
    let connect = node.property_within("connect", BOUNDS).unwrap_or(default.connect);
    let read = node.property_within("read", BOUNDS).unwrap_or(default.read);
    Some(Timeout { total: total?, deadlines: Deadlines { connect, read } })
}

/// `timeout` as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeout {
    total: Duration,
    deadlines: Deadlines,
}

impl Configured for Timeout {
    fn kind(&self) -> &'static str {
        TIMEOUT.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let Deadlines { connect, read } = self.deadlines;
        Shown::new(self.kind())
            .argument(self.total)
            .property("connect", connect)
            .property("read", read)
            .node()
    }
}

impl LayerSpec for Timeout {
    fn wrap_upstream(&self, inner: Upstream, context: &LayerContext) -> Upstream {
        BoxCloneSyncService::new(self.around(inner, context))
    }

    fn wrap_serving(&self, inner: Serving, context: &LayerContext) -> Serving {
        Serving::new(self.around(inner, context))
    }

    fn wrap_pushing(&self, inner: Outlet, context: &LayerContext) -> Outlet {
        BoxCloneSyncService::new(self.around(inner, context))
    }
}

impl Timeout {
    fn around<S>(&self, inner: S, context: &LayerContext) -> Bounded<S> {
        let (stage, count) = (context.stage.clone(), context.metrics.timeouts());
        Bounded { inner, total: self.total, deadlines: self.deadlines, stage, count }
    }
}

#[derive(Clone)]
struct Bounded<S> {
    inner: S,
    total: Duration,
    deadlines: Deadlines,
    stage: Arc<str>,
    count: IntCounter,
}

impl<R: Ask, S: Inner<R>> Service<R> for Bounded<S> {
    type Response = S::Response;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<S::Response, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: R) -> Self::Future {
        request.bound(self.deadlines);
        let answering = self.inner.call(request);
        let (total, stage, count) = (self.total, self.stage.clone(), self.count.clone());
        Box::pin(async move {
            let waiting = Waiting::current();
            let Ok(result) = tokio::time::timeout(total, waiting.watch(answering)).await else {
                count.inc();
                // who waited for our own limits says nothing about the origin
                let kind = if waiting.is_ours() { FaultKind::Busy } else { FaultKind::Timeout(Phase::Total) };
                return Err(Fault::new(kind).at(&stage));
            };
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Bench, answer, layer, segment};
    use super::*;
    use crate::fault::Blame;

    #[tokio::test(start_paused = true)]
    async fn an_exchange_ends_with_its_total_time_and_carries_the_other_bounds() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[r#"timeout "10s" connect="1s" read="2s""#]);
        let asked = bench.ask(&mut upstream, segment("a"));
        let (exchange, _unanswered) = origin.next_request().await.unwrap();
        let expected = Deadlines { connect: Duration::from_secs(1), read: Duration::from_secs(2) };
        assert_eq!(exchange.deadlines, expected);
        let began = tokio::time::Instant::now();
        assert_eq!(asked.fault().await.kind, FaultKind::Timeout(Phase::Total));
        assert_eq!(began.elapsed(), Duration::from_secs(10));
        assert_eq!(bench.context.metrics.timeouts().get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_our_own_limit_is_our_own_fault() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[r#"rate-limit 1 per="60s""#, r#"timeout "10s""#]);
        let first = bench.ask(&mut upstream, segment("a"));
        origin.next_request().await.unwrap().1.send_response(answer("a"));
        first.await.unwrap();
        let second = bench.ask(&mut upstream, segment("b")).fault().await;
        assert_eq!(second.blame(), Blame::Us, "{second}");
        assert_eq!(bench.context.metrics.timeouts().get(), 1);
    }

    #[test]
    fn it_is_read_and_shown() {
        assert_eq!(layer(r#"timeout "10s""#).show(Reveal::Whole).to_string().trim(), {
            r#"timeout "10s" connect="5s" read="10s""#
        });
    }
}
