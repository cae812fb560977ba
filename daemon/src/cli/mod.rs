//! cli

mod remote;
