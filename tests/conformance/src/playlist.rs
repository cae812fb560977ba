//! What a media playlist says, for the rules that look at more than one line.

use crate::line::{self, Line};

/// A segment with the tags that are its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) line: usize,
    pub(crate) uri: String,
    pub(crate) duration: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) discontinuities: u64,
    pub(crate) gap: bool,
    pub(crate) program_date_time: Option<String>,
    /// EXT-X-MAP and EXT-X-KEY in force.
    pub(crate) map: Option<String>,
    pub(crate) keys: Vec<String>,
}

/// A media playlist.
#[derive(Debug, Clone, Default)]
pub(crate) struct MediaPlaylist {
    pub(crate) target_duration: Option<u64>,
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    pub(crate) playlist_type: Option<String>,
    pub(crate) ended: bool,
    pub(crate) segments: Vec<Segment>,
}

impl MediaPlaylist {
    /// Reads what can be read; what cannot is for the rules of single lines.
    pub(crate) fn read(lines: &[Line<'_>]) -> Self {
        let mut playlist = Self::default();
        let mut next = Segment::blank();
        for line in lines {
            if let Some(uri) = line.uri() {
                let after = Segment { map: next.map.clone(), keys: next.keys.clone(), ..Segment::blank() };
                let segment = std::mem::replace(&mut next, after);
                playlist.segments.push(Segment { line: line.number, uri: uri.to_owned(), ..segment });
            } else if let Some((name, value)) = line.tag() {
                playlist.header(name, value);
                next.take(name, value);
            }
        }
        playlist
    }

    fn header(&mut self, name: &str, value: &str) {
        let number = || line::integer(value);
        match name {
            "#EXT-X-TARGETDURATION" => self.target_duration = number(),
            "#EXT-X-MEDIA-SEQUENCE" => self.media_sequence = number().unwrap_or_default(),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => self.discontinuity_sequence = number().unwrap_or_default(),
            "#EXT-X-PLAYLIST-TYPE" => self.playlist_type = Some(value.to_owned()),
            "#EXT-X-ENDLIST" => self.ended = true,
            _ => {}
        }
    }

    /// The discontinuity sequence at each segment, its own tags included.
    pub(crate) fn discontinuity_sequences(&self) -> Vec<u64> {
        let mut sequence = self.discontinuity_sequence;
        let count = |segment: &Segment| {
            sequence = sequence.saturating_add(segment.discontinuities);
            sequence
        };
        self.segments.iter().map(count).collect()
    }
}

impl Segment {
    fn blank() -> Self {
        Self {
            line: 0,
            uri: String::new(),
            duration: None,
            range: None,
            discontinuities: 0,
            gap: false,
            program_date_time: None,
            map: None,
            keys: Vec::new(),
        }
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "#EXTINF" => self.duration = Some(value.split(',').next().unwrap_or_default().to_owned()),
            "#EXT-X-BYTERANGE" => self.range = Some(value.to_owned()),
            "#EXT-X-DISCONTINUITY" => self.discontinuities += 1,
            "#EXT-X-GAP" => self.gap = true,
            "#EXT-X-PROGRAM-DATE-TIME" => self.program_date_time = Some(value.to_owned()),
            "#EXT-X-MAP" => self.map = Some(value.to_owned()),
            "#EXT-X-KEY" if value.contains("METHOD=NONE") => self.keys.clear(),
            "#EXT-X-KEY" => {
                let format = key_format(value);
                self.keys.retain(|key| key_format(key) != format);
                self.keys.push(value.to_owned());
            }
            _ => {}
        }
    }
}

fn key_format(key: &str) -> Option<String> {
    let attributes = line::attributes(key).ok()?;
    attributes.iter().find(|(name, _)| *name == "KEYFORMAT").map(|(_, value)| (*value).to_owned())
}
