//! The program ring of a pipeline: one transport stream without a seam, made once of its windows and released in real
//! time, that any number of viewers read.
//!
//! It runs while a sink holds it (see [`Shared::broadcast`](super::Shared::broadcast)). A viewer is a [`Reader`].

mod audience;
mod broadcast;
mod choosing;
mod crossing;
mod follow;
mod pace;
mod reader;
mod ring;
#[cfg(test)]
mod switching_tests;
#[cfg(test)]
mod tests;

pub use audience::{Audience, Seat, Watching};
pub(super) use broadcast::Place;
pub use broadcast::{Broadcast, Broadcasting};
pub use reader::Reader;
pub use ring::{Ring, Span};
