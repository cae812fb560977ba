//! The domain of Sluice: what media is, how a configuration becomes a plan, and how pipelines run.
//!
//! This crate opens no socket, file or process. What it needs of the outside it asks through [`port`].

pub mod buffer;
pub mod conf;
pub mod event;
pub mod fault;
pub mod health;
pub mod media;
pub mod metrics;
pub mod middleware;
pub mod pipeline;
pub mod plan;
pub mod plugin;
pub mod port;
pub mod stage;
