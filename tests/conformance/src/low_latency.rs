//! The rules of low latency (draft-pantos-hls-rfc8216bis), of one playlist by itself.

use crate::Violation;
use crate::line::{self, Line};
use crate::playlist::{MediaPlaylist, Segment};

/// What rounding in the last written decimal may hide.
const ROUNDING_SECONDS: f64 = 0.000_01;
/// By how much the sum of a segment's parts may miss its EXTINF: half of the last decimal of each.
const SUM_SECONDS: f64 = 0.000_5;
/// The least that a part lasts, in part targets (4.4.4.9).
const LEAST_PART: f64 = 0.85;

pub(crate) fn check(playlist: &MediaPlaylist, lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    for line in lines {
        let Some((name, value)) = line.tag() else { continue };
        violations
            .extend(attributes(name, value).map(|(rule, what)| Violation::new(rule, line.number, what)));
    }
    control(playlist, violations);
    before_parts(lines, violations);
    part_lengths(playlist, violations);
    sums(playlist, violations);
    old_parts(playlist, violations);
    hint(playlist, lines, violations);
    reports(playlist, lines, violations);
    skip(playlist, violations);
}

/// An attribute, and whether a value of it is a good one.
type Rule = (&'static str, fn(&str) -> bool);

/// Required attributes, and the words and numbers that they may have.
fn attributes(name: &str, value: &str) -> Option<(&'static str, String)> {
    let is_quoted: fn(&str) -> bool = |value| line::quoted(value).is_some();
    let is_decimal: fn(&str) -> bool = |value| line::decimal(value).is_some();
    let is_integer: fn(&str) -> bool = |value| line::integer(value).is_some();
    let is_yes: fn(&str) -> bool = |value| value == "YES";
    let is_hinted: fn(&str) -> bool = |value| matches!(value, "PART" | "MAP");
    let (rule, required, optional): (_, &[Rule], &[Rule]) = match name {
        "#EXT-X-PART-INF" => ("bis 4.4.3.7", &[("PART-TARGET", is_decimal)], &[]),
        "#EXT-X-SERVER-CONTROL" => (
            "bis 4.4.3.8",
            &[],
            &[
                ("CAN-BLOCK-RELOAD", is_yes),
                ("CAN-SKIP-DATERANGES", is_yes),
                ("CAN-SKIP-UNTIL", is_decimal),
                ("HOLD-BACK", is_decimal),
                ("PART-HOLD-BACK", is_decimal),
            ],
        ),
        "#EXT-X-PART" => (
            "bis 4.4.4.9",
            &[("URI", is_quoted), ("DURATION", is_decimal)],
            &[("INDEPENDENT", is_yes), ("GAP", is_yes), ("BYTERANGE", is_quoted)],
        ),
        "#EXT-X-SKIP" => ("bis 4.4.5.2", &[("SKIPPED-SEGMENTS", is_integer)], &[]),
        "#EXT-X-PRELOAD-HINT" => ("bis 4.4.5.3", &[("TYPE", is_hinted), ("URI", is_quoted)], &[]),
        "#EXT-X-RENDITION-REPORT" => {
            ("bis 4.4.5.4", &[("URI", is_quoted), ("LAST-MSN", is_integer)], &[("LAST-PART", is_integer)])
        }
        _ => return None,
    };
    let list = match line::attributes(value) {
        Ok(list) => list,
        Err(what) => return Some((rule, what)),
    };
    let get = |wanted: &str| list.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let missing = required.iter().find(|(name, _)| get(name).is_none());
    let wrong = required.iter().chain(optional).find(|(name, good)| get(name).is_some_and(|one| !good(one)));
    match (missing, wrong) {
        (Some((name, _)), _) => Some((rule, format!("no {name}"))),
        (None, Some((name, _))) => Some((rule, format!("the value {:?} of {name}", get(name)))),
        (None, None) => None,
    }
}

/// 4.4.3.8: how far back clients are held, and what may be skipped.
fn control(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let list = playlist.control.as_deref().unwrap_or_default();
    let seconds = |name: &str| line::attribute(list, name).and_then(line::decimal);
    let target = playlist.target_duration.unwrap_or_default() as f64;
    let mut broken = |what: String| violations.push(Violation::new("bis 4.4.3.8", 0, what));
    for (name, least) in [("CAN-SKIP-UNTIL", 6.0), ("HOLD-BACK", 3.0)] {
        if let Some(short) = seconds(name).filter(|seconds| seconds + ROUNDING_SECONDS < least * target) {
            broken(format!("{name} of {short} s with a target duration of {target} s"));
        }
    }
    let Some(part_target) = playlist.part_target else { return };
    match seconds("PART-HOLD-BACK") {
        // a server must keep to two part targets and should to three
        None => broken("EXT-X-PART-INF without PART-HOLD-BACK".to_owned()),
        Some(short) if short + ROUNDING_SECONDS < 3.0 * part_target => {
            broken(format!("PART-HOLD-BACK of {short} s with a part target of {part_target} s"));
        }
        Some(_) => {}
    }
    if line::attribute(list, "CAN-SKIP-DATERANGES").is_some() && seconds("CAN-SKIP-UNTIL").is_none() {
        broken("CAN-SKIP-DATERANGES without CAN-SKIP-UNTIL".to_owned());
    }
    // the draft leaves it open; without it nobody can follow the parts
    let is_read = line::attributes(list).is_ok();
    if is_read && line::attribute(list, "CAN-BLOCK-RELOAD").is_none() {
        violations.push(Violation::new("bis 6.2.5.2", 0, "parts without CAN-BLOCK-RELOAD"));
    }
}

/// 4.4.4.9: what applies to a segment stands before its first part.
fn before_parts(lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    const APPLIED: [&str; 4] =
        ["#EXT-X-DISCONTINUITY", "#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-PROGRAM-DATE-TIME"];
    let mut in_parts = false;
    for line in lines {
        match line.tag() {
            None => in_parts = false,
            Some(("#EXT-X-PART", _)) => in_parts = true,
            Some((name, _)) if in_parts && APPLIED.contains(&name) => {
                let what = format!("{name} behind a part of its segment");
                violations.push(Violation::new("bis 4.4.4.9", line.number, what));
            }
            Some(_) => {}
        }
    }
}

fn with_parts(playlist: &MediaPlaylist) -> impl DoubleEndedIterator<Item = &Segment> {
    playlist.segments.iter().chain(&playlist.open)
}

/// 4.4.4.9: no part is longer than the target; none is shorter than 85 % of it, but one that is independent, one that is
/// missing or followed by such, and the last of a segment.
fn part_lengths(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let mut broken = |line, what: String| violations.push(Violation::new("bis 4.4.4.9", line, what));
    let first = with_parts(playlist).find_map(|segment| segment.parts.first());
    let Some(target) = playlist.part_target else {
        if let Some(first) = first {
            broken(first.line, "EXT-X-PART without EXT-X-PART-INF".to_owned());
        }
        return;
    };
    for segment in with_parts(playlist) {
        for (at, part) in segment.parts.iter().enumerate() {
            let seconds = part.seconds;
            if seconds > target + ROUNDING_SECONDS {
                broken(part.line, format!("a part of {seconds} s with a part target of {target} s"));
            }
            let next = segment.parts.get(at + 1);
            // the newest part of an open segment may turn out to be its last
            let may_be_last = next.is_none();
            let may_be_short =
                may_be_last || part.independent || part.gap || next.is_some_and(|next| next.gap);
            if !may_be_short && seconds + ROUNDING_SECONDS < LEAST_PART * target {
                broken(part.line, format!("a part of {seconds} s, less than 85 % of {target} s"));
            }
        }
    }
}

/// 4.4.4.9: the parts of a segment are the segment.
fn sums(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    for segment in playlist.segments.iter().filter(|segment| !segment.parts.is_empty()) {
        let sum: f64 = segment.parts.iter().map(|part| part.seconds).sum();
        if (sum - segment.seconds()).abs() > SUM_SECONDS {
            let what = format!("parts of {sum} s in a segment of {} s", segment.seconds());
            violations.push(Violation::new("bis 4.4.4.9", segment.line, what));
        }
    }
}

/// 6.2.2: parts more than three target durations from the end are not listed. Nor is a part behind one that is not, for
/// the list would have a hole.
fn old_parts(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let target = playlist.target_duration.unwrap_or_default() as f64;
    let open: f64 = playlist.open.iter().flat_map(|open| &open.parts).map(|part| part.seconds).sum();
    let mut distance = open;
    for segment in playlist.segments.iter().rev() {
        distance += segment.seconds();
        if !segment.parts.is_empty() && distance > 3.0 * target + SUM_SECONDS {
            let what = format!("parts {distance} s from the end, with a target duration of {target} s");
            violations.push(Violation::new("bis 6.2.2", segment.line, what));
        }
    }
}

/// B.1: while more is to come, the next part is hinted at. 4.4.5.3 and 6.2.6: that is one that is not there yet.
fn hint(playlist: &MediaPlaylist, lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    let is_hint = |line: &Line<'_>| line.tag().is_some_and(|(name, _)| name == "#EXT-X-PRELOAD-HINT");
    if !lines.iter().any(is_hint) && playlist.part_target.is_some() && !playlist.ended {
        violations.push(Violation::new("bis B.1", 0, "a playlist with parts and without a hint at the next"));
    }
    let mut broken = |what: String| violations.push(Violation::new("bis 4.4.5.3", 0, what));
    match &playlist.hint {
        Some(_) if playlist.ended => broken("a hint behind the end".to_owned()),
        Some(uri) if with_parts(playlist).flat_map(|segment| &segment.parts).any(|part| part.uri == *uri) => {
            broken(format!("a hint at {uri}, which is listed"));
        }
        _ => {}
    }
    if let Some(open) = playlist.open.as_ref().filter(|_| playlist.ended) {
        let line = open.parts.first().map_or(0, |part| part.line);
        violations.push(Violation::new("bis 4.4.4.9", line, "parts of no segment at the end"));
    }
}

/// 4.4.5.4: where there are parts, a report names one; a playlist does not report of itself twice.
fn reports(playlist: &MediaPlaylist, lines: &[Line<'_>], violations: &mut Vec<Violation>) {
    let mut known = Vec::new();
    for line in lines {
        let Some((_, value)) = line.tag().filter(|(name, _)| *name == "#EXT-X-RENDITION-REPORT") else {
            continue;
        };
        let mut broken = |what: String| violations.push(Violation::new("bis 4.4.5.4", line.number, what));
        let Some(uri) = line::attribute(value, "URI") else { continue };
        if playlist.part_target.is_some() && line::attribute(value, "LAST-PART").is_none() {
            broken("a report without LAST-PART in a playlist with parts".to_owned());
        }
        if known.contains(&uri) {
            broken(format!("two reports of {uri}"));
        }
        if uri.contains("://") {
            broken(format!("the URI {uri} is not relative"));
        }
        known.push(uri);
    }
}

/// 4.4.5.2 and 6.2.5.1: what is within the skip boundary is not skipped.
fn skip(playlist: &MediaPlaylist, violations: &mut Vec<Violation>) {
    if playlist.skipped == 0 {
        return;
    }
    let list = playlist.control.as_deref().unwrap_or_default();
    let until = line::attribute(list, "CAN-SKIP-UNTIL").and_then(line::decimal);
    let Some(until) = until else {
        violations.push(Violation::new("bis 6.2.5.1", 0, "EXT-X-SKIP without CAN-SKIP-UNTIL"));
        return;
    };
    let closed: f64 = playlist.segments.iter().map(Segment::seconds).sum();
    let open: f64 = playlist.open.iter().flat_map(|open| &open.parts).map(|part| part.seconds).sum();
    if closed + open + SUM_SECONDS < until {
        let what = format!("only {} s are left of {until} s that may not be skipped", closed + open);
        violations.push(Violation::new("bis 6.2.5.1", 0, what));
    }
}
