//! Renditions of a transport stream that come apart, as video with its audio, become one stream again, so that a
//! recording is one file.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sluice_core::fault::Fault;
use sluice_core::media::ts::program::{Chunk, Program, patience_90khz};
use sluice_core::media::ts::ticks_90khz;
use sluice_core::media::{Container, Part};
use sluice_core::pipeline::{Follower, Found, Piece, RenditionSet};

use super::recorder::{NEXT_WRITE, came};
use super::shelf::Write;

/// How much is multiplexed in one go: well under half a millisecond of work.
const SLICE_BYTES: usize = 348 * 188;

/// Follows several renditions and makes one transport stream of them.
///
/// What it is doing is kept in it: a step that is dropped goes on where it was with the next one.
pub(super) struct Mixing {
    set: Arc<RenditionSet>,
    tracks: Vec<Track>,
    program: Program,
    taking: Option<Taking>,
    made: Vec<Chunk>,
    /// The clock at the end of what was given.
    given_90khz: Option<i64>,
    /// The wall clock at the start of the newest segment of the main rendition.
    date: Option<Timestamp>,
    /// About when what is given out next came.
    came: Timestamp,
}

/// A rendition, and how long that plays which was taken of it.
struct Track {
    follower: Follower,
    played: Duration,
}

/// A piece that is being taken in.
struct Taking {
    input: usize,
    piece: Piece,
    /// How many of its parts, and of the bytes of the next one, are in.
    parts: usize,
    bytes: usize,
}

/// What a step did.
pub(super) enum Step {
    /// Nothing is there to take.
    Nothing,
    /// Something was taken in.
    Took,
    /// The window moved on before all was taken.
    Hole { segments: u64, duration: Duration },
}

impl Mixing {
    /// Mixes what these follow, the main rendition first.
    pub(super) fn new(set: Arc<RenditionSet>, followers: impl Iterator<Item = Follower>) -> Self {
        let tracks: Vec<_> = followers.map(|follower| Track { follower, played: Duration::ZERO }).collect();
        let program = Program::new(&languages(&tracks), patience_90khz(set.target_duration()));
        let came = Timestamp::now();
        Self { set, tracks, program, taking: None, made: Vec::new(), given_90khz: None, date: None, came }
    }

    /// The set that is followed.
    pub(super) fn set(&self) -> &Arc<RenditionSet> {
        &self.set
    }

    /// Whether nothing follows.
    pub(super) fn is_over(&self) -> bool {
        self.tracks.iter().all(|track| track.follower.rendition().window.snapshot().ended)
    }

    /// Takes in what is next.
    ///
    /// # Errors
    /// `Unsupported` for what no transport stream can carry; it is left out.
    pub(super) async fn step(&mut self) -> Result<Step, Fault> {
        if self.taking.is_none() {
            match self.look() {
                None => return Ok(Step::Nothing),
                Some((_, Found::Hole { segments, duration })) => {
                    // what follows starts anew, as behind a splice
                    let patience = patience_90khz(self.set.target_duration());
                    self.program.change(&languages(&self.tracks), patience, &mut self.made);
                    return Ok(Step::Hole { segments, duration });
                }
                Some((input, Found::Piece(piece))) => self.begin(input, piece),
            }
        }
        self.go_on().await.map(|()| Step::Took)
    }

    /// Takes in the rest of what was begun, and gives out all that can be.
    pub(super) async fn finish(&mut self) {
        if let Err(fault) = self.go_on().await {
            tracing::debug!(%fault, "left out of a recording");
        }
        (0..self.tracks.len()).for_each(|input| self.program.complete(input, &mut self.made));
        self.program.flush(&mut self.made);
    }

    /// What was made since this was asked last, to be written to a file of this era: one for each place where a file
    /// can begin.
    pub(super) fn writes(&mut self, era: u64) -> Vec<Write> {
        let mut writes: Vec<Write> = Vec::new();
        for chunk in std::mem::take(&mut self.made) {
            let before = self.given_90khz.replace(chunk.clock_90khz);
            let ticks = before.map_or(0, |before| chunk.clock_90khz - before);
            let duration = Duration::from_micros(u64::try_from(ticks * 100 / 9).unwrap_or_default());
            match writes.last_mut().filter(|_| !chunk.is_start) {
                Some(write) => {
                    write.duration += duration;
                    write.chunks.push(chunk.bytes);
                }
                None => writes.push(self.write(chunk, duration, era)),
            }
            let played = SignedDuration::try_from(duration).unwrap_or_default();
            self.came = self.came.checked_add(played).unwrap_or(self.came);
        }
        writes
    }

    /// The next piece, of the rendition that is the least far.
    fn look(&mut self) -> Option<(usize, Found)> {
        let mut order: Vec<_> = self.tracks.iter_mut().enumerate().collect();
        order.sort_by_key(|(_, track)| track.played);
        order.into_iter().find_map(|(input, track)| Some((input, track.follower.look()?)))
    }

    fn begin(&mut self, input: usize, piece: Piece) {
        let media = &piece.segment.media;
        if input == 0 && piece.from == 0 {
            self.date = media.program_date_time;
            self.came = came(&self.tracks[0].follower, &piece);
        }
        let duration = piece.duration();
        if media.gap {
            let era = piece.segment.discontinuity_sequence;
            self.program.skip(input, era, ticks_90khz(duration), &mut self.made);
        }
        let track = &mut self.tracks[input];
        track.follower.taken(&piece);
        track.played += duration;
        self.taking = Some(Taking { input, piece, parts: 0, bytes: 0 });
    }

    /// Takes in what was begun.
    async fn go_on(&mut self) -> Result<(), Fault> {
        while let Some(taking) = &mut self.taking {
            let (era, container) =
                (taking.piece.segment.discontinuity_sequence, &taking.piece.segment.media.container);
            let Some(Part { bytes, .. }) = taking.piece.parts().get(taking.parts) else {
                if taking.piece.closes {
                    self.program.complete(taking.input, &mut self.made);
                }
                self.taking = None;
                return Ok(());
            };
            // packed audio is cut into frames from its head on: it comes whole
            let is_ts = *container == Container::TransportStream;
            let end = if is_ts { bytes.len().min(taking.bytes + SLICE_BYTES) } else { bytes.len() };
            let slice = bytes.slice(taking.bytes..end);
            let starts = taking.piece.from + taking.parts == 0 && taking.bytes == 0;
            (taking.parts, taking.bytes) =
                if end == bytes.len() { (taking.parts + 1, 0) } else { (taking.parts, end) };
            let pushed = self.program.push(taking.input, (era, starts), container, &slice, &mut self.made);
            if pushed.is_err() {
                self.taking = None;
            }
            pushed?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn write(&self, chunk: Chunk, duration: Duration, era: u64) -> Write {
        let mark =
            |track: &Track| (track.follower.rendition().spec.name.clone(), track.follower.mark().clone());
        Write {
            id: NEXT_WRITE.fetch_add(1, Ordering::Relaxed),
            track: String::new(),
            marks: self.tracks.iter().map(mark).collect(),
            era,
            keyframe: chunk.is_start,
            begins: chunk.is_start,
            date: self.date,
            came: self.came,
            extension: Container::TransportStream.extension(),
            init: None,
            chunks: vec![chunk.bytes],
            duration,
            multivariant: None,
        }
    }
}

fn languages(tracks: &[Track]) -> Vec<Option<String>> {
    let language = |track: &Track| track.follower.rendition().attribute("LANGUAGE").map(str::to_owned);
    tracks.iter().map(language).collect()
}
