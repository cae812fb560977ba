//! MPEG transport streams (ISO/IEC 13818-1): cutting them into segments and parts, telling what they hold, and moving
//! them in time.
//!
//! Everything here takes bytes in any packetisation, finds the packets in them (and finds them again behind
//! garbage), and carries along or passes over what cannot be understood. `libmpegts` reads the packets; nothing
//! outside of this module sees it.
//!
//! ```text
//! bytes ─► reader (tables, access units) ─► cutter (segments) ─► parts ─► events
//!                └────────► kept (the packets) ───────────────────┘
//! ```

mod clock;
mod continuity;
mod cutter;
mod facts;
mod families;
mod kept;
mod keyframe;
mod parts;
mod probe;
mod profile;
pub mod program;
mod reader;
mod rebase;
mod segmenter;
mod split;
mod start_code;
mod tables;
#[cfg(test)]
pub(crate) mod testing;

pub use clock::ticks_90khz;
pub use continuity::continuity_errors;
pub use facts::{Audio, Facts, Video};
pub(crate) use families::families;
pub use probe::{Probe, probe};
pub use profile::Profile;
pub use rebase::Rebase;
pub use segmenter::{Event, Lengths, Loss, Segmenter};
pub use split::{Pick, Split};
