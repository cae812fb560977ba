//! A segment: the unit that windows hold and that HLS serves.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

/// An initialization section (EXT-X-MAP): `ftyp` and `moov`. Equal bytes have equal names.
#[derive(Debug, PartialEq, Eq)]
pub struct Init {
    /// The bytes.
    pub bytes: Bytes,
    /// The object's name, made from the bytes, without an extension.
    pub name: String,
}

impl Init {
    /// Names the section.
    pub fn new(bytes: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self { name: format!("init-{:016x}", hasher.finish()), bytes }
    }
}

/// What a segment's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Container {
    /// An MPEG transport stream, ISO/IEC 13818-1.
    TransportStream,
    /// Fragmented MP4, with the initialization section that its fragments need.
    FragmentedMp4 {
        /// What comes before the fragments.
        init: Arc<Init>,
    },
    /// AAC, AC-3, E-AC-3 or MP3 frames with an ID3 time stamp (RFC 8216, 3.4).
    PackedAudio {
        /// The extension that players know the codec by: `aac`, `ac3`, `ec3` or `mp3`.
        extension: &'static str,
    },
    /// WebVTT (RFC 8216, 3.5).
    WebVtt,
}

impl Container {
    /// What it is, in words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::TransportStream => "a transport stream",
            Self::FragmentedMp4 { .. } => "fragmented MP4",
            Self::PackedAudio { .. } => "packed audio",
            Self::WebVtt => "WebVTT",
        }
    }

    /// The extension of object names.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::TransportStream => "ts",
            Self::FragmentedMp4 { .. } => "m4s",
            Self::PackedAudio { extension } => extension,
            Self::WebVtt => "vtt",
        }
    }

    /// The media type that segments are served with.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::TransportStream => "video/mp2t",
            Self::FragmentedMp4 { .. } => "video/mp4",
            Self::PackedAudio { extension } => match *extension {
                "ac3" => "audio/ac3",
                "ec3" => "audio/eac3",
                "mp3" => "audio/mpeg",
                _ => "audio/aac",
            },
            Self::WebVtt => "text/vtt",
        }
    }

    /// The initialization section that the segment needs, where it needs one.
    pub fn init(&self) -> Option<&Arc<Init>> {
        if let Self::FragmentedMp4 { init } = self { Some(init) } else { None }
    }

    /// Whether both are of one family, so that one can follow the other in a rendition.
    pub fn fits(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Where a segment came from, so that a source that starts again finds its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source's own name for the object, as a URI with its byte range. Never shown: it may hold credentials.
    pub object: Arc<str>,
    /// The source's own number for it.
    pub number: u64,
}

/// A piece of a segment that can be sent on its own: for a transport stream a whole number of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// How long it plays.
    pub duration: Duration,
    /// Whether a decoder can start within it (RFC 8216bis, 4.4.4.9).
    pub independent: bool,
    /// The bytes, shared with every reader.
    pub bytes: Bytes,
}

/// What a source says of a segment; the window adds its place in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// How long it plays.
    pub duration: Duration,
    /// How many discontinuities the source has passed up to it, since it started. Equal in all renditions
    /// for equal content; where it rises, time line, parameters or container change.
    pub era: u64,
    /// Whether it is missing: it keeps its place in line and has no bytes (EXT-X-GAP).
    pub gap: bool,
    /// The wall clock at its first sample, where the source tells.
    pub program_date_time: Option<Timestamp>,
    /// What its bytes are.
    pub container: Container,
    /// Where it came from; none for what the source cut itself.
    pub origin: Option<Origin>,
    /// Its bytes in order. One part where the source delivers whole segments, none for a gap.
    pub parts: Vec<Part>,
}

impl Media {
    /// The sum of its parts.
    pub fn len_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }
}

/// A segment in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The media sequence number (RFC 8216, 4.3.3.2). Consecutive within a window, never reused.
    pub sequence: u64,
    /// How many discontinuities stand at or before it in the stream (RFC 8216, 4.3.3.3).
    pub discontinuity_sequence: u64,
    /// By how many it rises with this segment: the EXT-X-DISCONTINUITY tags before it.
    pub discontinuities: u64,
    /// What the source said.
    pub media: Media,
}
