//! When a run of a source is to be left: pure, over what was observed and the clock.

use std::time::Duration;

use tokio::time::Instant;

use super::observed::Pace;
use super::{Observed, Reason, Verdict};
use crate::fault::{Fault, FaultKind};
use crate::plan::Stall;
use crate::stage::Liveness;

/// An endless stream without a byte for this long has stalled.
const SILENCE: Duration = Duration::from_secs(2);
/// How long a source may take to its first sign of life: it resolves, connects, and follows redirects.
pub(super) const START_SILENCE: Duration = Duration::from_secs(5);
/// How long a source that is alive may take to its first media, beside three target durations.
const START_MEDIA: Duration = Duration::from_secs(12);
/// So many more faults than segments are too many.
const TROUBLE: u32 = 6;
/// A source alone in its chain without a sign of life for this long is stuck and started anew.
const STUCK: Duration = Duration::from_secs(90);
/// A stream in a playlist may lag behind by so many target durations: a segment that is missing costs three.
const MOST_LAG: u32 = 4;

/// What came of a look at a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Look {
    /// It is to be left.
    Leave(Verdict),
    /// It is well; nothing can change before this, unless something is reported.
    Again(Instant),
}

/// The rules for one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detector {
    pub(super) liveness: Liveness,
    pub(super) stall: Stall,
    pub(super) started: Instant,
}

impl Detector {
    /// Looks at a run of a source that has alternatives.
    pub(super) fn look(&self, now: Instant, seen: &Observed) -> Look {
        if let Some(fault) = seen.fault_since(self.started).filter(|fault| is_final(fault)) {
            return Look::Leave(Verdict::fault(fault));
        }
        if seen.trouble >= TROUBLE
            && let Some((_, fault)) = &seen.fault
        {
            return Look::Leave(Verdict::new(
                Reason::Fault(fault.kind.clone()),
                format!("too many faults, the last one: {fault}"),
            ));
        }
        let rules = match (seen.media, self.liveness) {
            (None, _) => self.before_media(seen),
            (Some(_), Liveness::Bytes) => self.endless(now, seen),
            (Some(_), Liveness::Playlist) => self.listed(now, seen),
        };
        let mut again = now + Duration::from_secs(3600);
        for rule in rules {
            if now >= rule.due {
                return Look::Leave((rule.verdict)(seen, rule.since));
            }
            again = again.min(rule.due);
        }
        Look::Again(again)
    }

    /// Looks at a run of a source that stands alone: it is only ever started anew when it is stuck.
    pub(super) fn look_alone(&self, now: Instant, seen: &Observed) -> Look {
        let due = seen.beat + STUCK;
        if now < due {
            return Look::Again(due);
        }
        let fault = Fault::new(FaultKind::Internal("the source gave no sign of life".into()));
        Look::Leave(Verdict::fault(&fault))
    }

    /// The wait after which nothing new is a stall.
    pub(super) fn patience(&self, seen: &Observed) -> Duration {
        // a list may stand still for a target duration, and its change be seen half of one later
        let listed = seen.target * 3 / 2;
        match (self.stall, self.liveness) {
            (Stall::After(after), Liveness::Bytes) => after,
            (Stall::Auto, Liveness::Bytes) => SILENCE,
            (Stall::After(after), Liveness::Playlist) => after.max(listed),
            (Stall::Auto, Liveness::Playlist) => listed,
        }
    }

    fn before_media(&self, seen: &Observed) -> [Rule; 3] {
        let silence = self.patience(seen).max(START_SILENCE);
        let all = START_MEDIA.max(2 * silence) + 3 * seen.target;
        let last = if seen.has_beaten { seen.beat } else { self.started };
        [
            Rule::new(last, silence, |seen, since| {
                named(seen, since, || stalled("nothing came since it started"))
            }),
            Rule::new(self.started, all, |seen, since| {
                named(seen, since, || stalled("it brought no media since it started"))
            }),
            Rule::never(self.started),
        ]
    }

    fn endless(&self, now: Instant, seen: &Observed) -> [Rule; 3] {
        let patience = self.patience(seen);
        let media = seen.media.unwrap_or(self.started);
        let slack = Pace::less_tolerance(patience).saturating_sub(seen.pace.lag(now));
        let silent = seen.last_byte().unwrap_or(self.started);
        [
            Rule::new(silent, patience, |seen, since| {
                named(seen, since, || stalled("no byte came for too long"))
            }),
            Rule { since: media, due: now + slack, verdict: behind }.unless_silent(
                silent,
                patience / 2,
                patience,
            ),
            Rule::never(media),
        ]
    }

    fn listed(&self, now: Instant, seen: &Observed) -> [Rule; 3] {
        let patience = self.patience(seen);
        let slack = (MOST_LAG * seen.target).max(patience).saturating_sub(seen.pace.lag(now));
        let arrived = seen.arrived;
        let changed = seen.changed().unwrap_or(self.started);
        let late = Rule::new(arrived, patience + seen.target, |seen, since| {
            named(seen, since, || Verdict::new(Reason::Slow, "a segment did not come in time"))
        });
        let verdict = |seen: &Observed, since| {
            named(seen, since, || Verdict::new(Reason::Slow, "media comes slower than it plays"))
        };
        let behind = Rule { since: arrived, due: now + slack, verdict };
        if seen.is_list_over {
            return [Rule::never(changed), late, behind];
        }
        // a list that is in time changes once in a target duration
        let quiet = patience.min(seen.target * 5 / 4);
        [
            Rule::new(changed, patience, |seen, since| {
                named(seen, since, || stalled("no new segment was listed for too long"))
            }),
            late.unless_silent(changed, quiet, patience),
            behind.unless_silent(changed, quiet, patience),
        ]
    }
}

/// A wait that ends with a verdict.
struct Rule {
    since: Instant,
    due: Instant,
    verdict: fn(&Observed, Instant) -> Verdict,
}

impl Rule {
    fn new(since: Instant, wait: Duration, verdict: fn(&Observed, Instant) -> Verdict) -> Self {
        Self { since, due: since + wait, verdict }
    }

    /// A source that is silent for longer than `quiet` when this is due is not slow but may have stalled: that is seen
    /// when its silence has lasted for `patience`.
    fn unless_silent(self, silent: Instant, quiet: Duration, patience: Duration) -> Self {
        let is_silent = self.due > silent + quiet;
        Self { due: if is_silent { self.due.max(silent + patience) } else { self.due }, ..self }
    }

    fn never(since: Instant) -> Self {
        Self::new(since, Duration::from_secs(3600 * 24 * 365), |_, _| stalled("never"))
    }
}

/// A fault since then is the reason, where there is one.
fn named(seen: &Observed, since: Instant, otherwise: impl FnOnce() -> Verdict) -> Verdict {
    seen.fault_since(since).map_or_else(otherwise, Verdict::fault)
}

fn stalled(words: &str) -> Verdict {
    Verdict::new(Reason::Stall, words)
}

/// Bytes come and media time falls behind: few bytes are slow, as many as usual with nothing in them are broken.
fn behind(seen: &Observed, since: Instant) -> Verdict {
    named(seen, since, || {
        let (played, _) = seen.pace.played();
        let usual = seen.received_at_media as f64 / played.as_secs_f64().max(0.1);
        let waited = seen.beat.saturating_duration_since(since).as_secs_f64();
        let came = (seen.received - seen.received_at_media) as f64;
        if waited > 0.5 && came > usual * waited / 2.0 {
            Verdict::fault(&Fault::malformed("bytes come and nothing in them plays"))
        } else {
            Verdict::new(Reason::Slow, "media comes slower than it plays")
        }
    })
}

/// Whether waiting cannot help.
fn is_final(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        FaultKind::Forbidden(_)
            | FaultKind::Tls
            | FaultKind::Unsupported(_)
            | FaultKind::Redirects
            | FaultKind::BreakerOpen
    )
}
