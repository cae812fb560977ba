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
    pub(crate) parts: Vec<Part>,
}

/// A part of a segment (EXT-X-PART).
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) line: usize,
    pub(crate) uri: String,
    pub(crate) seconds: f64,
    pub(crate) independent: bool,
    pub(crate) gap: bool,
}

/// A media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MediaPlaylist {
    pub(crate) target_duration: Option<u64>,
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    pub(crate) playlist_type: Option<String>,
    pub(crate) ended: bool,
    pub(crate) segments: Vec<Segment>,
    /// What is said of the segment behind the last URI: its parts, and the tags before them.
    pub(crate) open: Option<Segment>,
    /// EXT-X-SKIP: segments that stand before those listed.
    pub(crate) skipped: u64,
    /// PART-TARGET, in seconds.
    pub(crate) part_target: Option<f64>,
    /// EXT-X-SERVER-CONTROL as written.
    pub(crate) control: Option<String>,
    /// The URI of EXT-X-PRELOAD-HINT for a part.
    pub(crate) hint: Option<String>,
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
                next.parts.extend((name == "#EXT-X-PART").then(|| Part::read(line.number, value)).flatten());
            }
        }
        playlist.open = (!next.parts.is_empty()).then_some(next);
        playlist
    }

    /// The number of the segment behind the last one.
    pub(crate) fn end(&self) -> u64 {
        self.media_sequence.saturating_add(self.skipped).saturating_add(self.segments.len() as u64)
    }

    fn header(&mut self, name: &str, value: &str) {
        let number = || line::integer(value);
        match name {
            "#EXT-X-TARGETDURATION" => self.target_duration = number(),
            "#EXT-X-MEDIA-SEQUENCE" => self.media_sequence = number().unwrap_or_default(),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => self.discontinuity_sequence = number().unwrap_or_default(),
            "#EXT-X-PLAYLIST-TYPE" => self.playlist_type = Some(value.to_owned()),
            "#EXT-X-ENDLIST" => self.ended = true,
            "#EXT-X-SERVER-CONTROL" => self.control = Some(value.to_owned()),
            "#EXT-X-SKIP" => {
                let skipped = line::attribute(value, "SKIPPED-SEGMENTS").and_then(line::integer);
                self.skipped = skipped.unwrap_or_default();
            }
            "#EXT-X-PART-INF" => {
                self.part_target = line::attribute(value, "PART-TARGET").and_then(line::decimal);
            }
            "#EXT-X-PRELOAD-HINT" if line::attribute(value, "TYPE") == Some("PART") => {
                let uri = line::attribute(value, "URI").and_then(line::quoted);
                self.hint = uri.map(str::to_owned);
            }
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
            parts: Vec::new(),
        }
    }

    /// EXTINF as a number; 0 where it is none.
    pub(crate) fn seconds(&self) -> f64 {
        self.duration.as_deref().and_then(line::decimal).unwrap_or_default()
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

impl Part {
    fn read(line: usize, value: &str) -> Option<Self> {
        let is = |name| line::attribute(value, name) == Some("YES");
        Some(Self {
            line,
            uri: line::attribute(value, "URI").and_then(line::quoted)?.to_owned(),
            seconds: line::attribute(value, "DURATION").and_then(line::decimal)?,
            independent: is("INDEPENDENT"),
            gap: is("GAP"),
        })
    }
}

impl PartialEq for Part {
    /// Where it stands is no part of it.
    fn eq(&self, other: &Self) -> bool {
        let Self { line: _, uri, seconds, independent, gap } = self;
        (uri, seconds, independent, gap) == (&other.uri, &other.seconds, &other.independent, &other.gap)
    }
}

fn key_format(key: &str) -> Option<String> {
    let attributes = line::attributes(key).ok()?;
    attributes.iter().find(|(name, _)| *name == "KEYFORMAT").map(|(_, value)| (*value).to_owned())
}
