//! For tests of plugins, natively with `cargo test`: a mock of the daemon, and streams to score.
//!
//! ```
//! use sluice_plugin_sdk::prelude::*;
//! use sluice_plugin_sdk::testing::MockHost;
//!
//! struct Counter;
//!
//! impl Handler for Counter {
//!     type Settings = ();
//!
//!     fn new(_: ()) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn handle(&mut self, event: &Event) -> Result<Reaction, String> {
//!         let count = kv::read::<u64>(&event.kind)?.unwrap_or(0) + 1;
//!         kv::write(&event.kind, &count)?;
//!         log::info(format!("{} happened {count} times", event.kind));
//!         Ok(Reaction::none())
//!     }
//! }
//!
//! let host = MockHost::new().grant_kv("64KiB");
//! for _ in 0..2 {
//!     // another instance each time, as in the daemon: what must last is in `kv`
//!     let mut plugin = host.handler::<Counter>().unwrap();
//!     plugin.handle(&Event::new("stream.stalled")).unwrap();
//! }
//! assert_eq!(host.logs()[1].message, "stream.stalled happened 2 times");
//! ```

mod mock;
pub mod samples;

use std::path::Path;

pub use mock::{Logged, MockHost};

use crate::{Event, Sample};

/// Reads a recorded window: a JSON object with the fields of [`Sample`]. Fields that are left out are zero.
///
/// # Errors
/// When the file cannot be read, or holds something else; in words.
pub fn window(path: impl AsRef<Path>) -> Result<Sample, String> {
    read(path.as_ref())
}

/// Reads a recorded event: a JSON object with the fields of [`Event`].
///
/// # Errors
/// As [`window`].
pub fn event(path: impl AsRef<Path>) -> Result<Event, String> {
    read(path.as_ref())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}
