//! The cursor over one KDL node. What was not read when it is dropped is reported as a problem.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use kdl::{KdlEntry, KdlNode};
use miette::SourceSpan;

use super::scope::Scope;
use super::unread::Known;
use super::{Code, Place, Problem, Scalar, Show};

/// A node that is being read. All methods take `&self`: what was read is marked within. Children borrow the
/// document, not their parent's cursor. Dropping the cursor reports entries and children that nothing read, so
/// a decoder reads everything first and gives up (`?`) afterwards.
pub struct Node<'a> {
    node: &'a KdlNode,
    scope: Scope<'a>,
    marks: RefCell<Marks>,
}

/// What was read of a node, by index, and by which names.
pub(super) struct Marks {
    pub(super) entries: Vec<bool>,
    pub(super) children: Vec<bool>,
    pub(super) arguments: usize,
    pub(super) known: Known,
}

impl<'a> Node<'a> {
    /// A cursor at the start of `node`, which stands in the scope's file.
    pub fn new(node: &'a KdlNode, scope: Scope<'a>) -> Self {
        let entries = vec![false; node.entries().len()];
        let children = vec![false; node.iter_children().count()];
        let marks = Marks { entries, children, arguments: 0, known: Known::default() };
        if let Some(annotation) = node.ty() {
            let place = Place::new(scope.file.clone(), range(annotation.span()), "annotation");
            let message = format!("`{}` takes no annotation", node.name().value());
            scope.problems.add(Problem::new(Code::Value, place, message).help("leave it out"));
        }
        Self { node, scope, marks: RefCell::new(marks) }
    }

    /// The node's name.
    pub fn name(&self) -> &'a str {
        self.node.name().value()
    }

    /// The next positional argument, required: a missing or wrong one is a problem that names it `what`.
    pub fn argument<T: Scalar>(&self, what: &'static str) -> Option<T> {
        match self.next_argument() {
            Some(entry) => self.scalar(entry, what),
            None => {
                self.missing_argument::<T>(what);
                None
            }
        }
    }

    /// The next positional argument, if there is one; a wrong one is a problem.
    pub fn optional_argument<T: Scalar>(&self, what: &'static str) -> Option<T> {
        let entry = self.next_argument()?;
        self.scalar(entry, what)
    }

    /// All positional arguments that are left; at least one is required.
    pub fn arguments<T: Scalar>(&self, what: &'static str) -> Vec<T> {
        let mut entries = Vec::new();
        while let Some(entry) = self.next_argument() {
            entries.push(entry);
        }
        if entries.is_empty() {
            self.missing_argument::<T>(what);
        }
        entries.into_iter().filter_map(|entry| self.scalar(entry, what)).collect()
    }

    /// A property, if it is there.
    pub fn property<T: Scalar>(&self, key: &'static str) -> Option<T> {
        let entry = self.take_property(key)?;
        self.scalar(entry, key)
    }

    /// A property that must be there.
    pub fn required_property<T: Scalar>(&self, key: &'static str) -> Option<T> {
        if let Some(entry) = self.take_property(key) {
            return self.scalar(entry, key);
        }
        let message = format!("`{}` needs the property `{key}`", self.name());
        self.report(
            Code::Missing,
            self.place("it is missing here"),
            message,
            format!("add {key}= with {}", T::EXPECTED),
        );
        None
    }

    /// A property within bounds; outside is a problem that names them.
    pub fn property_within<T: Scalar + PartialOrd + Show>(
        &self,
        key: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        let entry = self.take_property(key)?;
        self.scalar_within(entry, key, &bounds)
    }

    /// An argument within bounds; required.
    pub fn argument_within<T: Scalar + PartialOrd + Show>(
        &self,
        what: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        let Some(entry) = self.next_argument() else {
            self.missing_argument::<T>(what);
            return None;
        };
        self.scalar_within(entry, what, &bounds)
    }

    /// A property that is one of `words`, if it is there.
    pub fn property_among<T: Clone>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let entry = self.take_property(key)?;
        let found: String = self.scalar(entry, key)?;
        self.among(&found, entry, key, words)
    }

    /// An argument that is one of `words`; required.
    pub fn argument_among<T: Clone>(&self, what: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let Some(entry) = self.next_argument() else {
            self.missing_argument::<String>(what);
            return None;
        };
        let found: String = self.scalar(entry, what)?;
        self.among(&found, entry, what, words)
    }

    /// The child of this name; a second one is a problem.
    pub fn child(&self, name: &'static str) -> Option<Node<'a>> {
        let mut found = self.take_children(&[name]).into_iter();
        let first = found.next()?;
        for again in found {
            let place = self.place_of(again.name().span(), "again");
            let before = self.place_of(first.name().span(), "first");
            let message = format!("`{name}` stands twice in {}", self.title());
            self.add(Problem::new(Code::Repeated, place, message).help("keep one of them").and(before));
        }
        Some(Node::new(first, self.scope))
    }

    /// Every child of this name, in order.
    pub fn children(&self, name: &'static str) -> Vec<Node<'a>> {
        self.children_in(&[name])
    }

    /// Every child whose name is in `names`, in order; the names count as known for suggestions.
    pub fn children_in(&self, names: &[&'static str]) -> Vec<Node<'a>> {
        self.take_children(names).into_iter().map(|node| Node::new(node, self.scope)).collect()
    }

    /// Reports a problem at the node's name.
    pub fn problem(&self, message: impl Into<String>, help: impl Into<String>) {
        self.report(Code::Value, self.place(""), message.into(), help.into());
    }

    /// Reports a problem at the property `key`, or at the node's name where there is none.
    pub fn problem_at(&self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.report(Code::Value, self.place_of_property(key, ""), message.into(), help.into());
    }

    /// Reports a problem at positional argument `index`, or at the node's name where there is none.
    pub fn problem_at_argument(&self, index: usize, message: impl Into<String>, help: impl Into<String>) {
        self.report(Code::Value, self.place_of_argument(index, ""), message.into(), help.into());
    }

    /// Reports a problem that was made elsewhere.
    pub fn add(&self, problem: Problem) {
        self.scope.problems.add(problem);
    }

    /// The node's name, marked.
    pub fn place(&self, label: &str) -> Place {
        self.place_of(self.node.name().span(), label)
    }

    /// The property `key`, marked, or the node's name where there is none.
    pub fn place_of_property(&self, key: &str, label: &str) -> Place {
        let entry =
            self.node.entries().iter().find(|entry| entry.name().is_some_and(|name| name.value() == key));
        self.place_of(entry.map_or(self.node.name().span(), KdlEntry::span), label)
    }

    /// The positional argument `index`, marked, or the node's name where there is none.
    pub fn place_of_argument(&self, index: usize, label: &str) -> Place {
        let entry = self.node.entries().iter().filter(|entry| entry.name().is_none()).nth(index);
        self.place_of(entry.map_or(self.node.name().span(), KdlEntry::span), label)
    }

    /// Whether the property is there, right or wrong. It stays unread.
    pub fn has_property(&self, key: &str) -> bool {
        self.node.entries().iter().any(|entry| entry.name().is_some_and(|name| name.value() == key))
    }

    /// A property whose name the configuration chose, as the variables of a template.
    pub fn free_property<T: Scalar>(&self, key: &str) -> Option<T> {
        let entry = self.take_property(key)?;
        self.scalar(entry, key)
    }

    /// Names that are known here even if a decoder that fails gives up before it asks for them.
    pub fn documented(&self, names: impl IntoIterator<Item = &'static str>) {
        self.marks.borrow_mut().known.documented.extend(names);
    }

    /// Marks every child as read: they are read elsewhere.
    pub fn skip_children(&self) {
        self.marks.borrow_mut().children.fill(true);
    }

    /// Leaves the rest unread without a word: what is wrong with this node was said already.
    pub fn ignore_rest(&self) {
        self.marks.borrow_mut().known.ignored = true;
    }

    /// What this cursor and its children know.
    pub fn scope(&self) -> Scope<'a> {
        self.scope
    }

    /// The node itself.
    pub fn kdl(&self) -> &'a KdlNode {
        self.node
    }

    pub(super) fn title(&self) -> String {
        if self.name().is_empty() { "this file".into() } else { format!("`{}`", self.name()) }
    }

    pub(super) fn place_of(&self, span: SourceSpan, label: &str) -> Place {
        Place::new(self.scope.file.clone(), range(span), label)
    }

    pub(super) fn report(&self, code: Code, place: Place, message: String, help: String) {
        self.fail(Problem::new(code, place, message).help(help));
    }

    /// Reports a problem after which the decoder may give up early.
    pub(super) fn fail(&self, problem: Problem) {
        self.marks.borrow_mut().known.failed = true;
        self.add(problem);
    }

    fn next_argument(&self) -> Option<&'a KdlEntry> {
        let mut marks = self.marks.borrow_mut();
        marks.arguments += 1;
        let mut entries = self.node.entries().iter().enumerate();
        let (at, entry) = entries.find(|(at, entry)| entry.name().is_none() && !marks.entries[*at])?;
        marks.entries[at] = true;
        Some(entry)
    }

    fn missing_argument<T: Scalar>(&self, what: &str) {
        let message = format!("`{}` needs {} {what}", self.name(), super::unread::article(what));
        let help = format!("write {} after `{}`", T::EXPECTED, self.name());
        self.report(Code::Missing, self.place("it is missing here"), message, help);
    }

    fn take_property(&self, key: &str) -> Option<&'a KdlEntry> {
        let mut found: Vec<&KdlEntry> = Vec::new();
        {
            let mut marks = self.marks.borrow_mut();
            marks.known.properties.insert(key.to_owned());
            for (at, entry) in self.node.entries().iter().enumerate() {
                if entry.name().is_some_and(|name| name.value() == key) {
                    marks.entries[at] = true;
                    found.push(entry);
                }
            }
        }
        let (first, rest) = found.split_first()?;
        for again in rest {
            let before = self.place_of(first.span(), "first");
            let message = format!("`{key}` stands twice on `{}`", self.name());
            let problem = Problem::new(Code::Repeated, self.place_of(again.span(), "again"), message);
            self.add(problem.help("keep one of them").and(before));
        }
        Some(first)
    }

    /// The properties and children that nothing read so far, marked as read.
    pub(super) fn take_rest(&self) -> (Vec<&'a KdlEntry>, Vec<&'a KdlNode>) {
        let mut marks = self.marks.borrow_mut();
        let (mut properties, mut children) = (Vec::new(), Vec::new());
        for (at, entry) in self.node.entries().iter().enumerate() {
            if entry.name().is_some() && !std::mem::replace(&mut marks.entries[at], true) {
                properties.push(entry);
            }
        }
        for (at, child) in self.node.iter_children().enumerate() {
            if !std::mem::replace(&mut marks.children[at], true) {
                children.push(child);
            }
        }
        (properties, children)
    }

    fn take_children(&self, names: &[&'static str]) -> Vec<&'a KdlNode> {
        let mut marks = self.marks.borrow_mut();
        marks.known.children.extend(names.iter().map(|name| (*name).to_owned()));
        let mut found = Vec::new();
        for (at, child) in self.node.iter_children().enumerate() {
            if names.contains(&child.name().value()) {
                marks.children[at] = true;
                found.push(child);
            }
        }
        found
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let marks = self.marks.replace(Marks {
            entries: Vec::new(),
            children: Vec::new(),
            arguments: 0,
            known: Known::default(),
        });
        super::unread::report(self, &marks);
    }
}

pub(super) fn range(span: SourceSpan) -> Range<usize> {
    span.offset()..span.offset() + span.len()
}
