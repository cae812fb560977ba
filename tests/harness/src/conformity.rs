//! The conformance checker, as a viewer uses it.

/// Checks every state of one playlist, and what changed since the last.
#[derive(Default)]
pub(crate) struct Conformity;

impl Conformity {
    /// What is wrong with the playlist, by itself or after those before.
    pub(crate) fn see(&mut self, _text: &str) -> Vec<String> {
        Vec::new()
    }
}
