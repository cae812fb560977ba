//! Patterns of kinds: which events a handler is given.

use std::fmt;

use super::kind::{KINDS, Kind};
use crate::conf::nearest;

/// A pattern that matches at least one kind of event: `source.switched`, `stream.*`, or `*` for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// What cannot be a pattern, with the nearest one that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no event matches the pattern \"{text}\"")]
pub struct UnknownPattern {
    text: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it matches no kind that there is.
    pub fn read(text: &str) -> Result<Self, UnknownPattern> {
        let pattern = Self(text.to_owned());
        if pattern.kinds().next().is_some() {
            return Ok(pattern);
        }
        let families = KINDS.iter().filter_map(|kind| kind.name.split_once('.'));
        let families: Vec<String> = families.map(|(family, _)| format!("{family}.*")).collect();
        let known = KINDS.iter().map(|kind| kind.name).chain(families.iter().map(String::as_str));
        let nearest = nearest(text, known).map(str::to_owned);
        Err(UnknownPattern { text: pattern.0, nearest })
    }

    /// Whether an event of this kind matches.
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(family) => (family.is_empty() || family.ends_with('.')) && kind.starts_with(family),
            None => self.0 == kind,
        }
    }

    /// The kinds that it matches.
    pub fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().filter(|kind| self.matches(kind.name))
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_is_a_kind_a_family_or_everything() {
        let matches = |pattern: &str| -> Vec<&str> {
            Pattern::read(pattern).unwrap().kinds().map(|kind| kind.name).collect()
        };
        assert_eq!(matches("source.switched"), ["source.switched"]);
        assert_eq!(matches("viewer.*"), ["viewer.first", "viewer.last"]);
        assert_eq!(matches("*").len(), KINDS.len());
    }

    #[test]
    fn what_matches_nothing_is_refused_with_the_nearest() {
        let near = |pattern: &str| Pattern::read(pattern).unwrap_err().nearest.unwrap_or_default();
        assert_eq!(near("stream.stoped"), "stream.stalled");
        assert_eq!(near("streams.*"), "stream.*");
        assert_eq!(near("stream*"), "stream.*");
        assert_eq!(near("stream"), "stream.*");
        for pattern in ["", ".*", "*.*", "**", "stream.**", "st*", "xyz.abc"] {
            assert!(Pattern::read(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn every_kind_is_a_family_and_a_name_and_stands_once() {
        for (at, kind) in KINDS.iter().enumerate() {
            let (family, name) = kind.name.split_once('.').unwrap();
            let plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(plain(family) && plain(name) && kind.about.ends_with('.'), "{kind:?}");
            assert!(KINDS.iter().skip(at + 1).all(|other| other.name != kind.name), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_matches_something_and_is_read_again(text in "[a-z.*-]{0,12}|(stream|source|[*])[.]?[*]?[a-z]{0,8}") {
            match Pattern::read(&text) {
                Ok(pattern) => {
                    prop_assert!(pattern.kinds().next().is_some());
                    prop_assert_eq!(Pattern::read(pattern.as_str()), Ok(pattern));
                }
                Err(unknown) => if let Some(near) = unknown.nearest {
                    prop_assert!(Pattern::read(&near).is_ok(), "{}", near);
                }
            }
        }
    }
}
