//! Source kinds: where media comes from.

pub(crate) mod hls;
