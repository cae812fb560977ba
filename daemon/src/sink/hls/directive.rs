//! What a client of low latency asks of a playlist, in its query (draft-pantos-hls-rfc8216bis, 6.2.5).

use std::time::Duration;

use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::Segment;
use sluice_core::media::playlist::render::low_latency::{Scope, parts_of};
use sluice_core::pipeline::Snapshot;

/// A segment so many behind the last one cannot be waited for (6.2.5.2).
const SEGMENTS_AHEAD: u64 = 2;
/// Nor a part so much later than the newest, or so many parts where they are a second or longer: the advance part limit.
const AHEAD: Duration = Duration::from_secs(3);
const PARTS_AHEAD: u128 = 3;

/// The delivery directives of a request. Names that are not known are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directives {
    /// What the playlist must hold before it is sent.
    pub(super) awaited: Option<Awaited>,
    /// Whether a delta update is taken.
    pub(super) scope: Scope,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Awaited {
    /// A segment with this number or a later one.
    sequence: u64,
    /// Its part with this index or a later one; without it the whole segment.
    part: Option<usize>,
}

/// Where that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// In the playlist, or older than that.
    Here,
    /// To come.
    Ahead,
    /// Nothing that a client can know of.
    TooFar,
}

impl Directives {
    /// None at all.
    pub(super) const NONE: Self = Self { awaited: None, scope: Scope::Whole };

    /// Reads a query.
    ///
    /// # Errors
    /// `BadRequest` for numbers that are none, one that stands twice, and a part without a segment.
    pub(super) fn read(query: &str) -> Result<Self, Fault> {
        let (mut sequence, mut part) = (None, None);
        let mut scope = Scope::Whole;
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            match name {
                "_HLS_msn" => once(&mut sequence, value)?,
                "_HLS_part" => once(&mut part, value)?,
                // there are no date ranges that v2 could leave out as well
                "_HLS_skip" if matches!(value, "YES" | "v2") => scope = Scope::Delta,
                _ => {}
            }
        }
        let awaited = match (sequence, part) {
            (Some(sequence), part) => {
                let part = part.map(|part| usize::try_from(part).unwrap_or(usize::MAX));
                Some(Awaited { sequence, part })
            }
            (None, Some(_)) => return Err(refused("_HLS_part without _HLS_msn")),
            (None, None) => None,
        };
        Ok(Self { awaited, scope })
    }
}

fn once(known: &mut Option<u64>, value: &str) -> Result<(), Fault> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| is_number).ok_or_else(|| refused("not a number"))?;
    match known.replace(number) {
        None => Ok(()),
        Some(_) => Err(refused("a directive twice")),
    }
}

fn refused(why: &'static str) -> Fault {
    Fault::new(FaultKind::BadRequest(why.into()))
}

impl Awaited {
    /// Where it is in a playlist that lists parts of `part_target`, if any.
    pub(super) fn presence(self, snapshot: &Snapshot, part_target: Option<Duration>) -> Presence {
        let open = snapshot.open.as_deref().filter(|_| part_target.is_some());
        let last = snapshot.segments.last().map(|last| last.sequence);
        let last = last.or_else(|| open.map(|open| open.sequence.saturating_sub(1)));
        let Some(last) = last else { return Presence::Ahead };
        if snapshot.ended {
            return Presence::Here;
        }
        if self.sequence > last.saturating_add(SEGMENTS_AHEAD) {
            return Presence::TooFar;
        }
        match self.part.zip(part_target) {
            None if self.sequence <= last => Presence::Here,
            None => Presence::Ahead,
            Some((part, target)) if self.sequence <= last => {
                let parts = snapshot.find(self.sequence).map(|segment| parts_of(segment, part_target).len());
                // one that is listed whole stands for its first part
                if parts.is_none_or(|parts| part < parts.max(1)) {
                    return Presence::Here;
                }
                // behind the last part of a segment comes the first of the next
                Self { sequence: self.sequence + 1, part: Some(0) }.presence(snapshot, Some(target))
            }
            Some((part, target)) => {
                let grown = open.filter(|open| open.sequence == self.sequence);
                in_open(part, grown, target)
            }
        }
    }
}

/// Where a part is of a segment that is open or yet to come.
fn in_open(part: usize, open: Option<&Segment>, part_target: Duration) -> Presence {
    let parts = open.map_or(0, |open| parts_of(open, Some(part_target)).len());
    let most = if part_target >= Duration::from_secs(1) {
        PARTS_AHEAD
    } else {
        AHEAD.as_nanos().div_ceil(part_target.as_nanos().max(1))
    };
    if part < parts {
        Presence::Here
    } else if (part - parts) as u128 > most {
        Presence::TooFar
    } else {
        Presence::Ahead
    }
}

#[cfg(test)]
#[path = "directive_tests.rs"]
mod tests;
