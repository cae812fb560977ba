use super::*;

/// A playlist of which every line keeps the rules.
const PLAYLIST: &str = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:7
#EXTINF:2.0,
7.ts
#EXTINF:2.0,
8.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXT-X-PART:DURATION=0.5,URI=\"9.0.ts\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.43,URI=\"9.1.ts\"
#EXT-X-PART:DURATION=0.5,URI=\"9.2.ts\"
#EXT-X-PART:DURATION=0.2,URI=\"9.3.ts\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.37,URI=\"9.4.ts\"
#EXTINF:2.0,
9.ts
#EXT-X-DISCONTINUITY
#EXT-X-PART:DURATION=0.5,URI=\"10.0.ts\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.1,URI=\"10.1.ts\"
#EXT-X-PART:DURATION=0.5,URI=\"10.2.ts\",GAP=YES
#EXT-X-PART:DURATION=0.3,URI=\"10.3.ts\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"10.4.ts\"
#EXT-X-RENDITION-REPORT:URI=\"../b/index.m3u8\",LAST-MSN=10,LAST-PART=3
";

/// Replaces `from` once and expects violations of `rule` alone: a list that cannot be read lacks all that it has.
fn breaks(valid: &str, from: &str, to: &str, rule: &str) {
    assert!(valid.contains(from), "{from:?}");
    let text = valid.replacen(from, to, 1);
    let violations = check(&text);
    let mut rules: Vec<_> = violations.iter().map(|violation| violation.rule).collect();
    rules.dedup();
    assert_eq!(rules, [rule], "{from:?} became {to:?}: {violations:?}");
}

#[test]
fn a_playlist_in_low_latency_that_keeps_the_rules_has_no_violation() {
    assert_eq!(check(PLAYLIST), []);
}

#[test]
fn each_rule_of_low_latency_is_found_alone() {
    let inf = "#EXT-X-PART-INF:PART-TARGET=0.5\n";
    for (from, to, rule) in [
        (inf, "#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-PART-INF:PART-TARGET=0.5\n", "bis 4.4.3.7"),
        ("YES,CAN-SKIP-UNTIL", "YES,CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL", "bis 4.4.3.8"),
        ("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.9", "bis 4.4.3.8"),
        ("HOLD-BACK=6.0", "HOLD-BACK=5.9", "bis 4.4.3.8"),
        ("PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.4", "bis 4.4.3.8"),
        (",PART-HOLD-BACK=1.5", "", "bis 4.4.3.8"),
        ("CAN-BLOCK-RELOAD=YES,", "", "bis 6.2.5.2"),
        ("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=YES", "bis 4.4.3.8"),
        (inf, "", "bis 4.4.4.9"),
        ("DURATION=0.5,URI=\"10.0.ts\"", "DURATION=0.501,URI=\"10.0.ts\"", "bis 4.4.4.9"),
        ("DURATION=0.5,URI=\"9.2.ts\"", "DURATION=0.42,URI=\"9.2.ts\"", "bis 4.4.4.9"),
        ("#EXT-X-PART:DURATION=0.1", "#EXT-X-MAP:URI=\"i\"\n#EXT-X-PART:DURATION=0.1", "bis 4.4.4.9"),
        ("URI=\"9.3.ts\",INDEPENDENT=YES", "URI=\"9.3.ts\"", "bis 4.4.4.9"),
        ("URI=\"10.2.ts\",GAP=YES", "URI=\"10.2.ts\"", "bis 4.4.4.9"),
        ("DURATION=0.43", "DURATION=0.431", "bis 4.4.4.9"),
        ("INDEPENDENT=YES", "INDEPENDENT=NO", "bis 4.4.4.9"),
        ("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"10.4.ts\"\n", "", "bis B.1"),
        ("TYPE=PART,", "", "bis 4.4.5.3"),
        ("PART,URI=\"10.4.ts\"", "PART,URI=\"10.3.ts\"", "bis 4.4.5.3"),
        (",LAST-PART=3", "", "bis 4.4.5.4"),
        ("LAST-MSN=10,", "", "bis 4.4.5.4"),
        ("../b/", "http://b/", "bis 4.4.5.4"),
        ("#EXTINF:2.0,\n7.ts", "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXTINF:2.0,\n7.ts", "bis 6.2.5.1"),
        ("#EXT-X-MEDIA-SEQUENCE:7", "#EXT-X-SKIP:SKIPPED=2\n#EXT-X-MEDIA-SEQUENCE:7", "bis 4.4.5.2"),
    ] {
        breaks(PLAYLIST, from, to, rule);
    }
}

#[test]
fn parts_far_from_the_end_are_found() {
    let parts = "#EXT-X-PART:DURATION=0.5,URI=\"7.0.ts\"\n".repeat(4);
    breaks(PLAYLIST, "#EXTINF:2.0,\n7.ts", &format!("{parts}#EXTINF:2.0,\n7.ts"), "bis 6.2.2");
    let near = "#EXT-X-PART:DURATION=0.5,URI=\"8.0.ts\"\n".repeat(4);
    assert_eq!(check(&PLAYLIST.replace("#EXTINF:2.0,\n8.ts", &format!("{near}#EXTINF:2.0,\n8.ts"))), []);
}

#[test]
fn nothing_is_hinted_at_or_left_open_behind_the_end() {
    let ended = format!("{PLAYLIST}#EXT-X-ENDLIST\n");
    let rules: Vec<_> = check(&ended).iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, ["bis 4.4.5.3", "bis 4.4.4.9"]);
}

/// A playlist of segments `from..to` of one second in five parts, with `parts` of the next, of which the first `skipped` are
/// left out.
fn live(from: u64, to: u64, parts: usize, skipped: u64) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.0,HOLD-BACK=3.0,PART-HOLD-BACK=0.7\n\
         #EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-MEDIA-SEQUENCE:{from}\n"
    );
    if skipped > 0 {
        text.push_str(&format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n"));
    } else {
        text.push_str("#EXT-X-MAP:URI=\"i.mp4\"\n");
    }
    let list = |number: u64, count: usize| -> String {
        (0..count).map(|at| format!("#EXT-X-PART:DURATION=0.2,URI=\"{number}.{at}.m4s\"\n")).collect()
    };
    for number in from + skipped..to {
        if number + 2 >= to {
            text.push_str(&list(number, 5));
        }
        text.push_str(&format!("#EXTINF:1.0,\n{number}.m4s\n"));
    }
    text.push_str(&list(to, parts));
    text.push_str(&format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{to}.{parts}.m4s\"\n"));
    text
}

fn follow(texts: &[&str]) -> Vec<&'static str> {
    let mut follower = Follower::default();
    let violations = texts.iter().flat_map(|text| follower.observe(text));
    violations.map(|violation| violation.rule).collect()
}

#[test]
fn a_playlist_that_grows_by_parts_and_deltas_has_no_violation() {
    let mut follower = Follower::default();
    for step in 0..40_u64 {
        let (segment, part) = (10 + step / 5, usize::try_from(step % 5).unwrap());
        let skipped = if step % 3 == 2 { 2 } else { 0 };
        let text = live(segment - 9, segment, part, skipped);
        assert_eq!(follower.observe(&text), [], "{text}");
    }
}

#[test]
fn each_rule_of_a_playlist_that_grows_by_parts_is_found_alone() {
    let before = live(4, 12, 2, 0);
    let changed = |from: &str, to: &str| {
        let text = live(4, 12, 3, 0);
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    for (after, rule) in [
        (changed("\"12.1.m4s\"", "\"12.x.m4s\""), "bis 6.2.1"),
        (changed("\"11.1.m4s\"", "\"11.x.m4s\""), "bis 6.2.1"),
        (changed("DURATION=0.2,URI=\"12.0.m4s\"", "DURATION=0.19,URI=\"12.0.m4s\""), "bis 6.2.1"),
        (live(4, 12, 0, 0), "bis 6.2.1"),
        (
            changed(
                "#EXT-X-PART:DURATION=0.2,URI=\"12.0",
                "#EXT-X-DISCONTINUITY\n#EXT-X-PART:DURATION=0.2,URI=\"12.0",
            ),
            "bis 6.2.1",
        ),
        (changed("\"12.2.m4s\"", "\"12.other.m4s\""), "bis 6.2.6"),
        (changed("PART-TARGET=0.2", "PART-TARGET=0.2001"), "bis 4.4.3"),
        (changed("CAN-SKIP-UNTIL=6.0", "CAN-SKIP-UNTIL=6.1"), "bis 4.4.3"),
    ] {
        assert_eq!(follow(&[&before, &after]), [rule], "{after}");
    }
}

#[test]
fn a_delta_that_skips_what_was_never_listed_is_found() {
    assert_eq!(follow(&[&live(4, 12, 2, 2)]), ["bis 6.2.5.1"]);
    assert_eq!(follow(&[&live(1, 3, 0, 0), &live(4, 13, 2, 2)]), ["bis 6.2.5.1"]);
}

#[test]
fn a_delta_that_comes_to_another_playlist_is_found() {
    let (before, delta, whole) = (live(4, 12, 2, 0), live(5, 13, 1, 2), live(5, 13, 1, 0));
    assert_eq!(agree(&before, &delta, &whole), []);
    for (from, to) in [
        ("#EXTINF:1.0,\n8.m4s", "#EXTINF:0.9,\n8.m4s"),
        ("13.0.m4s", "13.x.m4s"),
        ("SKIPPED-SEGMENTS=2", "SKIPPED-SEGMENTS=1"),
        ("#EXTINF:1.0,\n8.m4s", "#EXT-X-MAP:URI=\"j.mp4\"\n#EXTINF:1.0,\n8.m4s"),
    ] {
        assert!(delta.contains(from), "{from}");
        let broken = agree(&before, &delta.replacen(from, to, 1), &whole);
        assert_eq!(broken.iter().map(|broken| broken.rule).collect::<Vec<_>>(), ["bis 6.2.5.1"], "{from}");
    }
}
