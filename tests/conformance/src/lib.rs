//! An independent checker of HLS playlists against the MUSTs of RFC 8216 and, for low latency, of its second edition
//! (draft-pantos-hls-rfc8216bis-22), for tests.
//!
//! [`check`] looks at one playlist of either kind, [`Follower`] at successive copies of one media playlist. Neither
//! shares a line with the code that renders playlists: the line reader is in `line`, plain on purpose. Each
//! violation names its rule by the section of the RFC, `bis` before one of the second edition.

mod follow;
mod line;
mod low_latency;
mod media;
mod multivariant;
mod playlist;
mod syntax;

use std::fmt;

pub use follow::{Follower, agree};

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The section of RFC 8216 that has the rule, as `4.3.3.1` or `bis 4.4.4.9`.
    pub rule: &'static str,
    /// The line from 1; 0 where a line is missing.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, line: usize, what: impl Into<String>) -> Self {
        Self { rule, line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} ({})", self.line, self.what, self.rule)
    }
}

/// Every rule that a playlist breaks by itself. Empty for one that conforms.
pub fn check(text: &str) -> Vec<Violation> {
    let mut violations = syntax::check(text);
    let lines = line::read(text);
    let has =
        |names: &[&str]| lines.iter().any(|line| line.tag().is_some_and(|(name, _)| names.contains(&name)));
    match (has(multivariant::TAGS), has(media::TAGS)) {
        (true, true) => {
            violations.push(Violation::new("4.1", 0, "tags of a media and of a multivariant playlist"));
        }
        (true, false) => multivariant::check(&lines, &mut violations),
        (false, _) => media::check(&lines, &mut violations),
    }
    violations
}

#[cfg(test)]
mod low_latency_tests;
#[cfg(test)]
mod tests;
