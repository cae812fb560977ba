//! Follows the windows of the renditions that are recorded, and has every piece written in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::{Container, playlist::render};
use sluice_core::metrics::RecordMetrics;
use sluice_core::pipeline::{
    Follower, Found, Piece, PushContext, PushState, Pusher, Rendition, RenditionSet, Role,
};
use sluice_core::stage::Operation;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::Record;
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
static NEXT_WRITE: AtomicU64 = AtomicU64::new(1);

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

/// One run of a recorder.
struct Run {
    spec: Record,
    context: PushContext,
    metrics: RecordMetrics,
    began: Instant,
    commands: mpsc::Sender<Command>,
    session: Option<Session>,
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
            let (session, breaks, paused, ended) = (None, 0, false, false);
            Run { spec, context, metrics, began, commands, session, breaks, paused, ended }.follow().await;
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
                () = &mut stopped => return,
                () = self.write_all() => {}
            }
            tokio::select! {
                () = &mut stopped => return,
                changed = arrivals.changed() => if changed.is_err() { return },
                _ = ticks.tick() => self.ask(Command::Tend).await,
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
            let Some(set) = self.context.pipeline.renditions() else { return };
            let same = self.session.as_ref().is_some_and(|session| Arc::ptr_eq(&session.set, &set));
            if same || !self.begin(&set) {
                break;
            }
        }
        self.finish_at_the_end().await;
    }

    /// A stream that is over leaves whole files.
    async fn finish_at_the_end(&mut self) {
        let windows = self.session.iter().flat_map(|session| &session.tracks);
        let over = |track: &Track| track.follower.rendition().window.snapshot().ended;
        let ended = self.session.is_some() && windows.into_iter().all(over);
        if ended && !self.ended {
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
        let mut more = true;
        while more {
            more = false;
            for track in &mut session.tracks {
                more |= self.step(track, session.multivariant.as_ref()).await;
            }
        }
        self.session = Some(session);
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
        let duration = if media.gap { media.duration } else { parts.iter().map(|part| part.duration).sum() };
        let now = Timestamp::now();
        let ago = SignedDuration::try_from(duration).ok().and_then(|ago| now.checked_sub(ago).ok());
        let begins = piece.from == 0;
        Write {
            id: NEXT_WRITE.fetch_add(1, Ordering::Relaxed),
            track: track.name.clone(),
            rendition: track.follower.rendition().spec.name.clone(),
            after: track.follower.mark().clone(),
            era: piece.segment.discontinuity_sequence + self.breaks,
            keyframe: begins && parts.first().is_some_and(|part| part.independent),
            begins,
            start: media.program_date_time.filter(|_| begins).or(ago).unwrap_or(now),
            extension: extension(&media.container),
            init: media.container.init().cloned(),
            chunks: parts.iter().map(|part| part.bytes.clone()).collect(),
            duration,
            multivariant: multivariant.cloned(),
        }
    }

    /// Has it written inside the layers. Gives whether it was; else it has waited.
    async fn write(&mut self, write: Arc<Write>) -> bool {
        let bytes = write.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let commands = self.commands.clone();
        let work = Operation::new(move || {
            let (commands, write) = (commands.clone(), write.clone());
            async move {
                let gone = || Fault::new(FaultKind::Internal("the writer failed".into()));
                let (reply, written) = oneshot::channel();
                commands.send(Command::Write(write, reply)).await.map_err(|_| gone())?;
                written.await.map_err(|_| gone())?
            }
            .boxed()
        });
        let Err(fault) = self.context.carry_out(work).await else {
            self.resumed();
            return true;
        };
        self.pause(&fault, bytes).await;
        false
    }

    fn resumed(&mut self) {
        if !std::mem::take(&mut self.paused) {
            return;
        }
        tracing::info!(pipeline = %self.context.pipeline.name, dir = self.spec.dir, "recording goes on");
        self.metrics.paused.set(0);
        self.context.report(|status| (status.state, status.reason) = (PushState::Running, String::new()));
    }

    /// Says once that nothing can be written, and waits until it is worth another try.
    async fn pause(&mut self, fault: &Fault, bytes: u64) {
        let reason = fault.to_string();
        if !std::mem::replace(&mut self.paused, true) {
            let (pipeline, dir) = (&self.context.pipeline, &self.spec.dir);
            tracing::error!(pipeline = %pipeline.name, dir, reason, "recording paused");
            let detail = serde_json::json!({ "sink": self.context.stage, "dir": dir, "reason": reason });
            pipeline.tell("recording.paused", detail);
            self.metrics.paused.set(1);
        }
        self.context.report(|status| (status.state, status.reason) = (PushState::Paused, reason));
        if fault.kind == FaultKind::Full {
            while !self.has_room(bytes).await {
                self.ask(Command::Tend).await;
            }
            return;
        }
        tokio::time::sleep(fault.retry_after.unwrap_or(FIRST_PAUSE).min(LONGEST_PAUSE)).await;
    }

    async fn has_room(&self, bytes: u64) -> bool {
        tokio::time::sleep(ROOM_AGAIN).await;
        let (reply, room) = oneshot::channel();
        self.ask(Command::Room(bytes, reply)).await;
        room.await.unwrap_or(true) // the next write says what is wrong
    }
}

/// The renditions that are recorded: that of this name, or the best variant, with its audio. The error says why there
/// are none.
fn choose(set: &RenditionSet, name: Option<&str>) -> Result<Vec<Arc<Rendition>>, String> {
    let bandwidth = |rendition: &Rendition| match &rendition.spec.role {
        Role::Variant { bandwidth_bps, .. } => Some(*bandwidth_bps),
        Role::Alternative { .. } => None,
    };
    let variants = set.renditions.iter().rev().filter(|rendition| bandwidth(rendition).is_some());
    let found = match name {
        Some(name) => set.find(name),
        None => variants.max_by_key(|rendition| bandwidth(rendition)),
    };
    let Some(found) = found else {
        let known: Vec<_> = set.renditions.iter().map(|rendition| rendition.spec.name.as_str()).collect();
        return Err(format!("the stream has no such rendition; it has {}", known.join(", ")));
    };
    let Role::Variant { audio: Some(wanted), .. } = &found.spec.role else { return Ok(vec![found.clone()]) };
    let is_audio = |rendition: &&Arc<Rendition>| match &rendition.spec.role {
        Role::Alternative { media_type, group, .. } => media_type == "AUDIO" && group == wanted,
        Role::Variant { .. } => false,
    };
    Ok(std::iter::once(found).chain(set.renditions.iter().filter(is_audio)).cloned().collect())
}

/// The extension of a recorded file.
fn extension(container: &Container) -> &'static str {
    match container {
        Container::FragmentedMp4 { .. } => "mp4",
        other => other.extension(),
    }
}
