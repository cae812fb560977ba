use std::sync::Arc;

use bytes::Bytes;
use sluice_core::media::{Container, Media, Part};

use super::*;

const PART: Duration = Duration::from_millis(200);

fn read(query: &str) -> Result<Directives, String> {
    Directives::read(query).map_err(|fault| fault.status().to_string())
}

#[test]
fn directives_are_read_and_other_names_ignored() {
    for (query, awaited, scope) in [
        ("", None, Scope::Whole),
        ("session=7&x", None, Scope::Whole),
        ("_HLS_msn=12", Some((12, None)), Scope::Whole),
        ("a=b&_HLS_part=3&_HLS_msn=12", Some((12, Some(3))), Scope::Whole),
        ("_HLS_msn=12&_HLS_part=0&_HLS_skip=YES", Some((12, Some(0))), Scope::Delta),
        ("_HLS_skip=v2", None, Scope::Delta),
        ("_HLS_skip=NO", None, Scope::Whole),
        ("_HLS_report=1&_hls_msn=4", None, Scope::Whole),
    ] {
        let awaited = awaited.map(|(sequence, part)| Awaited { sequence, part });
        assert_eq!(read(query), Ok(Directives { awaited, scope }), "{query}");
    }
}

#[test]
fn directives_that_make_no_sense_are_refused() {
    for query in [
        "_HLS_part=1",
        "_HLS_msn=",
        "_HLS_msn",
        "_HLS_msn=+4",
        "_HLS_msn=-1",
        "_HLS_msn=four",
        "_HLS_msn=99999999999999999999999",
        "_HLS_msn=4&_HLS_msn=5",
        "_HLS_msn=4&_HLS_part=x",
    ] {
        assert_eq!(read(query), Err("400 Bad Request".to_owned()), "{query}");
    }
}

fn segment(sequence: u64, parts: usize) -> Arc<Segment> {
    let part = |at| Part { duration: PART, independent: at == 0, bytes: Bytes::from_static(b"x") };
    let media = Media {
        duration: PART * u32::try_from(parts).unwrap(),
        era: 0,
        gap: parts == 0,
        program_date_time: None,
        container: Container::TransportStream,
        origin: None,
        parts: (0..parts).map(part).collect(),
    };
    Arc::new(Segment { sequence, discontinuity_sequence: 0, discontinuities: 0, media })
}

/// Segments 10 to 12 of five parts, of which 11 is a gap, and two parts of 13.
fn snapshot() -> Snapshot {
    let segments = vec![segment(10, 5), segment(11, 0), segment(12, 5)];
    Snapshot { segments, open: Some(segment(13, 2)), ..Snapshot::default() }
}

fn check(snapshot: &Snapshot, part_target: Option<Duration>, expected: &[(u64, Option<usize>, Presence)]) {
    for &(sequence, part, presence) in expected {
        let found = Awaited { sequence, part }.presence(snapshot, part_target);
        assert_eq!(found, presence, "{sequence} {part:?}");
    }
}

#[test]
fn what_is_waited_for_is_found_by_segment_and_part() {
    use Presence::{Ahead, Here, TooFar};
    check(
        &snapshot(),
        Some(PART),
        &[
            (1, None, Here),
            (1, Some(99), Here),
            (12, None, Here),
            (13, None, Ahead),
            (14, None, Ahead),
            (15, None, TooFar),
            (u64::MAX, None, TooFar),
            (12, Some(4), Here),
            // part 0 of the next
            (12, Some(5), Here),
            (10, Some(99), Here),
            (13, Some(1), Here),
            (13, Some(2), Ahead),
            (13, Some(17), Ahead),
            (13, Some(18), TooFar),
            (14, Some(0), Ahead),
            (14, Some(15), Ahead),
            (14, Some(16), TooFar),
            (13, Some(usize::MAX), TooFar),
        ],
    );
}

#[test]
fn a_part_behind_the_end_of_the_last_segment_is_the_first_of_the_next() {
    let closed = Snapshot { open: None, ..snapshot() };
    check(&closed, Some(PART), &[(12, Some(5), Presence::Ahead), (13, Some(0), Presence::Ahead)]);
    let opened = Snapshot { open: Some(segment(13, 0)), ..snapshot() };
    check(&opened, Some(PART), &[(12, Some(5), Presence::Ahead)]);
}

#[test]
fn whole_segments_are_waited_for_where_there_are_no_parts() {
    use Presence::{Ahead, Here, TooFar};
    let expected = [(12, Some(7), Here), (13, Some(0), Ahead), (13, None, Ahead), (15, Some(0), TooFar)];
    check(&snapshot(), None, &expected);
}

#[test]
fn nothing_is_waited_for_behind_the_end() {
    let ended = Snapshot { ended: true, open: None, ..snapshot() };
    check(&ended, Some(PART), &[(13, Some(0), Presence::Here), (99, None, Presence::Here)]);
    check(&Snapshot::default(), Some(PART), &[(0, None, Presence::Ahead)]);
}
