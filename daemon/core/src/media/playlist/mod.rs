//! Playlists of HTTP Live Streaming (RFC 8216 and its successor draft): what an origin says, and what we say.
//!
//! Lines are split by `quick-m3u8`; what they mean together is decided here. Whatever an origin writes, the answer
//! is a playlist or a [`Fault`] that names the line. URLs are absolute and only ever `http` or `https`.

mod line;
mod media;
mod model;
mod multivariant;
pub mod render;
mod variables;

pub use model::{Alternative, ByteRange, Entry, Key, Map, MediaPlaylist, Multivariant, Playlist, Variant};
pub use variables::Variables;

use line::{Content, Lines};
use url::Url;

use crate::fault::Fault;

/// How much a playlist may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Segments of a media playlist; variants and alternatives of a multivariant playlist.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 20_000 }
    }
}

/// Reads a playlist within the usual limits.
///
/// `base` is the URL that answered, after redirects: relative URIs resolve against it, and QUERYPARAM variables
/// come from it. `inherited` are the variables of the multivariant playlist that led here, for IMPORT.
///
/// # Errors
/// `Malformed` with the line for what is no playlist or breaks a rule that its meaning hangs on; `Forbidden` for
/// a URL that is neither `http` nor `https`; `TooLarge` over the limits.
pub fn parse(bytes: &[u8], base: &Url, inherited: &Variables) -> Result<Playlist, Fault> {
    parse_within(bytes, base, inherited, Limits::default())
}

/// Reads a playlist within `limits`.
///
/// # Errors
/// As [`parse`].
pub fn parse_within(
    bytes: &[u8],
    base: &Url,
    inherited: &Variables,
    limits: Limits,
) -> Result<Playlist, Fault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    header(bytes)?;
    let found = Found::scan(bytes)?;
    match (found.multivariant, found.media) {
        (true, true) => Err(Fault::malformed("a playlist with the tags of both kinds")),
        (true, false) => multivariant::parse(bytes, base, limits).map(Playlist::Multivariant),
        (false, _) => media::parse(bytes, base, inherited, limits).map(Playlist::Media),
    }
}

fn header(bytes: &[u8]) -> Result<(), Fault> {
    let first = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    if first.trim_ascii_end() == b"#EXTM3U" {
        return Ok(());
    }
    if first.is_empty() {
        return Err(Fault::malformed("not a playlist: it begins with an empty line"));
    }
    let start = line::excerpt(&String::from_utf8_lossy(first));
    Err(Fault::malformed(format!("not a playlist: it begins with {start:?}")))
}

/// Which kind of tags a playlist has.
#[derive(Default)]
struct Found {
    multivariant: bool,
    media: bool,
}

impl Found {
    fn scan(bytes: &[u8]) -> Result<Self, Fault> {
        let mut found = Self::default();
        for line in Lines::new(bytes) {
            if let Content::Tag(tag) = line?.content {
                match tag.name {
                    "INF" | "-X-TARGETDURATION" => found.media = true,
                    "-X-STREAM-INF" | "-X-MEDIA" | "-X-I-FRAME-STREAM-INF" => found.multivariant = true,
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
