//! The registry: const tables of the kinds that a configuration can name, with their documentation.

use super::{BufferSpec, LayerSpec, SinkSpec, SourceSpec};
use crate::conf::Node;

/// What travels between stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goods {
    /// Live media: windows of segments.
    Live,
    /// A catalog: files with facts, served by range.
    Catalog,
}

impl Goods {
    /// The word that problems use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live media",
            Self::Catalog => "a catalog of files",
        }
    }
}

/// One thing that a node takes.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// How it is written: `URL`, `variant "highest"`, `burst=5`.
    pub form: &'static str,
    /// What it means, with units and limits.
    pub about: &'static str,
    /// What holds when it is left out; empty where it is required.
    pub default: &'static str,
}

/// What `sluice kinds`, the reference pages and the compliance test know of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Doc {
    /// The name as written in KDL.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// A node that decodes without a problem, whole.
    pub example: &'static str,
    /// Its arguments, properties and children.
    pub entries: &'static [Entry],
}

impl Doc {
    /// The names of its properties and children, as they stand at the beginning of each entry's form.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().filter_map(|entry| {
            let name = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
            let end = entry.form.find(|one| !name(one)).unwrap_or(entry.form.len());
            entry.form.get(..end).filter(|name| !name.is_empty())
        })
    }
}

/// A kind of source.
#[derive(Clone, Copy)]
pub struct SourceKind {
    /// Its documentation.
    pub doc: Doc,
    /// What it gives.
    pub gives: Goods,
    /// Whether it asks an origin by exchanges, so that layers on it have an effect.
    pub exchanges: bool,
    /// Reads it from its node. Problems are left with the node; `None` after at least one.
    pub decode: fn(&Node<'_>) -> Option<Box<dyn SourceSpec>>,
}

/// A kind of buffer.
#[derive(Clone, Copy)]
pub struct BufferKind {
    /// Its documentation.
    pub doc: Doc,
    /// What it takes and gives.
    pub holds: Goods,
    /// Reads it from its node.
    pub decode: fn(&Node<'_>) -> Option<Box<dyn BufferSpec>>,
}

/// A kind of sink.
#[derive(Clone, Copy)]
pub struct SinkKind {
    /// Its documentation.
    pub doc: Doc,
    /// What it takes.
    pub takes: Goods,
    /// Whether it pushes ([`super::SinkForm::Pushes`]), so that layers mean what they mean there.
    pub pushes: bool,
    /// Reads it from its node.
    pub decode: fn(&Node<'_>) -> Option<Box<dyn SinkSpec>>,
}

/// Where a layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a source: one exchange with the origin.
    Source,
    /// On a `memory` buffer.
    MemoryBuffer,
    /// On a serving sink: one viewer's request.
    Sink,
    /// On a pushing sink: one operation, as writing a segment.
    PushingSink,
}

/// A kind of middleware.
#[derive(Clone, Copy)]
pub struct LayerKind {
    /// Its documentation.
    pub doc: Doc,
    /// What it means at a place, in a few words; an error says why it can have no effect there.
    pub meaning: fn(Place) -> Result<&'static str, &'static str>,
    /// Reads it from its node.
    pub decode: fn(&Node<'_>) -> Option<Box<dyn LayerSpec>>,
}

/// Every kind that a configuration can name.
#[derive(Clone, Copy)]
pub struct Kinds {
    /// Sources.
    pub sources: &'static [SourceKind],
    /// Buffers.
    pub buffers: &'static [BufferKind],
    /// Sinks.
    pub sinks: &'static [SinkKind],
    /// Middleware.
    pub layers: &'static [LayerKind],
}

impl Kinds {
    /// The documentation of every kind with the family that it belongs to, in the order of the tables.
    pub fn docs(&self) -> impl Iterator<Item = (&'static str, &'static Doc)> {
        let sources = self.sources.iter().map(|kind| ("source", &kind.doc));
        let buffers = self.buffers.iter().map(|kind| ("buffer", &kind.doc));
        let sinks = self.sinks.iter().map(|kind| ("sink", &kind.doc));
        let layers = self.layers.iter().map(|kind| ("layer", &kind.doc));
        sources.chain(buffers).chain(sinks).chain(layers)
    }

    /// The names of all middleware.
    pub fn layer_names(&self) -> Vec<&'static str> {
        self.layers.iter().map(|kind| kind.doc.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_an_entry_are_those_that_stand_in_kdl() {
        const ENTRIES: &[Entry] = &[
            Entry { form: "URL", about: "", default: "" },
            Entry { form: "allow-hosts HOST...", about: "", default: "" },
            Entry { form: "window=N", about: "", default: "" },
        ];
        let doc = Doc { name: "x", about: "", example: "", entries: ENTRIES };
        assert_eq!(doc.names().collect::<Vec<_>>(), ["allow-hosts", "window"]);
    }
}
