//! The host of plugins: WebAssembly components from a directory, each within the limits and grants of its node.
//!
//! A file is compiled, linked to what it is granted, and tried before it takes the place of the one before; calls under way
//! end with the old one. Each use keeps one instance between calls, as long as there is a place for it. Whatever a plugin
//! does ends its own call at most: see `guest` for what it may ask, `instance` for the limits, `usage` for what follows a fault.

mod builtin;
mod check;
mod clock;
mod compose;
mod contract;
mod directory;
mod engine;
mod fault;
mod grants;
mod guest;
mod host;
mod instance;
mod meter;
mod metrics;
mod port;
mod program;
mod record;
mod settings;
mod slots;
mod threads;
mod translate;
mod trial;
mod usage;
mod view;

use std::error::Error;

pub(crate) use check::check;
pub(crate) use compose::of_daemon;
use engine::Engine;
use guest::{Environment, TracingJournal};
use host::Parts;
use metrics::PluginMetrics;
pub(crate) use port::PluginHost;
pub(crate) use threads::Threads;
pub(crate) use trial::{Inspected, Trial, Tried, inspect, try_out};
pub(crate) use view::PluginView;

/// An error with everything beneath it. Many messages hold that of their cause already.
fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !words.contains(&more) {
            words.push_str(&format!(": {more}"));
        }
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod authoring_tests;
#[cfg(test)]
mod built_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
