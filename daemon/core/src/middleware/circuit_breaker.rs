//! `circuit-breaker`: leaves an origin alone that fails again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kdl::KdlNode;
use prometheus::{IntCounter, IntGauge};
use tokio::time::Instant;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::{Inner, WINDOW_IS_MEMORY};
use crate::conf::{Node, Reveal, Shown};
use crate::fault::{Blame, Fault, FaultKind};
use crate::stage::{
    Ask, Configured, Doc, Entry, LayerContext, LayerKind, LayerSpec, Outlet, Place, Serving, Upstream,
};

/// How long others wait while a probe is under way.
const PROBING: Duration = Duration::from_secs(1);

/// The kind `circuit-breaker`.
pub const CIRCUIT_BREAKER: LayerKind = LayerKind {
    doc: Doc {
        name: "circuit-breaker",
        about: "Leaves an origin alone that failed several times in a row, and then tries it with one request.",
        example: r#"circuit-breaker failures=5 recover="30s""#,
        entries: &[
            Entry {
                form: "failures=5",
                about: "faults of the origin in a row that open it; refusals like 404 are answers; 1 to 1000",
                default: "5",
            },
            Entry {
                form: r#"recover="30s""#,
                about: "how long it stays open before one request may try; 100ms to 1h",
                default: "30s",
            },
        ],
    },
    meaning: |place| match place {
        Place::Source => Ok("fails at once while the origin is left alone"),
        Place::Sink => Err("nothing beneath a sink can break: put it on the source"),
        Place::PushingSink => Ok("fails at once while what it writes to is left alone"),
        Place::MemoryBuffer => Err(WINDOW_IS_MEMORY),
    },
    decode: |node| decode(node).map(|spec| Box::new(spec) as Box<dyn LayerSpec>),
};

fn decode(node: &Node<'_>) -> Option<CircuitBreaker> {
    let failures = node.property_within("failures", 1..=1000).unwrap_or(5);
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
    let recover = node.property_within("recover", bounds).unwrap_or(Duration::from_secs(30));
    Some(CircuitBreaker { failures, recover })
}

/// `circuit-breaker` as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitBreaker {
    failures: u32,
    recover: Duration,
}

impl Configured for CircuitBreaker {
    fn kind(&self) -> &'static str {
        CIRCUIT_BREAKER.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        Shown::new(self.kind()).property("failures", self.failures).property("recover", self.recover).node()
    }
}

impl LayerSpec for CircuitBreaker {
    fn wrap_upstream(&self, inner: Upstream, context: &LayerContext) -> Upstream {
        let breaker = context.state(self, || Breaker::new(self.clone(), context));
        BoxCloneSyncService::new(Guarded { inner, breaker })
    }

    fn wrap_serving(&self, inner: Serving, _: &LayerContext) -> Serving {
        inner // refused at `check`
    }

    fn wrap_pushing(&self, inner: Outlet, context: &LayerContext) -> Outlet {
        let breaker = context.state(self, || Breaker::new(self.clone(), context));
        BoxCloneSyncService::new(Guarded { inner, breaker })
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One probe is under way.
    HalfOpen,
}

struct Breaker {
    spec: CircuitBreaker,
    stage: Arc<str>,
    gauge: IntGauge,
    opened: IntCounter,
    state: Mutex<State>,
}

/// What a request may do; dropped unanswered, a probe gives its turn to the next request.
struct Pass {
    breaker: Arc<Breaker>,
    probe: bool,
}

impl Breaker {
    fn new(spec: CircuitBreaker, context: &LayerContext) -> Self {
        let gauge = context.metrics.breaker_state();
        gauge.set(0);
        let (stage, opened) = (context.stage.clone(), context.metrics.breaker_opened());
        Self { spec, stage, gauge, opened, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    fn admit(self: &Arc<Self>) -> Result<Pass, Fault> {
        let mut state = self.lock();
        let wait = match *state {
            State::Closed { .. } => return Ok(Pass { breaker: self.clone(), probe: false }),
            State::Open { until } if until <= Instant::now() => {
                self.enter(&mut state, State::HalfOpen);
                return Ok(Pass { breaker: self.clone(), probe: true });
            }
            State::Open { until } => until.duration_since(Instant::now()),
            State::HalfOpen => PROBING,
        };
        Err(Fault::new(FaultKind::BreakerOpen).after(wait).at(&self.stage))
    }

    fn enter(&self, state: &mut State, next: State) {
        *state = next;
        self.gauge.set(match next {
            State::Closed { .. } => 0,
            State::HalfOpen => 1,
            State::Open { .. } => 2,
        });
    }

    fn open(&self, state: &mut State) {
        self.enter(state, State::Open { until: Instant::now() + self.spec.recover });
        self.opened.inc();
        tracing::warn!(stage = %self.stage, recover = ?self.spec.recover, "circuit breaker opened");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    fn settle<T>(self, result: &Result<T, Fault>) {
        let mut state = self.breaker.lock();
        match (*state, result) {
            // an answer to a request from before says nothing about now
            (State::Open { .. }, _) => {}
            (State::HalfOpen, _) if !self.probe => {}
            (_, Ok(_)) => self.breaker.enter(&mut state, State::Closed { failures: 0 }),
            (_, Err(fault)) if !is_failure(fault) => {}
            (State::Closed { failures }, Err(_)) if failures + 1 < self.breaker.spec.failures => {
                *state = State::Closed { failures: failures + 1 };
            }
            (_, Err(_)) => self.breaker.open(&mut state),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if self.probe && *state == State::HalfOpen {
            self.breaker.enter(&mut state, State::Open { until: Instant::now() });
        }
    }
}

/// Whether a fault says that the origin, or what is written to, is unwell. One that refuses a single object is not.
fn is_failure(fault: &Fault) -> bool {
    if matches!(fault.kind, FaultKind::Full | FaultKind::Write(_)) {
        return true;
    }
    let refusal = matches!(&fault.kind, FaultKind::Status(code) if code.is_client_error());
    fault.blame() == Blame::Upstream && (!refusal || fault.is_retryable())
}

#[derive(Clone)]
struct Guarded<S> {
    inner: S,
    breaker: Arc<Breaker>,
}

impl<R: Ask, S: Inner<R>> Service<R> for Guarded<S> {
    type Response = S::Response;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<S::Response, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let pass = match self.breaker.admit() {
            Ok(pass) => pass,
            Err(fault) => return Box::pin(std::future::ready(Err(fault))),
        };
        let answering = self.inner.call(request);
        Box::pin(async move {
            let result = answering.await;
            pass.settle(&result);
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tower_test::mock::Handle;

    use super::super::fixture::{Bench, answer, segment};
    use super::*;
    use crate::stage::{Answer, Exchange};

    const UNWELL: FaultKind = FaultKind::Connect;

    struct Scene {
        bench: Bench,
        upstream: Upstream,
        origin: Handle<Exchange, Answer>,
    }

    impl Scene {
        fn new() -> Self {
            let bench = Bench::new();
            let (upstream, origin) = bench.upstream(&[r#"circuit-breaker failures=3 recover="30s""#]);
            Self { bench, upstream, origin }
        }

        async fn exchange(&mut self, outcome: Result<(), FaultKind>) {
            let asked = self.bench.ask(&mut self.upstream, segment("a"));
            let (_, respond) = self.origin.next_request().await.unwrap();
            let expected = outcome.is_ok();
            match outcome {
                Ok(()) => respond.send_response(answer("a")),
                Err(kind) => respond.send_error(Fault::new(kind)),
            }
            assert_eq!(asked.await.is_ok(), expected);
        }

        async fn refused(&mut self) -> Fault {
            let fault = self.bench.ask(&mut self.upstream, segment("a")).fault().await;
            assert_eq!(fault.kind, FaultKind::BreakerOpen);
            fault
        }

        async fn break_it(&mut self) {
            for _ in 0..3 {
                self.exchange(Err(UNWELL)).await;
            }
        }

        fn gauge(&self) -> i64 {
            self.bench.context.metrics.breaker_state().get()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_the_origin_in_a_row_open_it_and_a_probe_closes_it() {
        let mut scene = Scene::new();
        scene.exchange(Err(UNWELL)).await;
        scene.exchange(Err(UNWELL)).await;
        scene.exchange(Ok(())).await;
        scene.break_it().await;
        assert_eq!(scene.refused().await.retry_after, Some(Duration::from_secs(30)));
        assert_eq!((scene.gauge(), scene.bench.context.metrics.breaker_opened().get()), (2, 1));
        tokio::time::advance(Duration::from_secs(30)).await;
        scene.exchange(Ok(())).await;
        assert_eq!(scene.gauge(), 0);
        scene.exchange(Err(UNWELL)).await;
        scene.exchange(Ok(())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_probe_goes_out_and_its_failure_opens_it_again() {
        let mut scene = Scene::new();
        scene.break_it().await;
        tokio::time::advance(Duration::from_secs(31)).await;
        let probe = scene.bench.ask(&mut scene.upstream, segment("a"));
        let (_, respond) = scene.origin.next_request().await.unwrap();
        assert_eq!(scene.gauge(), 1);
        scene.refused().await;
        respond.send_error(Fault::new(UNWELL));
        assert_eq!(probe.fault().await.kind, UNWELL);
        assert_eq!(scene.refused().await.retry_after, Some(Duration::from_secs(30)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_goes_away_gives_its_turn_to_the_next() {
        let mut scene = Scene::new();
        scene.break_it().await;
        tokio::time::advance(Duration::from_secs(31)).await;
        let probe = scene.bench.ask(&mut scene.upstream, segment("a"));
        let _unanswered = scene.origin.next_request().await.unwrap();
        probe.leave().await;
        scene.exchange(Ok(())).await;
        assert_eq!(scene.gauge(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_the_origins_failure_does_not_count() {
        let mut scene = Scene::new();
        for _ in 0..10 {
            scene.exchange(Err(FaultKind::Busy)).await;
            scene.exchange(Err(FaultKind::Status(StatusCode::NOT_FOUND))).await;
        }
        assert_eq!(scene.gauge(), 0);
    }
}
