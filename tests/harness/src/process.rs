//! A child process: its output by lines, and its end.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::wait::within;

/// How long a child that is asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How a child ends when its owner drops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGKILL.
    Kill,
    /// SIGTERM, and SIGKILL if that takes long: for programs with children of their own.
    Terminate,
}

/// A running program. It ends when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    ending: Ending,
    output: Output,
    collecting: [JoinHandle<()>; 2],
}

#[derive(Clone)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
}

/// The path of a program, which `package` brings.
///
/// # Panics
/// When it is not installed, with the package's name.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("the program {name} is missing: install the package {package}"))
}

impl Process {
    /// Starts `command`; both of its outputs are collected by lines.
    pub fn start(name: &str, command: &mut Command, ending: Ending) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Output { lines: Arc::default(), count: watch::Sender::new(0) };
        let collecting = [
            tokio::spawn(output.clone().collect(child.stdout.take().unwrap())),
            tokio::spawn(output.clone().collect(child.stderr.take().unwrap())),
        ];
        Self { name: name.to_owned(), child, ending, output, collecting }
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.output.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line of which `read` makes something. Lines that were written before count.
    ///
    /// # Panics
    /// After `limit`, or when the program ends without that line.
    pub async fn line<T>(&self, what: &str, limit: Duration, read: impl Fn(&str) -> Option<T>) -> T {
        let mut count = self.output.count.subscribe();
        let search = async {
            loop {
                count.borrow_and_update();
                let found = self.output.lines.lock().unwrap().iter().find_map(|line| read(line));
                if let Some(found) = found {
                    return found;
                }
                count.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(limit, search).await {
            Ok(found) => found,
            Err(_) => panic!("{}: no line with {what} within {limit:?}:\n{}", self.name, self.log()),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
        }
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended:\n{}", self.name, self.log()))
    }

    /// Waits for its end and for its last line.
    ///
    /// # Panics
    /// After `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let ended = within(&format!("the end of {}", self.name), limit, self.child.wait()).await.unwrap();
        for collecting in &mut self.collecting {
            if !collecting.is_finished() {
                within("its last line", limit, collecting).await.unwrap();
            }
        }
        ended
    }

    /// Its end, if it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ending == Ending::Kill || self.child.id().is_none() {
            return; // the runtime kills it
        }
        self.signal(Signal::SIGTERM);
        let step = Duration::from_millis(5);
        for _ in 0..GRACE.as_millis() / step.as_millis() {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(step);
        }
    }
}

impl Output {
    async fn collect(self, from: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            self.lines.lock().unwrap().push(line);
            self.count.send_modify(|count| *count += 1);
        }
    }
}
