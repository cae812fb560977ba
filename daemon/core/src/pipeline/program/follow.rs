//! The task behind a broadcast: takes the windows in as they grow, and releases the program in real time.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::Broadcast;
use super::choosing::{chosen, language};
use super::crossing::{Crossing, Sides};
use super::pace::Pace;
use crate::fault::Fault;
use crate::media::ts::program::{Chunk, Program, Tally, patience_90khz};
use crate::media::ts::ticks_90khz;
use crate::media::{Part, Segment};
use crate::metrics::ProgramMetrics;
use crate::pipeline::{Rendition, RenditionSet, Shared, State, Window};

/// So long nothing may come before readers are told.
const IDLE: Duration = Duration::from_millis(500);
/// How often the audience is swept.
const SWEEP: Duration = Duration::from_secs(5);
/// How often a run is looked at that is about to be taken in.
const CROSSING: Duration = Duration::from_millis(50);
/// So much longer than what is wanted a start is waited for that is not too old.
const START_90KHZ: i64 = 90_000;
/// How much is taken in between two looks at the clock: well under half a millisecond of work.
const SLICE_BYTES: usize = 348 * 188;
/// What waits for its release, at most; the window keeps the rest.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Follows a pipeline until it is gone.
pub(super) async fn follow(shared: Weak<Shared>, broadcast: Arc<Broadcast>) {
    let found = shared.upgrade().map(|shared| (shared.arrivals(), shared.metrics.program()));
    let Some((mut arrivals, metrics)) = found else { return };
    let mut relay = Relay::new(shared.clone(), broadcast, metrics);
    loop {
        let now = Instant::now();
        {
            let Some(shared) = shared.upgrade() else { return };
            relay.choose(&shared);
            relay.is_hopeless = matches!(shared.status().borrow().state, State::Failed | State::Stopped);
        }
        relay.take_in().await;
        let wake = relay.release(now);
        tokio::select! {
            changed = arrivals.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

struct Relay {
    shared: Weak<Shared>,
    broadcast: Arc<Broadcast>,
    program: Program,
    set: Option<Arc<RenditionSet>>,
    cursors: Vec<Cursor>,
    /// What is taken in: the discontinuity sequence, where it is of a run that was gone over to, and that run.
    era: Option<u64>,
    run: u64,
    crossing: Option<Crossing>,
    /// How many splices there had been at a crossing behind which the clock begins anew.
    anew_behind: Option<u64>,
    /// Chunks that wait for their time.
    waiting: VecDeque<Chunk>,
    waiting_bytes: usize,
    made: Vec<Chunk>,
    pace: Pace,
    /// The clock at the end of what was taken in.
    edge_90khz: i64,
    /// The longest step by which the edge moves: a segment where the source is not paced in parts.
    step_90khz: i64,
    published: Instant,
    swept: Instant,
    ended: bool,
    /// Whether nothing feeds the pipeline now.
    is_hopeless: bool,
    /// The input that brings what cannot be carried.
    refused: Option<usize>,
    metrics: ProgramMetrics,
    counted: Tally,
}

/// How far one window was taken in.
struct Cursor {
    window: Arc<Window>,
    /// None before the first segment.
    next: Option<u64>,
    parts: usize,
}

impl Relay {
    fn new(shared: Weak<Shared>, broadcast: Arc<Broadcast>, metrics: ProgramMetrics) -> Self {
        let now = Instant::now();
        Self {
            shared,
            broadcast,
            program: Program::new(&[], 0),
            set: None,
            cursors: Vec::new(),
            era: None,
            run: 0,
            crossing: None,
            anew_behind: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            made: Vec::new(),
            pace: Pace::default(),
            edge_90khz: 0,
            step_90khz: 0,
            published: now,
            swept: now,
            ended: false,
            is_hopeless: false,
            refused: None,
            metrics,
            counted: Tally::default(),
        }
    }

    /// Takes up the renditions that are served now.
    fn choose(&mut self, shared: &Shared) {
        let Some(set) = shared.renditions() else { return };
        if self.set.as_ref().is_some_and(|own| Arc::ptr_eq(own, &set)) {
            return;
        }
        let chosen = chosen(&set);
        let same = chosen.len() == self.cursors.len()
            && chosen.iter().zip(&self.cursors).all(|(one, cursor)| Arc::ptr_eq(&one.window, &cursor.window));
        if !same {
            let languages: Vec<_> = chosen.iter().map(|rendition| language(rendition)).collect();
            self.program.change(&languages, patience_90khz(set.target_duration()), &mut self.made);
            let cursor = |one: &Arc<Rendition>| Cursor { window: one.window.clone(), next: None, parts: 0 };
            self.cursors = chosen.iter().map(cursor).collect();
            self.era = None;
            if let Some(at) = self.refused {
                self.refuse(at, None);
            }
            self.keep_made();
        }
        self.step_90khz = if set.part_target.is_some() { 0 } else { ticks_90khz(set.target_duration()) };
        self.set = Some(set);
    }

    /// Takes in what came since the last time.
    async fn take_in(&mut self) {
        let history = ticks_90khz(2 * self.broadcast.behind())
            + 2 * self.step_90khz
            + ticks_90khz(Duration::from_secs(2));
        for at in 0..self.cursors.len() {
            while self.waiting_bytes < WAITING_BYTES
                && let Some((segment, parts, is_closed)) = self.cursors[at].next_segment(history)
                && self.may_take(at, segment.discontinuity_sequence)
            {
                let taken = self.cursors[at].parts;
                self.cursors[at].went(&segment, parts, is_closed);
                if is_closed && self.step_90khz > 0 {
                    self.step_90khz = self.step_90khz.max(ticks_90khz(segment.media.duration));
                }
                let outcome = self.take_segment(at, &segment, taken..parts).await;
                if is_closed && self.step_90khz > 0 {
                    self.program.complete(at, &mut self.made); // a segment that came whole ends where its units do
                    self.keep_made();
                }
                self.refuse(at, outcome.err());
            }
        }
        let is_over = |cursor: &Cursor| cursor.window.snapshot().ended && cursor.is_through();
        let ended = !self.cursors.is_empty() && self.cursors.iter().all(is_over);
        if ended && !self.ended {
            (0..self.cursors.len()).for_each(|at| self.program.complete(at, &mut self.made));
            self.program.flush(&mut self.made);
            self.keep_made();
        }
        self.ended = ended;
    }

    /// What an input brought cannot be carried, or can be: its segments before could not.
    fn refuse(&mut self, at: usize, fault: Option<Fault>) {
        if fault.is_none() && self.refused != Some(at) {
            return;
        }
        self.refused = fault.is_some().then_some(at);
        if let Some(shared) = self.shared.upgrade() {
            shared.hinder(
                fault.as_ref().map(|fault| format!("no endless transport stream is served: {fault}")),
            );
        }
        self.broadcast.refuse(fault);
    }

    /// Whether this discontinuity sequence of an input is taken in. Where it is the first of another run, that depends
    /// on the main input.
    fn may_take(&mut self, at: usize, era: u64) -> bool {
        if self.era.is_some_and(|own| era <= own) {
            return true;
        }
        if at > 0 {
            return false; // the main input goes first
        }
        let run = self.shared.upgrade().map_or(self.run, |shared| shared.run());
        if run != self.run && self.broadcast.ring.next() > 0 {
            let now = Instant::now();
            let sides = self.sides(now);
            let known = self.crossing.filter(|crossing| crossing.is_to(run));
            let crossing = *self.crossing.insert(known.unwrap_or(Crossing::new(run, now, sides)));
            if !crossing.is_due(now, sides) {
                return false;
            }
            if let Some(surplus) = sides.surplus_90khz() {
                tracing::debug!(surplus_90khz = surplus, "a source's first content is left out");
                self.program.leave_out(era, surplus, sides.wanted + START_90KHZ);
                self.anew_behind = sides.is_near().then(|| self.program.tally().splices);
            }
        }
        (self.era, self.run, self.crossing) = (Some(era), run, None);
        true
    }

    /// What there is of the run that is taken in, and of the one that follows.
    fn sides(&self, now: Instant) -> Sides {
        let before = match self.pace.due_90khz(now) {
            Some(due) => self.edge_90khz - due,
            None => self.waiting.front().map_or(0, |front| self.edge_90khz - front.clock_90khz),
        };
        Sides {
            before: before.max(0),
            behind: self.cursors.first().map_or(0, Cursor::left_90khz),
            wanted: ticks_90khz(self.broadcast.behind()) + self.step_90khz,
        }
    }

    async fn take_segment(
        &mut self,
        at: usize,
        segment: &Segment,
        parts: std::ops::Range<usize>,
    ) -> Result<(), Fault> {
        let (era, media) = (segment.discontinuity_sequence, &segment.media);
        if media.gap {
            self.program.skip(at, era, ticks_90khz(media.duration), &mut self.made);
        }
        for (number, Part { bytes, .. }) in media.parts.iter().enumerate().take(parts.end).skip(parts.start) {
            // packed audio is cut into frames from its head on: it comes whole
            let is_ts = media.container == crate::media::Container::TransportStream;
            let slice_bytes = if is_ts { SLICE_BYTES } else { bytes.len().max(1) };
            for (slice, bytes) in bytes.chunks(slice_bytes).enumerate() {
                let starts = number == 0 && slice == 0;
                self.program.push(at, (era, starts), &media.container, bytes, &mut self.made)?;
                self.keep_made();
                tokio::task::yield_now().await;
            }
        }
        self.keep_made();
        Ok(())
    }

    fn keep_made(&mut self) {
        let tally = self.program.tally();
        if self.anew_behind.take_if(|splices| *splices < tally.splices).is_some() {
            self.pace.pause();
        }
        self.metrics.splices.inc_by(tally.splices - self.counted.splices);
        self.metrics.blind_starts.inc_by(tally.blind - self.counted.blind);
        self.counted = tally;
        for chunk in self.made.drain(..) {
            self.edge_90khz = chunk.clock_90khz;
            self.waiting_bytes += chunk.bytes.len();
            self.waiting.push_back(chunk);
        }
    }

    /// Releases what is due; gives the time of the next look.
    fn release(&mut self, now: Instant) -> Instant {
        let lag = ticks_90khz(self.broadcast.behind());
        if let Some(front) = self.waiting.front() {
            let wanted = self.edge_90khz - lag - self.step_90khz;
            if self.broadcast.ring.next() == 0 {
                // what a window holds already comes in bursts, and goes in at once
                if self.pace.due_90khz(now).is_none_or(|due| due < wanted) {
                    self.pace.begin(now, wanted);
                }
            } else if !self.pace.runs() {
                self.pace.begin(now, wanted.min(front.clock_90khz)); // a pause never skips anything
            }
        }
        self.pace.watch(now, self.edge_90khz, lag);
        let due = self.pace.due_90khz(now).unwrap_or(i64::MIN);
        while let Some(chunk) = self.waiting.pop_front_if(|chunk| chunk.clock_90khz <= due) {
            self.waiting_bytes -= chunk.bytes.len();
            self.broadcast.ring.publish(chunk);
            self.published = now;
        }
        if self.waiting.is_empty() {
            self.pause(due);
        }
        if now.duration_since(self.published) >= IDLE {
            self.idle();
            self.published = now;
        }
        if now.duration_since(self.swept) >= SWEEP {
            self.broadcast.audience.sweep(&self.broadcast.ring, now.duration_since(self.swept));
            self.swept = now;
        }
        let next = self.waiting.front().and_then(|chunk| self.pace.when(chunk.clock_90khz));
        let next = next.unwrap_or(now + IDLE).min(self.published + IDLE);
        if self.crossing.is_some() { next.min(now + CROSSING) } else { next }
    }

    /// Nothing came for a while. Viewers who wait for a first picture that will not come soon are let go: who comes again is
    /// told so.
    fn idle(&self) {
        let ring = &self.broadcast.ring;
        if self.is_hopeless && ring.next() == 0 { ring.close() } else { ring.idle() }
    }

    /// Nothing waits. Behind the end of a stream its viewers are let go; else the clock stands still once what
    /// follows is late.
    fn pause(&mut self, due_90khz: i64) {
        if self.ended && self.pace.runs() {
            self.broadcast.ring.close();
            self.pace.pause();
        } else if due_90khz > self.edge_90khz + ticks_90khz(Duration::from_millis(250)) {
            self.pace.pause();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade().filter(|_| self.refused.is_some()) {
            shared.hinder(None); // nobody wants it any more
        }
    }
}

impl Cursor {
    /// The next segment with something new in it, how many of its parts there are, and whether it is closed. The
    /// first one is so old that `history` lies between it and the edge.
    fn next_segment(&mut self, history_90khz: i64) -> Option<(Arc<Segment>, usize, bool)> {
        let snapshot = self.window.snapshot();
        if self.next.is_none() {
            let mut left = history_90khz;
            let closed = snapshot.segments.iter().rev();
            let enough = closed.take_while(|segment| {
                let is_needed = left > 0;
                left -= ticks_90khz(segment.media.duration);
                is_needed
            });
            let first = enough.last().or(snapshot.open.as_ref())?;
            self.next = Some(first.sequence);
        }
        let oldest = snapshot.segments.first().or(snapshot.open.as_ref())?.sequence;
        if self.next.is_none_or(|next| next < oldest) {
            (self.next, self.parts) = (Some(oldest), 0); // the window overtook: a hole that the splicer sees
        }
        let next = self.next?;
        if let Some(closed) = snapshot.find(next) {
            return Some((closed.clone(), closed.media.parts.len(), true));
        }
        let open = snapshot.open.as_ref().filter(|open| open.sequence == next)?;
        (open.media.parts.len() > self.parts).then(|| (open.clone(), open.media.parts.len(), false))
    }

    /// How much its window has that was not taken in.
    fn left_90khz(&self) -> i64 {
        let snapshot = self.window.snapshot();
        let all = snapshot.segments.iter().chain(&snapshot.open);
        let left = all.filter(|segment| self.next.is_none_or(|next| segment.sequence >= next));
        left.map(|segment| ticks_90khz(segment.media.duration)).sum()
    }

    fn went(&mut self, segment: &Segment, parts: usize, is_closed: bool) {
        self.parts = if is_closed { 0 } else { parts };
        self.next = Some(segment.sequence + u64::from(is_closed));
    }

    /// Whether everything that is there was taken in.
    fn is_through(&self) -> bool {
        let snapshot = self.window.snapshot();
        let last = snapshot.open.as_ref().or(snapshot.segments.last());
        last.is_none_or(|last| self.next.is_some_and(|next| next > last.sequence))
    }
}
