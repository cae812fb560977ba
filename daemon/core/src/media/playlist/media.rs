//! Reads a media playlist.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::line::{Content, Lines, Tag, byte_range, checked_range, excerpt, fault, resolve};
use super::{ByteRange, Entry, Key, Limits, Map, MediaPlaylist, Variables};
use crate::fault::{Fault, FaultKind};

pub(super) fn parse(
    bytes: &[u8],
    base: &Url,
    inherited: &Variables,
    limits: Limits,
) -> Result<MediaPlaylist, Fault> {
    let mut reading = Reading::new(base, inherited, limits);
    for line in Lines::new(bytes) {
        let line = line?;
        match line.content {
            Content::Tag(tag) => reading.tag(&tag)?,
            Content::Uri(uri) => reading.entry(uri, line.number)?,
        }
    }
    match reading.target_duration {
        Some(target_duration) => Ok(MediaPlaylist { target_duration, ..reading.playlist }),
        None => Err(Fault::malformed("a media playlist without EXT-X-TARGETDURATION")),
    }
}

/// What the lines up to here said.
struct Reading<'a> {
    base: &'a Url,
    inherited: &'a Variables,
    limits: Limits,
    variables: Variables,
    target_duration: Option<Duration>,
    playlist: MediaPlaylist,
    discontinuity_sequence: u64,
    discontinuities: u64,
    /// The keys in force, each with its KEYFORMAT.
    keys: Vec<(String, Arc<Key>)>,
    map: Option<Arc<Map>>,
    /// The object of the entry before and the end of its range.
    previous: Option<(Url, u64)>,
    /// The wall clock at the end of the entry before.
    clock: Option<Timestamp>,
    next: Next,
}

/// What the tags since the last URI say of the next one.
#[derive(Default)]
struct Next {
    duration: Option<Duration>,
    range: Option<(u64, Option<u64>)>,
    gap: bool,
    program_date_time: Option<Timestamp>,
}

impl<'a> Reading<'a> {
    fn new(base: &'a Url, inherited: &'a Variables, limits: Limits) -> Self {
        let playlist = MediaPlaylist {
            target_duration: Duration::ZERO,
            media_sequence: 0,
            ended: false,
            independent_segments: false,
            entries: Vec::new(),
            start_offset: None,
        };
        Self {
            base,
            inherited,
            limits,
            variables: Variables::default(),
            target_duration: None,
            playlist,
            discontinuity_sequence: 0,
            discontinuities: 0,
            keys: Vec::new(),
            map: None,
            previous: None,
            clock: None,
            next: Next::default(),
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) -> Result<(), Fault> {
        match tag.name {
            "INF" => self.next.duration = Some(Duration::from_secs_f64(tag.seconds()?)),
            "-X-BYTERANGE" => self.next.range = Some(byte_range(tag.text()?, tag.number)?),
            "-X-GAP" => self.next.gap = true,
            "-X-PROGRAM-DATE-TIME" => self.next.program_date_time = tag.text()?.parse().ok(),
            "-X-DISCONTINUITY" => {
                self.discontinuities += 1;
                self.clock = None;
            }
            "-X-KEY" => self.key(tag)?,
            "-X-MAP" => self.map = Some(Arc::new(self.read_map(tag)?)),
            _ => self.header_tag(tag)?,
        }
        Ok(())
    }

    fn header_tag(&mut self, tag: &Tag<'_>) -> Result<(), Fault> {
        let playlist = &mut self.playlist;
        match tag.name {
            "-X-TARGETDURATION" => {
                let seconds = Duration::from_secs_f64(tag.seconds()?.ceil());
                self.target_duration = Some(seconds.max(Duration::from_secs(1)));
            }
            "-X-MEDIA-SEQUENCE" | "-X-DISCONTINUITY-SEQUENCE" if !playlist.entries.is_empty() => {
                return Err(tag.fault("it stands behind the first segment"));
            }
            "-X-MEDIA-SEQUENCE" => playlist.media_sequence = tag.sequence()?,
            "-X-DISCONTINUITY-SEQUENCE" => self.discontinuity_sequence = tag.sequence()?,
            "-X-ENDLIST" => playlist.ended = true,
            "-X-INDEPENDENT-SEGMENTS" => playlist.independent_segments = true,
            "-X-START" => {
                let attributes = tag.attributes(&self.variables)?;
                let offset = attributes.get("TIME-OFFSET").and_then(|text| text.parse::<f64>().ok());
                playlist.start_offset = offset.filter(|seconds| seconds.is_finite());
            }
            "-X-DEFINE" => self.variables.define(tag, self.base, self.inherited)?,
            // we never ask for one, and without what it leaves out keys and ranges cannot be known
            "-X-SKIP" => return Err(tag.fault("a delta update that was not asked for")),
            _ => {}
        }
        Ok(())
    }

    fn entry(&mut self, uri: &str, number: usize) -> Result<(), Fault> {
        let next = std::mem::take(&mut self.next);
        let duration = next.duration.ok_or_else(|| fault(number, "a segment without EXTINF"))?;
        let ahead = self.playlist.entries.len();
        if ahead >= self.limits.entries {
            return Err(FaultKind::TooLarge { limit: self.limits.entries as u64 }.into());
        }
        let url = self.url(uri, number)?;
        let range = next.range.map(|written| self.range(&url, written, number)).transpose()?;
        self.previous = range.map(|range| (url.clone(), range.offset + range.length));
        let sequence = self.playlist.media_sequence + ahead as u64;
        let started = next.program_date_time.or(self.clock);
        self.clock = started.and_then(|started| started.checked_add(duration).ok());
        self.playlist.entries.push(Entry {
            url,
            range,
            duration,
            sequence,
            discontinuity_sequence: self.discontinuity_sequence + self.discontinuities,
            gap: next.gap,
            program_date_time: started,
            key: self.key_in_force(),
            map: self.map.clone(),
        });
        Ok(())
    }

    fn range(&self, url: &Url, written: (u64, Option<u64>), number: usize) -> Result<ByteRange, Fault> {
        let (length, offset) = written;
        let offset = match (offset, &self.previous) {
            (Some(offset), _) => offset,
            (None, Some((previous, end))) if previous == url => *end,
            (None, _) => {
                return Err(fault(number, "a byte range without an offset, behind none of the same URI"));
            }
        };
        checked_range(offset, length, number)
    }

    fn url(&self, uri: &str, number: usize) -> Result<Url, Fault> {
        let uri = self.variables.replace(uri).map_err(|what| fault(number, what))?;
        resolve(self.base, &uri, number)
    }

    fn read_map(&self, tag: &Tag<'_>) -> Result<Map, Fault> {
        let attributes = tag.attributes(&self.variables)?;
        let uri = attributes.get("URI").ok_or_else(|| tag.fault("no URI"))?;
        let range = match attributes.get("BYTERANGE") {
            Some(text) => {
                let (length, offset) = byte_range(text, tag.number)?;
                Some(checked_range(offset.unwrap_or_default(), length, tag.number)?)
            }
            None => None,
        };
        Ok(Map { url: resolve(self.base, uri, tag.number)?, range, key: self.key_in_force() })
    }

    fn key(&mut self, tag: &Tag<'_>) -> Result<(), Fault> {
        let attributes = tag.attributes(&self.variables)?;
        let method = attributes.get("METHOD").ok_or_else(|| tag.fault("no METHOD"))?;
        if method == "NONE" {
            self.keys.clear();
            return Ok(());
        }
        let format = attributes.get("KEYFORMAT").unwrap_or("identity");
        let key = if format != "identity" {
            Key::Unsupported(format!("{} with the key format {}", excerpt(method), excerpt(format)))
        } else if method != "AES-128" {
            Key::Unsupported(excerpt(method))
        } else {
            let uri = attributes.get("URI").ok_or_else(|| tag.fault("no URI"))?;
            let iv = attributes.get("IV").map(|text| {
                initialization_vector(text).ok_or_else(|| tag.fault("an IV of 128 bits was expected"))
            });
            Key::Aes128 { url: resolve(self.base, uri, tag.number)?, iv: iv.transpose()? }
        };
        self.keys.retain(|(known, _)| known != format);
        if self.keys.len() >= 16 {
            return Err(tag.fault("more than 16 key formats"));
        }
        self.keys.push((format.to_owned(), Arc::new(key)));
        Ok(())
    }

    /// Keys of several formats lead to one key: the one that we can use, else the newest.
    fn key_in_force(&self) -> Option<Arc<Key>> {
        let usable = self.keys.iter().find(|(_, key)| matches!(**key, Key::Aes128 { .. }));
        usable.or(self.keys.last()).map(|(_, key)| key.clone())
    }
}

fn initialization_vector(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if digits.starts_with('+') {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}
