//! What a rendition is: its name, and the part it plays.

use serde::Serialize;

/// The part that a rendition plays (RFC 8216, 4.3.4).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "role")]
pub enum Role {
    /// A variant stream of its own, or the only playlist that there is.
    Variant {
        /// BANDWIDTH, in bits per second; 0 where the origin does not say.
        bandwidth_bps: u64,
        /// The attributes of EXT-X-STREAM-INF that are passed on, as CODECS and RESOLUTION, without groups.
        attributes: Vec<(String, String)>,
        /// The audio group that belongs to it.
        audio: Option<String>,
        /// The subtitle group that belongs to it.
        subtitles: Option<String>,
        /// What it carries itself of its groups: audio beside the alternatives of its group, closed captions.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        muxed: Vec<Muxed>,
    },
    /// An alternative of a group (EXT-X-MEDIA).
    Alternative {
        /// AUDIO or SUBTITLES.
        media_type: String,
        /// GROUP-ID.
        group: String,
        /// The other attributes that are passed on, as NAME, LANGUAGE and DEFAULT; without URI.
        attributes: Vec<(String, String)>,
    },
}

impl Role {
    /// The only playlist that there is, of which nothing is said.
    pub fn only() -> Self {
        Self::Variant {
            bandwidth_bps: 0,
            attributes: Vec::new(),
            audio: None,
            subtitles: None,
            muxed: Vec::new(),
        }
    }
}

/// An alternative that has no playlist of its own: the variants that name its group carry it (EXT-X-MEDIA without
/// URI).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Muxed {
    /// AUDIO or CLOSED-CAPTIONS.
    pub media_type: String,
    /// GROUP-ID.
    pub group: String,
    /// The other attributes, as NAME, LANGUAGE and INSTREAM-ID.
    pub attributes: Vec<(String, String)>,
}

/// A rendition as a source declares it. Attribute values are written as in a playlist, quotes and all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RenditionSpec {
    /// Its name in paths and metrics: `video`, `v1`, `audio-en`. Lowercase letters, digits and dashes.
    pub name: String,
    /// The part it plays.
    #[serde(flatten)]
    pub role: Role,
}
