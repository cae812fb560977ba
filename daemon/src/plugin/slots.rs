//! The places for instances: a bounded number, of which the idle ones that were used least recently give way.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest that a call waits for a place.
const PATIENCE: Duration = Duration::from_secs(2);

/// A place for one instance; dropped, it is free.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// The places, and the instances that are kept for the next call of their use.
pub(super) struct Slots<I> {
    free: Arc<Semaphore>,
    /// Calls that wait for a place: nothing is kept then.
    waiting: AtomicUsize,
    idle: Mutex<Idle<I>>,
}

struct Idle<I> {
    by_use: HashMap<u64, (u64, I)>,
    /// Uses by when they were used last.
    by_age: BTreeMap<u64, u64>,
    next: u64,
}

impl<I> Slots<I> {
    pub(super) fn new(count: usize) -> Self {
        let idle = Idle { by_use: HashMap::new(), by_age: BTreeMap::new(), next: 0 };
        Self { free: Arc::new(Semaphore::new(count)), waiting: AtomicUsize::new(0), idle: Mutex::new(idle) }
    }

    /// A free place; that of the instance that was idle longest where there is none. None where nothing gets free in time.
    pub(super) async fn slot(&self) -> Option<Slot> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Some(Slot { _permit: permit });
        }
        let oldest = self.idle().take_oldest();
        let waiting = Waiting::new(&self.waiting);
        drop(oldest); // not under the lock: memory is given back to the system
        let permit = tokio::time::timeout(PATIENCE, self.free.clone().acquire_owned()).await;
        drop(waiting);
        permit.ok()?.ok().map(|permit| Slot { _permit: permit })
    }

    /// The instance that is kept for a use.
    pub(super) fn take(&self, of: u64) -> Option<I> {
        self.idle().take(of)
    }

    /// Keeps an instance for the next call of its use; drops it where others wait for its place.
    pub(super) fn keep(&self, of: u64, instance: I) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return;
        }
        let before = self.idle().put(of, instance);
        drop(before);
    }

    /// Drops what is kept for a use.
    pub(super) fn forget(&self, of: u64) {
        let instance = self.idle().take(of);
        drop(instance);
    }

    fn idle(&self) -> MutexGuard<'_, Idle<I>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I> Idle<I> {
    fn take(&mut self, of: u64) -> Option<I> {
        let (age, instance) = self.by_use.remove(&of)?;
        self.by_age.remove(&age);
        Some(instance)
    }

    fn take_oldest(&mut self) -> Option<I> {
        let (_, of) = self.by_age.pop_first()?;
        self.by_use.remove(&of).map(|(_, instance)| instance)
    }

    fn put(&mut self, of: u64, instance: I) -> Option<I> {
        let before = self.take(of);
        self.by_age.insert(self.next, of);
        self.by_use.insert(of, (self.next, instance));
        self.next += 1;
        before
    }
}

/// Counts one that waits, also where it stops waiting.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Held = (Slot, u64);

    async fn call(slots: &Slots<Held>, of: u64) -> bool {
        let kept = slots.take(of);
        let is_kept = kept.is_some();
        let instance = match kept {
            Some(kept) => kept,
            None => (slots.slot().await.unwrap(), of),
        };
        assert_eq!(instance.1, of, "each use gets its own");
        slots.keep(of, instance);
        is_kept
    }

    #[tokio::test]
    async fn the_instance_that_was_idle_longest_gives_way() {
        let slots = Slots::new(2);
        for (of, is_kept) in
            [(1, false), (2, false), (1, true), (3, false), (1, true), (2, false), (3, false)]
        {
            assert_eq!(call(&slots, of).await, is_kept, "{of}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_place_of_the_next_that_ends_and_not_for_ever() {
        let slots: Arc<Slots<Held>> = Arc::new(Slots::new(1));
        let busy = (slots.slot().await.unwrap(), 1);
        let waiting = {
            let slots = slots.clone();
            tokio::spawn(async move { slots.slot().await })
        };
        tokio::task::yield_now().await;
        slots.keep(1, busy);
        let got = waiting.await.unwrap();
        assert!(got.is_some());
        assert!(slots.take(1).is_none(), "its instance was not kept");
        assert!(slots.slot().await.is_none(), "the only place is taken");
    }
}
