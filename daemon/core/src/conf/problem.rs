//! Problems of a configuration: what is wrong, where, and what to do about it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A configuration file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, relative to the directory of the configuration.
    pub name: Arc<str>,
    /// Its whole text.
    pub text: Arc<str>,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A marked stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<File>,
    /// The stretch, in bytes. Always within the text, and on its character boundaries.
    pub span: Range<usize>,
    /// A few words that stand beside the mark; may be empty.
    pub label: String,
}

impl Place {
    /// Marks `span` of `file`; a span that does not fit is shrunk until it does.
    pub fn new(file: Arc<File>, span: Range<usize>, label: impl Into<String>) -> Self {
        let boundary = |mut at: usize| {
            at = at.min(file.text.len());
            while !file.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(span.start);
        let span = start..boundary(span.end).max(start);
        Self { file, span, label: label.into() }
    }

    /// Where the mark begins.
    pub fn start(&self) -> Position {
        position(&self.file.text, self.span.start)
    }

    /// Where the mark ends: the position after its last character.
    pub fn end(&self) -> Position {
        position(&self.file.text, self.span.end)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.start();
        write!(f, "{}:{line}:{column}", self.file.name)
    }
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    Position { line, column }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file works, and likely not as meant.
    Warning,
    /// The file is not applied.
    Error,
}

/// What is wrong, as a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is not KDL 2.0.
    Syntax,
    /// The text is larger or deeper than what is read.
    Limit,
    /// A name that nothing knows.
    Unknown,
    /// A value that does not fit.
    Value,
    /// Something required is left out.
    Missing,
    /// Something stands twice.
    Repeated,
    /// A secret that cannot be read.
    Secret,
    /// Part of the language that this version does not support.
    NotYet,
    /// Two things that cannot stand together.
    Conflict,
    /// Something that has no effect.
    NoEffect,
}

impl Code {
    /// The word that stands in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Limit => "limit",
            Self::Unknown => "unknown",
            Self::Value => "value",
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Secret => "secret",
            Self::NotYet => "not-yet",
            Self::Conflict => "conflict",
            Self::NoEffect => "no-effect",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What class of problem it is.
    pub code: Code,
    /// One line: what is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// A second place that has to do with it.
    pub other: Option<Place>,
    /// What to do; may be empty.
    pub help: String,
}

impl Problem {
    /// An error at `place`, without help.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        let (severity, message) = (Severity::Error, message.into());
        Self { severity, code, message, place, other: None, help: String::new() }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn and(mut self, other: Place) -> Self {
        self.other = Some(other);
        self
    }

    /// Makes it a warning: the configuration works all the same.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(other) = &self.other {
            write!(f, " ({}: {other})", if other.label.is_empty() { "see" } else { &other.label })?;
        }
        Ok(())
    }
}

/// Every problem of a configuration, in the order of files and places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Whether there are none, warnings counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them forbids to apply the configuration.
    pub fn are_fatal(&self) -> bool {
        self.errors().next().is_some()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Those that forbid to apply the configuration.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// The names of the files with errors, each once.
    pub fn files(&self) -> std::collections::BTreeSet<Arc<str>> {
        self.errors().map(|problem| problem.place.file.name.clone()).collect()
    }
}

impl From<Vec<Problem>> for Problems {
    /// Sorts them, and drops those that say the same of the same place or that follow from bad syntax there.
    fn from(mut problems: Vec<Problem>) -> Self {
        let broken: Vec<Place> =
            problems.iter().filter(|one| one.code == Code::Syntax).map(|one| one.place.clone()).collect();
        problems.retain(|one| {
            let overlaps = |place: &Place| {
                place.file.name == one.place.file.name
                    && place.span.start < one.place.span.end
                    && one.place.span.start < place.span.end
            };
            one.code == Code::Syntax || !broken.iter().any(overlaps)
        });
        problems.sort_by(|a, b| {
            let file = |one: &Problem| one.place.file.name.clone();
            let span = |one: &Problem| (one.place.span.start, one.place.span.end);
            file(a).cmp(&file(b)).then(span(a).cmp(&span(b))).then_with(|| a.message.cmp(&b.message))
        });
        problems.dedup_by(|a, b| {
            a.message == b.message && a.place.file.name == b.place.file.name && a.place.span == b.place.span
        });
        Self(problems)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Where cursors leave problems while a configuration is read.
#[derive(Debug, Default)]
pub struct Collector(RefCell<Vec<Problem>>);

impl Collector {
    /// Adds one.
    pub fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Takes all of them.
    pub fn finish(self) -> Problems {
        self.0.into_inner().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Arc<File> {
        Arc::new(File { name: "a.kdl".into(), text: text.into() })
    }

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let place = Place::new(file("one\nzwö x"), 9..10, "");
        assert_eq!(place.start(), Position { line: 2, column: 5 });
        assert_eq!(place.to_string(), "a.kdl:2:5");
    }

    #[test]
    fn a_span_that_splits_a_character_or_leaves_the_text_is_shrunk() {
        assert_eq!(Place::new(file("ö"), 1..9, "").span, 0..2);
    }

    #[test]
    fn what_follows_from_bad_syntax_is_dropped_and_the_rest_comes_sorted_and_once() {
        let at = |code, span| Problem::new(code, Place::new(file("0123456789"), span, ""), "m");
        let found = vec![
            at(Code::Value, 8..9),
            at(Code::Value, 8..9),
            at(Code::Syntax, 2..4),
            at(Code::Value, 3..4),
            at(Code::Value, 0..1),
        ];
        let starts: Vec<_> = Problems::from(found).iter().map(|one| one.place.span.start).collect();
        assert_eq!(starts, [0, 2, 8]);
    }
}
