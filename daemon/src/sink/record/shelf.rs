//! The directory of a recorder: the files that it keeps, those that it writes, and their playlists.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use sluice_core::media::Init;
use sluice_core::pipeline::Mark;

use super::file::{self, Part};
use super::index::{self, Entry, Known};
use super::name::Name;

/// Held by whoever records into the directory.
const LOCK: &str = ".recording.lock";
/// A file that goes on from one before is dated behind that, until the two clocks are so far apart.
const MOST_DRIFT: SignedDuration = SignedDuration::from_secs(10);
/// The playlist that a player is given.
const INDEX: &str = "index.m3u8";

/// Media to be written.
#[derive(Debug)]
pub(super) struct Write {
    /// Equal for the same media, however often it is tried.
    pub(super) id: u64,
    /// The rendition where there are several, else empty.
    pub(super) track: String,
    /// How far each rendition that is in it was followed with it.
    pub(super) marks: Vec<(String, Mark)>,
    /// Rises where the time line breaks; a file holds one.
    pub(super) era: u64,
    /// Whether a segment begins with it, that a decoder can start with.
    pub(super) keyframe: bool,
    /// Whether a segment begins with it.
    pub(super) begins: bool,
    /// The wall clock at its first sample, as the stream says it.
    pub(super) date: Option<Timestamp>,
    /// About when its first sample came.
    pub(super) came: Timestamp,
    /// The extension of the file.
    pub(super) extension: &'static str,
    /// What its bytes need before them.
    pub(super) init: Option<Arc<Init>>,
    /// The bytes; none for a gap.
    pub(super) chunks: Vec<Bytes>,
    /// How long it plays.
    pub(super) duration: Duration,
    /// What leads to the playlists of all tracks, where there are several.
    pub(super) multivariant: Option<Arc<str>>,
}

/// What a change did to files, for the log and the events.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Happened {
    /// A file was begun.
    Started(Name),
    /// A file is whole.
    Finished(Entry),
}

/// The directory, for one recorder alone.
pub(super) struct Shelf {
    dir: PathBuf,
    _lock: File,
    tracks: BTreeMap<String, Track>,
    multivariant: Option<Arc<str>>,
    happened: Vec<Happened>,
}

#[derive(Default)]
struct Track {
    entries: Vec<Entry>,
    /// The number of the first.
    media_sequence: u64,
    writing: Option<Writing>,
    /// The era of the last write, as it came with it.
    era: Option<u64>,
    /// Whether nothing but the coming of its media dates the newest file.
    is_reckoned: bool,
}

struct Writing {
    part: Part,
    extension: &'static str,
    init: Option<Arc<Init>>,
}

impl Shelf {
    /// Takes the directory, which is made where it is missing, and finishes what was left over.
    ///
    /// # Errors
    /// When it cannot be used, or another recorder has it.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let lock = File::create(dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another recorder writes there")),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (tracks, happened) = (BTreeMap::new(), Vec::new());
        let mut shelf = Self { dir: dir.to_owned(), _lock: lock, tracks, multivariant: None, happened };
        shelf.recover()?;
        Ok(shelf)
    }

    /// What happened since this was asked last.
    pub(super) fn happened(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.happened)
    }

    /// Every file that is kept, finished ones.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tracks.values().flat_map(|track| &track.entries)
    }

    /// Every file that is being written, as it is now.
    pub(super) fn writing(&self) -> impl Iterator<Item = &Entry> {
        self.tracks.values().filter_map(|track| Some(track.writing.as_ref()?.part.entry()))
    }

    /// Writes media to the file that is being written, or to a new one where that is due.
    ///
    /// # Errors
    /// When it cannot. The shelf is of no use then, and to be opened anew.
    pub(super) fn write(&mut self, write: &Write, roll: Duration) -> io::Result<()> {
        if self.multivariant != write.multivariant {
            if let Some(text) = &write.multivariant {
                replace(&self.dir, INDEX, text)?;
            }
            self.multivariant = write.multivariant.clone();
        }
        let track = self.tracks.entry(write.track.clone()).or_default();
        let over = track.writing.as_ref().is_some_and(|writing| writing.is_over(write, track.era, roll));
        if over {
            self.finish(&write.track)?;
        }
        let track = self.tracks.entry(write.track.clone()).or_default();
        let writing = match track.writing.take() {
            Some(writing) => writing,
            None if write.chunks.is_empty() => return Ok(()),
            None => {
                let part = track.begin(&self.dir, write)?;
                track.is_reckoned = write.date.is_none();
                self.happened.push(Happened::Started(part.entry().name.clone()));
                Writing { part, extension: write.extension, init: write.init.clone() }
            }
        };
        track.era = Some(write.era);
        track.writing = Some(writing);
        track.reckon(write.came);
        track.writing.as_mut().map_or(Ok(()), |writing| writing.part.append(&write.chunks, write.duration))
    }

    /// Finishes every file that is being written.
    ///
    /// # Errors
    /// As [`Shelf::write`].
    pub(super) fn finish_all(&mut self) -> io::Result<()> {
        let tracks: Vec<String> = self.tracks.keys().cloned().collect();
        tracks.iter().try_for_each(|track| self.finish(track))
    }

    /// Whether all that is being written is where it was made.
    pub(super) fn is_whole(&self) -> bool {
        self.dir.join(LOCK).exists()
            && self.tracks.values().flat_map(|track| &track.writing).all(|one| one.part.is_there())
    }

    /// Deletes finished files: those that ended before `oldest`, and the oldest while all hold more than
    /// `most_bytes`.
    ///
    /// # Errors
    /// When a playlist cannot be written or a file not be deleted.
    pub(super) fn prune(&mut self, oldest: Option<Timestamp>, most_bytes: Option<u64>) -> io::Result<()> {
        let written: u64 = self.writing().map(|entry| entry.bytes).sum();
        let mut total = written + self.entries().map(|entry| entry.bytes).sum::<u64>();
        loop {
            let first = |(name, track): (&String, &Track)| Some((track.entries.first()?.start, name.clone()));
            let Some((_, name)) = self.tracks.iter().filter_map(first).min() else { return Ok(()) };
            let Some(track) = self.tracks.get_mut(&name) else { return Ok(()) };
            let Some(entry) = track.entries.first() else { return Ok(()) };
            let aged = oldest.is_some_and(|oldest| entry.end() < oldest);
            if !aged && most_bytes.is_none_or(|most| total <= most) {
                return Ok(());
            }
            let entry = track.entries.remove(0);
            track.media_sequence += 1;
            total = total.saturating_sub(entry.bytes);
            self.write_playlist(&name)?; // first, so that no player is led to what is gone
            remove(&self.dir.join(entry.name.to_string()))?;
        }
    }

    fn finish(&mut self, name: &str) -> io::Result<()> {
        let Some(track) = self.tracks.get_mut(name) else { return Ok(()) };
        let Some(writing) = track.writing.take() else { return Ok(()) };
        let entry = writing.part.finish()?;
        self.happened.push(Happened::Finished(entry.clone()));
        track.entries.push(entry.clone());
        self.write_playlist(name)?;
        file::forget_log(&self.dir, &entry.name)
    }

    fn write_playlist(&self, name: &str) -> io::Result<()> {
        let Some(track) = self.tracks.get(name) else { return Ok(()) };
        replace(&self.dir, &playlist_of(name), &index::render(&track.entries, track.media_sequence))
    }

    /// Finds what is there: finished files with what their playlist or log knows of them, and left-over ones.
    fn recover(&mut self) -> io::Result<()> {
        let mut names: Vec<(Name, bool)> = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let file = entry?.file_name();
            let Some(file) = file.to_str() else { continue };
            let part = file.strip_suffix(file::PART);
            names.extend(Name::parse(part.unwrap_or(file)).map(|name| (name, part.is_some())));
        }
        names.sort();
        let mut changed = Vec::new();
        let mut known: BTreeMap<String, BTreeMap<String, Known>> = BTreeMap::new();
        for (name, is_part) in names {
            let listed = known.entry(name.track.clone()).or_insert_with(|| {
                let text = std::fs::read_to_string(self.dir.join(playlist_of(&name.track)));
                index::read(&text.unwrap_or_default())
            });
            let listed = listed.get(&name.to_string());
            let entry = match is_part {
                true => file::recover(&self.dir, &name)?,
                false => Some(self.finished(&name, listed)?),
            };
            let Some(entry) = entry else { continue };
            if listed.is_none() {
                self.happened.push(Happened::Finished(entry.clone()));
                changed.push(name.track.clone());
            }
            let track = self.tracks.entry(name.track.clone()).or_default();
            if let (true, Some(listed)) = (track.entries.is_empty(), listed) {
                track.media_sequence = listed.sequence;
            }
            let era = track.entries.last().map_or(entry.era, |last| entry.era.max(last.era));
            track.entries.push(Entry { era, ..entry });
        }
        changed.dedup();
        for track in changed {
            self.write_playlist(&track)?;
        }
        self.entries().try_for_each(|entry| file::forget_log(&self.dir, &entry.name))
    }

    /// What is known of a file that is finished. One that nothing tells of lasts as long as it took to write.
    fn finished(&self, name: &Name, listed: Option<&Known>) -> io::Result<Entry> {
        let path = self.dir.join(name.to_string());
        let facts = std::fs::metadata(&path)?;
        let bytes = facts.len();
        let (init_bytes, init_hash) =
            if name.extension == "mp4" { init_of(&path)? } else { (0, index::hash(&[])) };
        if let Some(Known { duration, start, era, .. }) = listed {
            let (duration, start, era) = (*duration, *start, *era);
            return Ok(Entry { name: name.clone(), duration, start, era, bytes, init_bytes, init_hash });
        }
        if let Some(entry) = file::logged(&self.dir, name, bytes) {
            return Ok(entry);
        }
        let written = Timestamp::try_from(facts.modified()?).unwrap_or(name.start);
        let duration = Duration::try_from(written.duration_since(name.start)).unwrap_or_default();
        let duration = duration.max(Duration::from_secs(1));
        Ok(Entry { name: name.clone(), duration, start: name.start, era: 0, bytes, init_bytes, init_hash })
    }
}

impl Writing {
    /// Whether a new file is due before `write`.
    fn is_over(&self, write: &Write, era: Option<u64>, roll: Duration) -> bool {
        let played = self.part.entry().duration;
        let other = |init: &Arc<Init>| write.init.as_ref().is_none_or(|next| next.name != init.name);
        (era.is_some_and(|era| era != write.era))
            || self.extension != write.extension
            || (!write.chunks.is_empty() && self.init.as_ref().is_some_and(other))
            || (write.keyframe && played >= roll)
            || (write.begins && played >= roll * 2)
    }
}

impl Track {
    /// Begins a file. Behind a file that it does not go on from, its era is a new one.
    fn begin(&self, dir: &Path, write: &Write) -> io::Result<Part> {
        let last = self.entries.last();
        let era = last.map_or(0, |last| match self.era {
            Some(era) if era <= write.era => last.era + (write.era - era),
            _ => last.era + 1,
        });
        let name = Name::after(last.map(|last| last.name.start), write.came, &write.track, write.extension);
        let init = write.init.as_ref().map(|init| init.bytes.clone()).unwrap_or_default();
        let goes_on = self.is_reckoned && self.era == Some(write.era);
        let behind = last.filter(|_| goes_on).map(Entry::end);
        let behind = behind.filter(|end| write.came.duration_since(*end) < MOST_DRIFT);
        Part::create(dir, name, write.date.or(behind).unwrap_or(write.came), era, &init)
    }

    /// Dates the file that is written, and those that it goes on from, so far back that what is next came no later
    /// than it did: what was there at once is older than it seemed.
    fn reckon(&mut self, came: Timestamp) {
        let Some(writing) = self.writing.as_mut().filter(|_| self.is_reckoned) else { return };
        let mut next = writing.part.entry().start;
        let late = writing.part.entry().end().duration_since(came);
        if !late.is_positive() {
            return;
        }
        let back = |start: Timestamp| start.checked_sub(late).unwrap_or(start);
        writing.part.date(back(next));
        for entry in self
            .entries
            .iter_mut()
            .rev()
            .take_while(|entry| entry.end() == std::mem::replace(&mut next, entry.start))
        {
            entry.start = back(entry.start);
        }
    }
}

/// The name of a track's playlist.
pub(super) fn playlist_of(track: &str) -> String {
    if track.is_empty() { INDEX.to_owned() } else { format!("{track}.m3u8") }
}

/// Writes a file anew, whole at each moment.
fn replace(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(fresh, dir.join(name))?;
    file::sync(dir)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The length and the hash of the boxes `ftyp` and `moov` at the head of a file (ISO/IEC 14496-12).
fn init_of(path: &Path) -> io::Result<(u64, u64)> {
    let mut head = Vec::new();
    File::open(path)?.take(4 << 20).read_to_end(&mut head)?;
    let mut length = 0;
    while let Some((size, rest)) = head.get(length..).and_then(|rest| rest.split_first_chunk::<4>())
        && matches!(rest.get(..4), Some(b"ftyp" | b"moov" | b"free"))
        && u32::from_be_bytes(*size) >= 8
    {
        length += u32::from_be_bytes(*size) as usize;
    }
    Ok((length as u64, index::hash(head.get(..length).unwrap_or_default())))
}

#[cfg(test)]
mod tests;
