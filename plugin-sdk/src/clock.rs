//! The time. `std::time::SystemTime` and `Instant` panic in the guest.

use std::time::Duration;

use crate::host;

/// Unix time in milliseconds. May go back when the machine's clock is set.
pub fn now_ms() -> u64 {
    host::now_ms()
}

/// Unix time. May go back when the machine's clock is set.
pub fn now() -> Duration {
    Duration::from_millis(now_ms())
}

/// The time since some moment before the plugin was loaded. Never goes back; begins anew with the daemon, so keep
/// [`now_ms`] where it must last.
pub fn monotonic() -> Duration {
    Duration::from_millis(host::monotonic_ms())
}
