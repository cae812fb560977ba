//! What cannot stand together: two pipelines of one name, two sinks on one path or one inside the other's, two that
//! write to one directory.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::conf::{Code, Place, Problem};

/// The names, paths, targets and addresses that are taken, with where.
#[derive(Default)]
pub(super) struct Taken {
    names: BTreeMap<String, Place>,
    paths: BTreeMap<String, Place>,
    targets: BTreeMap<String, Place>,
    /// Each with the pipeline that listens there.
    addresses: BTreeMap<String, (String, Place)>,
}

impl Taken {
    /// Takes the name of a pipeline.
    pub(super) fn name(&mut self, name: &str, place: Place) -> Option<Problem> {
        if let Some(first) = self.names.get(name) {
            let message = format!("two pipelines have the name `{name}`");
            return Some(conflict(place, first, message, "rename one of them"));
        }
        self.names.insert(name.to_owned(), place);
        None
    }

    /// Whether a pipeline has this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The names of all pipelines.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Takes what a sink writes to.
    pub(super) fn target(&mut self, target: &str, place: Place) -> Option<Problem> {
        if let Some(first) = self.targets.get(target) {
            let message = format!("two sinks write to {target}");
            return Some(conflict(place, first, message, "give each a directory of its own"));
        }
        self.targets.insert(target.to_owned(), place);
        None
    }

    /// Takes the address that a source of `pipeline` listens on.
    pub(super) fn address(&mut self, address: &str, pipeline: &str, place: Place) -> Option<Problem> {
        if let Some((other, first)) = self.addresses.get(address) {
            let message =
                format!("two sources listen on {address}, and only one of them would hear anything");
            let help = match other == pipeline {
                true => "leave one of them out",
                false => "follow one pipeline from the other: source \"pipeline\" \"NAME\"",
            };
            return Some(conflict(place, first, message, help));
        }
        self.addresses.insert(address.to_owned(), (pipeline.to_owned(), place));
        None
    }

    /// Takes the path of a sink.
    pub(super) fn path(&mut self, path: &str, place: Place) -> Option<Problem> {
        if let Some(first) = self.paths.get(path) {
            let message = format!("two sinks are on the path {path}");
            return Some(conflict(place, first, message, "give each a path of its own"));
        }
        let mut outer = path;
        while let Some((prefix, _)) = outer.rsplit_once('/') {
            outer = prefix;
            if let Some(first) = self.paths.get(outer) {
                let message = format!("the path {path} lies within the path {outer} of another sink");
                return Some(conflict(place, first, message, "give each a path of its own"));
            }
        }
        let inside = format!("{path}/");
        let after = self.paths.range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded)).next();
        if let Some((inner, first)) = after.filter(|(inner, _)| inner.starts_with(&inside)) {
            let message = format!("the path {inner} of another sink lies within the path {path}");
            return Some(conflict(place, first, message, "give each a path of its own"));
        }
        self.paths.insert(path.to_owned(), place);
        None
    }
}

fn conflict(place: Place, first: &Place, message: String, help: &str) -> Problem {
    let again = Place { label: "again".into(), ..place };
    let first = Place { label: "first".into(), ..first.clone() };
    Problem::new(Code::Conflict, again, message).help(help).and(first)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conf::File;

    #[test]
    fn paths_conflict_when_equal_or_nested_and_not_when_they_only_begin_alike() {
        let file = Arc::new(File { name: "a.kdl".into(), text: "".into() });
        let mut taken = Taken::default();
        let mut free = |path: &str| taken.path(path, Place::new(file.clone(), 0..0, "")).is_none();
        assert!(free("/live/news"));
        assert!(free("/live/news-2"));
        assert!(free("/live/news.ts"));
        assert!(!free("/live/news"));
        assert!(!free("/live/news/hd"));
        assert!(!free("/live"));
    }
}
