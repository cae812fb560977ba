//! One write, and what becomes of a recording that cannot be written.

use std::sync::Arc;
use std::time::Duration;

use sluice_core::event;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::pipeline::PushState;
use tokio::sync::oneshot;

use super::super::shelf::Write;
use super::super::writer::Command;
use super::{FIRST_PAUSE, LONGEST_PAUSE, ROOM_AGAIN, Run};

/// A write that takes longer is told as a pause.
const SLOW: Duration = Duration::from_secs(5);

impl Run {
    /// Has it written inside the layers. Gives whether it was; else it has waited.
    pub(super) async fn write(&mut self, write: Arc<Write>) -> bool {
        let bytes = write.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let context = self.context.clone();
        let carried = context.carry_out(self.work(write));
        tokio::pin!(carried);
        let result = match tokio::time::timeout(SLOW, &mut carried).await {
            Ok(result) => result,
            Err(_) => {
                self.say_paused(format!(
                    "nothing could be written for {} s, and it still goes on",
                    SLOW.as_secs()
                ));
                carried.await
            }
        };
        let Err(fault) = result else {
            self.resumed();
            return true;
        };
        self.pause(&fault, bytes).await;
        false
    }

    fn resumed(&mut self) {
        if !std::mem::take(&mut self.paused) {
            return;
        }
        tracing::info!(pipeline = %self.context.pipeline.name, dir = self.spec.dir, "recording goes on");
        let detail = serde_json::json!({ "sink": self.context.stage, "dir": self.spec.dir });
        self.context.pipeline.tell(event::RECORDING_RESUMED, None, detail);
        self.metrics.paused.set(0);
        self.context.report(|status| (status.state, status.reason) = (PushState::Running, String::new()));
    }

    /// Says once that nothing can be written, and waits until it is worth another try.
    async fn pause(&mut self, fault: &Fault, bytes: u64) {
        self.say_paused(fault.to_string());
        if fault.kind == FaultKind::Full {
            while !self.has_room(bytes).await {
                self.ask(Command::Tend).await;
            }
            return;
        }
        tokio::time::sleep(fault.retry_after.unwrap_or(FIRST_PAUSE).min(LONGEST_PAUSE)).await;
    }

    fn say_paused(&mut self, reason: String) {
        if !std::mem::replace(&mut self.paused, true) {
            let (pipeline, dir) = (&self.context.pipeline, &self.spec.dir);
            tracing::error!(pipeline = %pipeline.name, dir, reason, "recording paused");
            let detail = serde_json::json!({ "sink": self.context.stage, "dir": dir, "reason": reason });
            pipeline.tell(event::RECORDING_PAUSED, Some(&reason), detail);
            self.metrics.paused.set(1);
        }
        self.context.report(|status| (status.state, status.reason) = (PushState::Paused, reason));
    }

    async fn has_room(&self, bytes: u64) -> bool {
        tokio::time::sleep(ROOM_AGAIN).await;
        let (reply, room) = oneshot::channel();
        self.ask(Command::Room(bytes, reply)).await;
        room.await.unwrap_or(true) // the next write says what is wrong
    }
}
