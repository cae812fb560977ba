//! Watching a directory. Whatever happens in it means one thing: read it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Editors save in several steps: a change is taken up when nothing followed it for so long,
const QUIET: Duration = Duration::from_millis(100);
/// and a stream of changes after so long at the latest.
const LONGEST: Duration = Duration::from_secs(1);

/// Tells of changes while it lives.
pub(crate) struct Watch {
    changed: Arc<Notify>,
    settling: bool,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches `dir` and tells of one change at once. Where it is a link or holds a `..data` link (as mounted
    /// configuration maps do), what the links lead to is read anew with each event in the directory itself.
    ///
    /// # Errors
    /// When the system gives no watch, as when its number is limited; the daemon then reloads on SIGHUP only.
    pub(crate) fn new(dir: &Path) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => {} // we read it ourselves
                Ok(_) => tell.notify_one(),
                Err(error) => {
                    tracing::warn!(%error, "watching a directory is impaired; reading it again");
                    tell.notify_one();
                }
            })?;
        watcher.watch(&real(dir), RecursiveMode::NonRecursive)?;
        changed.notify_one(); // what changed between the reading before and the watch is found by one more
        Ok(Self { changed, settling: false, _watcher: watcher })
    }

    /// Waits for a change and until it has settled. Whoever stops waiting finds the same change the next time.
    pub(crate) async fn changed(&mut self) {
        if !self.settling {
            self.changed.notified().await;
            self.settling = true;
        }
        let deadline = Instant::now() + LONGEST;
        while Instant::now() < deadline && timeout(QUIET, self.changed.notified()).await.is_ok() {}
        self.settling = false;
    }
}

fn real(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rename_saves_links_new_and_deleted_files_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a.kdl"), "a").unwrap();
        let mut watch = Watch::new(dir.path()).unwrap();
        watch.changed().await; // the first comes by itself
        let acts: [&dyn Fn() -> std::io::Result<()>; 5] = [
            &|| std::fs::write(at("b.kdl"), "b"),
            &|| std::fs::write(at("a.kdl~"), "a2").and_then(|()| std::fs::rename(at("a.kdl~"), at("a.kdl"))),
            &|| std::fs::remove_file(at("b.kdl")),
            &|| std::os::unix::fs::symlink("one", at("..data")),
            &|| {
                std::os::unix::fs::symlink("two", at("..new"))
                    .and_then(|()| std::fs::rename(at("..new"), at("..data")))
            },
        ];
        for (number, act) in acts.iter().enumerate() {
            act().unwrap();
            let seen = timeout(Duration::from_secs(10), watch.changed()).await;
            assert!(seen.is_ok(), "act {number}");
        }
    }
    #[tokio::test]
    async fn a_change_is_not_lost_where_something_else_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(dir.path()).unwrap();
        let other = timeout(QUIET / 2, watch.changed()).await;
        assert!(other.is_err(), "the change had no time to settle");
        assert!(timeout(Duration::from_secs(10), watch.changed()).await.is_ok());
    }
}
