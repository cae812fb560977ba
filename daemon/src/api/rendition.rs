//! What the API says of a rendition.

use serde::{Deserialize, Serialize};
use sluice_core::pipeline::{Fed, Rendition};

/// A rendition's window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RenditionView {
    /// Its name.
    pub(crate) name: String,
    /// Closed segments.
    pub(crate) segments: usize,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Their playing time.
    pub(crate) duration_seconds: f64,
    /// The media sequence of the first; none while it is empty.
    pub(crate) first_sequence: Option<u64>,
    /// The media sequence of the last.
    pub(crate) last_sequence: Option<u64>,
    /// What feeds it; none before the first segment.
    #[serde(default)]
    pub(crate) fed_by: Option<FedView>,
}

/// How a rendition is fed by the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FedView {
    /// whole, split, joined or gaps.
    pub(crate) how: String,
    /// The renditions of the source that go into it.
    pub(crate) from: Vec<String>,
}

impl RenditionView {
    /// What `rendition` holds, and what feeds it.
    pub(super) fn of(rendition: &Rendition, fed: Option<&Fed>) -> Self {
        let window = rendition.window.snapshot();
        Self {
            name: rendition.spec.name.clone(),
            segments: window.segments.len(),
            bytes: window.len_bytes(),
            duration_seconds: window.duration().as_secs_f64(),
            first_sequence: window.segments.first().map(|segment| segment.sequence),
            last_sequence: window.segments.last().map(|segment| segment.sequence),
            fed_by: fed.map(|fed| FedView { how: fed.how.word().to_owned(), from: fed.from.clone() }),
        }
    }
}
