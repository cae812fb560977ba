//! The playlist that plays the files of one track (RFC 8216), and what it says of them when it is read again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::name::Name;

/// A finished file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: Name,
    /// How long it plays.
    pub(super) duration: Duration,
    /// The wall clock at its first sample.
    pub(super) start: Timestamp,
    /// Rises where the time line does not go on from the file before.
    pub(super) era: u64,
    /// Its size.
    pub(super) bytes: u64,
    /// How much of it is the initialization section at its head; 0 where it has none.
    pub(super) init_bytes: u64,
    /// Equal for equal initialization sections, see [`hash`].
    pub(super) init_hash: u64,
}

/// What tells one initialization section from another.
pub(super) fn hash(init: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(init);
    hasher.finish()
}

impl Entry {
    /// When it ended, by the wall clock.
    pub(super) fn end(&self) -> Timestamp {
        self.start
            .saturating_add(jiff::SignedDuration::try_from(self.duration).unwrap_or_default())
            .unwrap_or(self.start)
    }
}

/// The playlist of these files, oldest first. `media_sequence` is the number of the first.
pub(super) fn render(entries: &[Entry], media_sequence: u64) -> String {
    let longest = entries.iter().map(|entry| entry.duration).max().unwrap_or_default();
    let target_secs = (longest.as_secs() + u64::from(longest.subsec_nanos() > 0)).max(1);
    let version = if entries.iter().any(|entry| entry.init_bytes > 0) { 7 } else { 3 };
    let mut era = entries.first().map_or(0, |entry| entry.era);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target_secs}\n#EXT-X-MEDIA-SEQUENCE:{media_sequence}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{era}\n"
    );
    let mut map = None;
    for entry in entries {
        for _ in era..entry.era {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let own = Some((entry.init_bytes, entry.init_hash));
        let known = std::mem::replace(&mut map, own) == own;
        write_entry(&mut text, entry, known).unwrap_or_default(); // a String takes all
        era = entry.era;
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// The lines of a file. An initialization section that holds already is not named again: players would read it anew.
fn write_entry(text: &mut String, entry: &Entry, map_holds: bool) -> std::fmt::Result {
    let Entry { name, duration, start, bytes, init_bytes, .. } = entry;
    if *init_bytes > 0 && !map_holds {
        writeln!(text, "#EXT-X-MAP:URI=\"{name}\",BYTERANGE=\"{init_bytes}@0\"")?;
    }
    writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", start.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))?;
    writeln!(text, "#EXTINF:{:.6},", duration.as_secs_f64())?;
    if *init_bytes > 0 {
        writeln!(text, "#EXT-X-BYTERANGE:{}@{init_bytes}", bytes.saturating_sub(*init_bytes))?;
    }
    writeln!(text, "{name}")
}

/// What a playlist says of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) duration: Duration,
    pub(super) start: Timestamp,
    pub(super) era: u64,
    /// Its number in the playlist.
    pub(super) sequence: u64,
}

/// Reads a playlist of our own, by file name. Lines that are none of ours are passed over.
pub(super) fn read(text: &str) -> BTreeMap<String, Known> {
    let mut known = BTreeMap::new();
    let (mut sequence, mut era) = (0_u64, 0_u64);
    let (mut duration, mut start) = (None, None);
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            sequence = value.parse().unwrap_or_default();
        } else if let Some(value) = line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:") {
            era = value.parse().unwrap_or_default();
        } else if line == "#EXT-X-DISCONTINUITY" {
            era += 1;
        } else if let Some(value) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            start = value.parse().ok();
        } else if let Some(value) = line.strip_prefix("#EXTINF:") {
            let seconds: Option<f64> = value.trim_end_matches(',').parse().ok();
            duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        } else if !line.starts_with('#') {
            if let (Some(duration), Some(start)) = (duration.take(), start.take()) {
                known.insert(line.to_owned(), Known { duration, start, era, sequence });
            }
            sequence += 1;
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: &str, track: &str, era: u64, init_bytes: u64) -> Entry {
        let start: Timestamp = start.parse().unwrap();
        let extension = if init_bytes > 0 { "mp4" } else { "ts" };
        let name = Name::after(None, start, track, extension);
        Entry {
            name,
            duration: Duration::from_millis(3_600_040),
            start,
            era,
            bytes: 4000,
            init_bytes,
            init_hash: init_bytes,
        }
    }

    #[test]
    fn the_playlist_conforms_and_reads_as_it_was_written() {
        for (init_bytes, track) in [(0, ""), (1200, "audio-en")] {
            let entries = [
                entry("2026-11-21T15:00:00.25Z", track, 4, init_bytes),
                entry("2026-11-21T16:00:00.5Z", track, 4, init_bytes),
                entry("2026-11-21T17:00:01Z", track, 6, init_bytes),
            ];
            let text = render(&entries, 7);
            assert_eq!(sluice_conformance::check(&text), [], "{text}");
            assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2);
            assert_eq!(
                text.matches("#EXT-X-MAP").count(),
                usize::from(init_bytes > 0),
                "it is the same for all"
            );
            let known = read(&text);
            for (at, entry) in (7..).zip(&entries) {
                let Entry { duration, start, era, .. } = entry.clone();
                let expected = Known { duration, start, era, sequence: at };
                assert_eq!(known.get(&entry.name.to_string()), Some(&expected));
            }
        }
    }

    #[test]
    fn a_playlist_of_somebody_else_is_no_harm() {
        assert!(read("#EXTM3U\n#EXTINF:x,\na.ts\n\n#EXT-X-MEDIA-SEQUENCE:-1\n").is_empty());
    }
}
