//! Chunks of the program in a ring. One writer, any number of readers; nobody waits for another, and a reader takes no
//! lock and allocates nothing for a chunk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::media::ts::program::Chunk;

/// Chunks in a ring, at most: 200 s where a chunk is a tenth of a second long, 64 MiB where it is full.
const SLOTS: usize = 2048;
/// The starts behind the newest that are kept account of; all that are in the ring, but for very short ones.
const STARTS: usize = 256;

/// How much a ring holds. Both bounds hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From the oldest chunk to the newest.
    pub time: Duration,
    /// Their bytes.
    pub bytes: usize,
}

/// A chunk in its place.
pub(super) struct Slot {
    pub(super) sequence: u64,
    pub(super) chunk: Chunk,
}

/// Where a reader can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    sequence: u64,
    clock_90khz: i64,
}

/// The ring.
pub struct Ring {
    slots: Box<[ArcSwapOption<Slot>]>,
    /// The number of the next chunk.
    next: AtomicU64,
    /// How often nothing came for a while.
    idles: AtomicU64,
    /// How often it was closed.
    closings: AtomicU64,
    starts: ArcSwap<VecDeque<Start>>,
    /// Wakes readers; they look at the numbers above.
    head: watch::Sender<()>,
    writing: Mutex<Writing>,
    began: Instant,
    /// Milliseconds since it began, as of the last chunk or idle moment: readers need no clock.
    now_ms: AtomicU64,
}

struct Writing {
    span: Span,
    oldest: u64,
    bytes: usize,
    clock_90khz: i64,
}

impl Ring {
    /// An empty ring.
    pub fn new(span: Span) -> Self {
        Self {
            slots: std::iter::repeat_with(ArcSwapOption::empty).take(SLOTS).collect(),
            next: AtomicU64::new(0),
            idles: AtomicU64::new(0),
            closings: AtomicU64::new(0),
            starts: ArcSwap::default(),
            head: watch::Sender::new(()),
            writing: Mutex::new(Writing { span, oldest: 0, bytes: 0, clock_90khz: 0 }),
            began: Instant::now(),
            now_ms: AtomicU64::new(0),
        }
    }

    /// Changes the bounds, from the next chunk on.
    pub fn resize(&self, span: Span) {
        self.lock().span = span;
    }

    /// Adds a chunk and wakes the readers. For one writer.
    pub fn publish(&self, chunk: Chunk) {
        let sequence = self.next.load(Ordering::Relaxed);
        let mut writing = self.lock();
        writing.bytes += chunk.bytes.len();
        writing.clock_90khz = chunk.clock_90khz;
        let start = chunk.is_start.then_some(Start { sequence, clock_90khz: chunk.clock_90khz });
        if let Some(old) = self.slot(sequence).swap(Some(Arc::new(Slot { sequence, chunk }))) {
            writing.bytes -= old.chunk.bytes.len();
            writing.oldest = writing.oldest.max(old.sequence + 1);
        }
        self.evict(&mut writing, sequence);
        let oldest = writing.oldest;
        drop(writing);
        if let Some(start) = start {
            let mut starts = VecDeque::clone(&self.starts.load());
            while starts.len() >= STARTS || starts.front().is_some_and(|first| first.sequence < oldest) {
                starts.pop_front();
            }
            starts.push_back(start);
            self.starts.store(Arc::new(starts));
        }
        self.next.store(sequence + 1, Ordering::Release);
        self.wake();
    }

    /// Says that nothing came for a while: readers that wait send something to keep their viewers.
    pub fn idle(&self) {
        self.idles.fetch_add(1, Ordering::Release);
        self.wake();
    }

    /// Ends the readers, each behind the last chunk. Those that come later begin with the next one.
    pub fn close(&self) {
        self.closings.fetch_add(1, Ordering::Release);
        self.wake();
    }

    /// The number of the next chunk: how many there were.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// The bytes that it holds.
    pub fn len_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Milliseconds since it began, as of the last chunk or idle moment.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(super) fn idles(&self) -> u64 {
        self.idles.load(Ordering::Acquire)
    }

    pub(super) fn closings(&self) -> u64 {
        self.closings.load(Ordering::Acquire)
    }

    pub(super) fn head(&self) -> watch::Receiver<()> {
        self.head.subscribe()
    }

    /// The chunk of this number; none where it left already, or is not there yet.
    pub(super) fn get(&self, sequence: u64) -> Option<arc_swap::Guard<Option<Arc<Slot>>>> {
        let slot = self.slot(sequence).load();
        let is_it = slot.as_ref().is_some_and(|slot| slot.sequence == sequence);
        is_it.then_some(slot)
    }

    /// The newest start that is at least `behind` older than the newest chunk, else the oldest one.
    pub(super) fn start_behind(&self, behind: Duration) -> Option<u64> {
        let newest = self.slot(self.next().checked_sub(1)?).load();
        let newest = newest.as_ref()?.chunk.clock_90khz;
        let behind = i64::try_from(behind.as_millis() * 90).unwrap_or(i64::MAX);
        let starts = self.starts.load();
        let is_kept = |start: &&Start| self.get(start.sequence).is_some();
        let old = starts.iter().rev().find(|start| newest - start.clock_90khz >= behind);
        old.filter(is_kept).or_else(|| starts.iter().find(is_kept)).map(|start| start.sequence)
    }

    /// The newest start.
    pub(super) fn newest_start(&self) -> Option<u64> {
        self.starts.load().back().map(|start| start.sequence)
    }

    /// How much later the newest chunk is than the one of this number.
    pub(super) fn lag(&self, sequence: u64) -> Duration {
        let clock = |sequence: u64| self.get(sequence)?.as_ref().map(|slot| slot.chunk.clock_90khz);
        let newest = self.next().checked_sub(1).and_then(clock);
        let ticks = newest.zip(clock(sequence)).map_or(0, |(newest, own)| newest - own);
        Duration::from_millis(u64::try_from(ticks / 90).unwrap_or_default())
    }

    /// Lets the oldest chunks go; the newest always stays.
    fn evict(&self, writing: &mut Writing, newest: u64) {
        let span_90khz = i64::try_from(writing.span.time.as_millis() * 90).unwrap_or(i64::MAX);
        while writing.oldest < newest {
            let slot = self.slot(writing.oldest);
            let oldest = slot.load();
            let Some(oldest) = oldest.as_ref() else { break };
            let is_over = writing.bytes > writing.span.bytes
                || writing.clock_90khz - oldest.chunk.clock_90khz > span_90khz;
            if !is_over {
                break;
            }
            writing.bytes -= oldest.chunk.bytes.len();
            writing.oldest += 1;
            slot.store(None);
        }
    }

    fn wake(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now_ms.store(now, Ordering::Relaxed);
        self.head.send_replace(());
    }

    fn slot(&self, sequence: u64) -> &ArcSwapOption<Slot> {
        &self.slots[usize::try_from(sequence % SLOTS as u64).unwrap_or_default()]
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner) // numbers, each set at once
    }
}
