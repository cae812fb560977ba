//! A viewer of our own: follows a media playlist, checks it on every reload, and takes every segment.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use sluice_conformance::{Follower, check};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::exchange::{Connection, Reply, Version};
use crate::listing::{Entry, Listing, renditions};
use crate::wait::within;

/// How often the playlist is read again.
const RELOAD_EVERY: Duration = Duration::from_millis(200);

/// How fast a viewer reads bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as they come.
    Quick,
    /// So many bytes a second, over a narrow connection.
    Slow(usize),
}

/// What a viewer watches, and how.
#[derive(Debug, Clone)]
pub struct Viewer {
    address: SocketAddr,
    url: Url,
    pace: Pace,
    version: Version,
}

/// A viewer at work.
pub struct Viewing {
    stop: watch::Sender<bool>,
    count: watch::Receiver<usize>,
    task: JoinHandle<Taken>,
}

/// What a viewer took.
#[derive(Debug, Default)]
pub struct Taken {
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// The sequence numbers that EXT-X-GAP said to be missing.
    pub gaps: Vec<u64>,
    /// The sequence numbers that were never listed or left before they were taken.
    pub lost: Vec<u64>,
    /// Requests that failed and connections that broke, in words.
    pub failures: Vec<String>,
    /// What the conformance checker found.
    pub violations: Vec<String>,
    /// How often the playlist was read.
    pub playlists: usize,
}

/// A segment that was taken.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its line in the playlist.
    pub entry: Entry,
    /// Its bytes.
    pub bytes: Bytes,
    /// The bytes of its initialization section.
    pub init: Option<Bytes>,
}

impl Viewer {
    /// A quick viewer over HTTP/1.1 of the playlist at `path`. A multivariant one leads to its first variant.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        let url = Url::parse(&format!("http://{address}{path}")).unwrap();
        Self { address, url, pace: Pace::Quick, version: Version::One }
    }

    /// The same at another pace.
    #[must_use]
    pub fn pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same over another version of HTTP.
    #[must_use]
    pub fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// The viewers of every rendition that the playlist leads to; this one where it is no multivariant playlist.
    pub async fn renditions(&self) -> Vec<Self> {
        let reply = self.connect().await.unwrap().get(self.url.path()).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{}: {}", self.url, reply.text());
        let broken = check(&reply.text());
        assert!(broken.is_empty(), "{}: {broken:?}", self.url);
        let uris = renditions(&reply.text());
        let of = |uri: &String| Self { url: self.url.join(uri).unwrap(), ..self.clone() };
        if uris.is_empty() { vec![self.clone()] } else { uris.iter().map(of).collect() }
    }

    /// Starts to watch, from the oldest segment on.
    pub fn watch(self) -> Viewing {
        let (stop, stopped) = watch::channel(false);
        let (counter, count) = watch::channel(0);
        let task = tokio::spawn(Eyes::open(self, counter, stopped));
        Viewing { stop, count, task }
    }

    async fn connect(&self) -> io::Result<Connection> {
        match self.pace {
            Pace::Quick => Connection::try_open(self.address, self.version).await,
            Pace::Slow(_) => Connection::open_narrow(self.address, self.version).await,
        }
    }
}

impl Viewing {
    /// How many segments it has taken.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until it has taken `segments` more.
    ///
    /// # Panics
    /// After `limit`.
    pub async fn takes(&mut self, segments: usize, limit: Duration) {
        let wanted = self.count() + segments;
        let what = format!("a viewer takes {segments} segments more");
        within(&what, limit, self.count.wait_for(|count| *count >= wanted)).await.unwrap();
    }

    /// Ends it after the segment that is under way.
    pub async fn stop(self) -> Taken {
        self.stop.send_replace(true);
        within("the end of a viewer", Duration::from_secs(60), self.task).await.unwrap()
    }
}

impl Taken {
    /// Asserts that nothing was lost, nothing failed, and every playlist was as it must be.
    ///
    /// # Panics
    /// Otherwise.
    pub fn assert_whole(&self) {
        self.assert_well_formed();
        assert!(self.lost.is_empty() && self.gaps.is_empty(), "lost {:?}, gaps {:?}", self.lost, self.gaps);
        assert!(!self.segments.is_empty(), "nothing was taken in {} reloads", self.playlists);
    }

    /// Asserts that nothing failed, and every playlist was as it must be.
    ///
    /// # Panics
    /// Otherwise.
    pub fn assert_well_formed(&self) {
        assert!(self.failures.is_empty(), "{:?}", self.failures);
        assert!(self.violations.is_empty(), "{:#?}", self.violations);
    }
}

struct Eyes {
    viewer: Viewer,
    connection: Connection,
    follower: Follower,
    init: Option<(String, Bytes)>,
    next: Option<u64>,
    taken: Taken,
}

impl Eyes {
    async fn open(
        viewer: Viewer,
        counter: watch::Sender<usize>,
        mut stopped: watch::Receiver<bool>,
    ) -> Taken {
        let viewer = viewer.renditions().await.remove(0);
        let connection = viewer.connect().await.unwrap();
        let (follower, taken) = (Follower::default(), Taken::default());
        let mut eyes = Self { viewer, connection, follower, init: None, next: None, taken };
        while !*stopped.borrow() {
            for entry in eyes.fresh().await {
                eyes.take(entry).await;
                counter.send_replace(eyes.taken.segments.len());
                if *stopped.borrow() {
                    break;
                }
            }
            // a stop ends the wait
            drop(tokio::time::timeout(RELOAD_EVERY, stopped.changed()).await);
        }
        eyes.taken
    }

    /// Reads the playlist; gives the segments that are new.
    async fn fresh(&mut self) -> Vec<Entry> {
        let url = self.viewer.url.clone();
        let Some(reply) = self.ask(&url).await else { return Vec::new() };
        self.taken.playlists += 1;
        let broken = self.follower.observe(&reply.text());
        self.taken.violations.extend(broken.iter().map(ToString::to_string));
        let mut entries = Listing::read(&reply.text()).entries;
        let Some(first) = entries.first().map(|entry| entry.sequence) else { return entries };
        let next = *self.next.get_or_insert(first);
        self.taken.lost.extend(next..first);
        entries.retain(|entry| entry.sequence >= next);
        entries
    }

    async fn take(&mut self, entry: Entry) {
        self.next = Some(entry.sequence + 1);
        if entry.gap {
            self.taken.gaps.push(entry.sequence);
            return;
        }
        let init = match entry.map.clone() {
            Some(uri) => self.init(uri).await,
            None => None,
        };
        let url = self.viewer.url.join(&entry.uri).unwrap();
        match self.ask(&url).await {
            Some(reply) => self.taken.segments.push(Segment { entry, bytes: reply.body, init }),
            None => self.taken.lost.push(entry.sequence),
        }
    }

    async fn init(&mut self, uri: String) -> Option<Bytes> {
        if self.init.as_ref().is_none_or(|(known, _)| *known != uri) {
            let url = self.viewer.url.join(&uri).unwrap();
            self.init = self.ask(&url).await.map(|reply| (uri, reply.body));
        }
        self.init.as_ref().map(|(_, bytes)| bytes.clone())
    }

    /// Gets a URL at the viewer's pace. What fails is noted, and a broken connection opened anew.
    async fn ask(&mut self, url: &Url) -> Option<Reply> {
        match self.exchange(url).await {
            Ok(reply) if reply.status == StatusCode::OK => return Some(reply),
            Ok(reply) => {
                self.taken.failures.push(format!("{}: {} {}", url.path(), reply.status, reply.text()))
            }
            Err(error) => {
                self.taken.failures.push(format!("{}: {error}", url.path()));
                match self.viewer.connect().await {
                    Ok(connection) => self.connection = connection,
                    Err(error) => self.taken.failures.push(format!("connecting again: {error}")),
                }
            }
        }
        None
    }

    async fn exchange(&mut self, url: &Url) -> hyper::Result<Reply> {
        let path = &url[url::Position::BeforePath..];
        let Pace::Slow(bytes_per_second) = self.viewer.pace else { return self.connection.get(path).await };
        let (head, mut body) = self.connection.send(Method::GET, path, &[]).await?.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            bytes.extend_from_slice(&data);
            tokio::time::sleep(Duration::from_secs_f64(data.len() as f64 / bytes_per_second as f64)).await;
        }
        Ok(Reply { status: head.status, headers: head.headers, body: bytes.freeze() })
    }
}

/// Starts `count` equal viewers.
pub fn crowd(viewer: &Viewer, count: usize) -> Vec<Viewing> {
    (0..count).map(|_| viewer.clone().watch()).collect()
}

/// Asserts that all viewers took the same bytes under the same sequence number.
///
/// # Panics
/// When two differ.
pub fn assert_alike(crowd: &[Taken]) {
    let mut known = BTreeMap::new();
    for segment in crowd.iter().flat_map(|taken| &taken.segments) {
        let sequence = segment.entry.sequence;
        let first = known.entry(sequence).or_insert(&segment.bytes);
        assert!(*first == &segment.bytes, "two viewers got different bytes for {sequence}");
    }
}
