//! Media playlists in low latency (draft-pantos-hls-rfc8216bis): parts, what the server can do, delta updates.
//!
//! An old player skips the tags that it does not know, and reads the same playlist as plain HLS.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::{MediaOptions, Seconds, write_numbers, write_segment, write_segment_tags};
use crate::media::{Part, Segment};

/// HOLD-BACK in target durations: the least that is allowed (4.4.3.8).
const HOLD_BACK_TARGETS: u32 = 3;
/// PART-HOLD-BACK in part targets: what should be, where 2 are the least (4.4.3.8).
const HOLD_BACK_PARTS: u32 = 3;
/// CAN-SKIP-UNTIL in target durations: the least that is allowed (4.4.3.8).
const SKIP_TARGETS: u32 = 6;
/// Parts of older segments are not worth listing (6.2.2).
const PARTS_TARGETS: u32 = 3;
/// EXT-X-SKIP came with 9 (section 8). The whole playlist says the same, so that the two agree.
const VERSION: u8 = 9;

/// What a playlist in low latency says beside [`MediaOptions`].
#[derive(Debug, Clone, Copy)]
pub struct LowLatency<'a> {
    /// EXT-X-PART-INF. None where the source is not paced in parts: the playlist lists whole segments, and a client can
    /// block and skip all the same.
    pub part_target: Option<Duration>,
    /// The segment that still grows; it follows the last one.
    pub open: Option<&'a Segment>,
    /// How far the other renditions are.
    pub reports: &'a [Report],
    /// Whether it is whole.
    pub scope: Scope,
}

/// How much of a playlist is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// A delta update (6.2.5.1): segments behind the skip boundary are counted and not listed. Whole where there are none.
    Delta,
}

/// How far another rendition is (EXT-X-RENDITION-REPORT, 4.4.5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its playlist, relative to the one that reports.
    pub uri: String,
    /// The newest segment, the one that grows included.
    pub last_sequence: u64,
    /// The newest part of that segment; none where it has no parts.
    pub last_part: Option<usize>,
}

/// The place of a part: its segment, and its index in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartPlace {
    /// The media sequence number.
    pub sequence: u64,
    /// From 0.
    pub part: usize,
}

/// The name of a part, relative to its playlist. The segment gives the extension: [`super::object_name`].
pub fn part_name(epoch: &str, place: PartPlace, extension: &str) -> String {
    format!("{epoch}-{}.{}.{extension}", place.sequence, place.part)
}

/// The parts of a segment that can be listed: all, or none where one is longer than the part target, as in segments
/// of a source that delivers them whole.
pub fn parts_of(segment: &Segment, part_target: Option<Duration>) -> &[Part] {
    let fits = |target: Duration| segment.media.parts.iter().all(|part| part.duration <= target);
    if part_target.is_some_and(fits) { &segment.media.parts } else { &[] }
}

/// The part that comes next, where `last` is the newest closed segment and `open` the one that grows.
pub fn next_part(
    last: Option<&Segment>,
    open: Option<&Segment>,
    part_target: Option<Duration>,
) -> Option<PartPlace> {
    part_target?;
    match open {
        Some(open) => Some(PartPlace { sequence: open.sequence, part: parts_of(open, part_target).len() }),
        None => last.map(|last| PartPlace { sequence: last.sequence + 1, part: 0 }),
    }
}

/// How far a rendition is, for the playlists of the others. None before its first segment.
pub fn report(
    uri: String,
    last: Option<&Segment>,
    open: Option<&Segment>,
    part_target: Option<Duration>,
) -> Option<Report> {
    let open = open.filter(|open| !parts_of(open, part_target).is_empty());
    let newest = open.or(last)?;
    let last_part = parts_of(newest, part_target).len().checked_sub(1);
    Some(Report { uri, last_sequence: newest.sequence, last_part })
}

/// The media playlist of these segments, which are consecutive, and of the open one behind them.
pub fn media(segments: &[Arc<Segment>], options: &MediaOptions<'_>, low_latency: &LowLatency<'_>) -> String {
    let mut text = String::with_capacity(1024 + 96 * segments.len());
    // writing to a String cannot fail
    write(&mut text, segments, options, low_latency).unwrap_or_default();
    text
}

fn write(
    text: &mut String,
    segments: &[Arc<Segment>],
    options: &MediaOptions<'_>,
    low_latency: &LowLatency<'_>,
) -> fmt::Result {
    let target = Duration::from_secs(options.target_duration_secs());
    let parts = low_latency.part_target;
    super::write_header(text, VERSION, options.independent_segments)?;
    writeln!(text, "#EXT-X-TARGETDURATION:{}", target.as_secs())?;
    write_control(text, target, parts)?;
    write_numbers(text, segments.first().map(|first| &**first).or(low_latency.open))?;

    let open = low_latency.open.filter(|open| !parts_of(open, parts).is_empty());
    let behind = distances(segments, open);
    let skipped = match low_latency.scope {
        Scope::Whole => 0,
        Scope::Delta => behind.iter().take_while(|end| **end > SKIP_TARGETS * target).count(),
    };
    if skipped > 0 {
        writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")?;
    }
    let mut init = skipped.checked_sub(1).and_then(|last| segments[last].media.container.init());
    for (segment, end) in segments.iter().zip(behind).skip(skipped) {
        write_segment_tags(text, segment, &mut init)?;
        if end + segment.media.duration <= PARTS_TARGETS * target {
            write_parts(text, segment, options.epoch, parts)?;
        }
        write_segment(text, segment, options.epoch)?;
    }
    if let Some(open) = open {
        write_segment_tags(text, open, &mut init)?;
        write_parts(text, open, options.epoch, parts)?;
    }
    write_tail(text, segments, options, low_latency)
}

fn write_tail(
    text: &mut String,
    segments: &[Arc<Segment>],
    options: &MediaOptions<'_>,
    low_latency: &LowLatency<'_>,
) -> fmt::Result {
    if options.ended {
        text.push_str("#EXT-X-ENDLIST\n");
        return Ok(());
    }
    let last = segments.last().map(|last| &**last);
    let newest = low_latency.open.or(last);
    let next = next_part(last, low_latency.open, low_latency.part_target);
    if let Some((next, newest)) = next.zip(newest) {
        let name = part_name(options.epoch, next, newest.media.container.extension());
        writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}\"")?;
    }
    for report in low_latency.reports {
        write!(text, "#EXT-X-RENDITION-REPORT:URI=\"{}\",LAST-MSN={}", report.uri, report.last_sequence)?;
        match report.last_part {
            Some(part) => writeln!(text, ",LAST-PART={part}")?,
            None => text.push('\n'),
        }
    }
    Ok(())
}

fn write_control(text: &mut String, target: Duration, part_target: Option<Duration>) -> fmt::Result {
    text.push_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES");
    write!(text, ",CAN-SKIP-UNTIL={}", Seconds(SKIP_TARGETS * target))?;
    write!(text, ",HOLD-BACK={}", Seconds(HOLD_BACK_TARGETS * target))?;
    let Some(part_target) = part_target else { return writeln!(text) };
    // rounded up, for it may not be less than so many part targets as they are written
    let hold_back_ms = (HOLD_BACK_PARTS * part_target).as_nanos().div_ceil(1_000_000);
    writeln!(text, ",PART-HOLD-BACK={}.{:03}", hold_back_ms / 1000, hold_back_ms % 1000)?;
    writeln!(text, "#EXT-X-PART-INF:PART-TARGET={}", Seconds(part_target))
}

fn write_parts(text: &mut String, segment: &Segment, epoch: &str, target: Option<Duration>) -> fmt::Result {
    let extension = segment.media.container.extension();
    for (at, part) in parts_of(segment, target).iter().enumerate() {
        let name = part_name(epoch, PartPlace { sequence: segment.sequence, part: at }, extension);
        write!(text, "#EXT-X-PART:DURATION={},URI=\"{name}\"", Seconds(part.duration))?;
        if part.independent {
            text.push_str(",INDEPENDENT=YES");
        }
        text.push_str(if part.bytes.is_empty() { ",GAP=YES\n" } else { "\n" });
    }
    Ok(())
}

/// How far the end of each segment is from the end of the playlist.
fn distances(segments: &[Arc<Segment>], open: Option<&Segment>) -> Vec<Duration> {
    let mut end = open.map_or(Duration::ZERO, |open| open.media.duration);
    let mut distances: Vec<Duration> = segments
        .iter()
        .rev()
        .map(|segment| {
            let own = end;
            end += segment.media.duration;
            own
        })
        .collect();
    distances.reverse();
    distances
}

#[cfg(test)]
#[path = "low_latency_tests.rs"]
mod tests;
