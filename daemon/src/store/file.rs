//! The file: opened, brought up to date, and moved aside where it is damaged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::StoreError;

const NAME: &str = "sluice.db";

/// How long one connection waits for the other.
const BUSY: Duration = Duration::from_secs(5);

/// Every step that the tables took. Only ever added to: a file of any earlier version is brought up to date.
/// Triggers keep the bytes of each plugin, so that its quota costs one row and not all of them.
const STEPS: &[M<'static>] = &[M::up(
    "CREATE TABLE key_value (
         plugin TEXT NOT NULL, pipeline TEXT NOT NULL, key TEXT NOT NULL,
         value BLOB NOT NULL, expires_ms INTEGER,
         PRIMARY KEY (plugin, pipeline, key)
     ) WITHOUT ROWID;
     CREATE INDEX key_value_expiry ON key_value (expires_ms) WHERE expires_ms IS NOT NULL;
     CREATE TABLE usage (plugin TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TRIGGER key_value_added AFTER INSERT ON key_value BEGIN
         INSERT INTO usage VALUES (new.plugin, octet_length(new.key) + length(new.value))
         ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
     END;
     CREATE TRIGGER key_value_changed AFTER UPDATE OF value ON key_value BEGIN
         UPDATE usage SET bytes = bytes + length(new.value) - length(old.value) WHERE plugin = new.plugin;
     END;
     CREATE TRIGGER key_value_gone AFTER DELETE ON key_value BEGIN
         UPDATE usage SET bytes = bytes - octet_length(old.key) - length(old.value) WHERE plugin = old.plugin;
     END;
     CREATE TABLE event (
         id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, kind TEXT NOT NULL,
         pipeline TEXT, cause TEXT, detail TEXT NOT NULL
     );",
)];

/// Connections to one database.
pub(super) struct Opened {
    pub(super) writing: Connection,
    /// None for a database in memory, which one connection alone sees.
    pub(super) reading: Option<Connection>,
}

/// Opens the file in `dir`, a new one in the place of a damaged one, or memory.
pub(super) fn open(dir: &Path) -> Result<Opened, StoreError> {
    let path = dir.join(NAME);
    let error = match open_file(&path) {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    let renewed = if error.is_of_the_file() {
        move_aside(&path).map_err(StoreError::from).and_then(|aside| {
            tracing::error!(%error, moved_to = %aside.display(), "the store cannot be read; a new one takes its place");
            open_file(&path)
        })
    } else {
        Err(error)
    };
    renewed.or_else(|error| {
        tracing::error!(%error, path = %path.display(), "the store cannot be opened; what is kept lasts until the daemon ends");
        let mut writing = Connection::open_in_memory()?;
        Migrations::from_slice(STEPS).to_latest(&mut writing)?;
        Ok(Opened { writing, reading: None })
    })
}

fn open_file(path: &Path) -> Result<Opened, StoreError> {
    let mut writing = Connection::open(path)?;
    writing.busy_timeout(BUSY)?;
    writing.pragma_update(None, "journal_mode", "WAL")?;
    writing.pragma_update(None, "synchronous", "NORMAL")?;
    let found: String = writing.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::Damaged(found));
    }
    Migrations::from_slice(STEPS).to_latest(&mut writing)?;
    let reading = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    reading.busy_timeout(BUSY)?;
    Ok(Opened { writing, reading: Some(reading) })
}

/// Moves the file and its logs, and says where the file is now.
fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let suffixed = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = suffixed(path, &format!(".damaged-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ")));
    std::fs::rename(path, &aside)?;
    for log in ["-wal", "-shm"] {
        match std::fs::rename(suffixed(path, log), suffixed(&aside, log)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}
