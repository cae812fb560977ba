//! A file that is being written: `NAME.part` with `NAME.log` beside it, which says after each write how far the file
//! is good, so that whoever comes after a crash cuts it there.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::index::{Entry, hash};
use super::name::Name;

/// Behind the name of a file that is not finished.
pub(super) const PART: &str = ".part";
/// Behind the name of the log of such a file, until the index has it.
pub(super) const LOG: &str = ".log";

/// A file that is being written. What is dropped stays as it is, to be recovered.
pub(super) struct Part {
    dir: PathBuf,
    entry: Entry,
    file: File,
    log: File,
}

impl Part {
    /// Begins a file with the initialization section that its bytes need, where they need one.
    ///
    /// # Errors
    /// When it cannot be made, or is there already.
    pub(super) fn create(
        dir: &Path,
        name: Name,
        start: Timestamp,
        era: u64,
        init: &[u8],
    ) -> io::Result<Self> {
        let fresh = |end: &str| {
            OpenOptions::new().write(true).create_new(true).open(dir.join(format!("{name}{end}")))
        };
        let mut log = fresh(LOG)?;
        let mut file = fresh(PART)?;
        let init_hash = hash(init);
        writeln!(log, "{start} {era} {} {init_hash}", init.len())?;
        file.write_all(init)?;
        let bytes = init.len() as u64;
        let entry = Entry { name, duration: Duration::ZERO, start, era, bytes, init_bytes: bytes, init_hash };
        Ok(Self { dir: dir.to_owned(), entry, file, log })
    }

    /// What it will be once it is finished.
    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Dates its first sample anew; the next write tells the log.
    pub(super) fn date(&mut self, start: Timestamp) {
        self.entry.start = start;
    }

    /// Whether it is still where it was made.
    pub(super) fn is_there(&self) -> bool {
        part(&self.dir, &self.entry.name).exists()
    }

    /// Appends media that plays for `duration`. After an error the file is as long as before, or cut so when it is
    /// recovered.
    ///
    /// # Errors
    /// When not all can be written.
    pub(super) fn append(&mut self, chunks: &[Bytes], duration: Duration) -> io::Result<()> {
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let (bytes, played) = (self.entry.bytes + length, self.entry.duration + duration);
        chunks.iter().try_for_each(|chunk| self.file.write_all(chunk))?;
        writeln!(self.log, "{bytes} {} {}", played.as_micros(), self.entry.start)?;
        (self.entry.bytes, self.entry.duration) = (bytes, played);
        Ok(())
    }

    /// Makes it whole under its name, for good: the bytes are on the disk before the name is. Its log stays until
    /// [`forget_log`].
    ///
    /// # Errors
    /// When it cannot; it is to be recovered then.
    pub(super) fn finish(self) -> io::Result<Entry> {
        self.file.sync_all()?;
        std::fs::rename(part(&self.dir, &self.entry.name), self.dir.join(self.entry.name.to_string()))?;
        sync(&self.dir)?;
        Ok(self.entry)
    }
}

fn part(dir: &Path, name: &Name) -> PathBuf {
    dir.join(format!("{name}{PART}"))
}

/// Puts the names in a directory on the disk.
///
/// # Errors
/// When it cannot.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Deletes the log of a file that the index has; that it is gone is as well.
///
/// # Errors
/// When it cannot.
pub(super) fn forget_log(dir: &Path, name: &Name) -> io::Result<()> {
    match std::fs::remove_file(dir.join(format!("{name}{LOG}"))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Finishes a file that was left over, cut to what its log knows to be whole; one without any media is deleted.
///
/// # Errors
/// When it cannot.
pub(super) fn recover(dir: &Path, name: &Name) -> io::Result<Option<Entry>> {
    let path = part(dir, name);
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let Some(entry) = logged(dir, name, length).filter(|entry| entry.duration > Duration::ZERO) else {
        std::fs::remove_file(&path)?;
        forget_log(dir, name)?;
        return Ok(None);
    };
    file.set_len(entry.bytes)?;
    file.sync_all()?;
    std::fs::rename(&path, dir.join(name.to_string()))?;
    sync(dir)?;
    Ok(Some(entry))
}

/// What the log of a file knows of its first `length` bytes; none where there is no log, or none that can be read.
pub(super) fn logged(dir: &Path, name: &Name, length: u64) -> Option<Entry> {
    let text = std::fs::read_to_string(dir.join(format!("{name}{LOG}"))).ok()?;
    let mut lines = text.rsplit_once('\n')?.0.lines(); // a line without its end may be cut short
    let mut head = lines.next()?.split(' ');
    let (start, era): (Timestamp, _) = (head.next()?.parse().ok()?, head.next()?.parse().ok()?);
    let (init_bytes, init_hash) = (head.next()?.parse().ok()?, head.next()?.parse().ok()?);
    let whole = lines.filter_map(|line| {
        let mut words = line.split(' ');
        let (bytes, micros) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let dated = words.next().and_then(|dated| dated.parse().ok());
        Some((bytes, Duration::from_micros(micros), dated.unwrap_or(start)))
    });
    let (bytes, duration, start) = whole.filter(|(bytes, ..)| *bytes <= length).max()?;
    Some(Entry { name: name.clone(), duration, start, era, bytes, init_bytes, init_hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::parse("2026-11-21T150000Z.ts").unwrap()
    }

    fn written(dir: &Path) -> Part {
        let mut part =
            Part::create(dir, name(), "2026-11-21T15:00:00Z".parse().unwrap(), 3, b"head").unwrap();
        for _ in 0..3 {
            part.append(
                &[Bytes::from_static(b"01234"), Bytes::from_static(b"56789")],
                Duration::from_secs(2),
            )
            .unwrap();
        }
        part
    }

    #[test]
    fn a_finished_file_has_all_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let entry = written(dir.path()).finish().unwrap();
        assert_eq!((entry.bytes, entry.init_bytes, entry.duration), (34, 4, Duration::from_secs(6)));
        let text = std::fs::read_to_string(dir.path().join("2026-11-21T150000Z.ts")).unwrap();
        assert_eq!(text, "head012345678901234567890123456789");
        assert_eq!(logged(dir.path(), &name(), 34), Some(entry));
    }

    #[test]
    fn a_file_that_was_left_over_is_cut_to_its_last_whole_write_wherever_it_broke_off() {
        for length in 0..=34_u64 {
            let dir = tempfile::tempdir().unwrap();
            drop(written(dir.path()));
            let part = part(dir.path(), &name());
            OpenOptions::new().write(true).open(&part).unwrap().set_len(length).unwrap();
            let recovered = recover(dir.path(), &name()).unwrap();
            let writes = length.saturating_sub(4) / 10;
            assert_eq!(
                recovered.map(|entry| entry.bytes),
                (writes > 0).then_some(4 + 10 * writes),
                "{length}"
            );
            assert!(!part.exists());
            let kept = std::fs::metadata(dir.path().join("2026-11-21T150000Z.ts")).ok();
            assert_eq!(kept.map(|kept| kept.len()), (writes > 0).then_some(4 + 10 * writes));
        }
    }
}
