//! The time.

use jiff::Timestamp;

use super::Guest;
use super::interfaces::clock::Host;

impl Host for Guest {
    fn now_ms(&mut self) -> u64 {
        u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
    }

    fn monotonic_ms(&mut self) -> u64 {
        u64::try_from(self.environment.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
