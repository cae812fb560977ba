//! Writes on a thread of its own, so that a disk that is slow or full holds up nothing else.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::sys::statvfs::statvfs;
use sluice_core::event;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::metrics::RecordMetrics;
use sluice_core::pipeline::{PushContext, PushState};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Record;
use super::shelf::{Happened, Shelf, Write};

/// Writing goes on when there is at least so much room.
const LEAST_ROOM_BYTES: u64 = 1 << 20;

/// A file that is finished so long behind another, or longer, has a line of its own in the log.
const TELLING: Duration = Duration::from_secs(1);

/// What the writer is asked.
pub(super) enum Command {
    /// To write media. It may be asked again after it was done.
    Write(Arc<Write>, oneshot::Sender<Result<(), Fault>>),
    /// Whether there is room for so many bytes.
    Room(u64, oneshot::Sender<bool>),
    /// To delete what is too old or too much, and to see whether the files are still there.
    Tend,
    /// To finish the files that are being written, since nothing will follow for now.
    Finish,
}

/// The writer. It finishes its files when nobody can ask any more.
pub(super) struct Writer {
    spec: Record,
    context: PushContext,
    metrics: RecordMetrics,
    shelf: Option<Shelf>,
    /// The last write that was done.
    done: Option<u64>,
    told: Told,
}

/// What the log was told of finished files. Those that catch up with a window come many at once, and share a line.
#[derive(Default)]
struct Told {
    /// When it was told last.
    at: Option<Instant>,
    /// What it was not told yet.
    files: u64,
    bytes: u64,
    seconds: f64,
}

impl Told {
    fn add(&mut self, bytes: u64, seconds: f64) {
        self.files += 1;
        self.bytes += bytes;
        self.seconds += seconds;
    }
}

impl Writer {
    pub(super) fn new(spec: Record, context: PushContext, metrics: RecordMetrics) -> Self {
        Self { spec, context, metrics, shelf: None, done: None, told: Told::default() }
    }

    /// Works until nobody can ask any more. Blocks.
    pub(super) fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Write(write, reply) => {
                    let result = self.write(&write);
                    if reply.send(result).is_err() {
                        tracing::debug!(dir = self.spec.dir, "a write took longer than anyone waited");
                    }
                }
                Command::Room(bytes, reply) => {
                    let answered = reply.send(self.has_room(bytes));
                    answered.unwrap_or_else(|_| tracing::debug!("nobody waits for the room"));
                }
                Command::Tend => self.tend(),
                Command::Finish => self.finish(),
            }
        }
        self.finish();
        self.tell_finished();
    }

    fn write(&mut self, write: &Write) -> Result<(), Fault> {
        if self.done == Some(write.id) {
            return Ok(());
        }
        let roll = self.spec.roll;
        let result = self.on_shelf(|shelf| shelf.write(write, roll));
        if result.is_ok() {
            self.done = Some(write.id);
            // here and not where it was asked for: whoever asked may be gone, and the next one is to go on behind it
            for (rendition, mark) in &write.marks {
                self.context.marks.set(rendition, mark.clone());
            }
            self.metrics.bytes.inc_by(write.chunks.iter().map(|chunk| chunk.len() as u64).sum());
        }
        result
    }

    /// Changes something on the shelf, which is opened where it is not. After an error it is opened anew at once, so
    /// that what was being written is cut to what is whole and finished.
    fn on_shelf(&mut self, change: impl FnOnce(&mut Shelf) -> io::Result<()>) -> Result<(), Fault> {
        let result = match &mut self.shelf {
            Some(shelf) => change(shelf),
            none => Shelf::open(Path::new(&self.spec.dir)).and_then(|shelf| change(none.insert(shelf))),
        };
        if self.tell() {
            self.prune();
        }
        if result.is_err() {
            self.shelf = None;
            self.shelf = Shelf::open(Path::new(&self.spec.dir))
                .inspect_err(|error| tracing::debug!(dir = self.spec.dir, %error, "not opened again yet"))
                .ok();
            self.tell();
        }
        self.report();
        result.map_err(|error| self.fault(&error))
    }

    fn tend(&mut self) {
        self.tell_finished();
        if self.shelf.as_ref().is_some_and(|shelf| !shelf.is_whole()) {
            tracing::warn!(
                dir = self.spec.dir,
                "the files that were being written are gone; new ones are begun"
            );
            self.shelf = None;
        }
        // where it is not open, as at the start, that finishes what was left over
        if let Err(fault) = self.on_shelf(|_| Ok(())) {
            tracing::debug!(dir = self.spec.dir, %fault, "not opened yet");
        }
        self.prune();
        self.report();
    }

    fn prune(&mut self) {
        let Some(shelf) = &mut self.shelf else { return };
        let keep = self.spec.keep.and_then(|keep| SignedDuration::try_from(keep).ok());
        let oldest = keep.and_then(|keep| Timestamp::now().checked_sub(keep).ok());
        if let Err(error) = shelf.prune(oldest, self.spec.keep_bytes.map(|most| most.0)) {
            tracing::warn!(dir = self.spec.dir, %error, "old recordings cannot be deleted");
        }
    }

    fn finish(&mut self) {
        if self.shelf.is_some()
            && let Err(fault) = self.on_shelf(Shelf::finish_all)
        {
            tracing::warn!(dir = self.spec.dir, %fault, "a recording is finished with the next start");
        }
    }

    fn has_room(&self, bytes: u64) -> bool {
        let room = statvfs(Path::new(&self.spec.dir))
            .map(|facts| facts.blocks_available().saturating_mul(facts.fragment_size()));
        // where nobody knows, trying tells
        room.is_ok_and(|room| room >= LEAST_ROOM_BYTES.max(bytes.saturating_mul(2)))
    }

    /// Tells the log of the files that were finished since it was told last.
    fn tell_finished(&mut self) {
        let Told { files, bytes, seconds, .. } = std::mem::take(&mut self.told);
        if files > 0 {
            let (pipeline, dir) = (&self.context.pipeline.name, &self.spec.dir);
            tracing::info!(%pipeline, dir, files, bytes, seconds, "recordings finished");
        }
    }

    /// Tells what happened; gives whether a file was finished.
    fn tell(&mut self) -> bool {
        let happened = self.shelf.as_mut().map(Shelf::happened).unwrap_or_default();
        let (pipeline, dir) = (&self.context.pipeline, &self.spec.dir);
        for one in &happened {
            match one {
                Happened::Started(name) => {
                    let detail = serde_json::json!({ "sink": self.context.stage, "dir": dir, "file": name.to_string() });
                    pipeline.tell(event::RECORDING_STARTED, None, detail);
                }
                Happened::Finished(entry) => {
                    let (file, bytes) = (entry.name.to_string(), entry.bytes);
                    let seconds = entry.duration.as_secs_f64();
                    if self.told.at.is_none_or(|at| at.elapsed() >= TELLING) {
                        self.told.at = Some(Instant::now());
                        tracing::info!(pipeline = %pipeline.name, dir, file, bytes, seconds, "recording finished");
                    } else {
                        self.told.add(bytes, seconds);
                    }
                    let stage = &self.context.stage;
                    let detail = serde_json::json!({
                        "sink": stage, "dir": dir, "file": file, "bytes": bytes, "seconds": seconds,
                    });
                    pipeline.tell(event::RECORDING_FINISHED, None, detail);
                }
            }
        }
        happened.iter().any(|one| matches!(one, Happened::Finished(_)))
    }

    fn report(&self) {
        let Some(shelf) = &self.shelf else { return };
        let bytes = shelf.entries().chain(shelf.writing()).map(|entry| entry.bytes).sum();
        let objects = shelf.entries().count() as u64;
        let current = shelf.writing().next().map(|entry| entry.name.to_string());
        let oldest = shelf.entries().chain(shelf.writing()).map(|entry| entry.start).min();
        self.metrics.files.set(i64::try_from(objects).unwrap_or(i64::MAX));
        self.context.report(|status| {
            if current.is_some() && matches!(status.state, PushState::Waiting | PushState::Failed) {
                status.state = PushState::Running;
            }
            (status.bytes, status.objects, status.current, status.oldest) = (bytes, objects, current, oldest);
        });
    }

    fn fault(&self, error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::new(FaultKind::Full),
            _ => Fault::new(FaultKind::Write(format!("{}: {error}", self.spec.dir).into())),
        }
    }
}
