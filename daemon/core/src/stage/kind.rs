//! The registry: const tables of the kinds that a configuration can name, with their documentation.

use super::{BufferSpec, LayerSpec, SinkSpec, SourceSpec};
use crate::conf::Node;

/// What travels between stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goods {
    /// Live media: windows of segments.
    Live,
}

impl Goods {
    /// The word that problems use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live media",
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
