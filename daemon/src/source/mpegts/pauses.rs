//! The waits between connections: none before the first, then longer and longer, until one holds.

use std::time::Duration;

use sluice_core::conf::Backoff;
use tokio::time::Instant;

/// A connection that brought bytes for this long was good: the next one is made at once.
const GOOD: Duration = Duration::from_secs(10);

/// The waits of one run.
pub(super) struct Pauses {
    backoff: Backoff,
    /// How many connections in a row were not good.
    poor: u32,
    connected: Instant,
}

impl Pauses {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, poor: 0, connected: Instant::now() }
    }

    /// Says that a connection is being made now.
    pub(super) fn connecting(&mut self) {
        self.connected = Instant::now();
    }

    /// How long to wait after that connection was lost; `brought` says whether it had brought anything. A jitter of
    /// half the wait keeps sources that lost one origin from coming back all at once.
    pub(super) fn lost(&mut self, brought: Brought) -> Duration {
        if brought == Brought::Bytes && self.connected.elapsed() >= GOOD {
            self.poor = 0;
        }
        self.poor += 1;
        let Some(doublings) = self.poor.checked_sub(2) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let longest = self.backoff.first.saturating_mul(factor).min(self.backoff.most);
        longest.mul_f64(0.5 + 0.5 * rand::random::<f64>())
    }
}

/// What a connection brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    Nothing,
    Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_connection_is_made_again_at_once_and_poor_ones_ever_later() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::new(Backoff { first: second, most: 4 * second });
        for longest in [0, 1, 2, 4, 4] {
            pauses.connecting();
            let pause = pauses.lost(Brought::Bytes);
            assert!(pause <= longest * second && pause * 2 >= longest * second, "{pause:?}");
        }
        for (held, brought, at_once) in [(11, Brought::Nothing, false), (11, Brought::Bytes, true)] {
            pauses.connecting();
            tokio::time::advance(held * second).await;
            assert_eq!(pauses.lost(brought).is_zero(), at_once, "{brought:?}");
        }
    }
}
