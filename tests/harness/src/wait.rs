//! Waits that end: with what was waited for, or with a panic that names it.

use std::time::Duration;

use tokio::time::Instant;

/// How often a condition outside of this process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks at `condition` until it gives a value.
///
/// # Panics
/// After `limit`, with `what`.
pub async fn eventually<T>(
    what: impl Waited,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {}", what.words());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits for `future`.
///
/// # Panics
/// After `limit`, with `what`.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {limit:?}: {what}"),
    }
}

/// What is waited for, in words: known beforehand, or said when the wait was in vain.
pub trait Waited {
    /// The words.
    fn words(&self) -> String;
}

impl Waited for &str {
    fn words(&self) -> String {
        (*self).to_owned()
    }
}

impl Waited for &String {
    fn words(&self) -> String {
        (*self).clone()
    }
}

impl<F: Fn() -> String> Waited for F {
    fn words(&self) -> String {
        self()
    }
}
