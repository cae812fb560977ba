//! Source kinds: where media comes from.

mod cutting;
pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod hls;
pub(crate) mod mpegts;
pub(crate) mod pipeline;
mod request;
#[cfg(test)]
mod testing;
