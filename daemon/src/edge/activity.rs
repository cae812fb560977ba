//! What one connection is doing: written by its socket, its requests and its streams, judged by its driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::Limits;

/// No moment.
const NEVER: u64 = 0;

/// What a connection is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Continue = 0,
    /// Take no more requests, finish those under way.
    Finish = 1,
    /// End now.
    Abort = 2,
}

/// Why a viewer was cut off. The words are the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    /// The socket took nothing for the write limit.
    WriteDeadline,
    /// An HTTP/2 stream got no window for the write limit.
    StreamLag,
    /// A head, or the first bytes, did not arrive in time.
    SlowHead,
    /// A stream without end overtook the viewer again and again.
    Overrun,
    /// It took something within each write limit, and too little over a longer span.
    SlowRead,
}

impl Eviction {
    /// Every reason, so that counters stand at zero from the start.
    pub(super) const ALL: [Self; 5] =
        [Self::WriteDeadline, Self::StreamLag, Self::SlowHead, Self::Overrun, Self::SlowRead];

    /// The label.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::WriteDeadline => "write_deadline",
            Self::StreamLag => "stream_lag",
            Self::SlowHead => "slow_head",
            Self::Overrun => "overrun",
            Self::SlowRead => "slow_read",
        }
    }
}

/// What a connection's state asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing before this moment.
    Wait(Instant),
    /// It stands without a request for too long.
    Idle,
    /// It is to be cut off.
    Evict(Eviction),
}

/// The moments are milliseconds since the connection began, one added; [`NEVER`] stands for none.
pub(super) struct Activity {
    began: Instant,
    opened: AtomicBool,
    http2: AtomicBool,
    in_flight: AtomicUsize,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    blocked_since: AtomicU64,
    /// Since when something waits for the socket, however little it takes meanwhile; begun anew after each span.
    pressed_since: AtomicU64,
    /// What the socket took since then.
    pressed_bytes: AtomicU64,
    /// What began since the driver last read the clock: see [`Activity::settle`].
    head_begun: AtomicBool,
    idle_begun: AtomicBool,
    order: AtomicU8,
    cut: AtomicBool,
    waker: AtomicWaker,
}

impl Activity {
    /// A connection that begins now.
    pub(super) fn begin() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            opened: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(NEVER + 1),
            head_since: AtomicU64::new(NEVER),
            blocked_since: AtomicU64::new(NEVER),
            pressed_since: AtomicU64::new(NEVER),
            pressed_bytes: AtomicU64::new(0),
            head_begun: AtomicBool::new(false),
            idle_begun: AtomicBool::new(false),
            order: AtomicU8::new(Order::Continue as u8),
            cut: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        })
    }

    /// The protocol is known.
    pub(super) fn open(&self, http2: bool) {
        self.http2.store(http2, Ordering::Relaxed);
        self.opened.store(true, Ordering::Relaxed);
    }

    /// Bytes came. Between requests on HTTP/1.1 they begin a head.
    pub(super) fn received(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == NEVER
            && self.opened.load(Ordering::Relaxed)
            && !self.http2.load(Ordering::Relaxed)
        {
            self.head_begun.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the time of what began. Called by the driver once the connection has nothing more to do, so that a head
    /// that came whole costs no look at the clock.
    pub(super) fn settle(&self) {
        if self.head_begun.load(Ordering::Relaxed) && self.in_flight() == 0 {
            self.head_begun.store(false, Ordering::Relaxed);
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
        if self.idle_begun.load(Ordering::Relaxed) {
            self.idle_begun.store(false, Ordering::Relaxed);
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
        if self.blocked_since.load(Ordering::Relaxed) == NEVER {
            self.pressed_since.store(NEVER, Ordering::Relaxed); // nothing waits for the socket
        }
    }

    /// The socket takes nothing.
    pub(super) fn blocked(&self) {
        if self.blocked_since.load(Ordering::Relaxed) == NEVER {
            self.blocked_since.store(self.now(), Ordering::Relaxed);
            if self.pressed_since.load(Ordering::Relaxed) == NEVER {
                self.press();
            }
        }
    }

    /// The socket took so many bytes.
    pub(super) fn moved(&self, bytes: usize) {
        if self.pressed_since.load(Ordering::Relaxed) != NEVER {
            self.pressed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        if self.blocked_since.load(Ordering::Relaxed) != NEVER {
            self.blocked_since.store(NEVER, Ordering::Relaxed);
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A request's head is complete. It is under way until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_begun.store(false, Ordering::Relaxed);
        self.head_since.store(NEVER, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Requests under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Tells the connection what to do, and wakes it. An order never goes back.
    pub(super) fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        self.waker.wake();
    }

    /// Who is woken by an order, and the order as it stands.
    pub(super) fn heed(&self, waker: &Waker) -> Order {
        self.waker.register(waker);
        match self.order.load(Ordering::Acquire) {
            0 => Order::Continue,
            1 => Order::Finish,
            _ => Order::Abort,
        }
    }

    /// Waits for an order. Not while a driver heeds: there is one waker.
    pub(super) async fn ordered(&self) {
        std::future::poll_fn(|context| match self.heed(context.waker()) {
            Order::Continue => Poll::Pending,
            Order::Finish | Order::Abort => Poll::Ready(()),
        })
        .await;
    }

    /// The peer is cut off: nothing of what waits for it is worth sending.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether the peer was cut off.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// What is due now, where a connection without a request may stand for `idle`.
    pub(super) fn verdict(&self, limits: &Limits, idle: Duration) -> Verdict {
        let now = Instant::now();
        let mut next = now + limits.write; // a write that blocks meanwhile is not due before that
        let mut overdue = |since: u64, limit: Duration| {
            if since == NEVER {
                return false;
            }
            let due = self.began + Duration::from_millis(since - 1) + limit;
            next = if due > now { next.min(due) } else { next };
            due <= now
        };
        if overdue(self.blocked_since.load(Ordering::Relaxed), limits.write) {
            return Verdict::Evict(Eviction::WriteDeadline);
        }
        if overdue(self.pressed_since.load(Ordering::Relaxed), limits.floor.span) {
            if self.pressed_bytes.load(Ordering::Relaxed) < limits.floor.bytes {
                return Verdict::Evict(Eviction::SlowRead);
            }
            self.press();
        }
        // a body can be gone while its last chunk, a whole segment, still waits for the socket
        if self.in_flight() > 0 || self.blocked_since.load(Ordering::Relaxed) != NEVER {
            return Verdict::Wait(next);
        }
        let head_since = match self.opened.load(Ordering::Relaxed) {
            true => self.head_since.load(Ordering::Relaxed),
            false => NEVER + 1,
        };
        if overdue(head_since, limits.head) {
            return Verdict::Evict(Eviction::SlowHead);
        }
        if overdue(self.idle_since.load(Ordering::Relaxed), idle) {
            return Verdict::Idle;
        }
        Verdict::Wait(next)
    }

    /// Begins a span in which the socket has to take enough.
    fn press(&self) {
        self.pressed_bytes.store(0, Ordering::Relaxed);
        self.pressed_since.store(self.now(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        let elapsed = self.began.elapsed();
        elapsed.as_secs() * 1000 + u64::from(elapsed.subsec_millis()) + 1
    }
}

/// A request under way, its body included.
pub(super) struct InFlight(Arc<Activity>);

impl InFlight {
    /// Whether the connection is told to come to its end.
    pub(super) fn is_to_finish(&self) -> bool {
        self.0.order.load(Ordering::Acquire) != Order::Continue as u8
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // the moment first: a driver that sees no request must not see an old moment
        if self.0.http2.load(Ordering::Relaxed) {
            self.0.idle_since.store(self.0.now(), Ordering::Relaxed); // its streams are tasks of their own
        } else {
            self.0.idle_begun.store(true, Ordering::Relaxed);
        }
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(5),
            ..Limits::default()
        }
    }

    fn judged(activity: &Activity) -> Verdict {
        activity.verdict(&limits(), limits().idle)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_progress_is_due_at_the_limit_and_not_before() {
        let activity = Activity::begin();
        let _request = activity.request();
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.blocked();
        tokio::time::advance(Duration::from_secs(4)).await;
        activity.blocked();
        let Verdict::Wait(until) = judged(&activity) else { panic!("cut too early") };
        tokio::time::advance(until - Instant::now()).await;
        assert_eq!(judged(&activity), Verdict::Evict(Eviction::WriteDeadline));
        activity.moved(1);
        assert!(matches!(judged(&activity), Verdict::Wait(_)));
    }

    /// What is judged of a viewer that takes `bytes` each second for `seconds`, while more waits for it.
    async fn pressed(bytes: usize, seconds: u64) -> Verdict {
        let activity = Activity::begin();
        let _request = activity.request();
        for _ in 0..seconds {
            activity.blocked();
            activity.settle();
            tokio::time::advance(Duration::from_secs(1)).await;
            activity.moved(bytes);
            activity.blocked();
            if let Verdict::Evict(reason) = judged(&activity) {
                return Verdict::Evict(reason);
            }
        }
        judged(&activity)
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_that_trickles_within_each_write_limit_is_cut_after_the_span() {
        let floor = Limits::default().floor;
        let least = usize::try_from(floor.bytes / floor.span.as_secs()).unwrap();
        assert!(matches!(pressed(least / 2, floor.span.as_secs() - 1).await, Verdict::Wait(_)));
        assert_eq!(pressed(least / 2, floor.span.as_secs()).await, Verdict::Evict(Eviction::SlowRead));
        assert!(matches!(pressed(least + 1, 5 * floor.span.as_secs()).await, Verdict::Wait(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_for_whom_nothing_waits_is_never_too_slow() {
        let activity = Activity::begin();
        let _request = activity.request();
        for _ in 0..300 {
            activity.blocked();
            tokio::time::advance(Duration::from_secs(1)).await;
            activity.moved(1);
            activity.settle();
            assert!(matches!(judged(&activity), Verdict::Wait(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_own_time_and_a_request_under_way_is_never_idle() {
        let activity = Activity::begin();
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(judged(&activity), Verdict::Evict(Eviction::SlowHead), "nothing ever came");
        activity.open(false);
        assert!(matches!(judged(&activity), Verdict::Wait(_)));
        activity.received();
        activity.settle();
        let request = activity.request();
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(matches!(judged(&activity), Verdict::Wait(_)));
        drop(request);
        activity.settle();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(judged(&activity), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_that_takes_long_for_a_last_chunk_is_not_idle_meanwhile() {
        let activity = Activity::begin();
        activity.open(false);
        drop(activity.request());
        activity.settle();
        for _ in 0..30 {
            activity.blocked();
            tokio::time::advance(Duration::from_secs(3)).await;
            assert!(matches!(judged(&activity), Verdict::Wait(_)));
            activity.moved(1 << 20);
        }
        assert!(matches!(judged(&activity), Verdict::Wait(_)), "its time begins with the last byte");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(judged(&activity), Verdict::Idle);
    }
}
