//! What must hold for any bytes that come from outside: playlists, transport streams, configurations. Each target takes
//! bytes and panics where a property does not hold.
//!
//! A fuzzer calls them (`make fuzz`, see `engine`), and the tests of this crate call them in small, so that neither the
//! targets nor what the fuzzer once found can rot.

mod configuration;
mod elementary;
mod intake;
mod packets;
mod playlist;
mod program;
mod stream;

/// A target: panics where a property does not hold for these bytes.
pub type Target = fn(&[u8]);

/// Every target by name, which is also the name of its folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("configuration", configuration::run),
    ("elementary", elementary::run),
    ("intake", intake::run),
    ("packets", packets::run),
    ("playlist", playlist::run),
    ("program", program::run),
];

/// Runs the target of this name.
///
/// # Panics
/// Where a property does not hold, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "there is no target {name}");
    target.into_iter().for_each(|(_, target)| target(input));
}

// the small kinds of `configuration` name them so, where they stand
use sluice_core::{conf, pipeline, stage};

#[cfg(test)]
mod tests;
