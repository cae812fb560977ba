//! The rules of a media playlist (RFC 8216, 4.3.2 and 4.3.3; the versions of section 7).

use crate::line::{self, Line};
use crate::playlist::{MediaPlaylist, Segment};
use crate::{Violation, low_latency};

/// Tags that only a media playlist has.
pub(crate) const TAGS: &[&str] = &[
    "#EXTINF",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-ENDLIST",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-I-FRAMES-ONLY",
    "#EXT-X-BYTERANGE",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-KEY",
    "#EXT-X-MAP",
    "#EXT-X-PROGRAM-DATE-TIME",
    "#EXT-X-GAP",
    "#EXT-X-PART-INF",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-PART",
    "#EXT-X-SKIP",
    "#EXT-X-PRELOAD-HINT",
    "#EXT-X-RENDITION-REPORT",
];

/// Tags that stand at most once, each with its section.
const ONCE: &[(&str, &str)] = &[
    ("#EXT-X-VERSION", "4.3.1.2"),
    ("#EXT-X-TARGETDURATION", "4.3.3.1"),
    ("#EXT-X-MEDIA-SEQUENCE", "4.3.3.2"),
    ("#EXT-X-DISCONTINUITY-SEQUENCE", "4.3.3.3"),
    ("#EXT-X-ENDLIST", "4.3.3.4"),
    ("#EXT-X-PLAYLIST-TYPE", "4.3.3.5"),
    ("#EXT-X-I-FRAMES-ONLY", "4.3.3.6"),
    ("#EXT-X-INDEPENDENT-SEGMENTS", "4.3.5.1"),
    ("#EXT-X-START", "4.3.5.2"),
    ("#EXT-X-PART-INF", "bis 4.4.3.7"),
    ("#EXT-X-SERVER-CONTROL", "bis 4.4.3.8"),
    ("#EXT-X-SKIP", "bis 4.4.5.2"),
];

pub(crate) fn check(lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    once(lines, violations);
    order(lines, violations);
    for line in lines {
        if let Some((name, value)) = line.tag() {
            violations
                .extend(value_of(name, value).map(|(rule, what)| Violation::new(rule, line.number, what)));
        }
    }
    let playlist = MediaPlaylist::read(lines);
    target_duration(&playlist, violations);
    violations.extend(
        playlist
            .segments
            .iter()
            .filter(|segment| segment.duration.is_none())
            .map(|segment| Violation::new("4.3.2.1", segment.line, "a segment without EXTINF")),
    );
    low_latency::check(&playlist, lines, violations);
    ranges(&playlist, violations);
    dates(&playlist, violations);
    version(lines, violations);
}

/// Tags that may not be repeated.
pub(crate) fn once(lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    for (tag, rule) in ONCE {
        let found = lines.iter().filter(|line| line.tag().is_some_and(|(name, _)| name == *tag));
        violations
            .extend(found.skip(1).map(|line| Violation::new(rule, line.number, format!("{tag} again"))));
    }
}

fn order(lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    let at = |wanted: &[&str]| {
        lines.iter().position(|line| line.tag().is_some_and(|(name, _)| wanted.contains(&name)))
    };
    let first_segment = lines.iter().position(|line| line.uri().is_some()).unwrap_or(lines.len());
    let first_discontinuity = at(&["#EXT-X-DISCONTINUITY"]).unwrap_or(lines.len());
    for (tag, rule, before) in [
        ("#EXT-X-MEDIA-SEQUENCE", "4.3.3.2", first_segment),
        ("#EXT-X-DISCONTINUITY-SEQUENCE", "4.3.3.3", first_segment.min(first_discontinuity)),
        ("#EXT-X-SKIP", "bis 4.4.5.2", first_segment.min(first_discontinuity)),
    ] {
        if let Some(late) = at(&[tag]).filter(|at| *at > before) {
            violations.push(Violation::new(rule, lines[late].number, format!("{tag} stands too late")));
        }
    }
}

/// What is wrong with the value of a tag.
fn value_of(name: &str, value: &str) -> Option<(&'static str, String)> {
    let wrong = |rule| Some((rule, format!("the value {value:?} of {name}")));
    match name {
        "#EXT-X-VERSION" if line::integer(value).is_none() => wrong("4.3.1.2"),
        "#EXTINF" if !value.contains(',') => Some(("4.3.2.1", "no comma behind the duration".to_owned())),
        "#EXTINF" if line::decimal(value.split(',').next().unwrap_or_default()).is_none() => wrong("4.3.2.1"),
        "#EXT-X-BYTERANGE" if range(value).is_none() => wrong("4.3.2.2"),
        "#EXT-X-KEY" => key(value).map(|what| ("4.3.2.4", what)),
        "#EXT-X-MAP" => map(value).map(|what| ("4.3.2.5", what)),
        "#EXT-X-PROGRAM-DATE-TIME" if !is_date(value) => wrong("4.3.2.6"),
        "#EXT-X-TARGETDURATION" if line::integer(value).is_none() => wrong("4.3.3.1"),
        "#EXT-X-MEDIA-SEQUENCE" if line::integer(value).is_none() => wrong("4.3.3.2"),
        "#EXT-X-DISCONTINUITY-SEQUENCE" if line::integer(value).is_none() => wrong("4.3.3.3"),
        "#EXT-X-PLAYLIST-TYPE" if !matches!(value, "EVENT" | "VOD") => wrong("4.3.3.5"),
        _ => None,
    }
}

fn range(value: &str) -> Option<(u64, Option<u64>)> {
    match value.split_once('@') {
        Some((length, offset)) => Some((line::integer(length)?, Some(line::integer(offset)?))),
        None => Some((line::integer(value)?, None)),
    }
}

fn key(value: &str) -> Option<String> {
    let attributes = match line::attributes(value) {
        Ok(attributes) => attributes,
        Err(what) => return Some(what),
    };
    let get = |wanted: &str| attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    match get("METHOD") {
        Some("NONE") if attributes.len() > 1 => Some("METHOD=NONE with other attributes".to_owned()),
        Some("NONE") => None,
        Some("AES-128" | "SAMPLE-AES") if get("URI").and_then(line::quoted).is_none() => {
            Some("no URI".to_owned())
        }
        Some("AES-128" | "SAMPLE-AES") => {
            get("IV").filter(|iv| !is_vector(iv)).map(|iv| format!("the IV {iv}"))
        }
        method => Some(format!("the METHOD {method:?}")),
    }
}

fn is_vector(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or_default();
    (1..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn map(value: &str) -> Option<String> {
    let attributes = match line::attributes(value) {
        Ok(attributes) => attributes,
        Err(what) => return Some(what),
    };
    let get = |wanted: &str| attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    if get("URI").and_then(line::quoted).is_none() {
        return Some("no URI".to_owned());
    }
    get("BYTERANGE")
        .filter(|text| line::quoted(text).and_then(range).is_none())
        .map(|text| format!("the BYTERANGE {text}"))
}

/// `YYYY-MM-DDThh:mm:ss` with an optional fraction and zone.
fn is_date(value: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd";
    let shaped = value.bytes().zip(pattern.bytes()).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        shape => byte == shape,
    });
    let rest = value.get(pattern.len()..);
    let zone = rest.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
    let zoned = |zone: &str| {
        zone.is_empty() || zone == "Z" || (zone.starts_with(['+', '-']) && (3..=6).contains(&zone.len()))
    };
    shaped && zone.is_some_and(zoned)
}

fn target_duration(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let Some(target) = playlist.target_duration else {
        violations.push(Violation::new("4.3.3.1", 0, "no EXT-X-TARGETDURATION"));
        return;
    };
    for segment in &playlist.segments {
        let seconds = segment.seconds();
        if seconds.round() > target as f64 {
            let what = format!("{seconds} s, with a target duration of {target} s");
            violations.push(Violation::new("4.3.3.1", segment.line, what));
        }
    }
}

fn ranges(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let mut before: Option<&Segment> = None;
    for segment in &playlist.segments {
        let open = segment.range.as_deref().and_then(range).is_some_and(|(_, offset)| offset.is_none());
        if open && !before.is_some_and(|before| before.uri == segment.uri && before.range.is_some()) {
            let what = "a range without an offset, behind none of the same URI";
            violations.push(Violation::new("4.3.2.2", segment.line, what));
        }
        before = Some(segment);
    }
}

/// 6.2.1: where there are dates, they may not run back. Written as UTC, they compare as text.
fn dates(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let dated = playlist.segments.iter().filter_map(|segment| {
        let date = segment.program_date_time.as_deref()?;
        date.ends_with('Z').then_some((segment, date))
    });
    let dated: Vec<_> = dated.collect();
    for pair in dated.windows(2) {
        let ((_, earlier), (segment, later)) = (pair[0], pair[1]);
        if segment.discontinuities == 0 && later.get(..19) < earlier.get(..19) {
            violations.push(Violation::new("6.2.1", segment.line, "a program date-time that runs back"));
        }
    }
}

/// Section 7: what the version must be for what is used.
fn version(lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    let mut said = 1;
    let mut needed = (1, 0, "");
    let mut need = |version: u64, line: usize, what: &'static str| {
        if version > needed.0 {
            needed = (version, line, what);
        }
    };
    let has = |wanted: &str| lines.iter().any(|line| line.tag().is_some_and(|(name, _)| name == wanted));
    let frames_only = has("#EXT-X-I-FRAMES-ONLY");
    for line in lines {
        let Some((name, value)) = line.tag() else { continue };
        match name {
            "#EXT-X-VERSION" => said = line::integer(value).unwrap_or(1),
            "#EXT-X-KEY" if value.contains("IV=") => need(2, line.number, "IV"),
            "#EXTINF" if value.split(',').next().is_some_and(|text| text.contains('.')) => {
                need(3, line.number, "decimals in EXTINF");
            }
            "#EXT-X-BYTERANGE" => need(4, line.number, "EXT-X-BYTERANGE"),
            "#EXT-X-I-FRAMES-ONLY" => need(4, line.number, "EXT-X-I-FRAMES-ONLY"),
            "#EXT-X-KEY" if value.contains("KEYFORMAT") => need(5, line.number, "KEYFORMAT"),
            "#EXT-X-MAP" if frames_only => need(5, line.number, "EXT-X-MAP"),
            "#EXT-X-SKIP" => need(9, line.number, "EXT-X-SKIP"),
            "#EXT-X-MAP" => need(6, line.number, "EXT-X-MAP without EXT-X-I-FRAMES-ONLY"),
            _ => {}
        }
    }
    let (version, line, what) = needed;
    if said < version {
        violations.push(Violation::new("7", line, format!("{what} needs version {version}, not {said}")));
    }
}
