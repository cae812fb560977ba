//! Variables of EXT-X-DEFINE, and their replacement (RFC 8216bis, 4.3 and 4.4.2.3).

use std::borrow::Cow;
use std::collections::HashMap;

use url::Url;

use super::line::{Attributes, Tag};
use crate::fault::Fault;

/// The longest text that replacing may lead to, in bytes.
const REPLACED_BYTES: usize = 8 * 1024;
/// How many variables one playlist may set.
const COUNT: usize = 256;

/// Variables by name. Values hold no quotes and no control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(HashMap<String, String>);

impl Variables {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes in an EXT-X-DEFINE.
    pub(super) fn define(&mut self, tag: &Tag<'_>, base: &Url, inherited: &Self) -> Result<(), Fault> {
        let attributes = tag.attributes(self)?;
        let (name, value) = definition(&attributes, base, inherited).map_err(|what| tag.fault(what))?;
        if self.0.len() >= COUNT {
            return Err(tag.fault("too many variables"));
        }
        if value.chars().any(|character| character == '"' || character.is_control()) {
            return Err(tag.fault("a value with quotes or control characters"));
        }
        match self.0.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(tag.fault("a name that is set already")),
        }
    }

    /// Replaces every `{$name}`. The error says what is wrong.
    pub(super) fn replace<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, String> {
        let Some((before, mut rest)) = text.split_once("{$") else { return Ok(Cow::Borrowed(text)) };
        let mut replaced = before.to_owned();
        loop {
            match rest.split_once('}').filter(|(name, _)| is_name(name)) {
                Some((name, after)) => {
                    replaced.push_str(self.get(name).ok_or_else(|| undefined(name))?);
                    rest = after;
                }
                None => replaced.push_str("{$"),
            }
            let (literal, next) = rest.split_once("{$").map_or((rest, None), |(a, b)| (a, Some(b)));
            replaced.push_str(literal);
            if replaced.len() > REPLACED_BYTES {
                return Err("more than 8 KiB when its variables are replaced".to_owned());
            }
            let Some(next) = next else { return Ok(Cow::Owned(replaced)) };
            rest = next;
        }
    }
}

fn definition(
    attributes: &Attributes,
    base: &Url,
    inherited: &Variables,
) -> Result<(String, String), String> {
    let (name, value) = if let Some(name) = attributes.get("NAME") {
        (name, attributes.get("VALUE").unwrap_or_default().to_owned())
    } else if let Some(name) = attributes.get("IMPORT") {
        (name, inherited.get(name).ok_or_else(|| undefined(name))?.to_owned())
    } else if let Some(name) = attributes.get("QUERYPARAM") {
        let value = base.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        (name, value.ok_or_else(|| undefined(name))?)
    } else {
        return Err("none of NAME, IMPORT and QUERYPARAM".to_owned());
    };
    if is_name(name) { Ok((name.to_owned(), value)) } else { Err("a name that is wrong".to_owned()) }
}

fn undefined(name: &str) -> String {
    format!("the variable {} is not set", super::line::excerpt(name))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
