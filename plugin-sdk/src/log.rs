//! The daemon's log, under the name of the plugin and of its pipeline. Secrets of the configuration are struck out.
//!
//! At most 8 KiB a message and 100 messages a call are written; what is beyond is counted and left out.

use crate::host;

/// How much an operator should care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A person must act.
    Error,
    /// Degraded, but at work.
    Warn,
    /// Life cycle.
    Info,
    /// For whoever looks for a defect.
    Debug,
    /// Everything.
    Trace,
}

/// Writes a message with fields.
pub fn write(level: Level, message: impl AsRef<str>, fields: &[(&str, &str)]) {
    host::log(level, message.as_ref(), fields);
}

macro_rules! levels {
    ($($(#[$about:meta])+ $name:ident $level:ident),*) => {$(
        $(#[$about])+
        pub fn $name(message: impl AsRef<str>) {
            write(Level::$level, message, &[]);
        }
    )*};
}

levels!(
    /// A person must act.
    error Error,
    /// Degraded, but at work.
    warn Warn,
    /// Life cycle.
    info Info,
    /// For whoever looks for a defect.
    debug Debug,
    /// Everything.
    trace Trace
);
