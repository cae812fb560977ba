//! Sink kinds: where media goes.

pub(crate) mod hls;
pub(crate) mod record;
