//! One run of a program, from its start to its end.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::fault::{Fault, FaultKind, Phase};
use sluice_core::pipeline::{End, Intake, Source, SourceContext};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Exec;
use super::complaints::Complaints;

/// What is read at once: as much as a pipe holds.
const CHUNK_BYTES: usize = 64 * 1024;
/// A program that writes nothing for this long hangs.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a program that closed its output may take to end.
const PARTING: Duration = Duration::from_secs(2);
/// More of a program's last words is not told.
const LAST_WORDS: usize = 200;

/// A run.
pub(super) struct Run {
    exec: Exec,
    context: SourceContext,
}

impl Source for Run {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        async move { self.follow().await }.boxed()
    }
}

impl Run {
    pub(super) fn new(exec: Exec, context: SourceContext) -> Self {
        Self { exec, context }
    }

    async fn follow(self) -> Result<End, Fault> {
        let child = self.context.around.children.start(self.exec.to_run()).await?;
        let (mut output, ending, _life) = (child.output, child.ending, child.life);
        let complaints = Complaints::new(self.context.stage.clone(), &self.exec);
        let heard = AbortOnDropHandle::new(tokio::spawn(complaints.clone().listen(child.complaints)));
        self.take_in(&mut output).await?;
        let how = timeout(PARTING, ending).await.unwrap_or_else(|_| "its output closed".to_owned());
        // its last words are the reason; what it started may keep the other end open
        drop(timeout(PARTING, heard).await);
        Err(self.ended(&how, &complaints.last()))
    }

    /// Takes the stream in, to its end.
    async fn take_in(&self, output: &mut (impl AsyncRead + Send + Unpin)) -> Result<(), Fault> {
        let mut intake = Intake::new(self.context.feed.clone(), self.exec.cutting);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = timeout(SILENCE, output.read(&mut chunk)).await;
            let length = read.map_err(|_| Fault::new(FaultKind::Timeout(Phase::Read)))?;
            let length = length.map_err(|error| Fault::new(FaultKind::Truncated).because(error))?;
            match chunk.get(..length).filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => intake.push(bytes)?,
                None => break,
            }
        }
        if let Err(fault) = intake.finish() {
            tracing::debug!(stage = %self.context.stage, %fault, "the end of the stream was of no use");
        }
        Ok(())
    }

    fn ended(&self, how: &str, last: &str) -> Fault {
        let last: String = last.chars().take(LAST_WORDS).collect();
        let words = if last.is_empty() { String::new() } else { format!(": {last}") };
        FaultKind::Exit(format!("`{}` ended with {how}{words}", self.exec.program).into()).into()
    }
}
