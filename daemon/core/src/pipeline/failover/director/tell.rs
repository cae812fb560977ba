//! What the director tells: states, events, metrics, the log, and the chain as operators see it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::Instant;

use super::super::entry::{Down, Id, Least};
use super::super::{ChainStatus, LastSwitch, Reason, SourceState, SourceStatus, Verdict};
use super::Director;
use crate::event;
use crate::fault::FaultKind;
use crate::pipeline::{EndReason, State};

impl Director {
    /// Another source feeds the pipeline.
    pub(super) fn switched(&mut self, from: Option<Id>, to: Id, why: &Verdict) {
        let from = from.map(|id| self.stage_of(id));
        let (to, gap) = (self.stage_of(to), self.shared.last_gap());
        let reason = why.reason.label();
        self.shared.metrics.switch(reason).inc();
        self.shared.metrics.switch_gap().observe(gap.as_secs_f64());
        let switches_left = self.chain.switches_left(Instant::now());
        let detail = json!({
            "from": from, "to": to, "reason": reason, "words": why.words,
            "gap_seconds": gap.as_secs_f64(), "switches_left": switches_left,
        });
        self.shared.tell(event::SOURCE_SWITCHED, Some(&why.words), detail);
        let words = &why.words;
        let (pipeline, source) = (&self.shared.name, from.as_deref());
        if why.reason.is_trouble() {
            tracing::warn!(%pipeline, from = source, to = &*to, reason, words, ?gap, switches_left, "switched sources");
        } else {
            tracing::info!(%pipeline, from = source, to = &*to, reason, words, ?gap, switches_left, "switched sources");
        }
        if switches_left == 0 {
            self.shared.tell(event::SOURCE_BUDGET_SPENT, Some(&why.words), json!({ "source": to }));
            tracing::error!(pipeline = %self.shared.name, source = %to, "the budget of switches is spent; it stays on this source");
        }
        self.last_switch = Some(LastSwitch {
            time: Timestamp::now(),
            from,
            to,
            reason,
            words: words.clone(),
            gap_seconds: gap.as_secs_f64(),
        });
    }

    /// A run went down. That it does so again for the same reason is no news for the log.
    pub(super) fn tell_down(&mut self, id: Id, stage: &Arc<str>, down: &Down) {
        let link = self.links.iter_mut().find(|link| link.id == id);
        let (is_news, has_ended) =
            link.map_or((true, false), |link| (link.is_news(&down.verdict.reason), link.has_ended()));
        let has_ended = has_ended && self.chain.is_alone();
        let (pipeline, words) = (&self.shared.name, &down.verdict.words);
        let reason = down.verdict.reason.label();
        let kind =
            if down.least == Least::AfterRefusal { event::SOURCE_REFUSED } else { event::SOURCE_FAILED };
        if down.verdict.reason != Reason::Ended && !has_ended {
            let detail = json!({ "source": stage, "reason": reason, "words": words });
            self.shared.tell(kind, Some(words), detail);
        }
        match &down.verdict.reason {
            Reason::Ended if is_news => tracing::info!(%pipeline, %stage, "source ended"),
            Reason::Ended => tracing::debug!(%pipeline, %stage, "source has still ended"),
            _ if !is_news || has_ended => {
                tracing::debug!(%pipeline, %stage, reason, words, "source failed again")
            }
            Reason::Fault(FaultKind::Internal(_)) => {
                tracing::error!(%pipeline, %stage, reason, words, "source failed");
            }
            _ => tracing::warn!(%pipeline, %stage, reason, words, "source failed"),
        }
        if self.serving.is_none() {
            self.shared.close_open();
            self.tell_unfed(stage, down, has_ended);
        }
    }

    /// Nothing feeds the pipeline now. A stream that is over stays so, whatever its origin answers when it is asked for
    /// another: viewers have all of it.
    fn tell_unfed(&self, stage: &Arc<str>, down: &Down, has_ended: bool) {
        let words = &down.verdict.words;
        if self.chain.is_alone() {
            if down.verdict.reason == Reason::Ended {
                self.shared.set_state(State::Stopped, words.clone());
                self.shared.end_stream(EndReason::Ended, words);
            } else if !has_ended {
                self.shared.set_state(State::Failed, words.clone());
            }
            return;
        }
        let now = Instant::now();
        if let Some(coming) = self.chain.coming() {
            let next = self.stage_of(coming);
            let was = self.shared.status().borrow().state;
            let state = if was == State::Live { State::Stalled } else { was };
            self.shared.set_state(state, format!("{}; trying {next}", with_stage(stage, words)));
            return;
        }
        let why = self.links.iter().filter_map(|link| {
            let rest = self.chain.rest(link.id, now)?;
            Some(with_stage(&link.stage, &rest.why.words))
        });
        let why: Vec<String> = why.collect();
        self.shared.set_state(State::Failed, format!("every source is down: {}", why.join("; ")));
    }

    /// A source is kept although it should be left: there is no other.
    pub(super) fn keep(&mut self, verdict: &Verdict) {
        if std::mem::replace(&mut self.said_kept, true) {
            return;
        }
        let words = &verdict.words;
        tracing::warn!(pipeline = %self.shared.name, words, "kept for want of another source");
    }

    /// A source that was watched is not well.
    pub(super) fn tell_unproved(&self, stage: &Arc<str>, down: &Down) {
        let words = &down.verdict.words;
        tracing::debug!(pipeline = %self.shared.name, %stage, words, "not returned to");
    }

    /// Shows the chain.
    pub(super) fn tell(&self) {
        let now = Instant::now();
        let sources = self.links.iter().map(|link| {
            let rest = self.chain.rest(link.id, now);
            let id = Some(link.id);
            let feeds = self.chain.serving() == id;
            let state = match rest {
                _ if feeds && self.chain.is_arriving() => SourceState::Proving,
                _ if feeds => SourceState::Active,
                _ if self.chain.coming() == id => SourceState::Starting,
                _ if self.chain.probing() == id => SourceState::Proving,
                Some(rest) if rest.refused => SourceState::Refused,
                Some(_) => SourceState::Resting,
                None => SourceState::Standby,
            };
            self.shared.metrics.source(&link.stage).active.set(i64::from(feeds));
            let resting = matches!(state, SourceState::Resting | SourceState::Refused);
            let rest = rest.filter(|_| resting);
            SourceStatus {
                stage: link.stage.clone(),
                state,
                feeds,
                reason: rest.map(|rest| without_stage(&link.stage, &rest.why.words)).unwrap_or_default(),
                until: rest.and_then(|rest| wall(now, rest.until?)),
            }
        });
        let status = ChainStatus {
            sources: sources.collect(),
            last_switch: self.last_switch.clone(),
            switches_left: self.chain.switches_left(now),
        };
        self.shared.show_chain(status);
    }
}

fn with_stage(stage: &Arc<str>, words: &str) -> String {
    if words.starts_with(&**stage) { words.to_owned() } else { format!("{stage}: {words}") }
}

/// What stands beside the name of the stage does not name it again.
fn without_stage(stage: &Arc<str>, words: &str) -> String {
    let rest = words.strip_prefix(&**stage).and_then(|words| words.strip_prefix(": "));
    rest.unwrap_or(words).to_owned()
}

/// A moment to come by the wall clock.
fn wall(now: Instant, then: Instant) -> Option<Timestamp> {
    let wait = SignedDuration::try_from(then.saturating_duration_since(now)).ok()?;
    Timestamp::now().checked_add(wait).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_named_once() {
        let stage: Arc<str> = "source 1 hls".into();
        for words in ["status 404", "source 1 hls: status 404"] {
            assert_eq!(without_stage(&stage, words), "status 404");
            assert_eq!(with_stage(&stage, words), "source 1 hls: status 404");
        }
        assert_eq!(without_stage(&stage, "source 12 hls: status 404"), "source 12 hls: status 404");
    }
}
