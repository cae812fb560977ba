//! Fetching one segment: its key, its initialization section, its bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::health::Delivery;
use sluice_core::media::playlist::{Entry, Key, Map};
use sluice_core::media::ts::continuity_errors;
use sluice_core::media::{Container, Init, Media, Origin as Place, Part, decrypt};
use sluice_core::pipeline::Feed;
use sluice_core::stage::{Answer, ByteRange, Class, Freshness};
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use super::cursor::Step;
use super::latest::Latest;
use super::origin::Origin;
use super::sniff;

const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Fetches the segments of one rendition.
pub(super) struct Fetcher {
    pub(super) origin: Origin,
    pub(super) feed: Feed,
    /// The lowest number that the origin still lists: below it a segment is gone.
    pub(super) oldest: watch::Sender<u64>,
    key: Latest<Url, [u8; 16]>,
    init: Latest<Map, Arc<Init>>,
}

/// A step with what became of it.
pub(super) struct Fetched {
    pub(super) step: Step,
    /// None for a gap.
    pub(super) media: Option<Media>,
    /// How it came, or did not.
    pub(super) delivery: Delivery,
}

impl Fetcher {
    pub(super) fn new(origin: Origin, feed: Feed) -> Self {
        Self { origin, feed, oldest: watch::Sender::new(0), key: Latest::default(), init: Latest::default() }
    }

    /// Fetches what `step` names. A fault that a retry can help is retried until the origin does not list the
    /// segment any more, or viewers would notice (three target durations); then it is a gap.
    ///
    /// # Errors
    /// Only what will not pass: `Unsupported`.
    pub(super) async fn fetch(self: Arc<Self>, step: Step, target: Duration) -> Result<Fetched, Fault> {
        let Some(entry) = step.entry.as_deref().filter(|entry| !entry.gap) else {
            return Ok(Fetched { step, media: None, delivery: Delivery::default() });
        };
        let started = Instant::now();
        let (mut wait, mut retries) = (FIRST_WAIT, 0);
        loop {
            match self.fetch_once(entry, step.era, started).await {
                Ok((media, brought)) => {
                    self.feed.arrived();
                    self.feed.metrics().segment_fetch.observe(started.elapsed().as_secs_f64());
                    let delivery = Delivery { retries: retries + brought.retries, ..brought };
                    return Ok(Fetched { step, media: Some(media), delivery });
                }
                Err(fault) if matches!(fault.kind, FaultKind::Unsupported(_)) => return Err(fault),
                Err(fault) => {
                    self.feed.fault(&fault);
                    let patience = patience(&fault, target);
                    let pause = wait.max(fault.retry_after.unwrap_or_default());
                    let gone = *self.oldest.borrow() > entry.sequence;
                    if gone || started.elapsed() + pause > patience {
                        let delivery = missing(&fault, started.elapsed(), retries);
                        return Ok(Fetched { step, media: None, delivery });
                    }
                    tokio::time::sleep(pause).await;
                    retries += 1;
                    wait = (wait * 2).min(target);
                }
            }
        }
    }

    async fn fetch_once(
        &self,
        entry: &Entry,
        era: u64,
        started: Instant,
    ) -> Result<(Media, Delivery), Fault> {
        let init = match &entry.map {
            // boxed, as what is seldom fetched would make every fetch of a segment as large
            Some(map) => Some(self.init.get(map, Box::pin(self.fetch_init(map, entry.sequence))).await?),
            None => None,
        };
        let answer = self.origin.object(&entry.url, Class::Segment, entry.range).await?;
        let mut delivery = delivered(&answer, started.elapsed());
        let bytes = self.decrypted(answer.body, entry.key.as_deref(), entry.sequence).await?;
        let container: Container = sniff::container(&bytes, init.as_ref())?;
        if container == Container::TransportStream {
            delivery.continuity_errors = continuity_errors(&bytes);
        }
        let part = Part { duration: entry.duration, independent: true, bytes };
        let media = Media {
            duration: entry.duration,
            era,
            gap: false,
            program_date_time: entry.program_date_time,
            container,
            origin: Some(Place { object: object_name(&entry.url, entry.range), number: entry.sequence }),
            parts: vec![part],
        };
        Ok((media, delivery))
    }

    async fn fetch_init(&self, map: &Map, sequence: u64) -> Result<Arc<Init>, Fault> {
        let answer = self.origin.object(&map.url, Class::Init, map.range).await?;
        let bytes = self.decrypted(answer.body, map.key.as_deref(), sequence).await?;
        if !matches!(bytes.get(4..8), Some(b"ftyp" | b"moov" | b"styp")) {
            return Err(Fault::malformed("an initialization section that is no fMP4"));
        }
        Ok(Arc::new(Init::new(bytes)))
    }

    async fn decrypted(&self, bytes: Bytes, key: Option<&Key>, sequence: u64) -> Result<Bytes, Fault> {
        let Some(key) = key else { return Ok(bytes) };
        let Key::Aes128 { url, .. } = key else { return Err(unsupported(key)) };
        let secret = self.key.get(url, Box::pin(self.fetch_key(url))).await?;
        let iv = key.iv(sequence);
        let decrypted = tokio::task::spawn_blocking(move || decrypt::decrypt(&secret, &iv, bytes)).await;
        decrypted.map_err(|error| Fault::new(FaultKind::Internal("decryption".into())).because(error))?
    }

    async fn fetch_key(&self, url: &Url) -> Result<[u8; 16], Fault> {
        let answer = self.origin.object(url, Class::Key, None).await?;
        <[u8; 16]>::try_from(answer.body.as_ref())
            .map_err(|_| Fault::malformed(format!("a key of {} bytes; AES-128 has 16", answer.body.len())))
    }
}

/// How an object came that was asked for so long ago. What a cache had ready took no time and no attempts.
fn delivered(answer: &Answer, download: Duration) -> Delivery {
    let is_kept = matches!(answer.freshness, Freshness::Cache);
    let body = answer.total.saturating_sub(answer.first_byte);
    Delivery {
        download,
        first_byte: if is_kept { download } else { download.saturating_sub(body) },
        status: answer.status.as_u16(),
        retries: if is_kept { 0 } else { answer.retries },
        ..Delivery::default()
    }
}

/// How a segment was asked for that did not come.
fn missing(fault: &Fault, download: Duration, retries: u32) -> Delivery {
    let status = if let FaultKind::Status(status) = &fault.kind { status.as_u16() } else { 0 };
    Delivery { download, status, retries, ..Delivery::default() }
}

/// How long a segment is worth trying for. One that is listed and not there yet comes within half a target
/// duration, or not at all.
fn patience(fault: &Fault, target: Duration) -> Duration {
    match fault.kind {
        FaultKind::Status(StatusCode::NOT_FOUND) => target / 2,
        FaultKind::BreakerOpen => 3 * target,
        _ if fault.is_retryable() => 3 * target,
        _ => Duration::ZERO,
    }
}

pub(super) fn unsupported(key: &Key) -> Fault {
    match key {
        Key::Unsupported(what) => Fault::unsupported(format!("encryption {what}")),
        Key::Aes128 { .. } => Fault::unsupported("encryption"),
    }
}

/// The name of an object over restarts of the source: without the query, which often holds a changing token.
pub(super) fn object_name(url: &Url, range: Option<ByteRange>) -> Arc<str> {
    let range = range.map(|range| format!("@{}+{}", range.offset, range.length)).unwrap_or_default();
    format!("{}{}{range}", url.authority(), url.path()).into()
}
