//! Single flight: however many ask for one thing, it is fetched once, and nobody who leaves spoils it for others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio_util::task::AbortOnDropHandle;

use crate::fault::{Fault, FaultKind};

/// What every passenger of one flight awaits.
type Outcome<T> = Shared<BoxFuture<'static, Result<T, Fault>>>;

/// Fetches under way, by key. Dropping it and every passenger ends them.
#[derive(Clone)]
pub(super) struct Flights<T> {
    under_way: Arc<Mutex<HashMap<String, Outcome<T>>>>,
}

/// A seat on a flight.
pub(super) enum Seat<T> {
    /// The fetch was started for this caller.
    Leader(Outcome<T>),
    /// The fetch was under way.
    Passenger(Outcome<T>),
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { under_way: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Joins the flight for `key`, or starts one with `fetch` on a task of its own. A panic in it is a fault.
    pub(super) fn board<F>(&self, key: String, fetch: impl FnOnce() -> F) -> Seat<T>
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let mut under_way = self.lock();
        match under_way.entry(key) {
            Entry::Occupied(known) => Seat::Passenger(known.get().clone()),
            Entry::Vacant(vacant) => {
                let landing = Landing { flights: Arc::downgrade(&self.under_way), key: vacant.key().clone() };
                let fetch = fetch();
                let task = AbortOnDropHandle::new(tokio::spawn(async move {
                    let _landing = landing; // also where the fetch panics
                    fetch.await
                }));
                let outcome = async move {
                    task.await.unwrap_or_else(|error| {
                        let internal = FaultKind::Internal("a shared fetch failed".into());
                        Err(Fault::new(internal).because(error))
                    })
                };
                Seat::Leader(vacant.insert(outcome.boxed().shared()).clone())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Outcome<T>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the flight off the board when it ends. Weak, so that a flight does not keep its own board alive.
struct Landing<T> {
    flights: std::sync::Weak<Mutex<HashMap<String, Outcome<T>>>>,
    key: String,
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        if let Some(flights) = self.flights.upgrade() {
            let landed = flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
            drop(landed); // outside of the lock
        }
    }
}
