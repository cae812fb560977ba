//! Write plugins for Sluice.
//!
//! A plugin is a small WebAssembly component. It has no files, no sockets, no environment and no clock beyond what the
//! operator's `plugin "NAME" { … }` node grants it. Of the two kinds, a [`Scorer`] says how healthy a stream is, and a
//! [`Handler`] does something about events. Both are plain Rust types, built and tested with `cargo test` like any
//! other; `sluice plugin build` makes the component.
//!
//! ```
//! use sluice_plugin_sdk::prelude::*;
//!
//! settings! {
//!     /// What an operator may write in the node: `health "short-breaks" least=80`.
//!     pub struct Settings {
//!         /// The score of a stream that stalled once.
//!         pub least: f64 = 50.0,
//!     }
//! }
//!
//! struct ShortBreaks {
//!     settings: Settings,
//! }
//!
//! impl Scorer for ShortBreaks {
//!     type Settings = Settings;
//!
//!     fn new(settings: Settings) -> Result<Self, String> {
//!         Ok(Self { settings })
//!     }
//!
//!     fn score(&mut self, sample: &Sample) -> Result<Health, String> {
//!         let stalls: u32 = sample.observations.iter().map(|seen| seen.stalls).sum();
//!         let score = if stalls == 0 { 100.0 } else { self.settings.least };
//!         Ok(Health::new(score).words(format!("{stalls} stalls")))
//!     }
//! }
//!
//! register_scorer!(ShortBreaks);
//!
//! // in a test: the plugin runs against a mock of the daemon
//! use sluice_plugin_sdk::testing::{MockHost, samples};
//! let host = MockHost::new().set("least", 20.0);
//! let mut plugin = host.scorer::<ShortBreaks>().unwrap();
//! assert_eq!(plugin.score(&samples::healthy(30)).unwrap().score, 100);
//! assert_eq!(plugin.score(&samples::stalling(30)).unwrap().score, 20);
//! ```
//!
//! # What differs from other Rust
//! - The time is [`clock::now`] and [`clock::monotonic`]: `std::time::SystemTime` and `Instant` panic in the guest.
//! - An instance may be thrown away at any time and another made. What must last is kept with [`kv`].
//! - A panic ends the instance, with its message in the daemon's log; nothing else is lost. An `Err` keeps the instance.
//! - [`kv`] and [`http`] make the plugin ask for a grant. One that calls neither needs none.

pub mod clock;
pub mod handler;
pub mod http;
pub mod kv;
pub mod log;
pub mod scorer;
pub mod settings;
pub mod units;

#[doc(hidden)]
#[cfg(target_family = "wasm")]
pub mod bindings;
#[cfg(not(target_family = "wasm"))]
#[path = "host.rs"]
mod host;
#[cfg(target_family = "wasm")]
#[path = "guest.rs"]
mod host;
#[doc(hidden)]
pub mod register;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use handler::{Action, Event, Handler, Reaction};
pub use scorer::{Factor, Health, Observation, Sample, Scorer};
pub use settings::{Secret, Settings};

/// Serde, as the SDK uses it: for the types that a plugin keeps with [`kv::write`] or sends as JSON.
pub use serde;
/// JSON, as the SDK uses it.
pub use serde_json;

/// What a plugin needs: `use sluice_plugin_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::settings::Secret;
    pub use crate::units::ByteSize;
    pub use crate::{
        Action, Event, Factor, Handler, Health, Observation, Reaction, Sample, Scorer, clock, http, kv, log,
        register_handler, register_scorer, settings,
    };
}
