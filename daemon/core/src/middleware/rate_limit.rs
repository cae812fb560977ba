//! `rate-limit`: how many requests in a time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, Ready, ready};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use kdl::KdlNode;
use prometheus::IntCounter;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::waiting::ours;
use super::{Inner, WINDOW_IS_MEMORY, take_ready};
use crate::conf::{Node, Reveal, Shown};
use crate::fault::{Fault, FaultKind};
use crate::stage::{
    Ask, Configured, Doc, Entry, LayerContext, LayerKind, LayerSpec, Outlet, Place, Serving, Upstream,
};

/// How many clients are known one by one. Beyond, new ones share a limit with their neighbours.
const MAX_CLIENTS: usize = 65_536;
/// Clients that have been quiet are forgotten each time so many requests have passed.
const REQUESTS_BETWEEN_SWEEPS: usize = 4096;
/// Its table is looked at for its length each time so many have passed.
const REQUESTS_BETWEEN_LOOKS: usize = 64;
/// Who asks where nobody is told from another.
const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The kind `rate-limit`.
pub const RATE_LIMIT: LayerKind = LayerKind {
    doc: Doc {
        name: "rate-limit",
        about: "Limits how many requests pass in a time.",
        example: r#"rate-limit 20 per="1s" burst=5 by="client""#,
        entries: &[
            Entry {
                form: "COUNT",
                about: "so many requests in that time, evenly; 1 to 1000000",
                default: "",
            },
            Entry { form: r#"per="1s""#, about: "the time; 1ms to 24h", default: "1s" },
            Entry {
                form: "burst=5",
                about: "so many at once after a quiet time; 1 to 1000000",
                default: "COUNT",
            },
            Entry {
                form: r#"by="client""#,
                about: "each client address, IPv6 by its /64, or all together; clients exist on sinks only",
                default: "all",
            },
        ],
    },
    meaning: |place| match place {
        Place::Source => Ok("exchanges with the origin wait for their turn"),
        Place::Sink => Ok("a viewer over the limit gets 429 and Retry-After"),
        Place::PushingSink => Ok("operations, as writing a segment, wait for their turn"),
        Place::MemoryBuffer => Err(WINDOW_IS_MEMORY),
    },
    decode: |node| decode(node).map(|spec| Box::new(spec) as Box<dyn LayerSpec>),
};

fn decode(node: &Node<'_>) -> Option<RateLimit> {
    let count = node.argument_within("count", 1..=1_000_000);
    let bounds = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
    let per = node.property_within("per", bounds).unwrap_or(Duration::from_secs(1));
    let burst = node.property_within("burst", 1..=1_000_000).or(count);
    let by = node.property_among("by", &[("client", By::Client), ("all", By::All)]).unwrap_or(By::All);
    Some(RateLimit { count: count?, per, burst: burst?, by })
}

/// Who shares a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    All,
    Client,
}

/// `rate-limit` as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    count: u32,
    per: Duration,
    burst: u32,
    by: By,
}

impl Configured for RateLimit {
    fn kind(&self) -> &'static str {
        RATE_LIMIT.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let by = if self.by == By::Client { "client" } else { "all" };
        let shown = Shown::new(self.kind()).argument(self.count).property("per", self.per);
        shown.property("burst", self.burst).property("by", by).node()
    }
}

impl LayerSpec for RateLimit {
    fn wrap_upstream(&self, inner: Upstream, context: &LayerContext) -> Upstream {
        BoxCloneSyncService::new(Paced { inner, limit: self.limit(context) })
    }

    fn wrap_serving(&self, inner: Serving, context: &LayerContext) -> Serving {
        Serving::new(Refusing { inner, limit: self.limit(context) })
    }

    fn wrap_pushing(&self, inner: Outlet, context: &LayerContext) -> Outlet {
        BoxCloneSyncService::new(Paced { inner, limit: self.limit(context) })
    }
}

impl RateLimit {
    fn limit(&self, context: &LayerContext) -> Arc<Limit> {
        context.state(self, || self.fresh_limit(context))
    }

    fn fresh_limit(&self, context: &LayerContext) -> Limit {
        let one = NonZeroU32::MIN;
        let each = self.per / self.count.max(1);
        let quota = Quota::with_period(each).unwrap_or(Quota::per_second(one));
        let clock = PausableClock { epoch: Instant::now() };
        Limit {
            by: self.by,
            limiter: RateLimiter::dashmap_with_clock(
                quota.allow_burst(NonZeroU32::new(self.burst).unwrap_or(one)),
                clock.clone(),
            ),
            clock,
            requests: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            stage: context.stage.clone(),
            count: context.metrics.rate_limited(),
            turn: Semaphore::new(1),
        }
    }
}

/// The runtime's clock, so that tests can pause it.
#[derive(Debug, Clone)]
struct PausableClock {
    epoch: Instant,
}

impl Clock for PausableClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.epoch.elapsed().into()
    }
}

struct Limit {
    by: By,
    limiter: RateLimiter<IpAddr, DashMapStateStore<IpAddr>, PausableClock, NoOpMiddleware<Nanos>>,
    clock: PausableClock,
    requests: AtomicUsize,
    /// Whether the table is full, as of the last look at it.
    crowded: AtomicBool,
    stage: Arc<str>,
    count: IntCounter,
    /// Whose turn it is to wait, where requests wait.
    turn: Semaphore,
}

impl Limit {
    /// Takes a turn, or says how long until there is one.
    fn take(&self, client: Option<IpAddr>) -> Result<(), Duration> {
        let key = match self.by {
            By::Client => self.key(client),
            By::All => EVERYBODY,
        };
        self.limiter.check_key(&key).map_err(|early| early.wait_time_from(self.clock.now()))
    }

    fn key(&self, client: Option<IpAddr>) -> IpAddr {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if requests.is_multiple_of(REQUESTS_BETWEEN_SWEEPS) {
            self.limiter.retain_recent();
        }
        // the table stays bounded when someone comes from everywhere; to look at its length is to lock all of it
        if requests.is_multiple_of(REQUESTS_BETWEEN_LOOKS) {
            self.crowded.store(self.limiter.len() >= MAX_CLIENTS, Ordering::Relaxed);
        }
        client.map_or(EVERYBODY, |client| neighbourhood(client, self.crowded.load(Ordering::Relaxed)))
    }
}

/// The network that counts as one client: IPv4 /32 or in a crowd /16, IPv6 /64 or in a crowd /32.
fn neighbourhood(client: IpAddr, crowded: bool) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) if crowded => Ipv4Addr::from_bits(address.to_bits() & (!0 << 16)).into(),
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let kept = if crowded { 32 } else { 64 };
            Ipv6Addr::from_bits(address.to_bits() & (!0 << (128 - kept))).into()
        }
    }
}

/// Waits for its turn, first come, first served.
#[derive(Clone)]
struct Paced<S> {
    inner: S,
    limit: Arc<Limit>,
}

async fn wait(limit: &Limit, client: Option<IpAddr>) -> Result<(), Fault> {
    let stopped = |_| Fault::new(FaultKind::Stopped).at(&limit.stage);
    let _turn = limit.turn.acquire().await.map_err(stopped)?;
    let mut waits = 0;
    while let Err(early) = limit.take(client) {
        waits += 1;
        tokio::time::sleep(early).await;
    }
    limit.count.inc_by(waits.min(1));
    Ok(())
}

impl<R: Ask, S: Inner<R>> Service<R> for Paced<S> {
    type Response = S::Response;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<S::Response, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let limit = self.limit.clone();
        Box::pin(async move {
            ours(wait(&limit, request.client())).await?;
            inner.call(request).await
        })
    }
}

/// Refuses what comes too early.
#[derive(Clone)]
struct Refusing<S> {
    inner: S,
    limit: Arc<Limit>,
}

impl<R: Ask, S: Inner<R>> Service<R> for Refusing<S> {
    type Response = S::Response;
    type Error = Fault;
    type Future = Either<Ready<Result<S::Response, Fault>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.limit.take(request.client()) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(early) => {
                self.limit.count.inc();
                let fault = Fault::new(FaultKind::RateLimited).after(early).at(&self.limit.stage);
                Either::Left(ready(Err(fault)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Bench, answer, page, segment, viewing, viewing_from};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn exchanges_wait_for_their_turn_in_order() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[r#"rate-limit 2 per="1s" burst=1"#]);
        let began = Instant::now();
        let asked: Vec<_> = ["a", "b", "c"].map(|name| bench.ask(&mut upstream, segment(name))).into();
        for (at, name) in ["a", "b", "c"].iter().enumerate() {
            let (exchange, respond) = origin.next_request().await.unwrap();
            assert!(exchange.url.path().ends_with(name));
            let expected = Duration::from_millis(500 * at as u64);
            assert!(began.elapsed().abs_diff(expected) < Duration::from_millis(5), "{:?}", began.elapsed());
            respond.send_response(answer(""));
        }
        for asked in asked {
            asked.await.unwrap();
        }
        assert_eq!(bench.context.metrics.rate_limited().get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_over_the_limit_is_refused_and_told_when_to_come_again() {
        let bench = Bench::new();
        let (mut serving, mut sink) = bench.serving(&[r#"rate-limit 1 per="10s" by="client""#]);
        let from = |text: &str| viewing_from(text.parse().unwrap());
        let neighbours = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1"];
        for client in neighbours {
            let served = bench.view(&mut serving, from(client));
            sink.next_request().await.unwrap().1.send_response(page(""));
            assert!(served.await.is_ok(), "{client}");
        }
        for client in ["10.0.0.1", "::ffff:10.0.0.2", "2001:db8::2"] {
            let refused = bench.view(&mut serving, from(client)).fault().await;
            assert_eq!(refused.kind, FaultKind::RateLimited, "{client}");
            assert!(refused.retry_after.unwrap() <= Duration::from_secs(10));
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        let served = bench.view(&mut serving, from("10.0.0.1"));
        sink.next_request().await.unwrap().1.send_response(page(""));
        assert!(served.await.is_ok());
        assert_eq!(bench.context.metrics.rate_limited().get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_key_all_viewers_share_the_limit() {
        let bench = Bench::new();
        let (mut serving, mut sink) = bench.serving(&[r#"rate-limit 1 per="10s""#]);
        let served = bench.view(&mut serving, viewing());
        sink.next_request().await.unwrap().1.send_response(page(""));
        assert!(served.await.is_ok());
        assert!(bench.view(&mut serving, viewing_from("10.9.9.9".parse().unwrap())).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_of_clients_is_swept_and_bounded() {
        let spec = RateLimit { count: 1, per: Duration::from_secs(1), burst: 1, by: By::Client };
        let limit = spec.limit(&Bench::new().context);
        let knock = |number: u32| limit.take(Some(Ipv4Addr::from_bits(0x0b00_0000 + number).into())).is_ok();
        for number in 0..200_000 {
            knock(number);
        }
        assert!(limit.limiter.len() < MAX_CLIENTS + 16 + REQUESTS_BETWEEN_LOOKS, "{}", limit.limiter.len());
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..REQUESTS_BETWEEN_SWEEPS {
            knock(0);
        }
        assert!(limit.limiter.len() < 10, "{}", limit.limiter.len());
    }
}
