//! What the service manager (systemd) is told, where one listens: readiness, signs of life, a line of status.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Interval;

use crate::api::view::PipelineView;
use crate::reload::Board;

/// How often the line of status is looked at.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// How often nobody is told anything.
const RARELY: Duration = Duration::from_secs(3600);

/// Tells the service manager; without one nothing happens.
pub(crate) fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Half the interval in which the service manager asks for a sign of life; once an hour where it asks for none.
pub(crate) fn watchdog() -> Interval {
    let period = sd_notify::watchdog_enabled().map(|interval| interval / 2);
    tokio::time::interval(period.unwrap_or(RARELY))
}

/// The line that `systemctl status` shows.
pub(crate) struct StatusLine {
    board: Arc<Board>,
    every: Interval,
    told: String,
}

impl StatusLine {
    /// Over what stands on `board`. Nothing is looked at where there is no service manager.
    pub(crate) fn new(board: Arc<Board>) -> Self {
        let listened = std::env::var_os("NOTIFY_SOCKET").is_some();
        let every = tokio::time::interval(if listened { STATUS_EVERY } else { RARELY });
        Self { board, every, told: String::new() }
    }

    /// Waits until it is time to look again, and tells the line if it is another one. Dropping it loses nothing.
    pub(crate) async fn follow(&mut self) {
        self.every.tick().await;
        let line = line(&self.board.pipelines());
        if line != self.told {
            tell(&[NotifyState::Status(&line)]);
            self.told = line;
        }
    }
}

/// `12 pipelines, 340 viewers, 1 degraded`: those that are stalled or failed.
fn line(pipelines: &[PipelineView]) -> String {
    let number = |count: i64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let degraded = pipelines.iter().filter(|view| matches!(&*view.state, "stalled" | "failed")).count();
    let viewers = pipelines.iter().map(PipelineView::viewers).sum();
    let all = i64::try_from(pipelines.len()).unwrap_or(i64::MAX);
    let ill = if degraded > 0 { format!(", {degraded} degraded") } else { String::new() };
    format!("{}, {}{ill}", number(all, "pipeline"), number(viewers, "viewer"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::api::view::SinkView;

    fn pipeline(state: &str, viewers: i64) -> PipelineView {
        let sink = SinkView { name: "sink 1 hls".into(), path: "/live/x".into(), viewers, bytes: 0 };
        PipelineView {
            name: "x".into(),
            state: state.into(),
            reason: String::new(),
            since: Timestamp::UNIX_EPOCH,
            source: None,
            sources: Vec::new(),
            last_switch: None,
            switches_left: 0,
            last_fault: None,
            target_duration_seconds: None,
            part_target_seconds: None,
            renditions: Vec::new(),
            pushing: Vec::new(),
            health: None,
            sinks: vec![sink],
        }
    }

    #[test]
    fn the_line_counts_pipelines_viewers_and_those_that_are_unwell() {
        for (pipelines, expected) in [
            (vec![], "0 pipelines, 0 viewers"),
            (vec![pipeline("live", 1)], "1 pipeline, 1 viewer"),
            (vec![pipeline("starting", 0), pipeline("live", 2)], "2 pipelines, 2 viewers"),
            (vec![pipeline("stalled", 3), pipeline("failed", 0)], "2 pipelines, 3 viewers, 2 degraded"),
        ] {
            assert_eq!(line(&pipelines), expected);
        }
    }
}
