//! `cache`: keeps what an origin sent, and asks once for what many want at the same time.

#[cfg(test)]
mod tests;

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
    Outlet, Place, Serving, Upstream,
};

/// What an entry weighs beside its body: key, headers, book-keeping.
const ENTRY_OVERHEAD_BYTES: usize = 1024;

/// The kind `cache`.
pub const CACHE: LayerKind = LayerKind {
    doc: Doc {
        name: "cache",
        about: "Keeps segments, keys and init sections, and asks once for what many want at the same time. Sources \
                with the same origin, headers and allowed hosts share what caches with equal settings keep.",
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
        Place::Source => Ok(
            "keeps answers of the origin; live playlists are shared and never kept, streams without end pass by",
        ),
        Place::Sink => Err("playlists are rendered once for each change and segments are shared already"),
        Place::PushingSink => Err("it writes, and nothing is read that could be kept"),
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
        let shelf = context.common_state(self, || Shelf::new(self.clone()));
        let count = |result| context.metrics.cache(result);
        let counts =
            Counts { hit: count("hit"), miss: count("miss"), stale: count("stale"), shared: count("shared") };
        let desk = Arc::new(Desk { counts, stage: context.stage.clone() });
        BoxCloneSyncService::new(Caching { inner, shelf, desk })
    }

    fn wrap_serving(&self, inner: Serving, _: &LayerContext) -> Serving {
        inner // refused at `check`
    }

    fn wrap_pushing(&self, inner: Outlet, _: &LayerContext) -> Outlet {
        inner // refused at `check`
    }
}

/// An answer, and when it came.
#[derive(Clone)]
struct Kept {
    answer: Arc<Answer>,
    since: Instant,
}

/// What one stage makes of the shelf.
struct Desk {
    counts: Counts,
    stage: Arc<str>,
}

struct Counts {
    hit: IntCounter,
    miss: IntCounter,
    stale: IntCounter,
    shared: IntCounter,
}

/// What is kept and what is under way, for all stages that share it.
struct Shelf {
    spec: Cache,
    store: Store<String, Kept>,
    flights: Flights<Arc<Answer>>,
}

impl Shelf {
    fn new(spec: Cache) -> Self {
        let weigh = |key: &String, kept: &Kept| {
            let bytes = kept.answer.body.len().saturating_add(key.len()).saturating_add(ENTRY_OVERHEAD_BYTES);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let store = Store::builder()
            .weigher(weigh)
            .max_capacity(spec.max.0)
            .time_to_live(spec.ttl.saturating_add(spec.stale))
            .build();
        Self { spec, store, flights: Flights::default() }
    }

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
    let mut key = format!("{:x} {:?} {:?} {name}", exchange.audience, exchange.class, exchange.provenance);
    for (header, value) in &exchange.validators {
        key.push_str(&format!("\n{header}: {value:?}"));
    }
    Some(key)
}

#[derive(Clone)]
struct Caching<S> {
    inner: S,
    shelf: Arc<Shelf>,
    desk: Arc<Desk>,
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
        let (shelf, desk) = (self.shelf.clone(), self.desk.clone());
        Box::pin(async move {
            let keep = is_kept(&exchange);
            let kept = if keep { shelf.find(&key).await } else { None };
            if let Some(kept) = kept.as_ref().filter(|kept| shelf.is_fresh(kept)) {
                desk.counts.hit.inc();
                return Ok(Answer { freshness: Freshness::Cache, ..kept.answer.shared() });
            }
            let fetch = || fetch(inner, exchange, keep.then(|| (shelf.store.clone(), key.clone())));
            let outcome = match shelf.flights.board(key.clone(), fetch) {
                Seat::Leader(outcome) => {
                    desk.counts.miss.inc();
                    outcome
                }
                Seat::Passenger(outcome) => {
                    desk.counts.shared.inc();
                    outcome
                }
            };
            match (outcome.await, kept) {
                (Err(fault), Some(kept)) if is_passing(&fault) => {
                    desk.counts.stale.inc();
                    tracing::debug!(stage = %desk.stage, %fault, "stale answer served");
                    Ok(Answer { freshness: Freshness::Stale(fault), ..kept.answer.shared() })
                }
                (result, _) => result.map(|answer| answer.shared()),
            }
        })
    }
}

// takes the store alone: a flight that held the shelf would keep its own board alive
async fn fetch<S>(
    mut inner: S,
    exchange: Exchange,
    keep: Option<(Store<String, Kept>, String)>,
) -> Result<Arc<Answer>, Fault>
where
    S: Service<Exchange, Response = Answer, Error = Fault>,
{
    let answer = Arc::new(inner.call(exchange).await?);
    if let Some((store, key)) = keep {
        store.insert(key, Kept { answer: answer.clone(), since: Instant::now() }).await;
        store.run_pending_tasks().await; // so that the bound holds now, and not some time later
    }
    Ok(answer)
}
