//! Several renditions at once.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_ladder_stays_in_step_while_one_lags_and_one_is_gone() {
    let origin = Scripted::default();
    origin.text("/index.m3u8", LADDER);
    live(&origin, "/a.m3u8", "a", 20, 0..0);
    live(&origin, "/b.m3u8", "b", 18, 0..0); // lags by two
    live(&origin, "/c.m3u8", "c", 23, 8..23); // numbered three higher, and away for thirty seconds
    let running = start(&origin);
    seconds(40).await;
    let (a, c) = (running.segments(0).len(), running.segments(2).len());
    assert!(a.abs_diff(c) <= 2, "while it is gone, gaps stand for it: {a} and {c}");
    seconds(40).await;
    let (a, b, c) = (running.numbers(0), running.numbers(1), running.numbers(2));
    assert!(a.iter().chain(&b).all(Option::is_some), "the others lose nothing");
    let gaps = c.iter().filter(|number| number.is_none()).count();
    assert!((8..=16).contains(&gaps), "{gaps} gaps for fifteen segments");
    assert!(a.len().abs_diff(c.len()) <= 1, "{} and {}", a.len(), c.len());
    // a gap takes the number that the missing segment would have had
    let first = c[0].unwrap();
    for (at, number) in c.iter().enumerate().filter_map(|(at, number)| Some((at as u64, (*number)?))) {
        assert_eq!(number, first + at);
    }
    for rendition in 0..3 {
        assert!(running.eras(rendition).iter().all(|era| *era == 10));
    }
}

#[tokio::test(start_paused = true)]
async fn discontinuities_have_one_number_in_every_rendition() {
    let origin = Scripted::default();
    origin.text("/index.m3u8", LADDER);
    for (name, from) in [("a", 0), ("b", 3), ("c", 5)] {
        origin.segments(name, 0..20);
        let text = playlist(name, from..10)
            .replace(&format!("{name}6.ts"), &format!("{name}6.ts\n#EXT-X-DISCONTINUITY"));
        origin.text(&format!("/{name}.m3u8"), text);
    }
    let running = start(&origin);
    seconds(1).await;
    for rendition in 0..3 {
        for segment in running.segments(rendition) {
            let number = segment.media.origin.as_ref().unwrap().number;
            assert_eq!(
                segment.discontinuity_sequence,
                10 + u64::from(number > 6),
                "rendition {rendition}, {number}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rendition_that_is_away_at_the_start_does_not_keep_the_others_waiting() {
    let origin = Scripted::default();
    origin.text("/index.m3u8", LADDER);
    live(&origin, "/a.m3u8", "a", 20, 0..0);
    live(&origin, "/b.m3u8", "b", 20, 0..5);
    live(&origin, "/c.m3u8", "c", 20, 0..0);
    let running = start(&origin);
    seconds(2).await;
    assert!(running.segments(0).len() >= 5 && running.segments(1).is_empty());
    seconds(30).await;
    let numbers = running.numbers(1);
    assert!(numbers.len() > 8 && numbers.iter().all(Option::is_some), "{numbers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ladder_without_any_playlist_is_a_fault_that_says_why() {
    let origin = Scripted::default();
    origin.text("/index.m3u8", LADDER);
    let fault = (&mut start(&origin).task).await.unwrap().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Status(StatusCode::NOT_FOUND));
}
