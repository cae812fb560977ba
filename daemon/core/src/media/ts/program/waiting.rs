//! What waits at a splice for a place to start.

use std::collections::VecDeque;

use libmpegts::pes::Timestamp;
use libmpegts::ts::PACKET_SIZE;

use super::input::Unit;
use crate::media::ts::clock::distance_90khz;

/// What is kept while there is no start, at most.
const HELD_PACKETS: usize = 40_000;
/// A start may be so much earlier than it needs to be.
const EARLY_90KHZ: i64 = 90_000;

/// How much of a source's first content is left out, so that its start is no further behind than what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Surplus {
    /// What there is too much.
    pub(super) length_90khz: i64,
    /// How much more is waited for a later start, before an earlier one is taken after all.
    pub(super) patience_90khz: i64,
}

/// A packet that waits: its input, its bytes, and the access unit that begins with it.
pub(super) type Held = (usize, [u8; PACKET_SIZE], Option<Unit>);

/// Packets that wait for a start.
#[derive(Default)]
pub(super) struct Waiting {
    surplus: Option<Surplus>,
    /// The first access unit of the main stream.
    since: Option<Timestamp>,
    /// The source's clock.
    pub(super) clock: Option<u64>,
    /// Of other streams all, of the main stream what came from the candidate on, which is the first.
    held: VecDeque<Held>,
    candidate: Option<Candidate>,
}

/// A start that is taken if no better one comes.
struct Candidate {
    unit: Unit,
    clock: Option<u64>,
    waited_90khz: i64,
}

/// Where a round starts.
pub(super) struct Start {
    pub(super) unit: Unit,
    pub(super) clock: Option<u64>,
    /// What follows, in order.
    pub(super) held: VecDeque<Held>,
}

impl Waiting {
    /// Waits, and leaves so much out.
    pub(super) fn leaving_out(surplus: Option<Surplus>) -> Self {
        Self { surplus, ..Self::default() }
    }

    /// Takes a packet of another stream than the main one, or of an access unit under way.
    pub(super) fn hold(&mut self, held: Held, is_main: bool) -> Option<Start> {
        if is_main && self.candidate.is_none() {
            return None;
        }
        self.held.push_back(held);
        if self.held.len() <= HELD_PACKETS {
            return None;
        }
        let start = self.take_candidate();
        if start.is_none() {
            self.held.pop_front();
        }
        start
    }

    /// Takes the first packet of an access unit of the main stream; `longest_90khz` is how long a start is waited for,
    /// and `is_main` knows the packets of the main stream. Gives the place to start once that is found.
    pub(super) fn unit(
        &mut self,
        (input, bytes, unit): (usize, [u8; PACKET_SIZE], Unit),
        longest_90khz: i64,
        is_main: impl Fn(&Held) -> bool,
    ) -> Option<Start> {
        let held = (input, bytes, Some(unit));
        let since = *self.since.get_or_insert(unit.dts);
        let waited_90khz = distance_90khz(since, unit.dts);
        if waited_90khz < 0 {
            self.since = Some(unit.dts);
        }
        let surplus = self.surplus.unwrap_or(Surplus { length_90khz: -1, patience_90khz: 0 });
        let is_over = waited_90khz > surplus.length_90khz;
        if is_over && self.candidate.as_ref().is_some_and(|start| start.is_best(waited_90khz, surplus)) {
            self.held.push_back(held);
            return self.take_candidate();
        }
        if unit.is_start || (waited_90khz >= longest_90khz && self.candidate.is_none() && is_over) {
            self.held.retain(|held| !is_main(held));
            self.held.push_front(held);
            self.candidate = Some(Candidate { unit, clock: self.clock, waited_90khz });
            return if is_over { self.take_candidate() } else { None };
        }
        self.hold(held, true)
    }

    fn take_candidate(&mut self) -> Option<Start> {
        let Candidate { unit, clock, .. } = self.candidate.take()?;
        Some(Start { unit, clock, held: std::mem::take(&mut self.held) })
    }
}

impl Candidate {
    /// Whether no later start is worth the wait, now that `waited_90khz` have passed.
    fn is_best(&self, waited_90khz: i64, surplus: Surplus) -> bool {
        surplus.length_90khz - self.waited_90khz <= EARLY_90KHZ
            || waited_90khz > surplus.length_90khz + surplus.patience_90khz
    }
}
