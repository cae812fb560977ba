//! What the tests of sources stand on: a pipeline without a daemon, and origins by script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kdl::KdlNode;
use sluice_core::conf::{Problems, decode, print};
use sluice_core::event::Events;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::metrics::Metrics;
use sluice_core::pipeline::{Around, Bounds, End, Feed, Setup, Shared, Snapshot, SourceContext};
use sluice_core::port::{Ledger, Numbering};
use sluice_core::stage::{Answer, Exchange, Frames, Freshness, Reveal, SourceKind, SourceSpec, Upstream};
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;

/// Twelve seconds with a keyframe each second.
pub(super) const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf.d/media/demo.ts");

struct NoLedger;

impl Ledger for NoLedger {
    fn load(&self, _: &str) -> Option<Numbering> {
        Some(Numbering { media_sequence: 1000, discontinuity_sequence: 0, target_duration_secs: 1 })
    }

    fn store(&self, _: &str, _: Numbering) {}
}

/// A pipeline that has not started.
pub(super) fn pipeline(name: &str) -> Arc<Shared> {
    pipeline_around(name, Around::default())
}

/// A pipeline that has not started, with what its source may ask of the daemon.
pub(super) fn pipeline_around(name: &str, around: Around) -> Arc<Shared> {
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
    let setup = Setup {
        name: name.into(),
        metrics: metrics.pipeline(name),
        events: Events::default(),
        ledger: Arc::new(NoLedger),
        states: Arc::default(),
        around,
    };
    Arc::new(Shared::new(setup, Bounds { segments: 1000, bytes: 1 << 30 }))
}

/// The demo, with which all tests work.
pub(super) fn demo() -> Bytes {
    std::fs::read(DEMO).unwrap().into()
}

/// Reads a node of this kind.
pub(super) fn read(kind: &SourceKind, text: &str) -> (Option<Box<dyn SourceSpec>>, Problems) {
    let (spec, problems) = decode(text, |node| {
        assert_eq!(node.argument::<String>("KIND").as_deref(), Some(kind.doc.name));
        (kind.decode)(node)
    });
    (spec.flatten(), problems)
}

/// Asserts that each of these nodes is read without a problem, and shown as it stands.
pub(super) fn assert_shown_alike(kind: &SourceKind, nodes: &[&str]) {
    for text in nodes {
        let (spec, problems) = read(kind, text);
        assert!(problems.is_empty(), "{text}: {problems:?}");
        let shown: KdlNode = spec.unwrap().show(Reveal::Whole);
        assert_eq!(print([&shown]).trim(), *text);
    }
}

/// Asserts that each of these nodes has a problem with these words in its message or help.
pub(super) fn assert_refused(kind: &SourceKind, nodes: &[(&str, &str)]) {
    for (text, words) in nodes {
        let problems = read(kind, text).1;
        let says =
            |words: &str| problems.iter().any(|one| one.message.contains(words) || one.help.contains(words));
        assert!(says(words), "{text}: {problems:?}");
    }
}

/// Starts a source as the first run in `shared`.
pub(super) fn start(
    spec: &dyn SourceSpec,
    shared: &Arc<Shared>,
    upstream: Upstream,
    generation: u64,
) -> JoinHandle<Result<End, Fault>> {
    let stage: Arc<str> = format!("source 1 {}", spec.kind()).into();
    let feed = Feed::new(shared.clone(), shared.metrics.source(&stage), generation);
    let context = SourceContext { stage, upstream, feed, around: shared.around.clone() };
    tokio::spawn(spec.build(context).run())
}

/// What a scripted origin does with one connection.
pub(super) enum Say {
    /// A fault instead of a head.
    Refuse(Fault),
    /// These bytes with this media type, and then a clean end.
    End(&'static str, Bytes),
    /// These bytes, and then a fault.
    Break(Bytes, FaultKind),
    /// These bytes, and then nothing.
    Hang(Bytes),
}

/// An origin that follows a script, and hangs when it is over.
pub(super) fn scripted(script: Vec<Say>) -> Upstream {
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    BoxCloneSyncService::new(tower::service_fn(move |exchange: Exchange| {
        let say = script.lock().unwrap().pop_front();
        async move {
            match say {
                None => std::future::pending().await,
                Some(Say::Refuse(fault)) => Err(fault),
                Some(Say::End(kind, bytes)) => Ok(head(&exchange, kind, bytes, None)),
                Some(Say::Break(bytes, fault)) => Ok(head(&exchange, "video/mp2t", bytes, Some(Some(fault)))),
                Some(Say::Hang(bytes)) => Ok(head(&exchange, "video/mp2t", bytes, Some(None))),
            }
        }
    }))
}

/// The head of an answer, with frames of no even size. What follows them: none is the end, none within is nothing.
fn head(exchange: &Exchange, kind: &'static str, bytes: Bytes, then: Option<Option<FaultKind>>) -> Answer {
    let frames: VecDeque<Bytes> = bytes.chunks(10_007).map(|chunk| bytes.slice_ref(chunk)).collect();
    let frames = stream::unfold((frames, then), |(mut frames, mut then)| async move {
        if let Some(frame) = frames.pop_front() {
            return Some((Ok(frame), (frames, then)));
        }
        match then.take()? {
            Some(fault) => Some((Err(Fault::new(fault)), (frames, None))),
            None => std::future::pending().await,
        }
    });
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]),
        body: Bytes::new(),
        frames: Some(Frames::new(frames)),
        url: exchange.url.clone(),
        first_byte: Duration::ZERO,
        total: Duration::ZERO,
        retries: 0,
        freshness: Freshness::Origin,
    }
}

/// The window of the first rendition, once `enough` says so.
pub(super) async fn window(shared: &Shared, enough: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    for _ in 0..2000 {
        let snapshot = shared.renditions().map(|set| set.renditions[0].window.snapshot());
        if let Some(snapshot) = snapshot.filter(|snapshot| enough(snapshot)) {
            return snapshot;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came: {:?}, last fault {:?}", shared.status().borrow(), shared.last_fault());
}

/// How many discontinuities stand in a window.
pub(super) fn discontinuities(snapshot: &Snapshot) -> u64 {
    snapshot.segments.iter().chain(&snapshot.open).map(|segment| segment.discontinuities).sum()
}

/// How often a source counted faults of this kind.
pub(super) fn faults(shared: &Shared) -> String {
    shared.last_fault().map(|fault| fault.1.to_string()).unwrap_or_default()
}
