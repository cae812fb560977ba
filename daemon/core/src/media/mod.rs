//! Media as it travels: segments, their parts, playlists, transport streams.

pub mod codecs;
pub mod decrypt;
pub mod playlist;
mod rendition;
mod segment;
pub mod ts;

pub use playlist::ByteRange;
pub use rendition::{Muxed, RenditionSpec, Role};
pub use segment::{Container, Init, Media, Origin, Part, Segment};
