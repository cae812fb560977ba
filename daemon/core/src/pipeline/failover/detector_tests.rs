//! The detector over a clock of the test.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::detector::{Detector, Look};
use super::{Listed, Observed, Reason};
use crate::fault::{Fault, FaultKind};
use crate::plan::Stall;
use crate::stage::Liveness;

const SECOND: Duration = Duration::from_secs(1);

/// A detector over what a test notes.
struct Watch {
    detector: Detector,
    seen: Observed,
    now: Instant,
}

impl Watch {
    fn new(liveness: Liveness) -> Self {
        let now = Instant::now();
        let detector = Detector { liveness, stall: Stall::Auto, started: now };
        let mut seen = Observed::new(now);
        seen.targets(2 * SECOND);
        Self { detector, seen, now }
    }

    /// Segments of two seconds, each at its time.
    fn lists(&mut self, count: u32, every: Duration) {
        for _ in 0..count {
            self.now += every;
            self.seen.listed(self.now, Listed::More);
            self.plays(2 * SECOND);
        }
    }

    /// Parts, with the bytes that they need.
    fn streams(&mut self, count: u32, every: Duration, part: Duration) {
        for _ in 0..count {
            self.now += every;
            self.seen.received(self.now, 1000);
            self.plays(part);
        }
    }

    fn plays(&mut self, duration: Duration) {
        self.seen.media(self.now);
        self.seen.pace.add(self.now, duration, 0);
        self.seen.eased();
        let look = self.detector.look(self.now, &self.seen);
        assert!(matches!(look, Look::Again(_)) || duration < SECOND, "{look:?}");
    }

    /// How long after the last note it is left, and why.
    fn leaves(&mut self) -> (Duration, Reason) {
        let from = self.now;
        for _ in 0..100 {
            match self.detector.look(self.now, &self.seen) {
                Look::Leave(verdict) => return (self.now - from, verdict.reason),
                Look::Again(at) => self.now = at.max(self.now + Duration::from_millis(1)),
            }
        }
        panic!("it is never left");
    }
}

fn connect() -> Fault {
    FaultKind::Connect.into()
}

#[tokio::test(start_paused = true)]
async fn a_list_that_stops_is_a_stall_after_one_and_a_half_target_durations() {
    let mut watch = Watch::new(Liveness::Playlist);
    watch.lists(100, 2 * SECOND);
    assert_eq!(watch.leaves(), (3 * SECOND, Reason::Stall));
}

#[tokio::test(start_paused = true)]
async fn a_list_in_time_is_never_a_stall_however_short_the_wait_that_is_set() {
    let mut watch = Watch::new(Liveness::Playlist);
    watch.detector.stall = Stall::After(SECOND);
    watch.lists(10, 2 * SECOND);
    assert_eq!(watch.leaves(), (3 * SECOND, Reason::Stall));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_has_ended_is_played_to_its_end_and_left_where_its_segments_do_not_come() {
    let mut watch = Watch::new(Liveness::Playlist);
    watch.seen.listed(watch.now, Listed::More);
    watch.seen.list_over();
    for _ in 0..30 {
        watch.now += 2 * SECOND;
        watch.plays(2 * SECOND);
    }
    assert_eq!(watch.leaves(), (5 * SECOND, Reason::Slow));
}

#[tokio::test(start_paused = true)]
async fn a_fault_since_the_last_news_is_the_reason() {
    let mut watch = Watch::new(Liveness::Playlist);
    watch.seen.fault(watch.now, &Fault::new(FaultKind::Truncated));
    watch.lists(10, 2 * SECOND);
    let not_found = FaultKind::Status(http::StatusCode::NOT_FOUND);
    let later = watch.now + SECOND;
    watch.seen.fault(later, &not_found.clone().into());
    assert_eq!(watch.leaves(), (3 * SECOND, Reason::Fault(not_found)));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_moves_while_its_segments_do_not_come_is_slow() {
    let mut watch = Watch::new(Liveness::Playlist);
    watch.lists(10, 2 * SECOND);
    let from = watch.now;
    for _ in 0..2 {
        watch.now += 2 * SECOND;
        watch.seen.listed(watch.now, Listed::More);
    }
    let (_, reason) = watch.leaves();
    assert_eq!((watch.now - from, reason), (5 * SECOND, Reason::Slow));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_moves_at_three_quarters_of_the_clock_is_slow_in_the_end() {
    let mut watch = Watch::new(Liveness::Playlist);
    watch.lists(10, 2 * SECOND);
    let mut looks = Vec::new();
    for _ in 0..30 {
        watch.now += Duration::from_millis(2700);
        watch.seen.listed(watch.now, Listed::More);
        watch.seen.media(watch.now);
        watch.seen.pace.add(watch.now, 2 * SECOND, 0);
        looks.push(watch.detector.look(watch.now, &watch.seen));
    }
    let left =
        looks.iter().position(|look| matches!(look, Look::Leave(verdict) if verdict.reason == Reason::Slow));
    assert!(left.is_some_and(|at| (4..20).contains(&at)), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endless_stream_without_bytes_is_a_stall_after_two_seconds() {
    let mut watch = Watch::new(Liveness::Bytes);
    watch.streams(100, SECOND / 5, SECOND / 5);
    assert_eq!(watch.leaves(), (2 * SECOND, Reason::Stall));
    let mut watch = Watch::new(Liveness::Bytes);
    watch.streams(100, SECOND / 5, SECOND / 5);
    watch.seen.fault(watch.now + SECOND, &connect());
    assert_eq!(watch.leaves(), (2 * SECOND, Reason::Fault(FaultKind::Connect)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_behind_and_falls_silent_has_stalled() {
    let mut watch = Watch::new(Liveness::Bytes);
    watch.streams(100, SECOND / 5, SECOND / 5);
    watch.now += SECOND; // late by this, and it does not catch up
    watch.streams(10, SECOND / 5, SECOND / 5);
    assert_eq!(watch.leaves(), (2 * SECOND, Reason::Stall));
    let mut watch = Watch::new(Liveness::Playlist);
    watch.detector.stall = Stall::After(20 * SECOND);
    watch.lists(10, 2 * SECOND);
    watch.now += 5 * SECOND;
    watch.lists(5, 2 * SECOND);
    assert_eq!(watch.leaves(), (20 * SECOND, Reason::Stall));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_asked_again_and_again_is_left_as_soon_as_a_silent_one() {
    let mut watch = Watch::new(Liveness::Bytes);
    watch.streams(100, SECOND / 5, SECOND / 5);
    let from = watch.now;
    for _ in 0..4 {
        watch.now += SECOND / 2 - Duration::from_millis(1);
        watch.seen.beat(watch.now);
        watch.seen.fault(watch.now, &FaultKind::Ended.into());
    }
    let (_, reason) = watch.leaves();
    assert_eq!((watch.now - from, reason), (2 * SECOND, Reason::Fault(FaultKind::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_trickle_is_slow_and_bytes_without_media_are_broken() {
    let mut watch = Watch::new(Liveness::Bytes);
    watch.streams(100, SECOND / 5, SECOND / 5);
    let mut since = Duration::ZERO;
    let reason = loop {
        watch.now += SECOND / 2;
        since += SECOND / 2;
        watch.seen.received(watch.now, 100);
        if let Look::Leave(verdict) = watch.detector.look(watch.now, &watch.seen) {
            break verdict.reason;
        }
    };
    assert_eq!(reason, Reason::Slow);
    assert!(since <= Duration::from_millis(2500), "{since:?}");
    let mut watch = Watch::new(Liveness::Bytes);
    watch.streams(100, SECOND / 5, SECOND / 5);
    let reason = loop {
        watch.now += SECOND / 5;
        watch.seen.received(watch.now, 1000);
        if let Look::Leave(verdict) = watch.detector.look(watch.now, &watch.seen) {
            break verdict.reason;
        }
    };
    assert_eq!(reason.label(), "malformed");
}

#[tokio::test(start_paused = true)]
async fn a_source_has_five_seconds_for_its_first_sign_of_life() {
    let mut watch = Watch::new(Liveness::Bytes);
    assert_eq!(watch.leaves(), (5 * SECOND, Reason::Stall));
    let mut watch = Watch::new(Liveness::Playlist);
    let started = watch.now;
    let reason = loop {
        watch.now += SECOND;
        watch.seen.beat(watch.now);
        if let Look::Leave(verdict) = watch.detector.look(watch.now, &watch.seen) {
            break verdict.reason;
        }
    };
    assert_eq!(reason, Reason::Stall);
    assert!(watch.now - started <= 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn faults_that_cannot_pass_and_many_of_them_are_not_waited_out() {
    let mut watch = Watch::new(Liveness::Playlist);
    watch.lists(5, 2 * SECOND);
    let breaker = FaultKind::BreakerOpen;
    watch.seen.fault(watch.now, &breaker.clone().into());
    assert_eq!(watch.leaves(), (Duration::ZERO, Reason::Fault(breaker)));
    let mut watch = Watch::new(Liveness::Playlist);
    watch.lists(5, 2 * SECOND);
    let broken = Fault::malformed("no transport stream");
    for _ in 0..3 {
        (0..3).for_each(|_| watch.seen.fault(watch.now, &broken));
        watch.now += SECOND;
        watch.seen.listed(watch.now, Listed::More);
        watch.seen.media(watch.now);
        watch.seen.eased();
    }
    assert_eq!(watch.leaves(), (Duration::ZERO, Reason::Fault(broken.kind)));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stands_alone_is_only_started_anew_when_it_is_stuck() {
    let mut watch = Watch::new(Liveness::Bytes);
    watch.streams(10, SECOND / 5, SECOND / 5);
    let later = watch.now + 30 * SECOND;
    assert!(matches!(watch.detector.look_alone(later, &watch.seen), Look::Again(_)));
    let Look::Leave(verdict) = watch.detector.look_alone(later + 60 * SECOND, &watch.seen) else {
        panic!("it is stuck")
    };
    assert_eq!(
        verdict.reason,
        Reason::Fault(FaultKind::Internal(Arc::from("the source gave no sign of life")))
    );
}
