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

/// A rendition as a source declares it. Attribute values are written as in a playlist, quotes and all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RenditionSpec {
    /// Its name in paths and metrics: `video`, `v1`, `audio-en`. Lowercase letters, digits and dashes.
    pub name: String,
    /// The part it plays.
    #[serde(flatten)]
    pub role: Role,
}
