//! `retry`: sends what failed once more, later, as long as the budget lasts.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kdl::KdlNode;
use prometheus::IntCounter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower::retry::budget::{Budget, TpsBudget};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use super::{Inner, WINDOW_IS_MEMORY, take_ready};
use crate::conf::{Backoff, Node, Reveal, Shown};
use crate::fault::{Blame, Fault, FaultKind};
use crate::pipeline::{Shared, Status};
use crate::stage::{
    Ask, Configured, Doc, Entry, LayerContext, LayerKind, LayerSpec, Outlet, Place, Reply, Serving, Upstream,
};

/// An origin that wants to be left alone for longer is asked again after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
/// For how long a request counts for the budget.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Retries per second that the budget grants to a stage with few requests.
const BUDGET_FLOOR: u32 = 1;

/// The kind `retry`.
pub const RETRY: LayerKind = LayerKind {
    doc: Doc {
        name: "retry",
        about: "Sends what failed once more, where that can help.",
        example: r#"retry 3 backoff="200ms..5s" budget=0.2"#,
        entries: &[
            Entry { form: "TIMES", about: "so many more attempts; 1 to 100", default: "" },
            Entry {
                form: r#"backoff="200ms..5s""#,
                about: "the wait before an attempt: doubles from the first to the most, with jitter; an origin's \
                        Retry-After counts up to 30s",
                default: "200ms..5s",
            },
            Entry {
                form: "budget=0.2",
                about: "retries as a part of the requests of the last 10s, beside one each second; 0 to 1; on a source",
                default: "0.2",
            },
        ],
    },
    meaning: |place| match place {
        Place::Source => Ok("asks the origin again after faults that can pass"),
        Place::Sink => Ok("holds a viewer's request while the stream starts"),
        Place::PushingSink => Ok("carries out an operation again after faults that can pass; no budget"),
        Place::MemoryBuffer => Err(WINDOW_IS_MEMORY),
    },
    decode: |node| decode(node).map(|spec| Box::new(spec) as Box<dyn LayerSpec>),
};

fn decode(node: &Node<'_>) -> Option<Retry> {
    let default = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(5) };
    let times = node.argument_within("number of attempts", 1..=100);
    let backoff = node.property("backoff").unwrap_or(default);
    let budget = node.property_within("budget", 0.0..=1.0).unwrap_or(0.2);
    Some(Retry { times: times?, backoff, budget })
}

/// `retry` as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    times: u32,
    backoff: Backoff,
    budget: f64,
}

impl Configured for Retry {
    fn kind(&self) -> &'static str {
        RETRY.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let shown = Shown::new(self.kind()).argument(self.times).property("backoff", self.backoff);
        shown.property("budget", self.budget).node()
    }
}

impl LayerSpec for Retry {
    fn wrap_upstream(&self, inner: Upstream, context: &LayerContext) -> Upstream {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a part from 0 to 1, of which a few digits matter"
        )]
        let budget = context.state(self, || TpsBudget::new(BUDGET_WINDOW, BUDGET_FLOOR, self.budget as f32));
        BoxCloneSyncService::new(self.around(inner, Rule::Origin(budget), context))
    }

    fn wrap_serving(&self, inner: Serving, context: &LayerContext) -> Serving {
        Serving::new(self.around(inner, Rule::Starting(context.pipeline.clone()), context))
    }

    fn wrap_pushing(&self, inner: Outlet, context: &LayerContext) -> Outlet {
        BoxCloneSyncService::new(self.around(inner, Rule::Operation, context))
    }
}

impl Retry {
    fn around<S>(&self, inner: S, rule: Rule, context: &LayerContext) -> Repeating<S> {
        Repeating { inner, spec: self.clone(), rule, count: context.metrics.retries() }
    }

    /// The longest wait before retry number `attempt`, counted from 0.
    fn longest(&self, attempt: u32) -> Duration {
        self.backoff
            .first
            .saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX))
            .min(self.backoff.most)
    }
}

/// What is tried again, and when.
#[derive(Clone)]
enum Rule {
    /// What the origin failed and may mend, within a budget, after a jittered wait.
    Origin(Arc<TpsBudget>),
    /// What fails because the pipeline starts, as soon as its status changes or media comes. Only the wait counts: a
    /// stream may need several parts before there is enough to play.
    Starting(Arc<Shared>),
    /// What an operation failed and may pass, after a jittered wait.
    Operation,
}

/// One request's view of its rule.
enum Course {
    Origin(Arc<TpsBudget>),
    Starting(watch::Receiver<Status>, watch::Receiver<Instant>),
    Operation,
}

impl Rule {
    fn begin(&self) -> Course {
        match self {
            Self::Origin(budget) => {
                budget.deposit();
                Course::Origin(budget.clone())
            }
            // subscribed before the attempt, so that no change between it and the wait is missed
            Self::Starting(pipeline) => Course::Starting(pipeline.status(), pipeline.arrivals()),
            Self::Operation => Course::Operation,
        }
    }
}

impl Course {
    fn may_retry(&self, fault: &Fault) -> bool {
        match self {
            Self::Origin(budget) => {
                fault.is_retryable() && fault.blame() == Blame::Upstream && budget.withdraw()
            }
            Self::Starting(..) => matches!(fault.kind, FaultKind::Starting | FaultKind::Failed(_)),
            Self::Operation => fault.is_retryable(),
        }
    }

    /// How long to wait after this fault.
    fn pause(&self, longest: Duration, fault: &Fault) -> Duration {
        match self {
            Self::Origin(_) | Self::Operation => {
                let asked = fault.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                longest.mul_f64(rand::random()).max(asked)
            }
            Self::Starting(..) => longest,
        }
    }

    /// Waits until then, or until something changed that may help; gives whether the time is over.
    async fn wait(&mut self, until: Instant) -> bool {
        match self {
            Self::Origin(_) | Self::Operation => {
                sleep_until(until).await;
                true
            }
            Self::Starting(status, media) => tokio::select! {
                Ok(()) = status.changed() => false,
                Ok(()) = media.changed() => false,
                () = sleep_until(until) => true,
            },
        }
    }
}

#[derive(Clone)]
struct Repeating<S> {
    inner: S,
    spec: Retry,
    rule: Rule,
    count: IntCounter,
}

impl<R: Ask, S: Inner<R>> Service<R> for Repeating<S> {
    type Response = S::Response;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<S::Response, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut course = self.rule.begin();
        let (spec, count) = (self.spec.clone(), self.count.clone());
        let mut next = request.again();
        let mut ready = take_ready(&mut self.inner);
        let again = self.inner.clone();
        Box::pin(async move {
            let mut result = ready.call(request).await;
            let (mut attempt, mut sent, mut until) = (0, 0, None);
            while attempt < spec.times {
                let Err(fault) = &result else { break };
                let Some(request) = next.take_if(|_| course.may_retry(fault)) else { break };
                let pause = course.pause(spec.longest(attempt), fault);
                if course.wait(*until.get_or_insert_with(|| Instant::now() + pause)).await {
                    (attempt, until) = (attempt + 1, None);
                }
                count.inc();
                sent += 1;
                next = request.again();
                result = again.clone().oneshot(request).await;
            }
            result.map(|reply| reply.retried(sent))
        })
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::fixture::{Bench, answer, page, segment, viewing};
    use super::*;
    use crate::pipeline::State;

    const BUSY_ORIGIN: FaultKind = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE);

    #[tokio::test(start_paused = true)]
    async fn what_can_pass_is_tried_again_within_the_backoff() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[r#"retry 3 backoff="1s..2s""#]);
        let asked = bench.ask(&mut upstream, segment("a"));
        for longest in [1, 2, 2] {
            let (_, respond) = origin.next_request().await.unwrap();
            respond.send_error(Fault::new(FaultKind::Connect));
            let failed = Instant::now();
            assert!(bench.is_idle(&mut origin).await);
            tokio::time::advance(Duration::from_secs(longest)).await;
            assert!(failed.elapsed() <= Duration::from_millis(longest * 1000 + 5));
        }
        origin.next_request().await.unwrap().1.send_response(answer("a"));
        assert!(asked.await.is_ok());
        assert_eq!(bench.context.metrics.retries().get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_fault_comes_out_after_the_last_attempt() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&["retry 1"]);
        let asked = bench.ask(&mut upstream, segment("a"));
        origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
        origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Truncated));
        assert_eq!(asked.fault().await.kind, FaultKind::Truncated);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_pass_or_is_our_own_is_not_tried_again() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&["retry 3"]);
        for kind in [FaultKind::Status(StatusCode::NOT_FOUND), FaultKind::BreakerOpen, FaultKind::Starting] {
            let asked = bench.ask(&mut upstream, segment("a"));
            origin.next_request().await.unwrap().1.send_error(Fault::new(kind.clone()));
            assert_eq!(asked.fault().await.kind, kind);
        }
        assert_eq!(bench.context.metrics.retries().get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_origin_says_when_to_come_again_up_to_a_bound() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[r#"retry 2 backoff="1ms""#]);
        let asked = bench.ask(&mut upstream, segment("a"));
        for (said, waited) in [(7, 7), (3600, 30)] {
            let (_, respond) = origin.next_request().await.unwrap();
            let failed = Instant::now();
            respond.send_error(Fault::new(BUSY_ORIGIN).after(Duration::from_secs(said)));
            assert!(bench.is_idle(&mut origin).await);
            tokio::time::advance(Duration::from_secs(waited) - Duration::from_millis(5)).await;
            assert!(bench.is_idle(&mut origin).await, "it came after {:?}", failed.elapsed());
        }
        origin.next_request().await.unwrap().1.send_response(answer("a"));
        assert!(asked.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_exhausted_budget_ends_retries() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[r#"retry 100 backoff="1ms" budget=0.2"#]);
        let failing = tokio::spawn(async move {
            while let Some((_, respond)) = origin.next_request().await {
                respond.send_error(Fault::new(FaultKind::Connect));
            }
        });
        for _ in 0..50 {
            assert!(bench.ask(&mut upstream, segment("a")).await.is_err());
        }
        // 50 requests grant 10 retries, and the floor of 10 s another 10
        let retries = bench.context.metrics.retries().get();
        assert!((10..=20).contains(&retries), "{retries}");
        failing.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_above_is_paid_by_retries_and_one_below_is_not() {
        for (layers, retries_wait) in [
            ([r#"rate-limit 1 per="60s""#, r#"retry 1 backoff="1ms""#], true),
            ([r#"retry 1 backoff="1ms""#, r#"rate-limit 1 per="60s""#], false),
        ] {
            let bench = Bench::new();
            let (mut upstream, mut origin) = bench.upstream(&layers);
            let began = Instant::now();
            let asked = bench.ask(&mut upstream, segment("a"));
            origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
            origin.next_request().await.unwrap().1.send_response(answer("a"));
            assert!(asked.await.is_ok());
            assert_eq!(began.elapsed() >= Duration::from_secs(59), retries_wait, "{layers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_is_held_until_the_pipeline_is_live() {
        let bench = Bench::new();
        let (mut serving, mut sink) = bench.serving(&[r#"retry 3 backoff="5s..60s""#]);
        let held = bench.view(&mut serving, viewing());
        sink.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Starting));
        assert!(bench.is_idle(&mut sink).await);
        let began = Instant::now();
        bench.context.pipeline.set_state(State::Live, "");
        sink.next_request().await.unwrap().1.send_response(page("#EXTM3U"));
        assert!(held.await.is_ok());
        assert!(began.elapsed() < Duration::from_millis(10), "it did not wait for the backoff");
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_is_held_over_media_that_is_not_enough_to_play() {
        let bench = Bench::new();
        let (mut serving, mut sink) = bench.serving(&[r#"retry 1 backoff="20s""#]);
        let held = bench.view(&mut serving, viewing());
        bench.context.pipeline.set_state(State::Live, "");
        let began = Instant::now();
        for _ in 0..5 {
            sink.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Starting));
            assert!(bench.is_idle(&mut sink).await);
            bench.context.pipeline.media_came(Instant::now());
        }
        sink.next_request().await.unwrap().1.send_response(page("#EXTM3U"));
        assert!(held.await.is_ok());
        assert!(began.elapsed() < Duration::from_secs(1), "it did not wait for the backoff");
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_who_asks_for_nothing_there_is_not_held() {
        let bench = Bench::new();
        let (mut serving, mut sink) = bench.serving(&["retry 3"]);
        for kind in [FaultKind::NotFound, FaultKind::Connect] {
            let refused = bench.view(&mut serving, viewing());
            sink.next_request().await.unwrap().1.send_error(Fault::new(kind.clone()));
            assert_eq!(refused.fault().await.kind, kind);
        }
    }
}
