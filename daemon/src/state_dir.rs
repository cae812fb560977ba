//! The directory of state: one daemon at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;

/// Why the directory cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StateDirError {
    /// It cannot be made, or not be written to.
    #[error("state-dir {0:?} cannot be used")]
    Unusable(PathBuf, #[source] std::io::Error),
    /// Another daemon uses it.
    #[error("state-dir {0:?} is in use by another daemon; give each its own")]
    InUse(PathBuf),
}

/// The directory, locked until this is dropped or the process ends.
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl StateDir {
    /// Makes it when missing, and locks it.
    ///
    /// # Errors
    /// When it cannot be made or written to, or another daemon holds it.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let unusable = |error| StateDirError::Unusable(path.to_owned(), error);
        std::fs::create_dir_all(path).map_err(unusable)?;
        let file = File::create(path.join("lock")).map_err(unusable)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => StateDirError::InUse(path.to_owned()),
            other => unusable(other.into()),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes as many file descriptors as the system allows: each viewer needs one.
pub(crate) fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of file descriptors stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_daemons_cannot_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(&dir.path().join("var")).unwrap();
        let second = StateDir::open(first.path()).err().unwrap();
        assert!(matches!(second, StateDirError::InUse(_)), "{second}");
        let path = first.path().to_owned();
        drop(first);
        StateDir::open(&path).unwrap();
    }
}
