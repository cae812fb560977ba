//! The lines of a playlist, numbered, and what stands in one line.

use std::fmt::Display;

use quick_m3u8::config::{ParsingOptions, ParsingOptionsBuilder};
use quick_m3u8::tag::{AttributeValue, NoCustomTag, TagValue};
use quick_m3u8::{HlsLine, Reader};
use url::Url;

use super::{ByteRange, Variables};
use crate::fault::{Fault, FaultKind};

/// The longest URI, variables replaced.
const URI_BYTES: usize = 8 * 1024;

/// A line that says something, with its number from 1.
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) content: Content<'a>,
}

/// What a line is.
pub(super) enum Content<'a> {
    /// A tag.
    Tag(Tag<'a>),
    /// A URI, trimmed.
    Uri(&'a str),
}

/// The lines of a playlist but blank ones and comments. Tags and comments that are not UTF-8 are passed over.
pub(super) struct Lines<'a> {
    reader: Reader<&'a [u8], NoCustomTag>,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        // no tag is known to the reader, so that it splits every line alike and decides nothing
        let options: ParsingOptions = ParsingOptionsBuilder::new().build();
        Self { reader: Reader::from_bytes(bytes, options), number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let read = self.reader.read_line();
            self.number += 1;
            let number = self.number;
            let content = match read {
                Ok(None) => return None,
                Ok(Some(HlsLine::UnknownTag(tag))) => {
                    Content::Tag(Tag { number, name: tag.name().trim_end(), value: tag.value() })
                }
                Ok(Some(HlsLine::Uri(std::borrow::Cow::Borrowed(uri)))) if !uri.trim().is_empty() => {
                    Content::Uri(uri.trim())
                }
                Ok(Some(_)) => continue,
                Err(error) if error.errored_line.starts_with(b"#") => continue,
                Err(_) => return Some(Err(fault(number, "a URI that is not UTF-8"))),
            };
            return Some(Ok(Line { number, content }));
        }
    }
}

/// A tag without its `#EXT`.
#[derive(Clone, Copy)]
pub(super) struct Tag<'a> {
    pub(super) number: usize,
    pub(super) name: &'a str,
    value: Option<TagValue<'a>>,
}

impl<'a> Tag<'a> {
    /// The value as text.
    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        let bytes = self.value.map(|value| value.0).unwrap_or_default();
        std::str::from_utf8(bytes).map(str::trim).map_err(|_| self.fault("a value that is not UTF-8"))
    }

    /// The value as a sequence number, which is at most 2^62, so that counting on from it never overflows.
    pub(super) fn sequence(&self) -> Result<u64, Fault> {
        let number = self.text()?.parse().ok().filter(|number| *number <= 1 << 62);
        number.ok_or_else(|| self.fault("a sequence number of at most 2^62 was expected"))
    }

    /// What stands before the first comma as seconds.
    pub(super) fn seconds(&self) -> Result<f64, Fault> {
        let bytes = self.value.map(|value| value.0).unwrap_or_default();
        let number = bytes.split(|byte| *byte == b',').next().unwrap_or_default();
        let seconds = TagValue(number.trim_ascii()).try_as_decimal_floating_point();
        seconds
            .ok()
            .filter(|seconds| (0.0..=3600.0).contains(seconds))
            .ok_or_else(|| self.fault("a duration between 0 and 3600 seconds was expected"))
    }

    /// The value as an attribute list, variables replaced in quoted values. The first of equal names counts.
    pub(super) fn attributes(&self, variables: &Variables) -> Result<Attributes, Fault> {
        let list = self.value.and_then(|value| value.try_as_ordered_attribute_list().ok());
        let list = list.ok_or_else(|| self.fault("the attribute list cannot be read"))?;
        let mut attributes: Vec<(String, Value)> = Vec::with_capacity(list.len());
        for (name, value) in list {
            let name = name.trim();
            if attributes.iter().any(|(known, _)| known == name) {
                continue;
            }
            let value = match value {
                AttributeValue::Quoted(text) => {
                    let text = variables.replace(text).map_err(|what| self.fault(what))?;
                    Value { quoted: true, text: text.into_owned() }
                }
                AttributeValue::Unquoted(text) => {
                    let text =
                        text.try_as_utf_8().map_err(|_| self.fault("an attribute that is not UTF-8"))?;
                    Value { quoted: false, text: text.trim().to_owned() }
                }
            };
            if value.text.contains(char::is_control) {
                return Err(self.fault("a value with control characters"));
            }
            attributes.push((name.to_owned(), value));
        }
        Ok(Attributes(attributes))
    }

    /// A fault at this tag.
    pub(super) fn fault(&self, what: impl Display) -> Fault {
        fault(self.number, format_args!("EXT{}: {what}", excerpt(self.name)))
    }
}

/// The attributes of a tag, in order.
pub(super) struct Attributes(Vec<(String, Value)>);

struct Value {
    quoted: bool,
    text: String,
}

impl Attributes {
    /// The value of this name, without its quotes.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.text.as_str())
    }

    /// Every attribute but those in `without`, as written. What could not stand in a playlist of ours is left out.
    pub(super) fn passed_on(&self, without: &[&str]) -> Vec<(String, String)> {
        let passes = |(name, value): &&(String, Value)| {
            let of_names = |byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-');
            let named = !name.is_empty() && name.bytes().all(of_names);
            let breaks = |one: char| one.is_whitespace() || matches!(one, '"' | ',');
            let whole = value.quoted || (!value.text.is_empty() && !value.text.contains(breaks));
            named && whole && !without.contains(&name.as_str())
        };
        let written = |(name, value): &(String, Value)| {
            let text = if value.quoted { format!("\"{}\"", value.text) } else { value.text.clone() };
            (name.clone(), text)
        };
        self.0.iter().filter(passes).map(written).collect()
    }
}

/// A fault at a line.
pub(super) fn fault(number: usize, what: impl Display) -> Fault {
    Fault::malformed(format!("line {number}: {what}"))
}

/// Resolves a URI whose variables are replaced.
pub(super) fn resolve(base: &Url, uri: &str, number: usize) -> Result<Url, Fault> {
    if uri.len() > URI_BYTES {
        return Err(fault(number, "a URI of more than 8 KiB"));
    }
    let url = base.join(uri).map_err(|error| fault(number, format_args!("a URI that is wrong: {error}")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(Fault::new(FaultKind::Forbidden(
            format!("line {number}: a URL of the scheme {}", excerpt(scheme)).into(),
        ))),
    }
}

/// A byte range as written: its length, and its offset where there is one.
pub(super) fn byte_range(text: &str, number: usize) -> Result<(u64, Option<u64>), Fault> {
    let read = |digits: &str| digits.trim().parse::<u64>().ok();
    let range = match text.split_once('@') {
        Some((length, offset)) => read(length).zip(read(offset).map(Some)),
        None => read(text).zip(Some(None)),
    };
    range.ok_or_else(|| fault(number, "a byte range was expected, as 1000@0"))
}

/// A byte range from its parts.
pub(super) fn checked_range(offset: u64, length: u64, number: usize) -> Result<ByteRange, Fault> {
    match offset.checked_add(length) {
        Some(end) if length > 0 && i64::try_from(end).is_ok() => Ok(ByteRange { offset, length }),
        _ => Err(fault(number, "an absurd byte range")),
    }
}

/// The start of what an origin wrote, fit for a log line.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(48).collect()
}
