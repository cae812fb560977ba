//! The sliding window of one rendition. One writer, any number of readers; a reader never blocks the writer.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::media::playlist::render;
use crate::media::{Media, Part, Segment};
use crate::metrics::RenditionMetrics;

/// How much a window holds. Both bounds hold at once, save that segments stay for three target durations whatever their
/// number: playlists need them. The newest segment always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Closed segments.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What a reader sees: the window at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Closed segments, oldest first, consecutive in sequence.
    pub segments: Vec<Arc<Segment>>,
    /// The segment that still grows, where the source is paced in parts.
    pub open: Option<Arc<Segment>>,
    /// Whether nothing will follow (EXT-X-ENDLIST).
    pub ended: bool,
    /// Rises with every change.
    pub version: u64,
}

impl Snapshot {
    /// Whether nothing ever came.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.open.is_none()
    }

    /// The closed segment of this number.
    pub fn find(&self, sequence: u64) -> Option<&Arc<Segment>> {
        let first = self.segments.first()?.sequence;
        self.segments.get(usize::try_from(sequence.checked_sub(first)?).ok()?)
    }

    /// The bytes of the closed segments.
    pub fn len_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.media.len_bytes()).sum()
    }

    /// The playing time of the closed segments.
    pub fn duration(&self) -> Duration {
        self.segments.iter().map(|segment| segment.media.duration).sum()
    }

    /// What a playlist of `count` closed segments lists: see [`render::newest`].
    pub fn newest(&self, count: usize, target_duration: Duration) -> &[Arc<Segment>] {
        render::newest(&self.segments, count, target_duration)
    }
}

/// The window. Writing is for the pipeline's feed alone.
pub struct Window {
    /// [`Snapshot::version`] by itself, for readers that look for a change with every request.
    version: AtomicU64,
    snapshot: ArcSwap<Snapshot>,
    head: watch::Sender<u64>,
    writing: Mutex<Writing>,
    /// EXT-X-TARGETDURATION of its set.
    target_duration_secs: Arc<AtomicU64>,
    metrics: RenditionMetrics,
}

struct Writing {
    bounds: Bounds,
    next_sequence: u64,
    discontinuity_sequence: u64,
    /// The playing time that came since [`Window::mark`].
    since_mark: Duration,
}

impl Window {
    /// An empty window; [`Window::begin`] gives its first numbers.
    pub(crate) fn new(
        bounds: Bounds,
        target_duration_secs: Arc<AtomicU64>,
        metrics: RenditionMetrics,
    ) -> Self {
        Self {
            version: AtomicU64::new(0),
            snapshot: ArcSwap::default(),
            head: watch::Sender::new(0),
            writing: Mutex::new(Writing {
                bounds,
                next_sequence: 0,
                discontinuity_sequence: 0,
                since_mark: Duration::ZERO,
            }),
            target_duration_secs,
            metrics,
        }
    }

    /// Sets the numbers of the first segment.
    pub(crate) fn begin(&self, next_sequence: u64, discontinuity_sequence: u64) {
        let mut writing = self.lock();
        writing.next_sequence = next_sequence;
        writing.discontinuity_sequence = discontinuity_sequence;
    }

    /// The window now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// [`Snapshot::version`] now.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Wakes with every change but the opening of a segment, which shows nothing yet, and when other windows take the
    /// place of this one; the value is [`Snapshot::version`].
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Changes the bounds; what is over them leaves at once.
    pub(crate) fn resize(&self, bounds: Bounds) {
        self.write(|writing, _| writing.bounds = bounds);
    }

    /// Takes in a whole segment. A segment that is open is closed first. `discontinuity_sequence` below the
    /// last one counts as the last one. Returns the numbers that it got.
    pub(crate) fn append(&self, media: Media, discontinuity_sequence: u64) -> (u64, u64) {
        self.write(|writing, next| {
            writing.close(next);
            writing.since_mark += media.duration;
            let segment = writing.number(media, discontinuity_sequence);
            let numbers = (segment.sequence, segment.discontinuity_sequence);
            self.count(&segment);
            next.ended = false;
            next.segments.push(Arc::new(segment));
            numbers
        })
    }

    /// Opens a segment that grows by parts; one that is open already is closed first.
    pub(crate) fn open(&self, media: Media, discontinuity_sequence: u64) -> (u64, u64) {
        self.apply(|writing, next| {
            let closes = next.open.is_some();
            writing.close(next);
            let segment = writing.number(media, discontinuity_sequence);
            let numbers = (segment.sequence, segment.discontinuity_sequence);
            self.count(&segment);
            next.ended = false;
            next.open = Some(Arc::new(segment));
            (numbers, if closes { Wakes::All } else { Wakes::Nobody })
        })
    }

    /// Adds a part to the open segment; without one it is ignored.
    pub(crate) fn grow(&self, part: Part) {
        self.write(|writing, next| writing.grow(next, part));
    }

    /// Adds the last part to the open segment and closes it, in one change: no reader sees one without the other.
    pub(crate) fn grow_last(&self, part: Part) {
        self.write(|writing, next| {
            writing.grow(next, part);
            writing.close(next);
        });
    }

    /// Closes the open segment.
    pub(crate) fn close(&self) {
        if self.snapshot.load().open.is_some() {
            self.write(|writing, next| writing.close(next));
        }
    }

    /// Appends a gap of this length behind the newest segment; a window without one stays as it is.
    pub(crate) fn append_gap(&self, duration: Duration) {
        let last = self.snapshot().segments.last().cloned();
        let Some(last) = last else { return };
        let container = last.media.container.clone();
        let gap = Media {
            duration,
            era: last.media.era,
            gap: true,
            program_date_time: None,
            container,
            origin: None,
            parts: Vec::new(),
        };
        self.append(gap, last.discontinuity_sequence);
    }

    /// Begins to count playing time anew.
    pub(crate) fn mark(&self) {
        self.lock().since_mark = Duration::ZERO;
    }

    /// The playing time that came since the last mark.
    pub(crate) fn since_mark(&self) -> Duration {
        self.lock().since_mark
    }

    /// Says that nothing will follow.
    pub(crate) fn end(&self) {
        self.write(|writing, next| {
            writing.close(next);
            next.ended = true;
        });
    }

    /// Wakes who waits for this window, because others take its place.
    pub(crate) fn retire(&self) {
        self.head.send_modify(|_| {});
    }

    /// The number that the next segment gets, and the discontinuity sequence of the last one.
    pub(crate) fn numbers(&self) -> (u64, u64) {
        let writing = self.lock();
        (writing.next_sequence, writing.discontinuity_sequence)
    }

    fn write<T>(&self, change: impl FnOnce(&mut Writing, &mut Snapshot) -> T) -> T {
        self.apply(|writing, next| (change(writing, next), Wakes::All))
    }

    /// Changes are made to a copy of the list (of pointers), which is then published whole.
    fn apply<T>(&self, change: impl FnOnce(&mut Writing, &mut Snapshot) -> (T, Wakes)) -> T {
        let mut writing = self.lock();
        let mut next = Snapshot::clone(&self.snapshot.load());
        let (result, wakes) = change(&mut writing, &mut next);
        writing.evict(&mut next, Duration::from_secs(self.target_duration_secs.load(Ordering::Relaxed)));
        next.version += 1;
        self.metrics.buffer_bytes.set(i64::try_from(next.len_bytes()).unwrap_or(i64::MAX));
        self.metrics.buffer_segments.set(i64::try_from(next.segments.len()).unwrap_or(i64::MAX));
        self.metrics.buffer_duration.set(next.duration().as_secs_f64());
        let version = next.version;
        self.snapshot.store(Arc::new(next));
        self.version.store(version, Ordering::Release); // behind the snapshot: who sees it sees that too
        self.head.send_if_modified(|head| {
            *head = version;
            wakes == Wakes::All
        });
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Writing> {
        // a panic while writing leaves numbers that are valid: each is set before the snapshot is
        self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn count(&self, segment: &Segment) {
        self.metrics.segments.inc();
        if segment.media.gap {
            self.metrics.gaps.inc();
        }
        if segment.discontinuities > 0 {
            self.metrics.discontinuities.inc();
        }
    }
}

/// Whom a change wakes.
#[derive(PartialEq)]
enum Wakes {
    All,
    Nobody,
}

impl Writing {
    /// Adds a part to the open segment; without one it is ignored.
    fn grow(&mut self, next: &mut Snapshot, part: Part) {
        let Some(open) = &mut next.open else { return };
        self.since_mark += part.duration;
        let segment = Arc::make_mut(open);
        segment.media.duration += part.duration;
        segment.media.parts.push(part);
    }

    fn number(&mut self, media: Media, discontinuity_sequence: u64) -> Segment {
        let before = self.discontinuity_sequence;
        self.discontinuity_sequence = discontinuity_sequence.max(before);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Segment {
            sequence,
            discontinuity_sequence: self.discontinuity_sequence,
            discontinuities: self.discontinuity_sequence - before,
            media,
        }
    }

    fn close(&mut self, next: &mut Snapshot) {
        let Some(segment) = next.open.take() else { return };
        if segment.media.parts.is_empty() {
            // nobody was given anything under its number: the next segment takes it
            self.next_sequence = segment.sequence;
            self.discontinuity_sequence = segment.discontinuity_sequence - segment.discontinuities;
        } else {
            next.segments.push(segment);
        }
    }

    fn evict(&self, next: &mut Snapshot, target_duration: Duration) {
        let kept = next.newest(self.bounds.segments.max(1), target_duration);
        let mut leaving = next.segments.len() - kept.len();
        let mut bytes: u64 = kept.iter().map(|segment| segment.media.len_bytes()).sum();
        while bytes > self.bounds.bytes && next.segments.len() - leaving > 1 {
            bytes -= next.segments[leaving].media.len_bytes();
            leaving += 1;
        }
        next.segments.drain(..leaving);
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
