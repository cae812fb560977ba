//! The rules of a multivariant playlist (RFC 8216, 4.3.4).

use std::collections::BTreeSet;

use crate::Violation;
use crate::line::{self, Line};
use crate::media::once;

/// Tags that only a multivariant playlist has.
pub(crate) const TAGS: &[&str] = &[
    "#EXT-X-STREAM-INF",
    "#EXT-X-MEDIA",
    "#EXT-X-I-FRAME-STREAM-INF",
    "#EXT-X-SESSION-DATA",
    "#EXT-X-SESSION-KEY",
];

type Attributes<'a> = Vec<(&'a str, &'a str)>;

fn get<'a>(attributes: &Attributes<'a>, wanted: &str) -> Option<&'a str> {
    attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
}

pub(crate) fn check(lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    once(lines, violations);
    stream_lines(lines, violations);
    let media = read(lines, "#EXT-X-MEDIA", "4.3.4.1", violations);
    let streams = read(lines, "#EXT-X-STREAM-INF", "4.3.4.2", violations);
    for (number, attributes) in &media {
        violations.extend(alternative(attributes).map(|what| Violation::new("4.3.4.1", *number, what)));
    }
    groups(&media, violations);
    for (number, attributes) in &streams {
        violations.extend(stream(attributes).map(|what| Violation::new("4.3.4.2", *number, what)));
        for missing in missing_groups(attributes, &media) {
            violations.push(Violation::new("4.3.4.2", *number, missing));
        }
    }
}

/// 4.3.4.2: each EXT-X-STREAM-INF has its URI on the next line.
fn stream_lines(lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    let is_stream = |line: &Line<'_>| line.tag().is_some_and(|(name, _)| name == "#EXT-X-STREAM-INF");
    for (at, line) in lines.iter().enumerate() {
        if is_stream(line) && lines.get(at + 1).is_none_or(|next| next.uri().is_none()) {
            violations.push(Violation::new(
                "4.3.4.2",
                line.number,
                "EXT-X-STREAM-INF without a URI behind it",
            ));
        }
        if line.uri().is_some() && (at == 0 || !is_stream(&lines[at - 1])) {
            violations.push(Violation::new(
                "4.3.4.2",
                line.number,
                "a URI without EXT-X-STREAM-INF before it",
            ));
        }
    }
}

fn read<'a>(
    lines: &[Line<'a>],
    tag: &str,
    rule: &'static str,
    violations: &mut Vec<Violation>,
) -> Vec<(usize, Attributes<'a>)> {
    let mut found = Vec::new();
    for line in lines {
        let Some((_, value)) = line.tag().filter(|(name, _)| *name == tag) else { continue };
        match line::attributes(value) {
            Ok(attributes) => found.push((line.number, attributes)),
            Err(what) => violations.push(Violation::new(rule, line.number, what)),
        }
    }
    found
}

fn alternative(attributes: &Attributes<'_>) -> Option<String> {
    let kind = get(attributes, "TYPE").unwrap_or_default();
    if !matches!(kind, "AUDIO" | "VIDEO" | "SUBTITLES" | "CLOSED-CAPTIONS") {
        return Some(format!("the TYPE {kind:?}"));
    }
    for required in ["GROUP-ID", "NAME"] {
        if get(attributes, required).and_then(line::quoted).is_none() {
            return Some(format!("no {required} in quotes"));
        }
    }
    let uri = get(attributes, "URI");
    if uri.is_some_and(|uri| line::quoted(uri).is_none()) {
        return Some("a URI without quotes".to_owned());
    }
    match (kind, uri.is_some()) {
        ("SUBTITLES", false) => return Some("SUBTITLES without a URI".to_owned()),
        ("CLOSED-CAPTIONS", true) => return Some("CLOSED-CAPTIONS with a URI".to_owned()),
        _ => {}
    }
    if (kind == "CLOSED-CAPTIONS") != get(attributes, "INSTREAM-ID").is_some() {
        return Some("INSTREAM-ID is for CLOSED-CAPTIONS, and required there".to_owned());
    }
    if get(attributes, "FORCED").is_some() && kind != "SUBTITLES" {
        return Some("FORCED outside of SUBTITLES".to_owned());
    }
    for choice in ["DEFAULT", "AUTOSELECT", "FORCED"] {
        if get(attributes, choice).is_some_and(|value| !matches!(value, "YES" | "NO")) {
            return Some(format!("{choice} is neither YES nor NO"));
        }
    }
    let contradiction =
        get(attributes, "DEFAULT") == Some("YES") && get(attributes, "AUTOSELECT") == Some("NO");
    contradiction.then(|| "DEFAULT=YES with AUTOSELECT=NO".to_owned())
}

/// 4.3.4.1.1: names are unique within a group, and at most one member is the default.
fn groups(media: &[(usize, Attributes<'_>)], violations: &mut Vec<Violation>) {
    let mut names = BTreeSet::new();
    let mut defaults = BTreeSet::new();
    for (number, attributes) in media {
        let group = (get(attributes, "TYPE"), get(attributes, "GROUP-ID"));
        if !names.insert((group, get(attributes, "NAME"))) {
            violations.push(Violation::new("4.3.4.1.1", *number, "a NAME twice in one group"));
        }
        if get(attributes, "DEFAULT") == Some("YES") && !defaults.insert(group) {
            violations.push(Violation::new("4.3.4.1.1", *number, "a second DEFAULT=YES in one group"));
        }
    }
}

fn stream(attributes: &Attributes<'_>) -> Option<String> {
    let Some(bandwidth) = get(attributes, "BANDWIDTH") else { return Some("no BANDWIDTH".to_owned()) };
    if line::integer(bandwidth).is_none() {
        return Some(format!("the BANDWIDTH {bandwidth}"));
    }
    if let Some(resolution) = get(attributes, "RESOLUTION") {
        let sides = resolution.split_once('x');
        if sides.is_none_or(|(width, height)| line::integer(width).and(line::integer(height)).is_none()) {
            return Some(format!("the RESOLUTION {resolution}"));
        }
    }
    for quoted in ["CODECS", "AUDIO", "VIDEO", "SUBTITLES"] {
        if get(attributes, quoted).is_some_and(|value| line::quoted(value).is_none()) {
            return Some(format!("{quoted} without quotes"));
        }
    }
    None
}

/// 4.3.4.2: a group that a variant names must be there.
fn missing_groups(attributes: &Attributes<'_>, media: &[(usize, Attributes<'_>)]) -> Vec<String> {
    let is_missing = |kind: &str| {
        let group = get(attributes, kind).filter(|group| *group != "NONE")?;
        let there = media.iter().any(|(_, attributes)| {
            get(attributes, "TYPE") == Some(kind) && get(attributes, "GROUP-ID") == Some(group)
        });
        (!there).then(|| format!("the group {group} of {kind} is not there"))
    };
    ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"].into_iter().filter_map(is_missing).collect()
}
