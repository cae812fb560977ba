//! A media playlist as a viewer reads it. Deliberately apart from the daemon's own reader.

/// What a playlist lists.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// EXT-X-TARGETDURATION, in seconds.
    pub target_secs: u64,
    /// Whether EXT-X-ENDLIST stands in it.
    pub ended: bool,
    /// Its segments, oldest first.
    pub entries: Vec<Entry>,
}

/// One segment of a playlist.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its media sequence number.
    pub sequence: u64,
    /// Its discontinuity sequence number.
    pub discontinuity_sequence: u64,
    /// Its duration in seconds.
    pub seconds: f64,
    /// Its URI as written.
    pub uri: String,
    /// The URI of its initialization section.
    pub map: Option<String>,
    /// Whether EXT-X-GAP says that it is missing.
    pub gap: bool,
}

impl Listing {
    /// Reads a media playlist. Checks nothing: that is what the conformance checker is for.
    pub fn read(text: &str) -> Self {
        let mut listing = Self::default();
        let (mut sequence, mut discontinuity, mut seconds, mut map, mut gap) = (0, 0, 0.0, None, false);
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name {
                "#EXT-X-TARGETDURATION" => listing.target_secs = value.parse().unwrap_or(0),
                "#EXT-X-MEDIA-SEQUENCE" => sequence = value.parse().unwrap_or(0),
                "#EXT-X-SKIP" => sequence += skipped(value),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => discontinuity = value.parse().unwrap_or(0),
                "#EXT-X-DISCONTINUITY" => discontinuity += 1,
                "#EXT-X-ENDLIST" => listing.ended = true,
                "#EXT-X-GAP" => gap = true,
                "#EXT-X-MAP" => map = quoted(value, "URI"),
                "#EXTINF" => {
                    seconds = value.split(',').next().and_then(|text| text.parse().ok()).unwrap_or(0.0)
                }
                _ if line.is_empty() || line.starts_with('#') => {}
                _ => {
                    let (uri, map) = (line.to_owned(), map.clone());
                    let discontinuity_sequence = discontinuity;
                    listing.entries.push(Entry { sequence, discontinuity_sequence, seconds, uri, map, gap });
                    (sequence, gap) = (sequence + 1, false);
                }
            }
        }
        listing
    }
}

/// How many segments a delta update leaves out.
fn skipped(attributes: &str) -> u64 {
    attributes.trim_start_matches("SKIPPED-SEGMENTS=").parse().unwrap_or(0)
}

/// The URIs of the media playlists that a multivariant playlist leads to, variants first; none for others.
pub(crate) fn renditions(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    let mut variant = false;
    for line in text.lines() {
        if std::mem::take(&mut variant) {
            uris.push(line.to_owned());
        }
        variant = line.starts_with("#EXT-X-STREAM-INF:");
    }
    let media = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-MEDIA:"));
    uris.extend(media.filter_map(|line| quoted(line, "URI")));
    uris.dedup();
    uris
}

/// The value of a quoted attribute.
fn quoted(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(&format!("{name}=\""))?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_counted_from_the_head() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"i.mp4\"\n\
                    #EXTINF:2,\na\n#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:1.5,\nb\n";
        let listing = Listing::read(text);
        let [a, b] = &listing.entries[..] else { panic!("{listing:?}") };
        assert_eq!((a.sequence, a.discontinuity_sequence, a.gap), (7, 0, false));
        assert_eq!((b.sequence, b.discontinuity_sequence, b.gap), (8, 1, true));
        assert_eq!((b.seconds, b.map.as_deref()), (1.5, Some("i.mp4")));
    }

    #[test]
    fn every_rendition_of_a_multivariant_playlist_is_found() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n";
        assert_eq!(renditions(text), ["v.m3u8", "a.m3u8"]);
    }
}
