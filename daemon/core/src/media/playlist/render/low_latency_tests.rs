use bytes::Bytes;
use proptest::prelude::*;
use sluice_conformance::{Follower, agree, check};

use super::super::newest;
use super::*;
use crate::media::{Container, Init, Media};

const PART: Duration = Duration::from_millis(200);
const OPTIONS: MediaOptions<'_> = MediaOptions {
    target_duration: Duration::from_secs(1),
    independent_segments: true,
    ended: false,
    epoch: "k3",
};
const WHOLE: LowLatency<'_> =
    LowLatency { part_target: Some(PART), open: None, reports: &[], scope: Scope::Whole };

/// A segment of so many parts of 200 ms, the first of which is independent.
fn segment(sequence: u64, parts: u32) -> Segment {
    let part = |at| Part { duration: PART, independent: at == 0, bytes: Bytes::from_static(b"x") };
    let media = Media {
        duration: PART * parts,
        era: 0,
        gap: false,
        program_date_time: None,
        container: Container::TransportStream,
        origin: None,
        parts: (0..parts).map(part).collect(),
    };
    Segment { sequence, discontinuity_sequence: 0, discontinuities: 0, media }
}

fn closed(sequences: std::ops::Range<u64>) -> Vec<Arc<Segment>> {
    sequences.map(|sequence| Arc::new(segment(sequence, 5))).collect()
}

#[test]
fn a_playlist_lists_the_parts_of_its_newest_end_and_hints_at_the_next() {
    let open = segment(11, 1);
    let reports = [Report { uri: "../b/index.m3u8".into(), last_sequence: 11, last_part: Some(1) }];
    let options = LowLatency { open: Some(&open), reports: &reports, ..WHOLE };
    let text = media(&closed(8..11), &OPTIONS, &options);
    assert_eq!(check(&text), [], "{text}");
    let expected = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:1\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.000,HOLD-BACK=3.000,PART-HOLD-BACK=0.600\n\
        #EXT-X-PART-INF:PART-TARGET=0.200\n#EXT-X-MEDIA-SEQUENCE:8\n#EXTINF:1.000,\nk3-8.ts\n\
        #EXT-X-PART:DURATION=0.200,URI=\"k3-9.0.ts\",INDEPENDENT=YES\n";
    assert!(text.starts_with(expected), "{text}");
    let expected = "#EXTINF:1.000,\nk3-10.ts\n#EXT-X-PART:DURATION=0.200,URI=\"k3-11.0.ts\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"k3-11.1.ts\"\n\
        #EXT-X-RENDITION-REPORT:URI=\"../b/index.m3u8\",LAST-MSN=11,LAST-PART=1\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn a_source_that_is_not_paced_in_parts_gets_whole_segments_that_can_be_waited_for() {
    let text = media(&closed(1..5), &OPTIONS, &LowLatency { part_target: None, ..WHOLE });
    assert_eq!(check(&text), [], "{text}");
    assert!(text.contains("CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.000,HOLD-BACK=3.000\n"), "{text}");
    assert!(!text.contains("PART"), "{text}");
}

#[test]
fn the_next_part_is_behind_the_open_segment_or_starts_one() {
    let (last, open) = (segment(4, 5), segment(5, 3));
    let place = |sequence, part| Some(PartPlace { sequence, part });
    assert_eq!(next_part(Some(&last), Some(&open), Some(PART)), place(5, 3));
    assert_eq!(next_part(Some(&last), None, Some(PART)), place(5, 0));
    assert_eq!(next_part(Some(&last), Some(&open), None), None);
    assert_eq!(next_part(None, None, Some(PART)), None);
}

#[test]
fn a_report_names_the_newest_part_or_the_last_segment() {
    let (last, open, empty) = (segment(4, 5), segment(5, 3), segment(5, 0));
    let of = |open, parts| report("u".into(), Some(&last), open, parts);
    let expected = |last_sequence, last_part| Some(Report { uri: "u".into(), last_sequence, last_part });
    assert_eq!(of(Some(&open), Some(PART)), expected(5, Some(2)));
    assert_eq!(of(Some(&empty), Some(PART)), expected(4, Some(4)));
    assert_eq!(of(Some(&open), None), expected(4, None));
}

#[test]
fn a_segment_with_a_part_over_the_target_is_listed_whole() {
    let mut long = segment(6, 5);
    long.media.parts[1].duration = PART * 4;
    assert!(parts_of(&long, Some(PART)).is_empty());
    assert_eq!(parts_of(&segment(6, 5), Some(PART)).len(), 5);
}

#[test]
fn a_part_target_of_many_decimals_is_held_back_by_at_least_three_times_what_is_written() {
    let target = Duration::from_nanos(200_200_200);
    let mut open = segment(3, 2);
    open.media.parts.iter_mut().for_each(|part| part.duration = target);
    open.media.duration = target * 2;
    let options = LowLatency { part_target: Some(target), open: Some(&open), ..WHOLE };
    assert_eq!(check(&media(&closed(1..3), &OPTIONS, &options)), []);
}

#[derive(Debug, Clone, Copy)]
struct Step {
    /// The parts of the segment.
    parts: u32,
    discontinuities: u64,
    /// 0 and 1 name initialization sections, 2 is a gap.
    kind: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let discontinuities = prop_oneof![6 => Just(0_u64), 1 => Just(1), 1 => Just(2)];
    (1_u32..=5, discontinuities, 0_usize..3).prop_map(|(parts, discontinuities, kind)| Step {
        parts,
        discontinuities,
        kind,
    })
}

/// The stream that the steps describe, as segments that are whole.
fn stream(steps: &[Step]) -> Vec<Segment> {
    let inits = [b"a", b"b"].map(|bytes| Arc::new(Init::new(Bytes::from_static(bytes))));
    let mut discontinuity_sequence = 3;
    let numbered = steps.iter().zip(40_u64..);
    numbered
        .map(|(step, sequence)| {
            discontinuity_sequence += step.discontinuities;
            let mut segment = segment(sequence, step.parts);
            segment.discontinuities = step.discontinuities;
            segment.discontinuity_sequence = discontinuity_sequence;
            segment.media.container = Container::FragmentedMp4 { init: inits[step.kind % 2].clone() };
            if step.kind == 2 {
                segment.media.gap = true;
                segment.media.parts.clear();
            }
            segment
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_part_gives_a_playlist_that_follows_the_one_before_whole_or_as_a_delta(
        steps in prop::collection::vec(step(), 8..30),
        width in 5_usize..14,
        deltas in prop::collection::vec(any::<bool>(), 150),
    ) {
        let segments: Vec<_> = stream(&steps).into_iter().map(Arc::new).collect();
        let mut deltas = deltas.into_iter().cycle();
        let mut follower = Follower::default();
        let mut before: Option<String> = None;
        for at in 1..segments.len() {
            let shown = newest(&segments[..at], width, OPTIONS.target_duration);
            for parts in 0..segments[at].media.parts.len().max(1) {
                let mut open = Segment::clone(&segments[at]);
                open.media.parts.truncate(parts);
                open.media.duration = open.media.parts.iter().map(|part| part.duration).sum();
                let low_latency = LowLatency { open: Some(&open), ..WHOLE };
                let whole = media(shown, &OPTIONS, &low_latency);
                let delta = media(shown, &OPTIONS, &LowLatency { scope: Scope::Delta, ..low_latency });
                let chosen = if before.is_some() && deltas.next() == Some(true) { &delta } else { &whole };
                prop_assert_eq!(follower.observe(chosen), [], "{}", chosen);
                if let Some(before) = &before {
                    prop_assert_eq!(agree(before, &delta, &whole), [], "{}\n{}\n{}", before, delta, whole);
                }
                before = Some(whole);
            }
        }
    }
}
