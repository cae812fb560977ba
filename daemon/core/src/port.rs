//! What the domain asks of the outside. Adapters implement these; tests bring fakes.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;

use crate::fault::Fault;

/// Where the numbers of a pipeline go on after a restart of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbering {
    /// No media sequence at or above this was ever given out.
    pub media_sequence: u64,
    /// No discontinuity sequence at or above this was ever given out.
    pub discontinuity_sequence: u64,
    /// The target duration that was published, in seconds.
    pub target_duration_secs: u64,
}

/// Keeps the numbers of pipelines over restarts.
pub trait Ledger: Send + Sync {
    /// What stands for this pipeline; none when nothing was kept or it cannot be read (logged by the adapter).
    fn load(&self, pipeline: &str) -> Option<Numbering>;

    /// Keeps it. Returns at once: the adapter writes behind the caller's back, newest last, and logs failures.
    fn store(&self, pipeline: &str, numbering: Numbering);
}

/// Keeps nothing: every start begins anew.
pub struct NoLedger;

impl Ledger for NoLedger {
    fn load(&self, _: &str) -> Option<Numbering> {
        None
    }

    fn store(&self, _: &str, _: Numbering) {}
}

/// What is thought of a stream from beside the byte path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Opinion {
    /// The run that it is about (see `pipeline::Shared::run`): one about a run that was left counts for nothing.
    pub run: u64,
    /// The health score, 0 to 100; none for no opinion.
    pub score: Option<u32>,
    /// What a monitor found that makes the stream useless, in words: black, frozen, silent.
    pub verdict: Option<Arc<str>>,
}

/// A program to run beside the daemon, never through a shell. It has no `Debug`: arguments and environment may hold
/// secrets.
#[derive(Clone)]
pub struct Program {
    /// A path, or a name that is looked up in `PATH`.
    pub name: String,
    /// Its arguments, each passed as it is.
    pub arguments: Vec<String>,
    /// Variables beside those that the daemon has.
    pub environment: Vec<(String, String)>,
    /// Where it runs; none for the daemon's own directory.
    pub directory: Option<PathBuf>,
}

/// A program that runs.
pub struct Child {
    /// What it writes to its standard output.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// What it writes to its standard error.
    pub complaints: Box<dyn AsyncRead + Send + Unpin>,
    /// How it ended, in words: `exit code 1`.
    pub ending: BoxFuture<'static, String>,
    /// Dropped, it ends the program and all that the program started.
    pub life: Box<dyn Send + Sync>,
}

/// Runs programs.
pub trait Children: Send + Sync {
    /// Starts a program in a process group of its own, which ends with [`Child::life`] and with the daemon.
    ///
    /// # Errors
    /// `File` when it cannot be started.
    fn start(&self, program: Program) -> BoxFuture<'static, Result<Child, Fault>>;
}

/// Runs nothing.
pub struct NoChildren;

impl Children for NoChildren {
    fn start(&self, _: Program) -> BoxFuture<'static, Result<Child, Fault>> {
        std::future::ready(Err(Fault::unsupported("programs"))).boxed()
    }
}
