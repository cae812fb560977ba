//! MPEG transport streams (ISO/IEC 13818-1): cutting them into segments and parts, and moving them in time.
//!
//! Everything here takes bytes in any packetisation, finds the packets in them (and finds them again behind
//! garbage), and never fails: what cannot be understood is carried along or passed over. `libmpegts` reads the
//! packets; nothing outside of this module sees it.

mod clock;
mod keyframe;
mod probe;
mod rebase;
mod segmenter;
mod tables;
#[cfg(test)]
pub(crate) mod testing;

pub use probe::{Probe, probe};
pub use rebase::Rebase;
pub use segmenter::{Event, Lengths, Segmenter};
