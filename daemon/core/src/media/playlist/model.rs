//! What a playlist says, resolved: URLs absolute, ranges with offsets, numbers absolute.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::Variables;

/// A byte range of an object: `length` bytes from `offset` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte.
    pub offset: u64,
    /// How many bytes; never 0, and the end never overflows.
    pub length: u64,
}

/// A playlist of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist {
    /// A list of variants (RFC 8216, 4.3.4).
    Multivariant(Multivariant),
    /// A list of segments (RFC 8216, 4.3.3).
    Media(MediaPlaylist),
}

/// A list of segments.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaPlaylist {
    /// EXT-X-TARGETDURATION: from one second to an hour.
    pub target_duration: Duration,
    /// The number of the first entry; it and every later one is below 2^63.
    pub media_sequence: u64,
    /// Whether nothing will follow (EXT-X-ENDLIST).
    pub ended: bool,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
    /// The segments, oldest first.
    pub entries: Vec<Entry>,
    /// TIME-OFFSET of EXT-X-START in seconds; from the end where negative.
    pub start_offset: Option<f64>,
}

/// A segment of an origin's playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub url: Url,
    /// The part of the object that it is; the whole where there is none.
    pub range: Option<ByteRange>,
    /// EXTINF: at most an hour.
    pub duration: Duration,
    /// Its media sequence number.
    pub sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE plus the EXT-X-DISCONTINUITY tags up to and with its own.
    pub discontinuity_sequence: u64,
    /// EXT-X-GAP: there is nothing to fetch.
    pub gap: bool,
    /// EXT-X-PROGRAM-DATE-TIME, or that of an entry before plus the durations since, unless a discontinuity
    /// stands between. A date that cannot be read counts as none.
    pub program_date_time: Option<Timestamp>,
    /// What it is encrypted with.
    pub key: Option<Arc<Key>>,
    /// Its initialization section.
    pub map: Option<Arc<Map>>,
}

/// How segments are encrypted (EXT-X-KEY).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Whole segments with AES-128-CBC and PKCS7 padding.
    Aes128 {
        /// Where the 16 bytes of the key are.
        url: Url,
        /// The initialization vector, where it is written.
        iv: Option<[u8; 16]>,
    },
    /// Something that we cannot decrypt: the method or key format, as `SAMPLE-AES`.
    Unsupported(String),
}

impl Key {
    /// The initialization vector of the segment with this media sequence number (RFC 8216, 5.2): as written, else
    /// the number in 128 bits, big-endian.
    pub fn iv(&self, sequence: u64) -> [u8; 16] {
        match self {
            Self::Aes128 { iv: Some(iv), .. } => *iv,
            _ => u128::from(sequence).to_be_bytes(),
        }
    }
}

/// An initialization section (EXT-X-MAP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Where it is.
    pub url: Url,
    /// The part of the object that it is.
    pub range: Option<ByteRange>,
    /// What it is encrypted with: the key in force where the tag stands.
    pub key: Option<Arc<Key>>,
}

/// A list of variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Multivariant {
    /// EXT-X-STREAM-INF, in the order of the playlist. At least one.
    pub variants: Vec<Variant>,
    /// EXT-X-MEDIA, in the order of the playlist.
    pub alternatives: Vec<Alternative>,
    /// What EXT-X-DEFINE set: give it to [`super::parse`] with the media playlists.
    pub variables: Variables,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
}

/// A variant stream. Attributes are as written, quotes and all, with variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its media playlist.
    pub url: Url,
    /// BANDWIDTH, in bits per second; 0 where the origin does not say.
    pub bandwidth_bps: u64,
    /// RESOLUTION: width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Every attribute but groups; `CLOSED-CAPTIONS=NONE` is kept.
    pub attributes: Vec<(String, String)>,
    /// The AUDIO group.
    pub audio: Option<String>,
    /// The SUBTITLES group.
    pub subtitles: Option<String>,
    /// The CLOSED-CAPTIONS group; none where it is the word NONE.
    pub closed_captions: Option<String>,
}

/// An alternative rendition. Attributes are as in [`Variant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// TYPE: AUDIO, VIDEO, SUBTITLES or CLOSED-CAPTIONS.
    pub media_type: String,
    /// GROUP-ID.
    pub group: String,
    /// Its media playlist; none where the variant itself carries it.
    pub url: Option<Url>,
    /// Every attribute but URI, TYPE and GROUP-ID.
    pub attributes: Vec<(String, String)>,
}
