//! The directory of plugins: what is in it is taken up, and what changes there again.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sluice_core::plugin::is_plugin_name;

use super::host::Inner;
use crate::watch::Watch;

/// How often a directory is looked for that is not there, or that cannot be watched.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The largest file that is read.
const LARGEST_BYTES: u64 = 64 << 20;

/// A file as it was when it was taken up: one with another size, time or place is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    size_bytes: u64,
    changed_ns: i128,
}

/// Takes up what is in the directory, now and whenever it changes.
pub(super) async fn follow(inner: Arc<Inner>) {
    let mut known = BTreeMap::new();
    let mut watch = None;
    loop {
        if watch.is_none() {
            watch = Watch::new(&inner.directory).ok();
        }
        take_up_all(&inner, &mut known).await;
        match &mut watch {
            Some(watching) => {
                watching.changed().await;
                // a directory that was replaced is another one
                if !inner.directory.is_dir() {
                    watch = None;
                }
            }
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

async fn take_up_all(inner: &Arc<Inner>, known: &mut BTreeMap<Arc<str>, Seen>) {
    let directory = inner.directory.clone();
    let listing = tokio::task::spawn_blocking(move || list(&directory)).await;
    let found = match listing {
        Ok(Ok(found)) => found,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Ok(Err(error)) => {
            tracing::error!(%error, directory = %inner.directory.display(), "the plugins cannot be listed");
            return;
        }
        Err(error) => {
            tracing::error!(%error, "the plugins were not listed");
            return;
        }
    };
    let gone: Vec<_> = known.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
    for name in gone {
        known.remove(&name);
        inner.record(&name).remove();
        tracing::info!(plugin = &*name, "a plugin's file is gone");
    }
    for (name, seen) in found {
        if known.get(&name) == Some(&seen) {
            continue;
        }
        take_up(inner, &name).await;
        known.insert(name, seen);
    }
}

async fn take_up(inner: &Arc<Inner>, name: &Arc<str>) {
    let path = inner.file(name);
    let reading = tokio::task::spawn_blocking(move || read(&path)).await;
    match reading.map_err(std::io::Error::other).flatten() {
        Ok(bytes) => inner.take_up(name, bytes).await,
        Err(error) => {
            tracing::error!(plugin = &**name, %error, "a plugin's file cannot be read");
            inner.record(name).refuse(&format!("the file cannot be read: {error}"));
        }
    }
}

pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > LARGEST_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {LARGEST_BYTES} bytes")));
    }
    std::fs::read(path)
}

fn list(directory: &Path) -> std::io::Result<BTreeMap<Arc<str>, Seen>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let named =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".wasm"));
        let Some(name) = named.filter(|name| is_plugin_name(name)) else { continue };
        match std::fs::metadata(&path) {
            Ok(file) if file.is_file() => {
                let changed_ns = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
                found.insert(name.into(), Seen { inode: file.ino(), size_bytes: file.len(), changed_ns });
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {} // gone since the listing
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
