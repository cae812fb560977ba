//! One run of an `hls` source: finds the renditions and their start, then follows each.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use http::HeaderMap;
use sluice_core::fault::Fault;
use sluice_core::media::playlist::{MediaPlaylist, Playlist, Variables};
use sluice_core::pipeline::{End, RenditionSpec, Role, Source, SourceContext, Writer};
use tokio::time::Instant;

use super::Hls;
use super::choose::Chosen;
use super::cursor::{Cursor, live_edge};
use super::fetch::object_name;
use super::follow::Follower;
use super::ladder::Ladder;
use super::origin::{Origin, Polled};

/// A run.
pub(super) struct Run {
    hls: Hls,
    context: SourceContext,
    origin: Origin,
}

/// A rendition with its playlist.
struct Loaded {
    chosen: Chosen,
    playlist: MediaPlaylist,
    validators: HeaderMap,
}

impl Source for Run {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        async move { self.follow_all().await }.boxed()
    }
}

impl Run {
    pub(super) fn new(hls: Hls, context: SourceContext) -> Self {
        let origin = Origin::new(context.upstream.clone(), &hls);
        Self { hls, context, origin }
    }

    async fn follow_all(self) -> Result<End, Fault> {
        let (loaded, variables) = self.load().await?;
        let specs: Vec<RenditionSpec> = loaded.iter().map(|loaded| loaded.chosen.spec.clone()).collect();
        let target = loaded.iter().map(|loaded| loaded.playlist.target_duration).max().unwrap_or_default();
        let independent = loaded.iter().all(|loaded| loaded.playlist.independent_segments);
        let feed = self.context.feed.clone();
        let writers = feed.open(&specs, target, independent);
        let starts = starts(&writers, &loaded);
        if starts.resumed {
            feed.resume();
        }
        let ladder = Arc::new(Ladder::new(loaded.len()));
        let ended = loaded.iter().all(|loaded| loaded.playlist.ended);
        let paced_from = ended.then(Instant::now);
        let followers = loaded.into_iter().zip(writers).zip(starts.numbers).enumerate();
        let followers = followers.map(|(at, ((loaded, writer), number))| {
            let container = writer.last_container();
            let follower = Follower {
                at,
                url: loaded.chosen.url,
                variables: variables.clone(),
                origin: self.origin.clone(),
                feed: feed.clone(),
                writer,
                ladder: ladder.clone(),
                cursor: Cursor::new(number, starts.era_zero),
                parallel: self.hls.parallel,
                container,
                paced_from,
            };
            follower.follow(loaded.playlist, loaded.validators)
        });
        try_join_all(followers).await?;
        feed.end();
        Ok(End::ForNow)
    }

    /// Loads the playlists of all renditions that are taken.
    async fn load(&self) -> Result<(Vec<Loaded>, Variables), Fault> {
        let url = &self.hls.url.0;
        let polled = self.playlist(url, &Variables::default()).await?;
        let multivariant = match polled.playlist {
            Playlist::Multivariant(multivariant) => multivariant,
            Playlist::Media(playlist) => {
                let role =
                    Role::Variant { bandwidth_bps: 0, attributes: Vec::new(), audio: None, subtitles: None };
                let spec = RenditionSpec { name: "main".to_owned(), role };
                let chosen = Chosen { spec, url: url.clone() };
                return Ok((
                    vec![Loaded { chosen, playlist, validators: polled.validators }],
                    Variables::default(),
                ));
            }
        };
        let chosen = self.hls.choice.of(&multivariant);
        if chosen.is_empty() {
            return Err(Fault::malformed("a multivariant playlist without a variant"));
        }
        let variables = multivariant.variables;
        let loads = chosen.into_iter().map(|chosen| self.load_one(chosen, &variables));
        let loaded = try_join_all(loads).await?;
        Ok((loaded, variables))
    }

    async fn load_one(&self, chosen: Chosen, variables: &Variables) -> Result<Loaded, Fault> {
        let polled = self.playlist(&chosen.url, variables).await?;
        match polled.playlist {
            Playlist::Media(playlist) => Ok(Loaded { chosen, playlist, validators: polled.validators }),
            Playlist::Multivariant(_) => {
                Err(Fault::malformed("a multivariant playlist in place of a media playlist"))
            }
        }
    }

    async fn playlist(&self, url: &url::Url, variables: &Variables) -> Result<Polled, Fault> {
        let polled = self.origin.playlist(url, HeaderMap::new(), variables).await?;
        self.context.feed.beat();
        polled.ok_or_else(|| Fault::malformed("304 to a request without validators"))
    }
}

/// Where each rendition starts.
struct Starts {
    numbers: Vec<u64>,
    /// The origin's discontinuity sequence that is era 0 for all renditions.
    era_zero: u64,
    /// Whether every rendition goes on right behind the newest segment of its window.
    resumed: bool,
}

fn starts(writers: &[Writer], loaded: &[Loaded]) -> Starts {
    let resumes: Option<Vec<u64>> =
        writers.iter().zip(loaded).map(|(writer, loaded)| resume_at(writer, &loaded.playlist)).collect();
    let resumed = resumes.is_some();
    let numbers = resumes.unwrap_or_else(|| loaded.iter().map(|loaded| start_at(&loaded.playlist)).collect());
    let eras = loaded.iter().zip(&numbers).filter_map(|(loaded, number)| {
        let behind = if resumed { 1 } else { 0 };
        let entry = loaded.playlist.entries.iter().find(|entry| entry.sequence + behind >= *number)?;
        Some(entry.discontinuity_sequence)
    });
    Starts { era_zero: eras.min().unwrap_or(0), numbers, resumed }
}

/// The number behind the newest segment of the window, if the playlist still lists that segment.
fn resume_at(writer: &Writer, playlist: &MediaPlaylist) -> Option<u64> {
    let last = writer.last_origin()?;
    let entry = playlist.entries.iter().find(|entry| entry.sequence == last.number)?;
    (object_name(&entry.url, entry.range) == last.object).then_some(entry.sequence + 1)
}

/// A live stream starts near its edge, one that has ended at its beginning.
fn start_at(playlist: &MediaPlaylist) -> u64 {
    let at = if playlist.ended { 0 } else { live_edge(playlist) };
    playlist.entries.get(at).map_or(playlist.media_sequence, |entry| entry.sequence)
}
