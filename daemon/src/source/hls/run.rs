//! One run of an `hls` source: finds the renditions and their start, then follows each.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, try_join_all};
use http::HeaderMap;
use sluice_core::fault::Fault;
use sluice_core::media::playlist::{MediaPlaylist, Playlist, Variables};
use sluice_core::pipeline::{End, Opening, RenditionSpec, Role, Source, SourceContext, Writer};
use tokio::time::Instant;

use super::Hls;
use super::choose::Chosen;
use super::cursor::{Cursor, Start, start_at};
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

/// A rendition with its playlist; none where it could not be loaded while others could.
struct Loaded {
    chosen: Chosen,
    playlist: Option<MediaPlaylist>,
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
        let playlists = || loaded.iter().filter_map(|loaded| loaded.playlist.as_ref());
        let target = playlists().map(|playlist| playlist.target_duration).max().unwrap_or_default();
        let independent = playlists().all(|playlist| playlist.independent_segments);
        let feed = self.context.feed.clone();
        let opening = Opening { specs: &specs, target, independent_segments: independent, part_target: None };
        let (writers, loaded): (Vec<_>, Vec<_>) =
            feed.open(&opening).into_iter().zip(loaded).filter(|(writer, _)| writer.is_needed()).unzip();
        let playlists = || loaded.iter().filter_map(|loaded| loaded.playlist.as_ref());
        let starts = starts(&writers, &loaded);
        if starts.resumed {
            feed.resume();
        }
        let ladder = Arc::new(Ladder::new(loaded.len()));
        let ended = playlists().all(|playlist| playlist.ended);
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
                writer: Arc::new(writer),
                ladder: ladder.clone(),
                cursor: number.map(|number| Cursor::new(number, starts.era_zero)),
                era_zero: starts.era_zero,
                parallel: self.hls.parallel,
                container,
                reads_first: !starts.resumed,
                paced_from,
                era_shift: 0,
                last_era: 0,
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
                let spec = RenditionSpec { name: "main".to_owned(), role: Role::only() };
                let chosen = Chosen { spec, url: url.clone() };
                let loaded = Loaded { chosen, playlist: Some(playlist), validators: polled.validators };
                return Ok((vec![loaded], Variables::default()));
            }
        };
        let chosen = self.hls.choice.of(&multivariant);
        if chosen.is_empty() {
            return Err(Fault::malformed("a multivariant playlist without a variant"));
        }
        let variables = multivariant.variables;
        let loads = chosen.iter().map(|chosen| self.load_media(chosen, &variables));
        let results = join_all(loads).await;
        if results.iter().all(Result::is_err) {
            results.into_iter().collect::<Result<Vec<_>, _>>()?;
            return Err(Fault::malformed("a multivariant playlist without a variant"));
        }
        // a rendition that is away must not keep the others waiting: it comes when it comes
        let loaded = chosen.into_iter().zip(results).map(|(chosen, result)| {
            let found = result.inspect_err(|fault| self.context.feed.fault(fault)).ok();
            let (playlist, validators) = found.unzip();
            Loaded { chosen, playlist, validators: validators.unwrap_or_default() }
        });
        Ok((loaded.collect(), variables))
    }

    async fn load_media(
        &self,
        chosen: &Chosen,
        variables: &Variables,
    ) -> Result<(MediaPlaylist, HeaderMap), Fault> {
        let polled = self.playlist(&chosen.url, variables).await?;
        match polled.playlist {
            Playlist::Media(playlist) => Ok((playlist, polled.validators)),
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
    /// None where there is no playlist yet.
    numbers: Vec<Option<u64>>,
    /// The origin's discontinuity sequence that is era 0 for all renditions.
    era_zero: u64,
    /// Whether every rendition goes on right behind the newest segment of its window.
    resumed: bool,
}

fn starts(writers: &[Writer], loaded: &[Loaded]) -> Starts {
    let resume = |(writer, loaded): (&Writer, &Loaded)| resume_at(writer, loaded.playlist.as_ref()?);
    let resumes: Option<Vec<u64>> = writers.iter().zip(loaded).map(resume).collect();
    let resumed = resumes.is_some();
    let numbers: Vec<Option<u64>> = match resumes {
        Some(numbers) => numbers.into_iter().map(Some).collect(),
        None => {
            let joins = writers.iter().any(Writer::joins);
            let start = if joins { Start::Joining } else { Start::Fresh };
            loaded.iter().map(|loaded| Some(start_at(loaded.playlist.as_ref()?, start))).collect()
        }
    };
    let eras = loaded.iter().zip(&numbers).filter_map(|(loaded, number)| {
        // era 0 is that of the newest segment in the window, where the source goes on behind it
        let number = (*number)?.saturating_sub(u64::from(resumed));
        let entry = loaded.playlist.as_ref()?.entries.iter().find(|entry| entry.sequence >= number)?;
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
