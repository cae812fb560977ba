//! A plain reader of lines and attribute lists.

/// A line that is neither blank nor a comment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    /// The tag's name with its `#`, and what stands behind the colon.
    pub(crate) fn tag(&self) -> Option<(&'a str, &'a str)> {
        self.text.starts_with("#EXT").then(|| self.text.split_once(':').unwrap_or((self.text, "")))
    }

    /// The URI.
    pub(crate) fn uri(&self) -> Option<&'a str> {
        (!self.text.starts_with('#')).then_some(self.text)
    }
}

/// The lines that say something.
pub(crate) fn read(text: &str) -> Vec<Line<'_>> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().enumerate().map(|(at, text)| Line { number: at + 1, text });
    lines.filter(|line| !line.text.is_empty() && (line.tag().is_some() || line.uri().is_some())).collect()
}

/// The attributes of a list, values as written. The error says what is wrong (4.2).
pub(crate) fn attributes(list: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut attributes: Vec<(&str, &str)> = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or("an attribute without a value")?;
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-')) {
            return Err(format!("the attribute name {name:?}"));
        }
        let end = match after.strip_prefix('"') {
            Some(quoted) => quoted.find('"').ok_or("a quote that does not end")? + 2,
            None => after.find(',').unwrap_or(after.len()),
        };
        let (value, after) = after.split_at(end);
        if value.is_empty() || (!value.starts_with('"') && value.contains(['"', ' ', '\t'])) {
            return Err(format!("the value of {name}"));
        }
        if attributes.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name} twice"));
        }
        attributes.push((name, value));
        rest = match after.strip_prefix(',') {
            Some("") => return Err("a comma at the end".to_owned()),
            Some(next) => next,
            None if after.is_empty() => after,
            None => return Err(format!("no comma behind {name}")),
        };
    }
    if attributes.is_empty() { Err("no attributes".to_owned()) } else { Ok(attributes) }
}

/// The value of one attribute as written; none where the list cannot be read.
pub(crate) fn attribute<'a>(list: &'a str, wanted: &str) -> Option<&'a str> {
    attributes(list).ok()?.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// A quoted string without its quotes.
pub(crate) fn quoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// A decimal integer (4.2).
pub(crate) fn integer(value: &str) -> Option<u64> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

/// A decimal floating-point number that is not negative (4.2).
pub(crate) fn decimal(value: &str) -> Option<f64> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| value.parse().ok())?
}
