//! Looking whether an origin is well by its playlists alone: no segment is fetched.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use sluice_core::fault::Fault;
use sluice_core::media::playlist::{MediaPlaylist, Playlist, Variables};
use sluice_core::pipeline::{End, Listed, Source, SourceContext};
use tokio::time::Instant;
use url::Url;

use super::Hls;
use super::cursor::{Cursor, Start, start_at};
use super::origin::Origin;

const SHORTEST_POLL: Duration = Duration::from_millis(500);

/// A probe of an origin.
pub(super) struct Probe {
    hls: Hls,
    context: SourceContext,
    origin: Origin,
}

impl Probe {
    pub(super) fn new(hls: Hls, context: SourceContext) -> Self {
        let origin = Origin::new(context.upstream.clone(), &hls);
        Self { hls, context, origin }
    }

    /// Polls the playlist of the first rendition that is taken, until it ends or fails.
    async fn look(self) -> Result<End, Fault> {
        let (url, variables) = self.find().await?;
        let first = self.playlist(&url, &variables).await?;
        let mut cursor = Cursor::new(start_at(&first, Start::Joining), 0);
        cursor.advance(&first, Instant::now()); // what is there already proves nothing
        let mut playlist = first;
        loop {
            let new = cursor.advance(&playlist, Instant::now());
            let length: Duration =
                new.iter().filter_map(|step| step.entry.as_ref()).map(|entry| entry.duration).sum();
            if !new.is_empty() {
                self.context.feed.listed(Listed::More);
                self.context.feed.moved(length);
            }
            if playlist.ended {
                return Ok(End::ForNow);
            }
            tokio::time::sleep((playlist.target_duration / 2).max(SHORTEST_POLL)).await;
            playlist = self.playlist(&url, &variables).await?;
        }
    }

    async fn find(&self) -> Result<(Url, Variables), Fault> {
        let url = &self.hls.url.0;
        let polled = self.origin.playlist(url, HeaderMap::new(), &Variables::default()).await?;
        let Some(Playlist::Multivariant(multivariant)) = polled.map(|polled| polled.playlist) else {
            return Ok((url.clone(), Variables::default()));
        };
        let chosen = self.hls.choice.of(&multivariant).into_iter().next();
        let first = chosen.ok_or_else(|| Fault::malformed("a multivariant playlist without a variant"))?;
        Ok((first.url, multivariant.variables))
    }

    async fn playlist(&self, url: &Url, variables: &Variables) -> Result<MediaPlaylist, Fault> {
        let polled = self.origin.playlist(url, HeaderMap::new(), variables).await?;
        self.context.feed.beat();
        match polled.map(|polled| (polled.playlist, polled.stale)) {
            Some((Playlist::Media(playlist), None)) => Ok(playlist),
            Some((_, Some(fault))) => Err(fault),
            _ => Err(Fault::malformed("no media playlist")),
        }
    }
}

impl Source for Probe {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        self.look().boxed()
    }
}
