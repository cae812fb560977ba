//! Keeps the numbers of pipelines in `state-dir/numbers`, a small JSON file for each.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use sluice_core::port::{Ledger, Numbering};

/// The files. Writing is behind the caller's back, in a thread of its own; the newest numbers of a pipeline
/// replace those that still wait. Dropping it writes what waits.
pub(crate) struct NumberFiles {
    dir: PathBuf,
    waiting: Arc<Waiting>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    numbers: BTreeMap<String, Numbering>,
    closing: bool,
}

impl NumberFiles {
    /// Uses `state_dir/numbers`, which is made when missing.
    ///
    /// # Errors
    /// When it cannot be made or written to.
    pub(crate) fn open(state_dir: &Path) -> std::io::Result<Self> {
        let dir = state_dir.join("numbers");
        std::fs::create_dir_all(&dir)?;
        tempfile::NamedTempFile::new_in(&dir)?; // a directory that cannot be written to shows now
        let waiting = Arc::new(Waiting::default());
        let thread = {
            let (dir, waiting) = (dir.clone(), waiting.clone());
            std::thread::Builder::new().name("numbers".to_owned()).spawn(move || write_all(&dir, &waiting))?
        };
        Ok(Self { dir, waiting, writer: Some(thread) })
    }
}

impl Ledger for NumberFiles {
    fn load(&self, pipeline: &str) -> Option<Numbering> {
        let waiting =
            self.waiting.state.lock().unwrap_or_else(PoisonError::into_inner).numbers.get(pipeline).copied();
        if waiting.is_some() {
            return waiting;
        }
        let path = self.dir.join(file_name(pipeline));
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(pipeline, path = %path.display(), %error, "kept numbers cannot be read; the clock gives new ones");
                return None;
            }
        };
        let parsed = serde_json::from_slice(&text);
        parsed
            .inspect_err(|error| {
                tracing::warn!(pipeline, path = %path.display(), %error, "kept numbers are damaged; the clock gives new ones");
            })
            .ok()
    }

    fn store(&self, pipeline: &str, numbering: Numbering) {
        let mut state = self.waiting.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.numbers.insert(pipeline.to_owned(), numbering);
        self.waiting.changed.notify_one();
    }
}

impl Drop for NumberFiles {
    fn drop(&mut self) {
        self.waiting.state.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        self.waiting.changed.notify_one();
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the thread that keeps numbers failed");
        }
    }
}

fn write_all(dir: &Path, waiting: &Waiting) {
    loop {
        let mut state = waiting.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.numbers.is_empty() && !state.closing {
            state = waiting.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let first =
            state.numbers.first_key_value().map(|(pipeline, numbering)| (pipeline.clone(), *numbering));
        let Some((pipeline, numbering)) = first else { return };
        drop(state);
        if let Err(error) = write(dir, &pipeline, numbering) {
            tracing::error!(pipeline, %error, "numbers cannot be kept; a restart may derive them from the clock");
        }
        // until now they could be read where they waited
        let mut state = waiting.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.numbers.get(&pipeline) == Some(&numbering) {
            state.numbers.remove(&pipeline);
        }
    }
}

/// Whole or not at all: written aside, then renamed.
fn write(dir: &Path, pipeline: &str, numbering: Numbering) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(&numbering)?)?;
    file.persist(dir.join(file_name(pipeline)))?;
    Ok(())
}

/// Names of pipelines may hold slashes.
fn file_name(pipeline: &str) -> String {
    format!("{}.json", pipeline.replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Numbering =
        Numbering { media_sequence: 7, discontinuity_sequence: 2, target_duration_secs: 4 };

    #[test]
    fn numbers_outlive_the_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = NumberFiles::open(dir.path()).unwrap();
        ledger.store("ace/one", Numbering { media_sequence: 1, ..NUMBERS });
        ledger.store("ace/one", NUMBERS);
        assert_eq!(ledger.load("ace/one"), Some(NUMBERS));
        drop(ledger);
        let ledger = NumberFiles::open(dir.path()).unwrap();
        assert_eq!(ledger.load("ace/one"), Some(NUMBERS));
        assert_eq!(ledger.load("other"), None);
    }

    #[test]
    fn damaged_numbers_are_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = NumberFiles::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("numbers/news.json"), b"{").unwrap();
        assert_eq!(ledger.load("news"), None);
    }
}
