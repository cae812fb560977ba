//! Follows the windows of the renditions that are recorded, and has every piece written in order.

mod pausing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::{Container, playlist::render};
use sluice_core::metrics::RecordMetrics;
use sluice_core::pipeline::{Follower, Found, Piece, PushContext, PushState, Pusher, RenditionSet};
use sluice_core::stage::Operation;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::Record;
use super::choice::{choose, extension};
use super::mixing::{Mixing, Step};
use super::shelf::{Write, playlist_of};
use super::writer::{Command, Writer};

/// How often old files are looked for.
const TENDING: Duration = Duration::from_secs(5);
/// The first wait after a fault; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A full disk is looked at again after so long.
const ROOM_AGAIN: Duration = Duration::from_secs(1);
/// Whoever finds renditions that are older than this joins at the live edge.
const NEW_SET: Duration = Duration::from_secs(10);

/// Writes are told apart over all runs.
pub(super) static NEXT_WRITE: AtomicU64 = AtomicU64::new(1);

/// The work of a `record` sink.
pub(super) struct Recorder {
    spec: Record,
    context: PushContext,
    metrics: RecordMetrics,
    began: Instant,
}

/// A rendition that is recorded.
struct Track {
    /// Empty where it is the only one.
    name: String,
    follower: Follower,
}

/// The renditions of one set that are recorded.
struct Session {
    set: Arc<RenditionSet>,
    tracks: Vec<Track>,
    multivariant: Option<Arc<str>>,
}

impl Session {
    /// Whether its renditions are mixed into one stream: those of a transport stream are. None as long as nobody knows.
    fn is_mixed(&self) -> Option<bool> {
        let [main, _, ..] = &*self.tracks else { return Some(false) };
        let snapshot = main.follower.rendition().window.snapshot();
        let newest = snapshot.segments.last().or(snapshot.open.as_ref())?;
        Some(newest.media.container == Container::TransportStream)
    }
}

/// One run of a recorder.
struct Run {
    spec: Record,
    context: PushContext,
    metrics: RecordMetrics,
    began: Instant,
    commands: mpsc::Sender<Command>,
    session: Option<Session>,
    /// What is recorded as one stream, in the place of a session.
    mixing: Option<Mixing>,
    /// What was made and is not written.
    pending: VecDeque<Arc<Write>>,
    /// Breaks of the time line that the stream knows nothing of.
    breaks: u64,
    paused: bool,
    /// Whether all was written that came, and its end as well.
    ended: bool,
}

impl Recorder {
    pub(super) fn new(spec: Record, context: PushContext) -> Self {
        let metrics = context.pipeline.metrics.record(&context.stage);
        Self { spec, context, metrics, began: Instant::now() }
    }
}

impl Pusher for Recorder {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<(), Fault>> {
        async move {
            let Self { spec, context, metrics, began } = *self;
            metrics.paused.set(0);
            let (commands, asked) = mpsc::channel(4);
            let writer = Writer::new(spec.clone(), context.clone(), metrics.clone());
            let writing = tokio::task::spawn_blocking(move || writer.serve(asked));
            let run = Run {
                spec,
                context,
                metrics,
                began,
                commands,
                session: None,
                mixing: None,
                pending: VecDeque::new(),
                breaks: 0,
                paused: false,
                ended: false,
            };
            run.follow().await;
            writing
                .await
                .map_err(|error| Fault::new(FaultKind::Internal("the writer failed".into())).because(error))
        }
        .boxed()
    }
}

impl Run {
    /// Works until the sink is to stop. The writer finishes when this is gone.
    async fn follow(mut self) {
        let (context, mut arrivals) = (self.context.clone(), self.context.pipeline.arrivals());
        let mut ticks = tokio::time::interval(TENDING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = context.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                () = self.write_all() => {}
            }
            tokio::select! {
                () = &mut stopped => break,
                changed = arrivals.changed() => if changed.is_err() { break },
                _ = ticks.tick() => self.ask(Command::Tend).await,
            }
        }
        self.part().await;
    }

    /// Writes what was taken in of renditions that are mixed, tried once: nothing follows.
    async fn part(&mut self) {
        self.end_mixing().await;
        while let Some(write) = self.pending.pop_front() {
            if let Err(fault) = self.context.carry_out(self.work(write)).await {
                tracing::warn!(pipeline = %self.context.pipeline.name, %fault, "the end of a recording is lost");
                return;
            }
        }
    }

    async fn ask(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::debug!(dir = self.spec.dir, "the writer is gone");
        }
    }

    /// Writes all that is there, of every set that is there.
    async fn write_all(&mut self) {
        loop {
            self.write_session().await;
            self.write_mixed().await;
            let Some(set) = self.context.pipeline.renditions() else { return };
            let own = self.session.as_ref().map(|session| &session.set);
            let own = own.or(self.mixing.as_ref().map(Mixing::set));
            if own.is_some_and(|own| Arc::ptr_eq(own, &set)) {
                break;
            }
            self.end_mixing().await;
            self.write_mixed().await;
            if !self.begin(&set) {
                break;
            }
        }
        self.finish_at_the_end().await;
    }

    /// A stream that is over leaves whole files.
    async fn finish_at_the_end(&mut self) {
        let windows = self.session.iter().flat_map(|session| &session.tracks);
        let over = |track: &Track| track.follower.rendition().window.snapshot().ended;
        let is_mixed = self.mixing.as_ref().is_some_and(Mixing::is_over);
        let ended = is_mixed || (self.session.is_some() && windows.into_iter().all(over));
        if ended && !self.ended {
            if let Some(mixing) = &mut self.mixing {
                mixing.finish().await;
                self.write_mixed().await;
            }
            self.ask(Command::Finish).await;
        }
        self.ended = ended;
    }

    /// Follows another set from now on. Gives whether it has what is to be recorded.
    fn begin(&mut self, set: &Arc<RenditionSet>) -> bool {
        let chosen = match choose(set, self.spec.rendition.as_deref()) {
            Ok(chosen) => chosen,
            Err(reason) => {
                self.context.report(|status| {
                    (status.state, status.reason) = (PushState::Waiting, reason);
                });
                return false;
            }
        };
        let late = self.session.is_none() && self.began.saturating_duration_since(set.since) > NEW_SET;
        let multivariant = (chosen.len() > 1).then(|| {
            let specs: Vec<_> = chosen.iter().map(|rendition| rendition.spec.clone()).collect();
            render::multivariant(&specs, |spec| playlist_of(&spec.name), set.independent_segments).into()
        });
        let tracks = chosen.into_iter().map(|rendition| {
            let mark = self.context.marks.get(&rendition.spec.name).filter(|mark| mark.epoch == set.epoch);
            let join = late && mark.is_none();
            let name = if multivariant.is_some() { rendition.spec.name.clone() } else { String::new() };
            let follower = Follower::new(set.clone(), rendition, mark);
            Track { name, follower: if join { follower.at_the_edge() } else { follower } }
        });
        let tracks = tracks.collect();
        self.session = Some(Session { set: set.clone(), tracks, multivariant });
        true
    }

    /// Writes what the windows of this session have.
    async fn write_session(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        match session.is_mixed() {
            Some(false) => {}
            Some(true) => {
                let followers = session.tracks.into_iter().map(|track| track.follower);
                self.mixing = Some(Mixing::new(session.set, followers));
                return;
            }
            None => {
                self.session = Some(session);
                return; // the first segment tells
            }
        }
        let mut more = true;
        while more {
            more = false;
            for track in &mut session.tracks {
                more |= self.step(track, session.multivariant.as_ref()).await;
            }
        }
        self.session = Some(session);
    }

    /// Writes what the renditions that are mixed have.
    async fn write_mixed(&mut self) {
        loop {
            while let Some(write) = self.pending.front().cloned() {
                // the very same until it is done: what comes meanwhile waits in the window
                while !self.write(write.clone()).await {}
                self.pending.pop_front();
            }
            let Some(mixing) = &mut self.mixing else { return };
            let step = mixing.step().await;
            self.pending.extend(mixing.writes(self.breaks).into_iter().map(Arc::new));
            match step {
                Ok(Step::Nothing) if self.pending.is_empty() => return,
                Ok(Step::Nothing | Step::Took) => {}
                Ok(Step::Hole { segments, duration }) => self.lost(segments, duration),
                Err(fault) => self.context.report(|status| status.reason = fault.to_string()),
            }
        }
    }

    /// Another stream, or none, takes the place of the one that is mixed: what is held back of that is to be written.
    async fn end_mixing(&mut self) {
        let Some(mixing) = &mut self.mixing else { return };
        mixing.finish().await;
        self.pending.extend(mixing.writes(self.breaks).into_iter().map(Arc::new));
        self.mixing = None;
        self.breaks += 1;
    }

    /// Writes the next piece of a track. Gives whether there was one.
    async fn step(&mut self, track: &mut Track, multivariant: Option<&Arc<str>>) -> bool {
        match track.follower.look() {
            None => false,
            Some(Found::Hole { segments, duration }) => {
                self.lost(segments, duration);
                true
            }
            Some(Found::Piece(piece)) => {
                track.follower.taken(&piece);
                let write = Arc::new(self.write_of(track, &piece, multivariant));
                // the very same until it is done: what comes meanwhile waits in the window
                while !self.write(write.clone()).await {}
                true
            }
        }
    }

    fn lost(&mut self, segments: u64, duration: Duration) {
        self.breaks += 1;
        let (pipeline, dir, seconds) = (&self.context.pipeline.name, &self.spec.dir, duration.as_secs_f64());
        tracing::warn!(%pipeline, dir, segments, seconds, "the stream went on while nothing could be written");
        self.metrics.lost_seconds.inc_by(seconds);
        self.context.report(|status| status.lost_seconds += seconds);
    }

    fn write_of(&self, track: &Track, piece: &Piece, multivariant: Option<&Arc<str>>) -> Write {
        let (media, parts) = (&piece.segment.media, piece.parts());
        let begins = piece.from == 0;
        Write {
            id: NEXT_WRITE.fetch_add(1, Ordering::Relaxed),
            track: track.name.clone(),
            marks: vec![(track.follower.rendition().spec.name.clone(), track.follower.mark().clone())],
            era: piece.segment.discontinuity_sequence + self.breaks,
            keyframe: begins && parts.first().is_some_and(|part| part.independent),
            begins,
            date: media.program_date_time.filter(|_| begins),
            came: came(&track.follower, piece),
            extension: extension(&media.container),
            init: media.container.init().cloned(),
            chunks: parts.iter().map(|part| part.bytes.clone()).collect(),
            duration: piece.duration(),
            multivariant: multivariant.cloned(),
        }
    }

    fn work(&self, write: Arc<Write>) -> Operation {
        let commands = self.commands.clone();
        Operation::new(move || {
            let (commands, write) = (commands.clone(), write.clone());
            async move {
                let gone = || Fault::new(FaultKind::Internal("the writer failed".into()));
                let (reply, written) = oneshot::channel();
                commands.send(Command::Write(write, reply)).await.map_err(|_| gone())?;
                written.await.map_err(|_| gone())?
            }
            .boxed()
        })
    }
}

/// About when the first sample of `piece` came: the newest that is there came just now.
pub(super) fn came(follower: &Follower, piece: &Piece) -> Timestamp {
    let (now, ahead) = (Timestamp::now(), SignedDuration::try_from(follower.ahead(piece)));
    ahead.ok().and_then(|ahead| now.checked_sub(ahead).ok()).unwrap_or(now)
}
