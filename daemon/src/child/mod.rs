//! Programs that run beside the daemon: each in a process group of its own, which never outlives who asked for it.

#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getppid};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::port::{Child, Children, Program};
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};

/// How long a group has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// How long the daemon waits at its own end for groups to be gone.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// Runs programs.
pub(crate) struct Processes {
    /// How many run.
    living: watch::Sender<usize>,
}

impl Processes {
    /// Runs none yet.
    pub(crate) fn new() -> Self {
        Self { living: watch::Sender::new(0) }
    }

    /// Waits until every program is gone that was told to end, at most three seconds.
    pub(crate) async fn gone(&self) {
        let mut living = self.living.subscribe();
        if tokio::time::timeout(LAST_WAIT, living.wait_for(|living| *living == 0)).await.is_err() {
            tracing::warn!(programs = *self.living.borrow(), "programs did not end in time");
        }
    }
}

impl Children for Processes {
    fn start(&self, program: Program) -> BoxFuture<'static, Result<Child, Fault>> {
        let (reply, started) = oneshot::channel();
        let living = Living::new(&self.living);
        let name = program.name.clone();
        let failed = move |error: io::Error| {
            let words = format!("cannot start {name}: {error}");
            Fault::new(FaultKind::File(words.into())).because(error)
        };
        // a thread of its own: the kernel ends the child together with the thread that started it
        let spawned = std::thread::Builder::new().name("child".into()).spawn(move || {
            mind(&program, reply);
            drop(living);
        });
        async move {
            spawned.map_err(&failed)?;
            let gone = || io::Error::other("its thread ended");
            let started = started.await.map_err(|_| failed(gone()))?.map_err(&failed)?;
            started.into_child().map_err(failed)
        }
        .boxed()
    }
}

/// Counts one program while it is there.
struct Living(watch::Sender<usize>);

impl Living {
    fn new(living: &watch::Sender<usize>) -> Self {
        living.send_modify(|living| *living += 1);
        Self(living.clone())
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.send_modify(|living| *living -= 1);
    }
}

/// A program that was started.
struct Started {
    output: std::process::ChildStdout,
    complaints: std::process::ChildStderr,
    ending: oneshot::Receiver<String>,
    life: Life,
}

impl Started {
    fn into_child(self) -> io::Result<Child> {
        let ending = self.ending;
        Ok(Child {
            output: Box::new(pipe::Receiver::from_owned_fd(self.output.into())?),
            complaints: Box::new(pipe::Receiver::from_owned_fd(self.complaints.into())?),
            ending: async move { ending.await.unwrap_or_else(|_| "it is gone".to_owned()) }.boxed(),
            life: Box::new(self.life),
        })
    }
}

/// Starts the program, and stays until it is gone.
fn mind(program: &Program, reply: oneshot::Sender<io::Result<Started>>) {
    let mut child = match spawn(program) {
        Ok(child) => child,
        Err(error) => return drop(reply.send(Err(error))),
    };
    let (Some(output), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else { return };
    let Ok(number) = i32::try_from(child.id()) else { return };
    let group = Arc::new(Group { leader: Mutex::new(Some(Pid::from_raw(number))), gone: Condvar::new() });
    let (ended, ending) = oneshot::channel();
    let life = Life { group: group.clone() };
    // where nobody waits any more, `life` comes back and ends the program
    drop(reply.send(Ok(Started { output, complaints, ending, life })));
    let status = group.reap(&mut child);
    drop(ended.send(status.map_or_else(|error| error.to_string(), words)));
}

fn spawn(program: &Program) -> io::Result<std::process::Child> {
    let path = if program.name.contains('/') {
        std::path::absolute(&program.name)? // from here, and not from where it is to run
    } else {
        program.name.clone().into()
    };
    let mut command = Command::new(path);
    command.args(&program.arguments).envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    if let Some(directory) = &program.directory {
        command.current_dir(directory);
    }
    die_with_the_daemon(&mut command);
    command.spawn()
}

/// Has the kernel kill the program when the thread that starts it is gone, be it by a crash.
fn die_with_the_daemon(command: &mut Command) {
    let daemon = Pid::this();
    let arm = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != daemon {
            return Err(Errno::ESRCH.into()); // the daemon went before it was armed
        }
        Ok(())
    };
    #[expect(unsafe_code, reason = "between fork and exec: two system calls, no allocation, no lock")]
    unsafe {
        command.pre_exec(arm);
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => {
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            format!("signal {signal} ({name})")
        }
        (None, None) => status.to_string(),
    }
}

/// The process group of a program. Its number is used under the lock only, while the leader is not reaped: so it
/// never means another group.
struct Group {
    leader: Mutex<Option<Pid>>,
    gone: Condvar,
}

impl Group {
    /// Waits for the leader's end, ends what it left behind, and takes it off the process table.
    fn reap(&self, child: &mut std::process::Child) -> io::Result<ExitStatus> {
        let leader = *self.lock();
        if let Some(leader) = leader {
            while waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
        }
        let mut leader = self.lock();
        self.signal(*leader, Signal::SIGKILL);
        let status = child.wait();
        *leader = None;
        self.gone.notify_all();
        status
    }

    fn signal(&self, leader: Option<Pid>, signal: Signal) {
        let Some(leader) = leader else { return };
        match killpg(leader, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(group = leader.as_raw(), %error, "a program cannot be ended"),
        }
    }

    /// SIGTERM, and SIGKILL where that is not enough.
    fn end(&self) {
        let leader = self.lock();
        self.signal(*leader, Signal::SIGTERM);
        let waiting = self.gone.wait_timeout_while(leader, GRACE, |leader| leader.is_some());
        let (leader, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        self.signal(*leader, Signal::SIGKILL);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the group when it is dropped, without keeping whoever drops it.
struct Life {
    group: Arc<Group>,
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.group.lock().is_none() {
            return;
        }
        let group = self.group.clone();
        let ending = std::thread::Builder::new().name("child-end".into()).spawn(move || group.end());
        if let Err(error) = ending {
            tracing::warn!(%error, "no thread to end a program gently");
            self.group.signal(*self.group.lock(), Signal::SIGKILL);
        }
    }
}
