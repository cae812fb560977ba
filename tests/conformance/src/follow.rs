//! The rules of a media playlist that changes (RFC 8216, 6.2.1 and 6.2.2; delta updates of the second edition, 6.2.5.1).

use crate::line;
use crate::playlist::{MediaPlaylist, Segment};
use crate::{Violation, check};

/// Follows one media playlist over its reloads, in the order in which a client sees them.
#[derive(Debug, Default)]
pub struct Follower {
    last: Option<MediaPlaylist>,
}

impl Follower {
    /// Every rule that this copy breaks, by itself or against the copies before. A delta update is applied to the copy
    /// before, and what comes out is looked at.
    pub fn observe(&mut self, text: &str) -> Vec<Violation> {
        let mut violations = check(text);
        let mut playlist = MediaPlaylist::read(&line::read(text));
        if playlist.skipped > 0 {
            match apply(self.last.as_ref(), &playlist) {
                Ok(whole) => playlist = whole,
                Err(violation) => {
                    violations.push(violation);
                    return violations;
                }
            }
        }
        if let Some(last) = &self.last {
            header(last, &playlist, &mut violations);
            head(last, &playlist, &mut violations);
            shared(last, &playlist, &mut violations);
            tail(last, &playlist, &mut violations);
            parts(last, &playlist, &mut violations);
        }
        self.last = Some(playlist);
        violations
    }
}

/// Whether the delta update, applied to the whole playlist `before`, comes to `whole` (6.2.5.1).
pub fn agree(before: &str, delta: &str, whole: &str) -> Vec<Violation> {
    let [before, delta, whole] = [before, delta, whole].map(|text| MediaPlaylist::read(&line::read(text)));
    let what = match apply(Some(&before), &delta) {
        Err(violation) => return vec![violation],
        Ok(applied) if plain(applied.clone()) == plain(whole.clone()) => return Vec::new(),
        Ok(applied) => format!("the delta update comes to {applied:?}, and the whole playlist is {whole:?}"),
    };
    vec![Violation::new("bis 6.2.5.1", 0, what)]
}

/// The playlist without the numbers of its lines. The parts of a segment that only the copy before lists have left.
fn plain(mut playlist: MediaPlaylist) -> MediaPlaylist {
    playlist.segments.iter_mut().chain(&mut playlist.open).for_each(|segment| segment.line = 0);
    playlist
}

/// The whole playlist that a delta update stands for. What applies to all segments behind a skipped one is carried on.
fn apply(last: Option<&MediaPlaylist>, delta: &MediaPlaylist) -> Result<MediaPlaylist, Violation> {
    let unknown = || Violation::new("bis 6.2.5.1", 0, "a delta update skips what was not listed before");
    let mut whole = delta.clone();
    whole.skipped = 0;
    let Some(skipped) = usize::try_from(delta.skipped).ok().filter(|skipped| *skipped > 0) else {
        return Ok(whole);
    };
    let last = last.ok_or_else(unknown)?;
    let left = delta.media_sequence.checked_sub(last.media_sequence).ok_or_else(unknown)?;
    let left = usize::try_from(left).map_err(|_| unknown())?;
    let kept = last.segments.get(left..left.saturating_add(skipped)).ok_or_else(unknown)?;
    // parts of what is skipped are too old to be listed
    whole.segments = kept.iter().map(|segment| Segment { parts: Vec::new(), ..segment.clone() }).collect();
    let (map, keys) = kept.last().map(|last| (last.map.clone(), last.keys.clone())).unwrap_or_default();
    let carry = |segment: &Segment| {
        let mut segment = segment.clone();
        segment.map = segment.map.or_else(|| map.clone());
        if segment.keys.is_empty() {
            segment.keys = keys.clone();
        }
        segment
    };
    whole.segments.extend(delta.segments.iter().map(carry));
    whole.open = delta.open.as_ref().map(carry);
    Ok(whole)
}

fn header(last: &MediaPlaylist, now: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let mut broken = |rule, what: String| violations.push(Violation::new(rule, 0, what));
    if last.target_duration != now.target_duration {
        broken(
            "6.2.1",
            format!("the target duration was {:?} and is {:?}", last.target_duration, now.target_duration),
        );
    }
    if last.playlist_type != now.playlist_type {
        broken("6.2.1", "EXT-X-PLAYLIST-TYPE changed".to_owned());
    }
    if now.media_sequence < last.media_sequence {
        broken(
            "6.2.2",
            format!("the media sequence went from {} back to {}", last.media_sequence, now.media_sequence),
        );
    }
    if now.discontinuity_sequence < last.discontinuity_sequence {
        let (before, after) = (last.discontinuity_sequence, now.discontinuity_sequence);
        broken("6.2.2", format!("the discontinuity sequence went from {before} back to {after}"));
    }
    if last.part_target != now.part_target || last.control != now.control {
        broken("bis 4.4.3", "EXT-X-PART-INF or EXT-X-SERVER-CONTROL changed".to_owned());
    }
    if last.ended && !now.ended {
        broken("6.2.1", "EXT-X-ENDLIST went away".to_owned());
    }
}

/// What left at the head must be counted: the media sequence by segments, the discontinuity sequence by the tags. It must
/// not leave a live playlist with less than three target durations.
fn head(last: &MediaPlaylist, now: &MediaPlaylist, violations: &mut Vec<Violation>) {
    if now.media_sequence > last.media_sequence && last.playlist_type.is_some() {
        violations.push(Violation::new("6.2.1", 0, "a segment left a playlist of a type that keeps them"));
    }
    let least = 3.0 * now.target_duration.unwrap_or_default() as f64;
    let listed: f64 = now.segments.iter().map(Segment::seconds).sum();
    // durations are written in up to six decimals, each rounded
    if now.media_sequence > last.media_sequence && !now.ended && listed + 0.001 < least {
        let what = format!("a segment left, and {listed:.3} s of the {least} s that must stay are listed");
        violations.push(Violation::new("6.2.2", 0, what));
    }
    let beyond = last.end();
    if now.media_sequence > beyond && !last.segments.is_empty() {
        let what = format!("segments {beyond} to {} were never listed", now.media_sequence - 1);
        violations.push(Violation::new("6.2.2", 0, what));
    }
}

fn shared(last: &MediaPlaylist, now: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let Some(left) = now.media_sequence.checked_sub(last.media_sequence) else { return };
    let skipped = usize::try_from(left).unwrap_or(usize::MAX);
    let before = last.segments.iter().zip(last.discontinuity_sequences()).skip(skipped);
    let after = now.segments.iter().zip(now.discontinuity_sequences());
    for (at, ((before, sequence_before), (after, sequence_after))) in before.zip(after).enumerate() {
        // the tags of a segment at the head may have left with the one before it
        let same_tags = before.discontinuities == after.discontinuities || at == 0;
        if let Some(what) = difference(before, after).or((!same_tags).then_some("its discontinuities")) {
            let number = now.media_sequence + at as u64;
            let what = format!("segment {number} changed {what}");
            violations.push(Violation::new("6.2.1", after.line, what));
        }
        if sequence_before != sequence_after {
            let what =
                format!("the discontinuity sequence was {sequence_before} here and is {sequence_after}");
            violations.push(Violation::new("6.2.2", after.line, what));
        }
    }
}

fn difference(before: &Segment, after: &Segment) -> Option<&'static str> {
    let checks = [
        (before.uri == after.uri, "its URI"),
        (before.duration == after.duration, "its duration"),
        (before.range == after.range, "its byte range"),
        (before.gap == after.gap, "its EXT-X-GAP"),
        (before.program_date_time == after.program_date_time, "its program date-time"),
        (before.map == after.map, "its EXT-X-MAP"),
        (before.keys == after.keys, "its EXT-X-KEY"),
    ];
    checks.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
}

/// Segments leave at the head only; behind EXT-X-ENDLIST nothing comes.
fn tail(last: &MediaPlaylist, now: &MediaPlaylist, violations: &mut Vec<Violation>) {
    if now.end() < last.end() {
        let what = format!("it ended at segment {} and now ends at {}", last.end(), now.end());
        violations.push(Violation::new("6.2.1", 0, what));
    }
    if last.ended && now.end() > last.end() {
        violations.push(Violation::new("6.2.1", 0, "segments behind EXT-X-ENDLIST"));
    }
}

/// Parts are added behind those that are there; those of a closed segment stay as they are until they leave together. What
/// was hinted at is what comes.
fn parts(last: &MediaPlaylist, now: &MediaPlaylist, violations: &mut Vec<Violation>) {
    let mut broken = |number: u64, what: &str| {
        violations.push(Violation::new("bis 6.2.1", 0, format!("segment {number} {what}")));
    };
    let first = last.media_sequence.max(now.media_sequence);
    for number in first..last.end() {
        let (Some((before, _)), Some((after, _))) = (find(last, number), find(now, number)) else { continue };
        if !after.parts.is_empty() && before.parts != after.parts {
            broken(number, "changed its parts");
        }
    }
    let growing = last.end();
    let (before, after) = (last.open.as_ref(), find(now, growing));
    let known = before.map_or(&[][..], |open| &open.parts);
    let Some((after, is_closed)) = after else {
        if before.is_some() && now.end() == growing {
            broken(growing, "lost its parts");
        }
        return;
    };
    if is_closed && after.parts.is_empty() {
        return; // old by now, or a source that delivers whole segments
    }
    if !after.parts.starts_with(known) {
        broken(growing, "changed its parts");
    }
    if before.is_some_and(|before| before.program_date_time != after.program_date_time) {
        broken(growing, "changed its program date-time");
    }
    if before.is_some_and(|before| before.map != after.map || before.discontinuities != after.discontinuities)
    {
        broken(growing, "changed its EXT-X-MAP or discontinuities");
    }
    if let Some((next, hint)) = after.parts.get(known.len()).zip(last.hint.as_ref())
        && next.uri != *hint
    {
        violations.push(Violation::new(
            "bis 6.2.6",
            next.line,
            format!("{} came, {hint} was hinted at", next.uri),
        ));
    }
}

/// The segment of this number, and whether it is closed.
fn find(playlist: &MediaPlaylist, number: u64) -> Option<(&Segment, bool)> {
    if number == playlist.end() {
        return Some((playlist.open.as_ref()?, false));
    }
    let at = usize::try_from(number.checked_sub(playlist.media_sequence)?).ok()?;
    Some((playlist.segments.get(at)?, true))
}
