//! The source as a whole against a scripted origin, in paused time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sluice_core::conf::HttpUrl;
use sluice_core::event::Events;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::Segment;
use sluice_core::metrics::Metrics;
use sluice_core::pipeline::{Around, Bounds, End, Feed, Setup, Shared, SourceContext};
use sluice_core::port::{Ledger, Numbering};
use sluice_core::stage::{Answer, Class, Exchange, Freshness, SourceSpec};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use url::Url;

use super::super::request::Asking;
use super::Hls;
use super::choose::Choice;

type Answering = Box<dyn Fn() -> Result<Bytes, Fault> + Send>;

/// Objects by path; what is not there is 404.
#[derive(Clone, Default)]
struct Scripted {
    objects: Arc<Mutex<HashMap<String, Answering>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// How long every segment takes.
    takes: Arc<Mutex<Duration>>,
}

impl Scripted {
    fn serve(&self, path: &str, answer: impl Fn() -> Result<Bytes, Fault> + Send + 'static) {
        self.objects.lock().unwrap().insert(path.to_owned(), Box::new(answer));
    }

    fn text(&self, path: &str, text: impl Into<String>) {
        let text = Bytes::from(text.into());
        self.serve(path, move || Ok(text.clone()));
    }

    fn fail(&self, path: &str, status: u16) {
        let fault = Fault::new(FaultKind::Status(StatusCode::from_u16(status).unwrap()));
        self.serve(path, move || Err(fault.clone()));
    }

    /// Serves the segments `{prefix}{number}.ts`, each with bytes of its own.
    fn segments(&self, prefix: &str, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let bytes = segment(prefix, number);
            self.serve(&format!("/{prefix}{number}.ts"), move || Ok(bytes.clone()));
        }
    }

    fn answer(&self, exchange: &Exchange) -> Result<Answer, Fault> {
        let path = exchange.url.path().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        let objects = self.objects.lock().unwrap();
        let body = match objects.get(&path) {
            Some(answer) => answer()?,
            None => return Err(Fault::new(FaultKind::Status(StatusCode::NOT_FOUND))),
        };
        Ok(Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
            frames: None,
            url: exchange.url.clone(),
            first_byte: Duration::ZERO,
            total: Duration::ZERO,
            retries: 0,
            freshness: Freshness::Origin,
        })
    }
}

fn segment(prefix: &str, number: u64) -> Bytes {
    let mut bytes = vec![0; 376];
    (bytes[0], bytes[188]) = (0x47, 0x47);
    bytes.extend_from_slice(format!("{prefix}{number}").as_bytes());
    bytes.into()
}

fn playlist(prefix: &str, numbers: std::ops::Range<u64>) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n", numbers.start);
    numbers.for_each(|number| text.push_str(&format!("#EXTINF:2,\n{prefix}{number}.ts\n")));
    text
}

/// A playlist that moves on by one segment in each target duration, `ahead` segments in front of the clock.
fn live(origin: &Scripted, path: &str, prefix: &'static str, ahead: u64, down: std::ops::Range<u64>) {
    let start = Instant::now();
    origin.segments(prefix, 0..200);
    origin.serve(path, move || {
        let now = start.elapsed().as_secs() / 2;
        if down.contains(&now) {
            return Err(Fault::new(FaultKind::Status(StatusCode::NOT_FOUND)));
        }
        let newest = now + ahead;
        Ok(playlist(prefix, newest.saturating_sub(6)..newest).into())
    });
}

struct NoLedger;

impl Ledger for NoLedger {
    fn load(&self, _: &str) -> Option<Numbering> {
        Some(Numbering { media_sequence: 1000, discontinuity_sequence: 10, target_duration_secs: 1 })
    }

    fn store(&self, _: &str, _: Numbering) {}
}

struct Running {
    shared: Arc<Shared>,
    task: JoinHandle<Result<End, Fault>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn pipeline() -> Arc<Shared> {
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
    let setup = Setup {
        name: "news".into(),
        metrics: metrics.pipeline("news"),
        events: Events::default(),
        ledger: Arc::new(NoLedger),
        states: Arc::default(),
        around: Around::default(),
    };
    Arc::new(Shared::new(setup, Bounds { segments: 100, bytes: 1 << 20 }))
}

fn start_in(shared: Arc<Shared>, origin: &Scripted, generation: u64) -> Running {
    let url = Url::parse("http://origin.example/index.m3u8").unwrap();
    let hls = Hls { url: HttpUrl(url), choice: Choice::All, asking: Asking::default(), parallel: 3 };
    let origin = origin.clone();
    let answering = tower::service_fn(move |exchange: Exchange| {
        let (origin, takes) = (origin.clone(), *origin.takes.lock().unwrap());
        async move {
            let answer = origin.answer(&exchange);
            if exchange.class == Class::Segment && !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            answer
        }
    });
    let feed = Feed::new(shared.clone(), shared.metrics.source("source 1 hls"), generation);
    let upstream = BoxCloneSyncService::new(answering);
    let source =
        hls.build(SourceContext { stage: "source 1 hls".into(), upstream, feed, around: Around::default() });
    Running { shared, task: tokio::spawn(source.run()) }
}

fn start(origin: &Scripted) -> Running {
    start_in(pipeline(), origin, 1)
}

impl Running {
    fn segments(&self, rendition: usize) -> Vec<Arc<Segment>> {
        let set = self.shared.renditions().expect("a pipeline that is live");
        set.renditions[rendition].window.snapshot().segments.clone()
    }

    /// The origin's number of each segment; none for a gap.
    fn numbers(&self, rendition: usize) -> Vec<Option<u64>> {
        self.segments(rendition)
            .iter()
            .map(|segment| segment.media.origin.as_ref().map(|o| o.number))
            .collect()
    }

    fn eras(&self, rendition: usize) -> Vec<u64> {
        self.segments(rendition).iter().map(|segment| segment.discontinuity_sequence).collect()
    }

    fn faults(&self) -> Option<FaultKind> {
        self.shared.last_fault().map(|fault| fault.1.kind.clone())
    }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn every_segment_comes_out_in_order_and_byte_for_byte() {
    let origin = Scripted::default();
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    let running = start(&origin);
    seconds(41).await;
    let segments = running.segments(0);
    assert_eq!(running.numbers(0)[0], Some(15), "ten seconds from the live edge");
    assert!(segments.len() >= 24, "{}", segments.len());
    for (at, segment) in segments.iter().enumerate() {
        assert_eq!(segment.media.origin.as_ref().unwrap().number, 15 + at as u64);
        assert_eq!(segment.media.parts[0].bytes, self::segment("a", 15 + at as u64));
        assert_eq!((segment.sequence, segment.discontinuity_sequence), (1000 + at as u64, 10));
    }
}

/// How many segments are there, so long after the start, of an origin whose segments take `takes` each.
async fn fetched(takes: Duration, after: Duration) -> usize {
    let origin = Scripted::default();
    *origin.takes.lock().unwrap() = takes;
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    let running = start(&origin);
    tokio::time::sleep(after + Duration::from_millis(20)).await; // timers are whole milliseconds
    let asked = origin.asked.lock().unwrap().iter().filter(|path| path.ends_with(".ts")).count();
    let there = running.shared.renditions().map_or(0, |_| running.segments(0).len());
    assert!(asked - there <= 3, "{asked} asked for, {there} there");
    there
}

#[tokio::test(start_paused = true)]
async fn a_quick_origin_is_asked_for_one_segment_at_a_time_and_a_slow_one_for_three() {
    let ms = Duration::from_millis;
    assert_eq!(fetched(ms(100), ms(100)).await, 1, "the first comes as soon as it can");
    assert_eq!(fetched(ms(100), ms(300)).await, 3, "over one connection, one after another");
    assert_eq!(fetched(ms(2000), ms(2000)).await, 1);
    assert_eq!(fetched(ms(2000), ms(2500)).await, 3, "two more were asked for half a second later");
    assert!(fetched(ms(2000), ms(4500)).await >= 5);
}

#[tokio::test(start_paused = true)]
async fn a_missing_segment_is_a_gap_and_the_next_ones_follow() {
    let origin = Scripted::default();
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    origin.fail("/a22.ts", 404);
    let running = start(&origin);
    seconds(30).await;
    let numbers = running.numbers(0);
    assert_eq!(numbers[7], None);
    assert_eq!((numbers[6], numbers[8]), (Some(21), Some(23)));
    assert!(running.segments(0)[7].media.gap);
    assert_eq!(running.faults(), Some(FaultKind::Status(StatusCode::NOT_FOUND)));
    assert!(running.eras(0).iter().all(|era| *era == 10), "a gap is no discontinuity");
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_fails_for_a_while_is_waited_for() {
    let origin = Scripted::default();
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    let begin = Instant::now();
    origin.serve("/a22.ts", move || match begin.elapsed() > Duration::from_secs(9) {
        true => Ok(segment("a", 22)),
        false => Err(Fault::new(FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE))),
    });
    let running = start(&origin);
    seconds(30).await;
    assert!(running.numbers(0).iter().all(Option::is_some), "{:?}", running.numbers(0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_starts_again_goes_on_behind_a_discontinuity() {
    let origin = Scripted::default();
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    let running = start(&origin);
    seconds(10).await;
    live(&origin, "/index.m3u8", "b", 3, 0..0);
    seconds(10).await;
    let segments = running.segments(0);
    let first = segments.iter().position(|segment| segment.discontinuities == 1).expect("a discontinuity");
    assert_eq!(segments[first].media.parts[0].bytes, segment("b", 0));
    assert!(segments.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
    assert_eq!(segments.iter().map(|segment| segment.discontinuities).sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_playlist_that_stops_is_stale_and_goes_on_without_a_loss() {
    let origin = Scripted::default();
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    let running = start(&origin);
    seconds(4).await;
    origin.text("/index.m3u8", playlist("a", 16..22));
    seconds(15).await;
    assert_eq!(running.faults(), Some(FaultKind::Stale));
    origin.text("/index.m3u8", playlist("a", 18..26));
    seconds(5).await;
    assert_eq!(running.numbers(0), (15..26).map(Some).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_failing_playlist_is_asked_for_with_backoff_and_not_in_a_hot_loop() {
    let origin = Scripted::default();
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    let running = start(&origin);
    seconds(4).await;
    origin.fail("/index.m3u8", 503);
    origin.asked.lock().unwrap().clear();
    seconds(60).await;
    let asked = origin.asked.lock().unwrap().len();
    assert!((8..=16).contains(&asked), "{asked} polls in a minute");
    live(&origin, "/index.m3u8", "a", 25, 0..0);
    seconds(20).await;
    let numbers = running.numbers(0);
    assert!(numbers.len() > 8 && numbers.windows(2).all(|pair| pair[1] == pair[0].map(|number| number + 1)));
}

const LADDER: &str = "#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=1000000
a.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2000000
b.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000
c.m3u8
";

#[tokio::test(start_paused = true)]
async fn a_source_that_starts_again_goes_on_where_it_was() {
    let origin = Scripted::default();
    live(&origin, "/index.m3u8", "a", 20, 0..0);
    let first = start(&origin);
    seconds(9).await;
    let shared = first.shared.clone();
    drop(first);
    seconds(4).await;
    let second = start_in(shared, &origin, 2);
    seconds(10).await;
    let numbers = second.numbers(0);
    assert!(
        numbers.len() > 12 && numbers.windows(2).all(|pair| pair[1] == pair[0].map(|number| number + 1)),
        "{numbers:?}"
    );
    assert!(second.eras(0).iter().all(|era| *era == 10), "nothing was lost: no discontinuity");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_ended_is_played_in_real_time_and_ends() {
    let origin = Scripted::default();
    origin.segments("a", 0..20);
    origin.text("/index.m3u8", playlist("a", 0..20) + "#EXT-X-ENDLIST\n");
    let mut running = start(&origin);
    seconds(1).await;
    assert_eq!(running.segments(0).len(), 4, "three target durations ahead, and the one that plays");
    seconds(10).await;
    assert_eq!(running.segments(0).len(), 9);
    assert_eq!((&mut running.task).await.unwrap().unwrap(), End::ForNow);
    assert_eq!(running.segments(0).len(), 20);
    assert!(running.shared.renditions().unwrap().renditions[0].window.snapshot().ended);
}

#[tokio::test(start_paused = true)]
async fn encryption_that_is_not_supported_is_a_named_fault_and_never_garbage() {
    let origin = Scripted::default();
    let key = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF";
    origin.segments("a", 0..20);
    origin.text("/index.m3u8", playlist("a", 0..5).replacen("#EXTINF", key, 1));
    let mut running = start(&origin);
    let fault = (&mut running.task).await.unwrap().unwrap_err();
    assert!(fault.to_string().contains("SAMPLE-AES"), "{fault}");
    assert!(running.shared.renditions().is_none());
}

#[path = "ladder_tests.rs"]
mod ladders;
