use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::media::Container;
use crate::metrics::Metrics;

fn window(bounds: Bounds) -> Window {
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap()).pipeline("news");
    let window = Window::new(bounds, Arc::default(), metrics.rendition("main"));
    window.begin(100, 7);
    window
}

fn media(era: u64, bytes: usize) -> Media {
    let duration = Duration::from_secs(2);
    let part = Part { duration, independent: true, bytes: Bytes::from(vec![0; bytes]) };
    Media {
        duration,
        era,
        gap: false,
        program_date_time: None,
        container: Container::TransportStream,
        origin: None,
        parts: vec![part],
    }
}

#[derive(Debug, Clone)]
enum Op {
    Append { discontinuity: u64, bytes: usize },
    Open { discontinuity: u64 },
    Grow { bytes: usize },
    Close,
    Resize { segments: usize, bytes: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0_u64..3, 1_usize..50).prop_map(|(discontinuity, bytes)| Op::Append { discontinuity, bytes }),
        (0_u64..3).prop_map(|discontinuity| Op::Open { discontinuity }),
        (1_usize..50).prop_map(|bytes| Op::Grow { bytes }),
        Just(Op::Close),
        (1_usize..6, 1_u64..200).prop_map(|(segments, bytes)| Op::Resize { segments, bytes }),
    ]
}

/// The window as a list that only ever grows, cut to the bounds when it is looked at.
struct Model {
    closed: Vec<(u64, u64, u64)>,
    open: Option<(u64, u64, u64)>,
    /// The discontinuity sequence before the open segment.
    before: u64,
    next: u64,
    discontinuity: u64,
}

impl Model {
    fn number(&mut self, discontinuity: u64, bytes: u64) -> (u64, u64, u64) {
        self.before = self.discontinuity;
        self.discontinuity = self.discontinuity.max(discontinuity);
        self.next += 1;
        (self.next - 1, self.discontinuity, bytes)
    }

    fn close(&mut self) {
        match self.open.take() {
            Some((number, _, 0)) => (self.next, self.discontinuity) = (number, self.before),
            segment => self.closed.extend(segment),
        }
    }
}

proptest! {
    #[test]
    fn the_window_is_the_newest_end_of_all_that_was_appended(ops in prop::collection::vec(op(), 1..60)) {
        let window = window(Bounds { segments: 4, bytes: 100 });
        let mut model = Model { closed: Vec::new(), open: None, before: 7, next: 100, discontinuity: 7 };
        let mut held = 0;
        for op in ops {
            match op {
                Op::Append { discontinuity, bytes } => {
                    let discontinuity = model.discontinuity + discontinuity;
                    window.append(media(0, bytes), discontinuity);
                    model.close();
                    let segment = model.number(discontinuity, bytes as u64);
                    model.closed.push(segment);
                }
                Op::Open { discontinuity } => {
                    let discontinuity = model.discontinuity + discontinuity;
                    window.open(Media { parts: Vec::new(), ..media(0, 1) }, discontinuity);
                    model.close();
                    model.open = Some(model.number(discontinuity, 0));
                }
                Op::Grow { bytes } => {
                    window.grow(media(0, bytes).parts.remove(0));
                    if let Some(open) = &mut model.open { open.2 += bytes as u64; }
                }
                Op::Close => { window.close(); model.close(); }
                Op::Resize { segments, bytes } => {
                    let before = window.snapshot();
                    window.resize(Bounds { segments, bytes });
                    let now = window.snapshot();
                    prop_assert!(now.segments.len() <= segments);
                    prop_assert!(before.segments.ends_with(&now.segments));
                }
            }
            let snapshot = window.snapshot();
            let seen: Vec<_> = snapshot.segments.iter()
                .map(|segment| (segment.sequence, segment.discontinuity_sequence, segment.media.len_bytes())).collect();
            prop_assert!(model.closed.ends_with(&seen), "{seen:?} is no end of {:?}", model.closed);
            prop_assert_eq!(seen.is_empty(), model.closed.is_empty(), "the newest always stays");
            for pair in snapshot.segments.windows(2) {
                let step = pair[1].discontinuity_sequence - pair[0].discontinuity_sequence;
                prop_assert_eq!(step, pair[1].discontinuities);
            }
            held = held.max(snapshot.segments.len());
        }
        prop_assert!(held <= 6);
    }
}

#[tokio::test]
async fn a_reader_wakes_with_each_part_and_sees_the_last_one_with_the_end_of_its_segment() {
    let window = window(Bounds { segments: 2, bytes: 1000 });
    let part = || media(0, 10).parts.remove(0);
    window.append(media(0, 10), 7);
    let mut head = window.head();
    window.open(Media { parts: Vec::new(), ..media(0, 1) }, 7);
    assert!(!head.has_changed().unwrap(), "an open segment without parts shows nothing");
    window.grow(part());
    head.changed().await.unwrap();
    assert_eq!(window.snapshot().open.as_ref().map(|open| open.media.parts.len()), Some(1));
    window.grow_last(part());
    head.changed().await.unwrap();
    let snapshot = window.snapshot();
    assert_eq!(*head.borrow(), snapshot.version);
    assert!(snapshot.open.is_none());
    assert_eq!(snapshot.segments.last().map(|last| last.media.parts.len()), Some(2));
    window.open(Media { parts: Vec::new(), ..media(0, 1) }, 7);
    window.open(Media { parts: Vec::new(), ..media(0, 1) }, 7);
    assert!(head.has_changed().unwrap(), "the one before was closed");
    head.mark_unchanged();
    window.retire();
    assert!(head.has_changed().unwrap());
}

#[tokio::test]
async fn a_reader_keeps_what_it_holds_and_wakes_with_the_next_segment() {
    let window = window(Bounds { segments: 1, bytes: 1000 });
    window.append(media(0, 10), 7);
    let (held, mut head) = (window.snapshot(), window.head());
    head.mark_unchanged();
    window.append(media(0, 20), 7);
    head.changed().await.unwrap();
    assert_eq!(held.find(100).map(|segment| segment.media.len_bytes()), Some(10), "shared bytes stay");
    assert!(window.snapshot().find(100).is_none());
    assert_eq!(window.snapshot().find(101).map(|segment| segment.media.len_bytes()), Some(20));
}

#[test]
fn segments_stay_for_three_target_durations_whatever_their_number() {
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap()).pipeline("news");
    let target = Arc::new(AtomicU64::new(4));
    let bounds = Bounds { segments: 3, bytes: 1000 };
    let window = Window::new(bounds, target.clone(), metrics.rendition("main"));
    let numbers =
        |segments: &[Arc<Segment>]| -> Vec<u64> { segments.iter().map(|one| one.sequence).collect() };
    let mut first = 0;
    for secs in [4, 4, 4, 1, 1, 2, 4, 4, 4, 4, 1] {
        window.append(Media { duration: Duration::from_secs(secs), ..media(0, 10) }, 0);
        let snapshot = window.snapshot();
        let shown = snapshot.newest(3, Duration::from_secs(4));
        assert_eq!(numbers(shown), numbers(&snapshot.segments));
        assert!(shown.len() >= 3 || snapshot.find(0).is_some());
        let left = snapshot.segments[0].sequence > first;
        assert!(!left || snapshot.duration() >= Duration::from_secs(12), "{snapshot:?}");
        assert!(snapshot.segments[0].sequence >= first, "what left never comes back");
        first = snapshot.segments[0].sequence;
    }
    assert_eq!(
        numbers(&window.snapshot().segments),
        [7, 8, 9, 10],
        "4 + 4 + 4 + 1: without the 7 it were 9 s"
    );
    window.resize(Bounds { segments: 3, bytes: 20 });
    assert_eq!(numbers(&window.snapshot().segments), [9, 10], "the bound in bytes holds");
}
