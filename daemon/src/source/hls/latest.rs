//! What many segments need and one fetch brings: a key, an initialization section.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_core::fault::Fault;
use tokio::sync::OnceCell;

/// The value of the name that was asked for last.
pub(super) struct Latest<N, V> {
    latest: Mutex<Option<(N, Arc<OnceCell<V>>)>>,
}

impl<N, V> Default for Latest<N, V> {
    fn default() -> Self {
        Self { latest: Mutex::new(None) }
    }
}

impl<N: Clone + PartialEq, V: Clone> Latest<N, V> {
    /// The value of `name`, which `fetch` brings where it is not there. Who asks while a fetch is under way waits
    /// for that one; where it fails or is dropped, the next in the queue fetches.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub(super) async fn get(
        &self,
        name: &N,
        fetch: impl Future<Output = Result<V, Fault>>,
    ) -> Result<V, Fault> {
        self.cell(name).get_or_try_init(|| fetch).await.cloned()
    }

    fn cell(&self, name: &N) -> Arc<OnceCell<V>> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((known, cell)) if known == name => cell.clone(),
            _ => latest.insert((name.clone(), Arc::default())).1.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use sluice_core::fault::FaultKind;

    #[tokio::test]
    async fn those_who_ask_at_once_share_a_fetch_and_a_failed_one_is_made_again() {
        let latest = Latest::default();
        let fetches = AtomicUsize::new(0);
        let fetch = || async {
            let before = fetches.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if before == 0 { Err(Fault::new(FaultKind::Stale)) } else { Ok(before) }
        };
        let (first, second, third) =
            tokio::join!(latest.get(&"a", fetch()), latest.get(&"a", fetch()), latest.get(&"a", fetch()));
        assert!(first.is_err());
        assert_eq!((second.unwrap(), third.unwrap()), (1, 1));
        assert_eq!(latest.get(&"b", fetch()).await.unwrap(), 2, "another name is another fetch");
    }
}
