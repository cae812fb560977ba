//! The names of recorded files: when they begin in UTC, the rendition where there are several, the kind of bytes.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const TIME: &str = "%Y-%m-%dT%H%M%SZ";
const EXTENSIONS: &[&str] = &["ts", "mp4", "aac", "ac3", "ec3", "mp3", "vtt"];

/// The name of a recorded file, as `2026-11-21T150000Z.ts` or `2026-11-21T150000Z.audio-en.mp4`. Names of one track
/// sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// Whole seconds.
    pub(super) start: Timestamp,
    /// The rendition; empty where one alone is recorded.
    pub(super) track: String,
    /// Without its dot.
    pub(super) extension: String,
}

impl Name {
    /// The name for a file that begins at `now`, later than that of `last`.
    pub(super) fn after(last: Option<Timestamp>, now: Timestamp, track: &str, extension: &str) -> Self {
        let second = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time);
        let next = last.and_then(|last| Timestamp::from_second(last.as_second() + 1).ok());
        let start = next.map_or(second(now), |next| second(now).max(next));
        Self { start, track: track.to_owned(), extension: extension.to_owned() }
    }

    /// Reads a name that this kind of sink gave; none for any other.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (time, rest) = name.split_once('.')?;
        let start = DateTime::strptime(TIME, time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let (track, extension) = rest.rsplit_once('.').unwrap_or(("", rest));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let parsed = Self { start, track: track.to_owned(), extension: extension.to_owned() };
        let known = EXTENSIONS.contains(&extension) && track.bytes().all(plain);
        (known && parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.track.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{}.{}", self.start.strftime(TIME), self.track, self.extension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_are_read() {
        for (name, ours) in [
            ("2026-11-21T150000Z.ts", true),
            ("2026-11-21T150000Z.audio-en.mp4", true),
            ("2026-11-21T150000Z.ts.part", false),
            ("2026-11-21T150000Z.a.b.ts", false),
            ("2026-11-21T150000Z.exe", false),
            ("2026-13-21T150000Z.ts", false),
            ("2026-11-21T150000.ts", false),
            ("holiday.ts", false),
        ] {
            assert_eq!(Name::parse(name).is_some_and(|read| read.to_string() == name), ours, "{name}");
        }
    }

    #[test]
    fn a_name_is_later_than_the_last_even_when_the_clock_is_not() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let name = |last, now| Name::after(last, time(now), "", "ts").to_string();
        assert_eq!(name(None, "2026-11-21T15:00:00.9Z"), "2026-11-21T150000Z.ts");
        let last = Some(time("2026-11-21T15:00:00Z"));
        assert_eq!(name(last, "2026-11-21T15:00:00.9Z"), "2026-11-21T150001Z.ts");
        assert_eq!(name(last, "2026-11-21T14:00:00Z"), "2026-11-21T150001Z.ts");
        assert_eq!(name(last, "2026-11-21T16:00:00Z"), "2026-11-21T160000Z.ts");
    }
}
