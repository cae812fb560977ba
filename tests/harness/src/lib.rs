//! What the end-to-end tests and the benchmarks stand on: the real daemon in a directory of its own, scripted
//! origins, viewers and players.
//!
//! Everything here panics with words where a test cannot go on. A program that is missing fails the test with
//! the name of its package; nothing is skipped.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness ends the test that it serves"
)]

mod browser;
mod exchange;
mod ffmpeg;
mod listing;
mod metrics;
mod nginx;
pub mod origin;
mod packed;
mod player;
pub mod plugin;
mod process;
mod sluice;
mod transport;
mod viewer;
mod wait;

pub use browser::Browser;
pub use exchange::{Connection, Reply, Version, get};
pub use ffmpeg::{Encoder, Ladder, Protection};
pub use listing::{Entry, Listing};
pub use metrics::Metrics;
pub use nginx::{Nginx, free_port};
pub use player::{Playback, play_with_ffmpeg, play_with_vlc, probe};
pub use process::{Ending, Process, program};
pub use sluice::{Setup, Sluice};
pub use transport::{broken_in, wraps_in};
pub use viewer::{Pace, Segment, Taken, Viewer, Viewing, assert_alike, crowd};
pub use wait::{Waited, eventually, within};
