//! Source kinds: where media comes from.

pub(crate) mod file;
pub(crate) mod hls;
mod request;
