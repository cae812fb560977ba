use super::*;

/// A playlist of which every line keeps the rules.
const MEDIA: &str = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"720@0\"
#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x0123456789abcdef
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:5.96,
#EXT-X-BYTERANGE:100@0
a.m4s
#EXTINF:6.4,
#EXT-X-BYTERANGE:50
a.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:17Z
#EXT-X-GAP
#EXTINF:3.1,
c.m4s
#EXT-X-ENDLIST
";

const MULTIVARIANT: &str = "#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",DEFAULT=YES,AUTOSELECT=YES,URI=\"en.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Deutsch\",DEFAULT=NO,URI=\"de.m3u8\"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",FORCED=NO,URI=\"s.m3u8\"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"CC\",INSTREAM-ID=\"CC1\"
#EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,AUDIO=\"a\",SUBTITLES=\"s\",CLOSED-CAPTIONS=\"c\"
v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=100,CLOSED-CAPTIONS=NONE
w.m3u8
";

/// Replaces `from` once and expects exactly one violation, of `rule`.
fn breaks(valid: &str, from: &str, to: &str, rule: &str) {
    assert!(valid.contains(from), "{from:?}");
    let text = valid.replacen(from, to, 1);
    let violations = check(&text);
    let rules: Vec<_> = violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [rule], "{from:?} became {to:?}: {violations:?}");
}

#[test]
fn a_playlist_that_keeps_the_rules_has_no_violation() {
    assert_eq!(check(MEDIA), []);
    assert_eq!(check(MULTIVARIANT), []);
    assert_eq!(check("#EXTM3U\n#EXT-X-TARGETDURATION:1\n"), []);
}

#[test]
fn each_rule_of_a_media_playlist_is_found_alone() {
    for (from, to, rule) in [
        ("#EXTM3U", "\u{feff}#EXTM3U", "4.1"),
        ("#EXTINF:5.96,\n", "#EXTINF:5.96,\u{7}\n", "4.1"),
        ("c.m4s", "c c.m4s", "4.1"),
        ("#EXT-X-VERSION", "#EXT-X-MEDIA:TYPE=AUDIO\n#EXT-X-VERSION", "4.1"),
        ("#EXTM3U\n", "#EXT-X-START:TIME-OFFSET=1\n", "4.3.1.1"),
        ("#EXTM3U\n", "#EXTM3U\n#EXTM3U\n", "4.3.1.1"),
        ("#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6", "4.3.1.2"),
        ("#EXTINF:5.96,\n", "#EXTINF:5.96\n", "4.3.2.1"),
        ("#EXTINF:5.96,", "#EXTINF:-5.96,", "4.3.2.1"),
        ("#EXTINF:3.1,\n", "", "4.3.2.1"),
        ("BYTERANGE:100@0", "BYTERANGE:100@x", "4.3.2.2"),
        ("#EXT-X-BYTERANGE:100@0\na.m4s", "#EXT-X-BYTERANGE:100@0\nb.m4s", "4.3.2.2"),
        ("METHOD=AES-128", "METHOD=ROT13", "4.3.2.4"),
        ("URI=\"key\"", "URI=key", "4.3.2.4"),
        ("IV=0x", "IV=", "4.3.2.4"),
        ("METHOD=AES-128", "METHOD=NONE", "4.3.2.4"),
        ("URI=\"key\",", "URI=\"key\",,", "4.3.2.4"),
        ("MAP:URI=\"init.mp4\",", "MAP:", "4.3.2.5"),
        ("720@0", "720@-1", "4.3.2.5"),
        ("03:04:05.678Z", "3 o'clock", "4.3.2.6"),
        ("#EXT-X-TARGETDURATION:6\n", "", "4.3.3.1"),
        ("#EXTINF:6.4,", "#EXTINF:6.5,", "4.3.3.1"),
        ("TARGETDURATION:6", "TARGETDURATION:6\n#EXT-X-TARGETDURATION:6", "4.3.3.1"),
        ("MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:x", "4.3.3.2"),
        ("#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY\n#EXT-X-ENDLIST\n#EXT-X-MEDIA-SEQUENCE:7", "4.3.3.2"),
        ("DISCONTINUITY-SEQUENCE:2", "DISCONTINUITY-SEQUENCE:-2", "4.3.3.3"),
        ("#EXT-X-DISCONTINUITY-SEQ", "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQ", "4.3.3.3"),
        ("#EXT-X-ENDLIST\n", "#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n", "4.3.3.4"),
        ("#EXT-X-ENDLIST\n", "#EXT-X-PLAYLIST-TYPE:LIVE\n", "4.3.3.5"),
        ("#EXT-X-VERSION:6", "#EXT-X-VERSION:5", "7"),
    ] {
        let mut valid = MEDIA.to_owned();
        if rule == "4.3.3.2" && to.contains("ENDLIST") {
            valid = valid.replacen("#EXT-X-MEDIA-SEQUENCE:7\n", "", 1);
        }
        breaks(&valid, from, to, rule);
    }
}

#[test]
fn a_date_that_runs_back_is_found() {
    let valid = MEDIA.replace("#EXT-X-DISCONTINUITY\n", "");
    breaks(&valid, "03:04:17Z", "03:04:01Z", "6.2.1");
    assert_eq!(
        check(&MEDIA.replace("03:04:17Z", "03:04:01Z")),
        [],
        "behind a discontinuity time starts anew"
    );
}

#[test]
fn each_version_is_asked_for_by_what_is_used() {
    for (lines, version) in [
        ("#EXTINF:1.5,\na\n", 3),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:1@0\na\n", 4),
        ("#EXT-X-I-FRAMES-ONLY\n#EXTINF:1,\na\n", 4),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x01\n#EXTINF:1,\na\n", 2),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"identity\"\n#EXTINF:1,\na\n", 5),
        ("#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n", 5),
        ("#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n", 6),
    ] {
        let playlist =
            |version: u64| format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:2\n{lines}");
        assert_eq!(check(&playlist(version)), []);
        breaks(&playlist(version), &format!("VERSION:{version}"), &format!("VERSION:{}", version - 1), "7");
    }
}

#[test]
fn each_rule_of_a_multivariant_playlist_is_found_alone() {
    for (from, to, rule) in [
        ("#EXT-X-VERSION:4\n", "#EXT-X-VERSION:4\n#EXT-X-ENDLIST\n", "4.1"),
        ("DEFAULT=NO", "DEFAULT=NO,DEFAULT=NO", "4.3.4.1"),
        ("TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",", "TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",FORCED=NO,", "4.3.4.1"),
        (",NAME=\"Deutsch\"", "", "4.3.4.1"),
        ("NAME=\"Deutsch\"", "NAME=Deutsch", "4.3.4.1"),
        ("URI=\"de.m3u8\"", "URI=de.m3u8", "4.3.4.1"),
        (",URI=\"s.m3u8\"", "", "4.3.4.1"),
        (",INSTREAM-ID=\"CC1\"", "", "4.3.4.1"),
        ("INSTREAM-ID=\"CC1\"", "INSTREAM-ID=\"CC1\",URI=\"x\"", "4.3.4.1"),
        ("DEFAULT=NO", "DEFAULT=no", "4.3.4.1"),
        ("AUTOSELECT=YES", "AUTOSELECT=NO", "4.3.4.1"),
        ("Deutsch", "English", "4.3.4.1.1"),
        ("DEFAULT=NO", "DEFAULT=YES", "4.3.4.1.1"),
        ("BANDWIDTH=100,", "", "4.3.4.2"),
        ("BANDWIDTH=100", "BANDWIDTH=fast", "4.3.4.2"),
        ("1280x720", "1280", "4.3.4.2"),
        ("CODECS=\"avc1.64001f,mp4a.40.2\"", "CODECS=avc1", "4.3.4.2"),
        ("SUBTITLES=\"s\"", "SUBTITLES=\"t\"", "4.3.4.2"),
        ("AUDIO=\"a\"", "AUDIO=\"b\"", "4.3.4.2"),
        ("\nw.m3u8", "", "4.3.4.2"),
        ("w.m3u8", "w.m3u8\nx.m3u8", "4.3.4.2"),
        ("#EXT-X-INDEPENDENT", "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-INDEPENDENT", "4.3.5.1"),
        (
            "#EXT-X-INDEPENDENT",
            "#EXT-X-START:TIME-OFFSET=1\n#EXT-X-START:TIME-OFFSET=1\n#EXT-X-INDEPENDENT",
            "4.3.5.2",
        ),
    ] {
        breaks(MULTIVARIANT, from, to, rule);
    }
}

/// A live playlist of segments `from..to`, of which every third stands behind a discontinuity.
fn live(from: u64, to: u64) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:{from}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n#EXT-X-MAP:URI=\"i\"\n",
        from.div_ceil(3)
    );
    for number in from..to {
        if number % 3 == 0 {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        text.push_str(&format!("#EXTINF:6,\n{number}.ts\n"));
    }
    text
}

fn follow(texts: &[&str]) -> Vec<&'static str> {
    let mut follower = Follower::default();
    let violations = texts.iter().flat_map(|text| follower.observe(text));
    violations.map(|violation| violation.rule).collect()
}

#[test]
fn a_playlist_that_slides_by_the_rules_has_no_violation() {
    let mut follower = Follower::default();
    for at in 0..12 {
        assert_eq!(follower.observe(&live(at, at + 4 + at / 3)), [], "at {at}");
    }
    assert_eq!(follower.observe(&format!("{}#EXT-X-ENDLIST\n", live(12, 20))), []);
}

#[test]
fn each_rule_of_a_playlist_that_changes_is_found_alone() {
    let before = live(4, 9);
    let changed = |from: &str, to: &str| {
        let text = live(5, 10);
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    for (after, rule) in [
        (changed("TARGETDURATION:6", "TARGETDURATION:7"), "6.2.1"),
        (changed("7.ts", "seven.ts"), "6.2.1"),
        (changed("#EXTINF:6,\n7.ts", "#EXTINF:5,\n7.ts"), "6.2.1"),
        (changed("7.ts", "#EXT-X-GAP\n7.ts"), "6.2.1"),
        (changed("7.ts", "#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05Z\n7.ts"), "6.2.1"),
        (changed("#EXTINF:6,\n8.ts", "#EXT-X-MAP:URI=\"j\"\n#EXTINF:6,\n8.ts"), "6.2.1"),
        (changed("#EXTINF:6,\n8.ts", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:6,\n8.ts"), "6.2.1"),
        (live(4, 8), "6.2.1"),
        (live(10, 14), "6.2.2"),
        (changed("#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-PLAYLIST-TYPE:EVENT"), "6.2.1"),
    ] {
        assert_eq!(follow(&[&before, &after]), [rule], "{after}");
    }
    let backwards = follow(&[&before, &live(3, 9)]);
    assert!(backwards.contains(&"6.2.2"), "{backwards:?}");
    let reset = changed("DISCONTINUITY-SEQUENCE:2", "DISCONTINUITY-SEQUENCE:0");
    let reset = follow(&[&before, &reset]);
    assert!(!reset.is_empty() && reset.iter().all(|rule| *rule == "6.2.2"), "{reset:?}");
}

#[test]
fn no_segment_leaves_a_live_playlist_that_is_then_shorter_than_three_target_durations() {
    assert_eq!(follow(&[&live(0, 2), &live(0, 3), &live(1, 4)]), [""; 0], "it may begin with less");
    assert_eq!(follow(&[&live(0, 3), &live(1, 3)]), ["6.2.2"]);
    let short = |from, to| live(from, to).replace("EXTINF:6,\n2.ts", "EXTINF:5.9,\n2.ts");
    assert_eq!(follow(&[&short(0, 3), &short(1, 4)]), ["6.2.2"]);
    assert_eq!(follow(&[&short(0, 4), &short(0, 5), &short(1, 5)]), [""; 0]);
    assert_eq!(follow(&[&live(0, 3), &format!("{}#EXT-X-ENDLIST\n", live(1, 3))]), [""; 0]);
}

#[test]
fn nothing_leaves_a_playlist_whose_type_keeps_it_and_nothing_comes_behind_its_end() {
    let event = |from, to| live(from, to).replace("VERSION:6\n", "VERSION:6\n#EXT-X-PLAYLIST-TYPE:EVENT\n");
    assert_eq!(follow(&[&event(0, 4), &event(0, 5)]), [""; 0]);
    assert_eq!(follow(&[&event(0, 4), &event(1, 5)]), ["6.2.1"]);
    let ended = |from, to| format!("{}#EXT-X-ENDLIST\n", live(from, to));
    assert_eq!(follow(&[&ended(0, 4), &ended(0, 5)]), ["6.2.1"]);
    assert_eq!(follow(&[&ended(0, 4), &live(0, 4)]), ["6.2.1"]);
}
