//! Sink kinds: where media goes.

pub(crate) mod hls;
