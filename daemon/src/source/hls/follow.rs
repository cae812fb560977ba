//! Following one media playlist: polls, fetches ahead, delivers in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use http::HeaderMap;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::health::Delivery;
use sluice_core::media::playlist::{Key, MediaPlaylist, Playlist, Variables};
use sluice_core::media::{Container, Media};
use sluice_core::pipeline::{Feed, Listed, Writer};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use url::Url;

use super::cursor::{Cursor, Start, Step, start_at};
use super::fetch::{Fetched, Fetcher, unsupported};
use super::ladder::Ladder;
use super::origin::{Origin, Polled};

/// Polls that fail are repeated after this, doubling.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// They never wait for more than half of what the playlist listed, so that a short fault costs no segment.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);
/// What an origin may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long before a stall the playlist is asked for once more.
const BEFORE_STALL: Duration = Duration::from_millis(300);
const SHORTEST_POLL: Duration = Duration::from_millis(200);
/// Another segment is asked for beside the one that is next when that one takes longer than a quarter of the target
/// duration, within these bounds. An origin that is quick brings all over one connection, and its first segment first.
const SLOW_FETCH: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// One rendition as it is followed.
pub(super) struct Follower {
    pub(super) at: usize,
    pub(super) url: Url,
    pub(super) variables: Variables,
    pub(super) origin: Origin,
    pub(super) feed: Feed,
    pub(super) writer: Arc<Writer>,
    pub(super) ladder: Arc<Ladder>,
    /// None before the first playlist, where it could not be loaded with the others.
    pub(super) cursor: Option<Cursor>,
    /// The origin's discontinuity sequence at era 0.
    pub(super) era_zero: u64,
    pub(super) parallel: usize,
    /// The container before the first segment tells: gaps need one.
    pub(super) container: Option<Container>,
    /// Whether its first playlist is still to come, and may be an old one: it does not go on where the window ends.
    pub(super) reads_first: bool,
    /// For a stream that has ended before it starts: it is played from here in real time.
    pub(super) paced_from: Option<Instant>,
    /// Discontinuities that the origin did not announce.
    pub(super) era_shift: u64,
    pub(super) last_era: u64,
}

/// What changes while following.
struct Progress {
    pending: VecDeque<Step>,
    fetching: FuturesOrdered<BoxFuture<'static, Result<Fetched, Fault>>>,
    /// When each fetch under way began.
    began: VecDeque<Instant>,
    fetcher: Arc<Fetcher>,
    /// The start and number of the last segment given out.
    last: Option<(u32, u64, u64)>,
    ended: bool,
    target: Duration,
    /// The playing time of the newest playlist.
    listed: Duration,
    played: Duration,
    changed: Instant,
    stale_reported: Instant,
    failures: u32,
}

impl Progress {
    fn new(fetcher: Fetcher, target: Duration) -> Self {
        let now = Instant::now();
        Self {
            pending: VecDeque::new(),
            fetching: FuturesOrdered::new(),
            began: VecDeque::new(),
            fetcher: Arc::new(fetcher),
            last: None,
            ended: false,
            target,
            listed: Duration::ZERO,
            played: Duration::ZERO,
            changed: now,
            stale_reported: now,
            failures: 0,
        }
    }

    /// The wait before the next poll, shortened where the stream would be taken for stalled meanwhile: that is judged
    /// on what the playlist says then.
    fn in_time(&self, wait: Duration) -> Duration {
        let (now, early) = (Instant::now(), (self.target / 10).min(BEFORE_STALL));
        let last_look = self.changed + self.target * 3 / 2 - early;
        if last_look > now && now + wait > last_look { last_look - now } else { wait }
    }

    /// When another segment may be asked for beside those under way: none while `parallel` are, or none is left.
    fn next_fetch(&self, parallel: usize) -> Option<Instant> {
        let wanted = !self.pending.is_empty() && self.fetching.len() < parallel;
        let slow = (self.target / 4).clamp(SLOW_FETCH.0, SLOW_FETCH.1);
        wanted.then(|| self.began.front().map_or_else(Instant::now, |began| *began + slow))
    }
}

type Poll = BoxFuture<'static, Result<Option<Polled>, Fault>>;

impl Follower {
    /// Follows until the playlist ends. `first` is the playlist as it was loaded to choose the start.
    ///
    /// # Errors
    /// What will not pass by waiting: encryption that is not supported, a newer run in charge.
    pub(super) async fn follow(
        mut self,
        first: Option<MediaPlaylist>,
        validators: HeaderMap,
    ) -> Result<(), Fault> {
        let mut validators = validators;
        let target = self.writer.target_duration();
        let mut progress = Progress::new(Fetcher::new(self.origin.clone(), self.feed.clone()), target);
        if let Some(first) = first {
            self.take(&mut progress, &first)?;
        }
        let mut poll = self.poll(progress.target / 2, validators.clone());
        let mut ticks = tokio::time::interval(progress.target.max(SHORTEST_POLL) / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            self.start_fetches(&mut progress);
            if progress.ended && progress.fetching.is_empty() {
                return Ok(());
            }
            let widen = progress.next_fetch(self.parallel);
            tokio::select! {
                Some(fetched) = progress.fetching.next() => {
                    progress.began.pop_front();
                    self.deliver(&mut progress, fetched?).await?;
                }
                () = sleep_until(widen.unwrap_or_else(Instant::now)), if widen.is_some() => {}
                polled = &mut poll, if !progress.ended => {
                    let wait = self.polled(&mut progress, polled, &mut validators)?;
                    poll = self.poll(wait, validators.clone());
                }
                _ = ticks.tick() => {
                    self.feed.beat(); // waiting for an origin or a limit is no sign of being stuck
                    self.fill(&mut progress).await?;
                }
            }
        }
    }

    fn poll(&self, wait: Duration, validators: HeaderMap) -> Poll {
        let (origin, url, variables) = (self.origin.clone(), self.url.clone(), self.variables.clone());
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            origin.playlist(&url, validators, &variables).await
        })
    }

    /// Takes in what a poll brought; gives the wait before the next one.
    fn polled(
        &mut self,
        progress: &mut Progress,
        polled: Result<Option<Polled>, Fault>,
        validators: &mut HeaderMap,
    ) -> Result<Duration, Fault> {
        self.feed.beat();
        let outcome = polled.and_then(|polled| {
            let Some(polled) = polled else { return Ok(None) };
            *validators = polled.validators;
            match (polled.playlist, polled.stale) {
                (Playlist::Media(playlist), None) => Ok(Some(playlist)),
                (Playlist::Media(_), Some(fault)) => Err(fault),
                (Playlist::Multivariant(_), _) => {
                    Err(Fault::malformed("a multivariant playlist in place of a media playlist"))
                }
            }
        });
        let wait = match outcome {
            Ok(playlist) => {
                progress.failures = 0;
                if let Some(playlist) = playlist {
                    self.take(progress, &playlist)?;
                }
                self.watch_stale(progress);
                progress.in_time((progress.target / 2).max(SHORTEST_POLL))
            }
            Err(fault) => {
                self.feed.fault(&fault);
                let backoff = FIRST_BACKOFF.saturating_mul(1 << progress.failures.min(8));
                progress.failures += 1;
                let longest =
                    (progress.listed / 2).clamp(progress.target, LONGEST_BACKOFF.max(progress.target));
                backoff.min(longest).max(fault.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
            }
        };
        self.writer.playlist_age(progress.changed.elapsed());
        Ok(wait)
    }

    /// Queues what is new in `playlist`.
    fn take(&mut self, progress: &mut Progress, playlist: &MediaPlaylist) -> Result<(), Fault> {
        if let Some(key) = playlist.entries.iter().rev().find_map(|entry| entry.key.as_deref())
            && matches!(key, Key::Unsupported(_))
        {
            return Err(unsupported(key));
        }
        progress.target = playlist.target_duration.max(Duration::from_secs(1));
        progress.listed = playlist.entries.iter().map(|entry| entry.duration).sum();
        progress.ended = playlist.ended;
        if let Some(oldest) = playlist.entries.first() {
            progress.fetcher.oldest.send_replace(oldest.sequence);
        }
        let cursor =
            self.cursor.get_or_insert_with(|| Cursor::new(start_at(playlist, Start::Fresh), self.era_zero));
        let steps = cursor.advance(playlist, Instant::now());
        let is_first = std::mem::replace(&mut self.reads_first, false);
        if !steps.is_empty() {
            self.feed.listed(if is_first && !playlist.ended { Listed::Start } else { Listed::More });
            progress.changed = Instant::now();
            progress.stale_reported = progress.changed;
        }
        if playlist.ended {
            self.feed.list_over();
        }
        progress.pending.extend(steps);
        Ok(())
    }

    /// A playlist that is answered and does not move is a fault of its own.
    fn watch_stale(&self, progress: &mut Progress) {
        if progress.stale_reported.elapsed() >= 3 * progress.target {
            progress.stale_reported = Instant::now();
            self.feed.fault(&Fault::new(FaultKind::Stale));
        }
    }

    fn start_fetches(&self, progress: &mut Progress) {
        while progress.next_fetch(self.parallel).is_some_and(|at| at <= Instant::now())
            && let Some(step) = progress.pending.pop_front()
        {
            progress.began.push_back(Instant::now());
            progress.fetching.push_back(Box::pin(progress.fetcher.clone().fetch(step, progress.target)));
        }
    }

    async fn deliver(&mut self, progress: &mut Progress, fetched: Fetched) -> Result<(), Fault> {
        let Fetched { step, media, delivery } = fetched;
        let delivery = Delivery { playlist_age: progress.changed.elapsed(), ..delivery };
        if progress.last.is_some_and(|(start, number, _)| (step.start, step.number) <= (start, number)) {
            return Ok(()); // a gap was given out in its place
        }
        if let Some(start) = self.paced_from {
            let lead = 3 * progress.target;
            sleep_until(start + progress.played.saturating_sub(lead)).await;
        }
        progress.last = Some((step.start, step.number, step.era));
        let Some(media) = media else {
            let duration = step.entry.map_or(progress.target, |entry| entry.duration);
            self.ladder.moved(self.at, duration);
            progress.played += duration;
            return self.append_gap(step.era, duration, delivery).await;
        };
        progress.played += media.duration;
        if self.container.as_ref().is_some_and(|before| !before.fits(&media.container))
            && media.era == self.last_era
        {
            self.era_shift += 1; // the origin changed the container and did not say so
        }
        self.last_era = media.era;
        let media = Media { era: media.era + self.era_shift, ..media };
        self.container = Some(media.container.clone());
        self.ladder.moved(self.at, media.duration);
        self.writer.append_whole(media, delivery).await
    }

    /// Gives out the gaps that are owed to the other renditions.
    async fn fill(&mut self, progress: &mut Progress) -> Result<(), Fault> {
        while !progress.ended && self.ladder.owes(self.at, progress.target) {
            let Some((start, number, era)) = progress.last else { return Ok(()) };
            progress.last = Some((start, number + 1, era));
            self.cursor.iter_mut().for_each(|cursor| cursor.skip(number + 1));
            self.ladder.filled(self.at, progress.target);
            self.append_gap(era, progress.target, Delivery::default()).await?;
        }
        Ok(())
    }

    /// A gap before the first segment has no place: nobody waits for it.
    async fn append_gap(&self, era: u64, duration: Duration, delivery: Delivery) -> Result<(), Fault> {
        let Some(container) = self.container.clone() else { return Ok(()) };
        let gap = Media {
            duration,
            era: era + self.era_shift,
            gap: true,
            program_date_time: None,
            container,
            origin: None,
            parts: Vec::new(),
        };
        self.writer.append_whole(gap, delivery).await
    }
}
