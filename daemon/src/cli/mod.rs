//! cli

pub(crate) mod files;
mod remote;
