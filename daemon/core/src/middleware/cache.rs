//! `cache`: keeps what an origin sent, and asks once for what many want at the same time.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kdl::KdlNode;
use moka::future::Cache as Store;
use prometheus::IntCounter;
use tokio::time::Instant;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::flight::{Flights, Seat};
use super::{WINDOW_IS_MEMORY, take_ready};
use crate::conf::{ByteSize, Node, Reveal, Shown};
use crate::fault::{Fault, FaultKind};
use crate::stage::{
    Answer, Ask, Class, Configured, Doc, Entry, Exchange, Freshness, LayerContext, LayerKind, LayerSpec,
    Place, Serving, Upstream,
};

/// What an entry weighs beside its body: key, headers, book-keeping.
const ENTRY_OVERHEAD_BYTES: usize = 1024;

/// The kind `cache`.
pub const CACHE: LayerKind = LayerKind {
    doc: Doc {
        name: "cache",
        about: "Keeps segments, keys and init sections, and asks once for what many want at the same time.",
        example: r#"cache ttl="5m" max="64MiB" stale="10m""#,
        entries: &[
            Entry { form: r#"ttl="5m""#, about: "how long an answer is fresh; 1s to 24h", default: "5m" },
            Entry {
                form: r#"max="64MiB""#,
                about: "how much is kept; the least used goes first; 64KiB to 64GiB",
                default: "64MiB",
            },
            Entry {
                form: r#"stale="10m""#,
                about: "how long beyond its time an answer serves while the origin fails; 0s to 24h",
                default: "the ttl",
            },
        ],
    },
    meaning: |place| match place {
        Place::Source => Ok("keeps answers of the origin; live playlists are shared and never kept"),
        Place::Sink => Err("playlists are rendered once for each change and segments are shared already"),
        Place::MemoryBuffer => Err(WINDOW_IS_MEMORY),
    },
    decode: |node| decode(node).map(|spec| Box::new(spec) as Box<dyn LayerSpec>),
};

fn decode(node: &Node<'_>) -> Option<Cache> {
    let day = Duration::from_secs(24 * 3600);
    let ttl = node.property_within("ttl", Duration::from_secs(1)..=day).unwrap_or(Duration::from_secs(300));
    let max =
        node.property_within("max", ByteSize(64 << 10)..=ByteSize(64 << 30)).unwrap_or(ByteSize(64 << 20));
    let stale = node.property_within("stale", Duration::ZERO..=day).unwrap_or(ttl);
    Some(Cache { ttl, max, stale })
}

/// `cache` as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    ttl: Duration,
    max: ByteSize,
    stale: Duration,
}

impl Configured for Cache {
    fn kind(&self) -> &'static str {
        CACHE.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        let shown = Shown::new(self.kind()).property("ttl", self.ttl).property("max", self.max);
        shown.property("stale", self.stale).node()
    }
}

impl LayerSpec for Cache {
    fn wrap_upstream(&self, inner: Upstream, context: &LayerContext) -> Upstream {
        let weigh = |key: &String, kept: &Kept| {
            let bytes = kept.answer.body.len().saturating_add(key.len()).saturating_add(ENTRY_OVERHEAD_BYTES);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let store = Store::builder()
            .weigher(weigh)
            .max_capacity(self.max.0)
            .time_to_live(self.ttl.saturating_add(self.stale))
            .build();
        let count = |result| context.metrics.cache(result);
        let counts =
            Counts { hit: count("hit"), miss: count("miss"), stale: count("stale"), shared: count("shared") };
        let shelf = Arc::new(Shelf { spec: self.clone(), store, counts, stage: context.stage.clone() });
        BoxCloneSyncService::new(Caching { inner, shelf, flights: Flights::default() })
    }

    fn wrap_serving(&self, inner: Serving, _: &LayerContext) -> Serving {
        inner // refused at `check`
    }
}

/// An answer, and when it came.
#[derive(Clone)]
struct Kept {
    answer: Answer,
    since: Instant,
}

struct Counts {
    hit: IntCounter,
    miss: IntCounter,
    stale: IntCounter,
    shared: IntCounter,
}

struct Shelf {
    spec: Cache,
    store: Store<String, Kept>,
    counts: Counts,
    stage: Arc<str>,
}

impl Shelf {
    /// What is kept under `key`, fresh or stale, where it may still serve.
    async fn find(&self, key: &str) -> Option<Kept> {
        let kept = self.store.get(key).await?;
        (kept.since.elapsed() < self.spec.ttl.saturating_add(self.spec.stale)).then_some(kept)
    }

    fn is_fresh(&self, kept: &Kept) -> bool {
        kept.since.elapsed() < self.spec.ttl
    }
}

/// Whether an answer may be kept by time. A playlist changes; a 304 is worth nothing without what it confirms.
fn is_kept(exchange: &Exchange) -> bool {
    exchange.class != Class::Playlist && exchange.validators.is_empty()
}

/// Whether an old answer may stand in: not where the origin says that there is none any more.
fn is_passing(fault: &Fault) -> bool {
    !matches!(fault.kind, FaultKind::Status(code) if code.is_client_error() && !fault.is_retryable())
}

/// Exchanges with one key get one answer: the request line, and all that decides what comes back or who may have it.
fn key(exchange: &Exchange) -> Option<String> {
    let name = exchange.key()?;
    let mut key = format!("{:?} {:?} {name}", exchange.class, exchange.provenance);
    for (header, value) in &exchange.validators {
        key.push_str(&format!("\n{header}: {value:?}"));
    }
    Some(key)
}

#[derive(Clone)]
struct Caching<S> {
    inner: S,
    shelf: Arc<Shelf>,
    flights: Flights<Answer>,
}

impl<S> Service<Exchange> for Caching<S>
where
    S: Service<Exchange, Response = Answer, Error = Fault, Future: Send + 'static> + Clone + Send + 'static,
{
    type Response = Answer;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Answer, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let Some(key) = key(&exchange) else { return Box::pin(self.inner.call(exchange)) };
        let inner = take_ready(&mut self.inner);
        let (shelf, flights) = (self.shelf.clone(), self.flights.clone());
        Box::pin(async move {
            let keep = is_kept(&exchange);
            let kept = if keep { shelf.find(&key).await } else { None };
            if let Some(kept) = kept.as_ref().filter(|kept| shelf.is_fresh(kept)) {
                shelf.counts.hit.inc();
                return Ok(Answer { freshness: Freshness::Cache, ..kept.answer.clone() });
            }
            let fetch = || fetch(inner, exchange, keep.then(|| (shelf.clone(), key.clone())));
            let outcome = match flights.board(key.clone(), fetch) {
                Seat::Leader(outcome) => {
                    shelf.counts.miss.inc();
                    outcome
                }
                Seat::Passenger(outcome) => {
                    shelf.counts.shared.inc();
                    outcome
                }
            };
            match (outcome.await, kept) {
                (Err(fault), Some(kept)) if is_passing(&fault) => {
                    shelf.counts.stale.inc();
                    tracing::debug!(stage = %shelf.stage, %fault, "stale answer served");
                    Ok(Answer { freshness: Freshness::Stale(fault), ..kept.answer })
                }
                (result, _) => result,
            }
        })
    }
}

async fn fetch<S>(
    mut inner: S,
    exchange: Exchange,
    keep: Option<(Arc<Shelf>, String)>,
) -> Result<Answer, Fault>
where
    S: Service<Exchange, Response = Answer, Error = Fault>,
{
    let answer = inner.call(exchange).await?;
    if let Some((shelf, key)) = keep {
        shelf.store.insert(key, Kept { answer: answer.clone(), since: Instant::now() }).await;
        shelf.store.run_pending_tasks().await; // so that the bound holds now, and not some time later
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode, header};
    use tower_test::mock::Handle;

    use super::super::fixture::{Bench, answer, playlist, segment};
    use super::*;

    const LINE: &str = r#"cache ttl="60s" max="64KiB" stale="60s""#;

    async fn respond(origin: &mut Handle<Exchange, Answer>, body: &'static str) {
        origin.next_request().await.unwrap().1.send_response(answer(body));
    }

    fn counts(bench: &Bench) -> [u64; 4] {
        ["hit", "miss", "stale", "shared"].map(|result| bench.context.metrics.cache(result).get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_fresh_answer_costs_the_origin_nothing() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[LINE]);
        let first = bench.ask(&mut upstream, segment("a"));
        respond(&mut origin, "one").await;
        assert!(matches!(first.await.unwrap().freshness, Freshness::Origin));
        tokio::time::advance(Duration::from_secs(59)).await;
        let second = bench.ask(&mut upstream, segment("a")).await.unwrap();
        assert!(matches!(second.freshness, Freshness::Cache));
        assert_eq!(second.body, "one");
        tokio::time::advance(Duration::from_secs(2)).await;
        let third = bench.ask(&mut upstream, segment("a"));
        respond(&mut origin, "two").await;
        assert_eq!(third.await.unwrap().body, "two");
        assert_eq!(counts(&bench), [1, 2, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_share_one_fetch_even_when_the_first_leaves() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[LINE]);
        let leader = bench.ask(&mut upstream, segment("a"));
        let (_, respond) = origin.next_request().await.unwrap();
        let others: Vec<_> = (0..100).map(|_| bench.ask(&mut upstream, segment("a"))).collect();
        assert!(bench.is_idle(&mut origin).await);
        leader.leave().await;
        respond.send_response(answer("one"));
        for other in others {
            assert_eq!(other.await.unwrap().body, "one");
        }
        assert!(bench.is_idle(&mut origin).await);
        assert_eq!(counts(&bench), [0, 1, 0, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shared_fault_fails_every_caller_and_is_not_kept() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[LINE]);
        let (first, second) =
            (bench.ask(&mut upstream, segment("a")), bench.ask(&mut upstream, segment("a")));
        origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
        assert_eq!(first.fault().await.kind, FaultKind::Connect);
        assert_eq!(second.fault().await.kind, FaultKind::Connect);
        let third = bench.ask(&mut upstream, segment("a"));
        respond(&mut origin, "one").await;
        assert_eq!(third.await.unwrap().body, "one");
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_serves_while_the_origin_fails_and_says_so() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[LINE]);
        let first = bench.ask(&mut upstream, segment("a"));
        respond(&mut origin, "one").await;
        first.await.unwrap();
        tokio::time::advance(Duration::from_secs(61)).await;
        let stale = bench.ask(&mut upstream, segment("a"));
        origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
        let stale = stale.await.unwrap();
        assert!(matches!(&stale.freshness, Freshness::Stale(fault) if fault.kind == FaultKind::Connect));
        assert_eq!(stale.body, "one");

        let gone = bench.ask(&mut upstream, segment("a"));
        let not_found = FaultKind::Status(StatusCode::NOT_FOUND);
        origin.next_request().await.unwrap().1.send_error(Fault::new(not_found.clone()));
        assert_eq!(gone.fault().await.kind, not_found, "the origin says that there is none");

        tokio::time::advance(Duration::from_secs(60)).await;
        let expired = bench.ask(&mut upstream, segment("a"));
        origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
        assert_eq!(expired.fault().await.kind, FaultKind::Connect);
    }

    #[tokio::test(start_paused = true)]
    async fn live_playlists_are_shared_and_never_kept() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[LINE]);
        let (first, second) =
            (bench.ask(&mut upstream, playlist("p")), bench.ask(&mut upstream, playlist("p")));
        respond(&mut origin, "one").await;
        assert_eq!((first.await.unwrap().body, second.await.unwrap().body), ("one".into(), "one".into()));
        let third = bench.ask(&mut upstream, playlist("p"));
        respond(&mut origin, "two").await;
        assert_eq!(third.await.unwrap().body, "two");
    }

    #[tokio::test(start_paused = true)]
    async fn a_conditional_request_does_not_share_with_a_plain_one() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[LINE]);
        let validators = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"1\""))]);
        let _plain = bench.ask(&mut upstream, playlist("p"));
        let _conditional = bench.ask(&mut upstream, Exchange { validators, ..playlist("p") });
        let (first, second) = (origin.next_request().await.unwrap(), origin.next_request().await.unwrap());
        assert_ne!(first.0.validators.is_empty(), second.0.validators.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_keeps_no_more_than_it_may() {
        let bench = Bench::new();
        let (mut upstream, mut origin) = bench.upstream(&[LINE]);
        let large: &'static str = "x".repeat(65 << 10).leak();
        for _ in 0..2 {
            let asked = bench.ask(&mut upstream, segment("large"));
            respond(&mut origin, large).await;
            asked.await.unwrap();
            bench.is_idle(&mut origin).await;
        }
        assert_eq!(counts(&bench)[0], 0);
    }
}
