//! How a stream stands by its last verdict.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Level, Verdict};

/// How a stream stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What was said last.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// The level that follows from it and from those before.
    pub level: Level,
    /// When the level became that; when the first verdict came, where it never changed.
    pub since: Timestamp,
    /// The scorer that is configured.
    pub scorer: Arc<str>,
    /// Why the built-in scorer stood in for it; none where it did not.
    pub stood_in: Option<Arc<str>>,
}
