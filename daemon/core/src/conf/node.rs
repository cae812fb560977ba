//! The cursor over one KDL node. What was not read when it is dropped is reported as a problem.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use super::Scalar;

/// A node that is being read. All methods take `&self`: what was read is marked within. Children borrow the
/// document, not their parent's cursor. Dropping the cursor reports entries and children that nothing read.
pub struct Node<'a>(PhantomData<&'a ()>);

impl<'a> Node<'a> {
    /// The node's name.
    pub fn name(&self) -> &'a str {
        todo!()
    }

    /// The next positional argument, required: a missing or wrong one is a problem that names it `what`.
    pub fn argument<T: Scalar>(&self, _what: &'static str) -> Option<T> {
        todo!()
    }

    /// The next positional argument, if there is one; a wrong one is a problem.
    pub fn optional_argument<T: Scalar>(&self, _what: &'static str) -> Option<T> {
        todo!()
    }

    /// All positional arguments that are left; at least one is required.
    pub fn arguments<T: Scalar>(&self, _what: &'static str) -> Vec<T> {
        todo!()
    }

    /// A property, if it is there.
    pub fn property<T: Scalar>(&self, _key: &'static str) -> Option<T> {
        todo!()
    }

    /// A property that must be there.
    pub fn required_property<T: Scalar>(&self, _key: &'static str) -> Option<T> {
        todo!()
    }

    /// A property within bounds; outside is a problem that names them.
    pub fn property_within<T: Scalar + PartialOrd + std::fmt::Debug>(
        &self,
        _key: &'static str,
        _bounds: RangeInclusive<T>,
    ) -> Option<T> {
        todo!()
    }

    /// An argument within bounds.
    pub fn argument_within<T: Scalar + PartialOrd + std::fmt::Debug>(
        &self,
        _what: &'static str,
        _bounds: RangeInclusive<T>,
    ) -> Option<T> {
        todo!()
    }

    /// The child of this name; a second one is a problem.
    pub fn child(&self, _name: &'static str) -> Option<Node<'a>> {
        todo!()
    }

    /// Every child of this name, in order.
    pub fn children(&self, _name: &'static str) -> Vec<Node<'a>> {
        todo!()
    }

    /// Every child whose name is in `names`, in order; the names count as known for suggestions.
    pub fn children_in(&self, _names: &[&'static str]) -> Vec<Node<'a>> {
        todo!()
    }

    /// Reports a problem at the node's name.
    pub fn problem(&self, _message: impl Into<String>, _help: impl Into<String>) {
        todo!()
    }

    /// Reports a problem at the property `key`, or at the node's name where there is none.
    pub fn problem_at(&self, _key: &str, _message: impl Into<String>, _help: impl Into<String>) {
        todo!()
    }

    /// Reports a problem at positional argument `index`, or at the node's name where there is none.
    pub fn problem_at_argument(&self, _index: usize, _message: impl Into<String>, _help: impl Into<String>) {
        todo!()
    }
}
