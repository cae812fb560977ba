//! How often a pipeline may switch.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of switches: full at the start, one comes back each `per` / `most`.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    most: u32,
    each: Duration,
    /// When the bucket is, or was, full again.
    full_at: Option<Instant>,
}

impl Budget {
    pub(super) fn new(most: u32, per: Duration) -> Self {
        Self { most, each: per / most.max(1), full_at: None }
    }

    /// Changes the bounds; what is spent stays spent.
    pub(super) fn resize(&mut self, most: u32, per: Duration) {
        (self.most, self.each) = (most, per / most.max(1));
    }

    /// The switches that are left.
    pub(super) fn left(&self, now: Instant) -> u32 {
        let missing = self.full_at.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        let spent = missing.as_nanos().div_ceil(self.each.as_nanos().max(1));
        self.most.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }

    /// Takes one. An empty bucket stays empty for longer.
    pub(super) fn take(&mut self, now: Instant) {
        let from = self.full_at.filter(|full| *full > now).unwrap_or(now);
        self.full_at = Some((from + self.each).min(now + self.each * self.most));
    }

    /// When the next one comes, while there is none.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let full = self.full_at.filter(|_| self.left(now) == 0)?;
        Some(full - self.each * self.most.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_spent_comes_back_one_by_one() {
        let now = Instant::now();
        let mut budget = Budget::new(3, Duration::from_secs(30));
        (0..3).for_each(|_| budget.take(now));
        assert_eq!((budget.left(now), budget.next_at(now)), (0, Some(now + Duration::from_secs(10))));
        let later = now + Duration::from_secs(10);
        assert_eq!((budget.left(later), budget.next_at(later)), (1, None));
        assert_eq!(budget.left(now + Duration::from_secs(29)), 2);
        assert_eq!(budget.left(now + Duration::from_secs(30)), 3);
    }
}
