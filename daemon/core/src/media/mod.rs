//! Media as it travels: segments, their parts, playlists, transport streams.

pub mod decrypt;
pub mod playlist;
mod segment;
pub mod ts;

pub use segment::{Container, Init, Media, Origin, Part, Segment};
