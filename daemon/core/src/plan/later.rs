//! The parts of the language that this version does not support yet. They are told apart from unknown names.

/// Names by where they stand.
pub(super) struct Later {
    /// Nodes and properties, wherever nothing reads them.
    pub(super) names: &'static [&'static str],
    /// Kinds, by the node that names them.
    pub(super) kinds: &'static [(&'static str, &'static [&'static str])],
}

/// The table. What a registry knows, or what a decoder reads, is never looked up here.
pub(super) const LATER: Later = Later {
    names: &["access", "channels", "cluster", "engines", "idle", "match", "monitor", "on-demand", "query"],
    kinds: &[
        ("source", &["acestream", "directory"]),
        ("buffer", &["catalog", "disk", "jetstream"]),
        ("sink", &["library"]),
    ],
};

impl Later {
    /// Whether a later version knows this kind of `family`.
    pub(super) fn has_kind(&self, family: &str, kind: &str) -> bool {
        self.kinds.iter().any(|(node, kinds)| *node == family && kinds.contains(&kind))
    }
}
