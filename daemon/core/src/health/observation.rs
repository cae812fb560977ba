//! What was seen of one segment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::milliseconds;

/// What was seen of one segment of the leading rendition, the first variant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// Its media sequence in the window that is served.
    pub sequence: u64,
    /// When it was complete, in milliseconds of Unix time.
    pub at_ms: u64,
    /// Its playing time.
    #[serde(rename = "duration_ms", with = "milliseconds")]
    pub duration: Duration,
    /// From asking for it to its last byte, retries included; zero where it came by itself, as in an endless stream.
    #[serde(rename = "download_ms", with = "milliseconds")]
    pub download: Duration,
    /// From asking for it to its first byte; zero likewise.
    #[serde(rename = "first_byte_ms", with = "milliseconds")]
    pub first_byte: Duration,
    /// Its size.
    pub bytes: u64,
    /// The status of the last answer; 0 where there is none.
    pub status: u16,
    /// Attempts after the first.
    pub retries: u32,
    /// Whether it follows a discontinuity.
    pub discontinuity: bool,
    /// Whether it is missing: only its playing time is known.
    pub gap: bool,
    /// Continuity counters that did not follow, in a transport stream (ISO/IEC 13818-1, 2.4.3.3).
    pub continuity_errors: u32,
    /// Playing time that is missing between timestamps.
    #[serde(rename = "pts_gap_ms", with = "milliseconds")]
    pub pts_gap: Duration,
    /// How old the newest entry of the origin's playlist was; zero where there is no playlist.
    #[serde(rename = "playlist_age_ms", with = "milliseconds")]
    pub playlist_age: Duration,
    /// Viewers at that time.
    pub viewers: u32,
    /// How often the stream stalled since the observation before.
    pub stalls: u32,
}

/// How a segment came, as its source knows it. What a source does not know stays at its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    /// From asking for it to its last byte, retries included.
    pub download: Duration,
    /// From asking for it to its first byte.
    pub first_byte: Duration,
    /// The status of the last answer; 0 where there is none.
    pub status: u16,
    /// Attempts after the first.
    pub retries: u32,
    /// Continuity counters that did not follow.
    pub continuity_errors: u32,
    /// Playing time that is missing between timestamps.
    pub pts_gap: Duration,
    /// How old the newest entry of the origin's playlist is.
    pub playlist_age: Duration,
}

impl Delivery {
    /// That of one segment which several of the source make up.
    #[must_use]
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            download: self.download + later.download,
            first_byte: self.first_byte.max(later.first_byte),
            status: if later.status == 0 { self.status } else { later.status },
            retries: self.retries.saturating_add(later.retries),
            continuity_errors: self.continuity_errors.saturating_add(later.continuity_errors),
            pts_gap: self.pts_gap + later.pts_gap,
            playlist_age: self.playlist_age.max(later.playlist_age),
        }
    }
}
