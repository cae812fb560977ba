use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::Instant;

use super::super::tests::{Kept, setup};
use super::super::{Bounds, Feed, Opening, RenditionSpec, Role, Shared};
use super::*;
use crate::media::ts::program::{Chunk, NULL_PACKET};
use crate::media::ts::testing::Shape;
use crate::media::{Container, Media, Part};
use crate::metrics::{Metrics, SinkMetrics};
use crate::stage::{Endless, Flow};

const SPAN: Span = Span { time: Duration::from_secs(10), bytes: 1_000_000 };

/// A chunk of a tenth of a second; every tenth is a start.
fn chunk(number: u8) -> Chunk {
    let is_start = number.is_multiple_of(10);
    let signal = if is_start { Bytes::from_static(b"signal") } else { Bytes::new() };
    Chunk { bytes: vec![number; 188].into(), is_start, signal, clock_90khz: i64::from(number) * 9000 }
}

struct Scene {
    ring: Arc<Ring>,
    audience: Arc<Audience>,
    metrics: SinkMetrics,
}

impl Scene {
    fn new(span: Span) -> Self {
        let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap()).pipeline("news");
        let metrics = metrics.sink("sink 1 mpegts");
        Self { ring: Arc::new(Ring::new(span)), audience: Arc::default(), metrics }
    }

    fn publish(&self, numbers: std::ops::Range<u8>) {
        numbers.for_each(|number| self.ring.publish(chunk(number)));
    }

    fn reader(&self, behind: Duration) -> Reader {
        let sink = (&"sink 1 mpegts".into(), &self.metrics);
        let seat = self.audience.admit(sink, [192, 0, 2, 1].into(), Some(b"vlc"), &self.ring);
        Reader::new(&self.ring, seat, behind)
    }
}

async fn next(reader: &mut Reader) -> Flow {
    poll_fn(|context| reader.poll_flow(context)).await
}

/// What is there without waiting: the first byte of each chunk.
fn drain(reader: &mut Reader) -> Vec<u8> {
    let mut read = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(Flow::Data(bytes)) = reader.poll_flow(&mut context) {
        read.push(bytes[0]);
    }
    read
}

#[tokio::test]
async fn a_reader_begins_at_the_newest_start_that_is_old_enough_and_misses_nothing() {
    let scene = Scene::new(SPAN);
    scene.publish(0..45);
    for (behind, first) in [(0, 40), (400, 40), (500, 30), (1500, 20), (9000, 0)] {
        let mut reader = scene.reader(Duration::from_millis(behind));
        assert_eq!(drain(&mut reader), (first..45).collect::<Vec<_>>(), "{behind} ms");
    }
    let mut reader = scene.reader(Duration::ZERO);
    drain(&mut reader);
    scene.publish(45..50);
    assert_eq!(drain(&mut reader), [45, 46, 47, 48, 49]);
    assert_eq!(reader_view(&scene).bytes(), 10 * 188);
}

fn reader_view(scene: &Scene) -> Arc<Watching> {
    scene.audience.all().pop().unwrap()
}

#[tokio::test]
async fn a_reader_that_is_overtaken_goes_on_at_the_newest_start_behind_a_signal_and_is_cut_in_the_end() {
    let scene = Scene::new(Span { time: Duration::from_secs(2), bytes: 1_000_000 });
    let (mut slow, mut quick) = (scene.reader(Duration::ZERO), scene.reader(Duration::ZERO));
    scene.publish(0..5);
    assert_eq!(drain(&mut slow), [0, 1, 2, 3, 4]);
    drain(&mut quick);
    for round in 0..8 {
        for number in 0..30 {
            scene.ring.publish(Chunk {
                clock_90khz: (round * 30 + number + 5) * 9000,
                ..chunk(u8::try_from(number).unwrap())
            });
            assert_eq!(drain(&mut quick).len(), 1, "nobody else is slowed");
        }
        assert_eq!(drain(&mut slow)[..3], [b's', 20, 21], "a signal, then a start");
        assert_eq!(scene.metrics.skips.get(), u64::try_from(round).unwrap() + 1);
    }
    (0..30).for_each(|number| {
        scene.ring.publish(Chunk { clock_90khz: (300 + i64::from(number)) * 9000, ..chunk(number) });
    });
    assert_eq!(next(&mut slow).await, Flow::Cut);
}

#[tokio::test]
async fn null_packets_come_only_while_nothing_else_does() {
    let scene = Scene::new(SPAN);
    let mut reader = scene.reader(Duration::ZERO);
    assert_eq!(drain(&mut reader), [0; 0]);
    scene.ring.idle();
    assert_eq!(next(&mut reader).await, Flow::Data(NULL_PACKET));
    assert_eq!(drain(&mut reader), [0; 0], "one for each idle moment");
    scene.ring.idle();
    scene.publish(0..2);
    assert_eq!(drain(&mut reader), [0, 1]);
    scene.ring.close();
    assert_eq!(next(&mut reader).await, Flow::End);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_whose_connection_takes_nothing_for_fifty_seconds_is_dead_and_one_that_takes_null_packets_is_not()
 {
    let scene = Scene::new(SPAN);
    let (mut stuck, mut alive) = (scene.reader(Duration::ZERO), scene.reader(Duration::ZERO));
    scene.publish(0..5);
    drain(&mut stuck);
    for second in 1..=51 {
        let dead = scene.audience.all().iter().filter(|watching| watching.is_dead()).count();
        assert_eq!(dead, 0, "after {second} s");
        tokio::time::advance(Duration::from_secs(1)).await;
        scene.ring.idle();
        drain(&mut alive);
        scene.audience.sweep(&scene.ring, Duration::from_secs(1));
    }
    assert_eq!(next(&mut stuck).await, Flow::Cut);
    scene.publish(5..6);
    assert_eq!(drain(&mut alive), [5]);
}

#[tokio::test]
async fn a_seat_is_free_when_its_reader_is_gone() {
    let scene = Scene::new(SPAN);
    let readers = [scene.reader(Duration::ZERO), scene.reader(Duration::ZERO)];
    assert_eq!((scene.audience.all().len(), scene.metrics.viewers.get()), (2, 2));
    drop(readers);
    assert_eq!((scene.audience.all().len(), scene.metrics.viewers.get()), (0, 0));
}

/// Two seconds of a stream, from this second on.
fn segment(second: u64) -> Media {
    let shape = Shape { frames: 50, start_90khz: 90_000 * (second + 1), ..Shape::default() };
    let duration = Duration::from_secs(2);
    Media {
        duration,
        era: 0,
        gap: false,
        program_date_time: None,
        container: Container::TransportStream,
        origin: None,
        parts: vec![Part { duration, independent: true, bytes: shape.build().into() }],
    }
}

#[tokio::test(start_paused = true)]
async fn segments_that_come_whole_go_out_evenly() {
    let shared =
        Arc::new(Shared::new(setup(&Arc::new(Kept::default())), Bounds { segments: 20, bytes: 1 << 30 }));
    let feed = Feed::new(shared.clone(), shared.metrics.source("source 1 hls"), 1);
    let role = Role::only();
    let specs = [RenditionSpec { name: "main".into(), role }];
    let opening = Opening {
        specs: &specs,
        target: Duration::from_secs(2),
        independent_segments: true,
        part_target: None,
    };
    let writer = feed.open(&opening).remove(0);
    (0..4).for_each(|at| writer.append(segment(2 * at)).unwrap());

    let hold = shared.broadcast(Duration::from_secs(2));
    let broadcast = hold.broadcast().clone();
    let metrics = shared.metrics.sink("sink 1 mpegts");
    let sink = (&"sink 1 mpegts".into(), &metrics);
    let seat = broadcast.audience.admit(sink, [192, 0, 2, 1].into(), None, &broadcast.ring);
    let mut reader = Reader::new(&broadcast.ring, seat, Duration::from_secs(2));
    let source = tokio::spawn(async move {
        for at in 4..20 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            writer.append(segment(2 * at)).unwrap();
        }
    });
    let began = Instant::now();
    let (mut last, mut longest, mut bytes) = (None, Duration::ZERO, 0);
    while began.elapsed() < Duration::from_secs(20) {
        let Flow::Data(data) = next(&mut reader).await else { panic!("the stream ended") };
        assert_ne!(data, NULL_PACKET, "nothing is late");
        bytes += data.len();
        let now = Instant::now();
        longest = longest.max(last.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last)));
    }
    assert!(longest <= Duration::from_millis(200), "{longest:?}");
    let each_second = segment(0).parts[0].bytes.len() / 2;
    let seconds = bytes / each_second;
    assert!(
        (20..=26).contains(&seconds),
        "{seconds} s in 20 s: real time, and what a viewer gets to begin with"
    );
    source.abort();
    drop(hold);
    while let Flow::Data(_) = next(&mut reader).await {}
    assert!(shared.on_air().is_none());
}

proptest! {
    #[test]
    fn a_ring_holds_no_more_than_it_may(
        sizes in prop::collection::vec(1_usize..2000, 1..300),
        time_ms in 100_u64..5000,
        most in 1000_usize..50_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _in_it = runtime.enter();
        let ring = Ring::new(Span { time: Duration::from_millis(time_ms), bytes: most });
        let mut all = Vec::new();
        for (at, size) in (0..).zip(sizes) {
            all.push(size);
            let clock_90khz = i64::from(at) * 9000;
            let is_start = at % 7 == 0;
            ring.publish(Chunk { bytes: vec![0; size].into(), is_start, signal: Bytes::new(), clock_90khz });
            let held: Vec<usize> = (0..=u64::try_from(at).unwrap())
                .filter_map(|number| ring.get(number)?.as_ref().map(|slot| slot.chunk.bytes.len()))
                .collect();
            prop_assert!(all.ends_with(&held) && !held.is_empty());
            prop_assert_eq!(held.iter().sum::<usize>(), ring.len_bytes());
            prop_assert!(ring.len_bytes() <= most || held.len() == 1);
            prop_assert!((held.len() as u64 - 1) * 100 <= time_ms);
        }
    }
}
