use sluice_plugin_sdk::testing::{MockHost, samples};

use super::*;

fn judge(sample: &Sample) -> Health {
    MockHost::new().scorer::<HealthDefault>().unwrap().score(sample).unwrap()
}

#[test]
fn streams_are_ranked_as_a_viewer_would() {
    let scores = [
        ("healthy", samples::healthy(60)),
        ("one stall", samples::of(60, |place, seen| seen.stalls = u32::from(place == 59))),
        ("recovered", samples::recovered(60)),
        ("corrupt", samples::corrupt(60)),
        ("stalling", samples::stalling(60)),
        ("gappy", samples::gappy(60)),
        ("dead", samples::dead(60)),
    ]
    .map(|(name, sample)| (name, judge(&sample).score));
    let expected = [(100, 100), (75, 95), (75, 97), (30, 69), (20, 60), (20, 60), (0, 0)];
    for ((name, score), (from, to)) in scores.into_iter().zip(expected) {
        assert!((from..=to).contains(&score), "{name}: {score}, expected {from} to {to}; all: {scores:?}");
    }
}

#[test]
fn a_stream_that_only_has_gaps_is_worth_nothing() {
    assert!(judge(&samples::of(60, |_, seen| seen.gap = true)).score < 5);
}

#[test]
fn the_past_is_forgiven_and_one_bad_segment_at_the_start_is_no_dead_stream() {
    let after = |segments: usize| {
        judge(&samples::of(segments + 1, |place, seen| seen.stalls = u32::from(place == 0))).score
    };
    let scores: Vec<_> = [0, 5, 10, 20, 40, 99].map(after).into();
    assert!(scores.windows(2).all(|pair| pair[0] < pair[1]), "{scores:?}");
    assert!(scores[0] > 30 && scores[5] > 97, "{scores:?}");
}

#[test]
fn a_slow_origin_is_seen_before_it_stalls() {
    let fading =
        judge(&samples::of(30, |place, seen| seen.download_ms = 200 * u32::try_from(place).unwrap()));
    assert!((40..85).contains(&fading.score), "{fading:?}");
    assert!(fading.words.contains("the slowest took 97 %"), "{}", fading.words);
}

#[test]
fn an_endless_stream_without_playlist_and_fetches_can_be_perfect() {
    let endless = samples::of(30, |_, seen| {
        (seen.download_ms, seen.first_byte_ms, seen.status, seen.playlist_age_ms) = (0, 0, 0, 0);
    });
    assert_eq!(judge(&endless).score, 100);
}

#[test]
fn a_score_explains_itself_with_figures() {
    let health = judge(&samples::gappy(60));
    assert_eq!(health.words, "15 of 60 segments are missing");
    let names: Vec<_> = health.factors.iter().map(|factor| factor.name.as_str()).collect();
    assert_eq!(names, ["availability", "timeliness", "continuity", "smoothness"]);
    assert!(health.factors[3].words.contains("45 retries"), "{}", health.factors[3].words);
    assert_eq!(judge(&samples::dead(60)).words, "nothing came for 60 s");
}

#[test]
fn calm_streams_are_looked_at_less_often_and_the_interval_does_not_jump() {
    assert_eq!(judge(&samples::healthy(60)).refresh_ms, 15_000);
    assert_eq!(judge(&samples::dead(60)).refresh_ms, 5000);
    let intervals: Vec<_> = (0..60)
        .map(|errors| {
            judge(&samples::of(60, |place, seen| seen.stalls = u32::from(place < errors))).refresh_ms
        })
        .collect();
    assert!(intervals.windows(2).all(|pair| pair[0] >= pair[1] && pair[0] - pair[1] < 3000), "{intervals:?}");
}

#[test]
fn weights_are_the_operators() {
    let host = MockHost::new().set("smoothness", 0).set("timeliness", 0.0);
    let health = host.scorer::<HealthDefault>().unwrap().score(&samples::stalling(60)).unwrap();
    assert_eq!(health.score, 100);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (key, value) in [("half-life", "1s"), ("calm", "1h"), ("trouble", "20s"), ("half-life", "soon")] {
        assert!(MockHost::new().set(key, value).scorer::<HealthDefault>().is_err(), "{key} {value}");
    }
    assert!(MockHost::new().set("availability", -1).scorer::<HealthDefault>().is_err());
    let nothing = ["availability", "timeliness", "continuity", "smoothness"];
    let host = nothing.iter().fold(MockHost::new(), |host, key| host.set(key, 0));
    assert!(host.scorer::<HealthDefault>().is_err());
}

#[test]
fn whatever_a_sample_holds_comes_to_a_score() {
    let wild = |place: usize, seen: &mut sluice_plugin_sdk::Observation| {
        let large = u32::MAX - u32::try_from(place).unwrap();
        (seen.duration_ms, seen.download_ms, seen.pts_gap_ms) = (0, large, large);
        (seen.continuity_errors, seen.stalls, seen.retries) = (large, large, large);
        (seen.at_ms, seen.playlist_age_ms) = (u64::MAX - place as u64, large);
    };
    let mut sample = samples::of(100, wild);
    for (target, idle) in [(0, 0), (1, u32::MAX), (u32::MAX, 1)] {
        (sample.target_duration_ms, sample.idle_ms) = (target, idle);
        assert!(judge(&sample).score < 40);
    }
    let empty = Sample::default();
    assert!(MockHost::new().scorer::<HealthDefault>().unwrap().score(&empty).is_err());
}
