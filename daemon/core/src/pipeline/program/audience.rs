//! Who reads a ring, counted by what their connections took.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Ring;
use crate::metrics::SinkMetrics;

/// A viewer whose connection took nothing for so long, while there was something to take, is dead.
const DEAD: Duration = Duration::from_secs(50);
/// So much of a user agent is kept.
const AGENT_BYTES: usize = 200;

/// The viewers of all rings of one pipeline.
#[derive(Default)]
pub struct Audience {
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Arc<Watching>>,
}

/// A viewer.
pub struct Watching {
    /// The sink, as `sink 1 mpegts`.
    pub sink: Arc<str>,
    /// From where.
    pub client: IpAddr,
    /// What the player calls itself.
    pub user_agent: Box<str>,
    /// Since when.
    pub connected: Timestamp,
    /// What its connection took.
    bytes: AtomicU64,
    skips: AtomicU64,
    /// The number of the chunk that is next.
    pub(super) next: AtomicU64,
    /// When its connection last took something, by the clock of the ring.
    took_ms: AtomicU64,
    is_dead: AtomicBool,
    /// For the rate: bytes as of the last sweep, and those in a second before it.
    swept_bytes: AtomicU64,
    rate_bps: AtomicU64,
}

impl Watching {
    /// Bytes that its connection took.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often it was moved on because it did not keep up.
    pub fn skips(&self) -> u64 {
        self.skips.load(Ordering::Relaxed)
    }

    /// Bits in a second, lately.
    pub fn rate_bps(&self) -> u64 {
        self.rate_bps.load(Ordering::Relaxed)
    }

    /// How far it is behind the newest chunk.
    pub fn lag(&self, ring: &Ring) -> Duration {
        ring.lag(self.next.load(Ordering::Relaxed))
    }

    /// How long ago its connection took something.
    pub fn idle(&self, ring: &Ring) -> Duration {
        Duration::from_millis(ring.now_ms().saturating_sub(self.took_ms.load(Ordering::Relaxed)))
    }

    pub(super) fn took(&self, bytes: usize, now_ms: u64) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.took_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) {
        self.skips.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }
}

impl Audience {
    /// Seats a viewer. The seat is free again when it is dropped.
    pub fn admit(
        self: &Arc<Self>,
        (sink, metrics): (&Arc<str>, &SinkMetrics),
        client: IpAddr,
        user_agent: Option<&[u8]>,
        ring: &Ring,
    ) -> Seat {
        let agent = user_agent.unwrap_or_default();
        let agent = String::from_utf8_lossy(agent.get(..AGENT_BYTES).unwrap_or(agent));
        let watching = Arc::new(Watching {
            sink: sink.clone(),
            client,
            user_agent: agent.into(),
            connected: Timestamp::now(),
            bytes: AtomicU64::new(0),
            skips: AtomicU64::new(0),
            next: AtomicU64::new(ring.next()),
            took_ms: AtomicU64::new(ring.now_ms()),
            is_dead: AtomicBool::new(false),
            swept_bytes: AtomicU64::new(0),
            rate_bps: AtomicU64::new(0),
        });
        let mut seats = self.lock();
        let id = seats.next;
        seats.next += 1;
        seats.taken.insert(id, watching.clone());
        metrics.viewers.inc();
        Seat { audience: self.clone(), id, watching, metrics: metrics.clone() }
    }

    /// Every viewer, by the time of arrival.
    pub fn all(&self) -> Vec<Arc<Watching>> {
        self.lock().taken.values().cloned().collect()
    }

    /// Measures rates since the last sweep, and finds the dead.
    pub(super) fn sweep(&self, ring: &Ring, since: Duration) {
        for watching in self.lock().taken.values() {
            let bytes = watching.bytes();
            let before = watching.swept_bytes.swap(bytes, Ordering::Relaxed);
            let bits = bytes.saturating_sub(before).saturating_mul(8000);
            let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
            watching.rate_bps.store(bits / since_ms, Ordering::Relaxed);
            if watching.idle(ring) > DEAD {
                watching.is_dead.store(true, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner) // each change is one insert or remove
    }
}

/// A viewer's place.
pub struct Seat {
    audience: Arc<Audience>,
    id: u64,
    pub(super) watching: Arc<Watching>,
    pub(super) metrics: SinkMetrics,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.audience.lock().taken.remove(&self.id);
        self.metrics.viewers.dec();
    }
}
