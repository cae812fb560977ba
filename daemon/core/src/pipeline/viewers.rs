//! Who watches a sink: an address and user agent that asked within three target durations.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use papaya::HashMap;
use seize::Collector;
use tokio::time::Instant;

use crate::metrics::SinkMetrics;

/// Beyond this many at once, new ones are served and not counted: a flood of forged user agents stays bounded.
const MOST: usize = 100_000;

/// Frees what viewers left. One for all sinks: each costs 16 KiB, most of it for threads.
static COLLECTOR: LazyLock<Arc<Collector>> = LazyLock::new(Arc::default);

/// The viewers of one sink. Lives as long as the pipeline, over changes of the sink's settings.
pub struct Viewers {
    /// What the sink counts.
    pub metrics: SinkMetrics,
    seen: HashMap<u64, AtomicU64, RandomState>,
    hasher: RandomState,
    start: Instant,
    /// Milliseconds since the start as of the last sweep: a request needs no clock.
    now_ms: AtomicU64,
}

impl Viewers {
    /// Nobody yet.
    pub fn new(metrics: SinkMetrics) -> Self {
        let (hasher, now_ms) = (RandomState::default(), AtomicU64::new(0));
        let seen = HashMap::builder().hasher(RandomState::default());
        let seen = seen.shared_collector(COLLECTOR.clone()).build();
        Self { metrics, seen, hasher, start: Instant::now(), now_ms }
    }

    /// A viewer asked for something.
    pub fn saw(&self, client: IpAddr, user_agent: Option<&[u8]>) {
        let mut hasher = self.hasher.build_hasher();
        client.hash(&mut hasher);
        user_agent.hash(&mut hasher);
        let now = self.now_ms.load(Ordering::Relaxed);
        let seen = self.seen.pin();
        match seen.get(&hasher.finish()) {
            // written only when it changes, so that the workers do not take the line from each other
            Some(last) if last.load(Ordering::Relaxed) == now => {}
            Some(last) => last.store(now, Ordering::Relaxed),
            None if seen.len() < MOST => {
                seen.insert(hasher.finish(), AtomicU64::new(now));
                self.metrics.viewers.inc();
            }
            None => tracing::debug!("more viewers than are counted"),
        }
    }

    /// Forgets those who did not ask for `idle`. Called twice a second by the pipeline, which is as exact as it gets.
    pub fn sweep(&self, idle: Duration) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now_ms.store(now, Ordering::Relaxed);
        if self.seen.is_empty() {
            return;
        }
        let oldest = now.saturating_sub(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let seen = self.seen.pin();
        seen.retain(|_, last| last.load(Ordering::Relaxed) >= oldest);
        self.metrics.viewers.set(i64::try_from(seen.len()).unwrap_or(i64::MAX));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn a_viewer_is_an_address_and_user_agent_seen_lately() {
        let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap()).pipeline("news");
        let viewers = Viewers::new(metrics.sink("hls"));
        let client = IpAddr::from([192, 0, 2, 1]);
        viewers.saw(client, Some(b"vlc"));
        viewers.saw(client, Some(b"vlc"));
        viewers.saw(client, Some(b"hls.js"));
        assert_eq!((viewers.count(), viewers.metrics.viewers.get()), (2, 2));
        tokio::time::advance(Duration::from_secs(5)).await;
        viewers.sweep(Duration::from_secs(6));
        viewers.saw(client, Some(b"vlc"));
        tokio::time::advance(Duration::from_secs(2)).await;
        viewers.sweep(Duration::from_secs(6));
        assert_eq!((viewers.count(), viewers.metrics.viewers.get()), (1, 1));
    }
}
