//! The rules of a media playlist that changes (RFC 8216, 6.2.1 and 6.2.2).

use crate::line;
use crate::playlist::{MediaPlaylist, Segment};
use crate::{Violation, check};

/// Follows one media playlist over its reloads, in the order in which a client sees them.
#[derive(Debug, Default)]
pub struct Follower {
    last: Option<MediaPlaylist>,
}

impl Follower {
    /// Every rule that this copy breaks, by itself or against the copies before.
    pub fn observe(&mut self, text: &str) -> Vec<Violation> {
        let mut violations = check(text);
        let playlist = MediaPlaylist::read(&line::read(text));
        if let Some(last) = &self.last {
            header(last, &playlist, &mut violations);
            head(last, &playlist, &mut violations);
            shared(last, &playlist, &mut violations);
            tail(last, &playlist, &mut violations);
        }
        self.last = Some(playlist);
        violations
    }
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
    if last.ended && !now.ended {
        broken("6.2.1", "EXT-X-ENDLIST went away".to_owned());
    }
}

/// What left at the head must be counted: the media sequence by segments, the discontinuity sequence by the tags.
fn head(last: &MediaPlaylist, now: &MediaPlaylist, violations: &mut Vec<Violation>) {
    if now.media_sequence > last.media_sequence && last.playlist_type.is_some() {
        violations.push(Violation::new("6.2.1", 0, "a segment left a playlist of a type that keeps them"));
    }
    let beyond = last.media_sequence + last.segments.len() as u64;
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
    let end = |playlist: &MediaPlaylist| playlist.media_sequence + playlist.segments.len() as u64;
    if end(now) < end(last) {
        let what = format!("it ended at segment {} and now ends at {}", end(last), end(now));
        violations.push(Violation::new("6.2.1", 0, what));
    }
    if last.ended && end(now) > end(last) {
        violations.push(Violation::new("6.2.1", 0, "segments behind EXT-X-ENDLIST"));
    }
}
