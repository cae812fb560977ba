//! What a source does to a rendition.

use std::time::Duration;

use crate::media::{Media, Part};

/// What a source does to a rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Operation {
    /// A whole segment.
    Append(Media),
    /// A segment begins that grows by parts; `Media` brings none.
    Open(Media),
    /// The next part of the open segment.
    Grow(Part),
    /// Its last part.
    GrowLast(Part),
    /// The open segment is whole.
    Close,
}

impl Operation {
    /// The bytes that it brings.
    pub(in crate::pipeline) fn len_bytes(&self) -> u64 {
        match self {
            Self::Append(media) => media.len_bytes(),
            Self::Grow(part) | Self::GrowLast(part) => part.bytes.len() as u64,
            Self::Open(_) | Self::Close => 0,
        }
    }

    /// The playing time that it brings; none where it brings no media.
    pub(in crate::pipeline) fn duration(&self) -> Option<Duration> {
        match self {
            Self::Append(media) => Some(media.duration),
            Self::Grow(part) | Self::GrowLast(part) => Some(part.duration),
            Self::Open(_) | Self::Close => None,
        }
    }

    /// Whether a segment is whole with it that has something in it.
    pub(in crate::pipeline) fn closes(&self) -> bool {
        match self {
            Self::Append(media) => !media.parts.is_empty(),
            Self::GrowLast(_) | Self::Close => true,
            Self::Open(_) | Self::Grow(_) => false,
        }
    }
}
