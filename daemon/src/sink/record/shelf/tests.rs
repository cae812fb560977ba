//! A directory of recordings over its life.

use super::*;

const ROLL: Duration = Duration::from_secs(10);

fn write(id: u64, era: u64) -> Write {
    Write {
        id,
        track: String::new(),
        marks: vec![("main".into(), Mark { epoch: "e".into(), sequence: 0, parts: 0 })],
        era,
        keyframe: true,
        begins: true,
        date: None,
        came: Timestamp::now(),
        extension: "ts",
        init: None,
        chunks: vec![Bytes::from_static(&[7; 188])],
        duration: Duration::from_secs(4),
        multivariant: None,
    }
}

/// The sizes of the finished files in whole writes, and the discontinuities in the playlist.
fn listed(dir: &Path) -> (Vec<u64>, usize) {
    let text = std::fs::read_to_string(dir.join("index.m3u8")).unwrap();
    assert_eq!(sluice_conformance::check(&text), [], "{text}");
    let files = text.lines().filter(|line| !line.starts_with('#'));
    let sizes = files.map(|file| std::fs::metadata(dir.join(file)).unwrap().len() / 188);
    (sizes.collect(), text.matches("#EXT-X-DISCONTINUITY\n").count())
}

#[test]
fn a_file_rolls_at_the_keyframe_after_its_time_and_at_each_break_of_the_time_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path()).unwrap();
    for (id, (era, keyframe)) in
        (0..).zip([(5, true), (5, true), (5, true), (5, false), (5, true), (5, true), (7, true)])
    {
        shelf.write(&Write { keyframe, ..write(id, era) }, ROLL).unwrap();
    }
    shelf.finish_all().unwrap();
    assert_eq!(listed(dir.path()), (vec![4, 2, 1], 2));
}

#[test]
fn what_is_being_written_is_no_finished_file_and_another_recorder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path()).unwrap();
    shelf.write(&write(0, 0), ROLL).unwrap();
    assert_eq!((shelf.entries().count(), shelf.writing().count()), (0, 1));
    assert!(!dir.path().join("index.m3u8").exists());
    assert!(Shelf::open(dir.path()).is_err());
}

#[test]
fn whoever_comes_after_a_crash_finishes_the_file_and_goes_on_behind_a_discontinuity() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let mut shelf = Shelf::open(dir.path()).unwrap();
        shelf.write(&write(run, 0), ROLL).unwrap();
        shelf.write(&write(run, 0), ROLL).unwrap();
        std::mem::forget(shelf.tracks); // as after SIGKILL: nothing is finished
    }
    drop(Shelf::open(dir.path()).unwrap());
    assert_eq!(listed(dir.path()), (vec![2, 2, 2], 2));
    let left = std::fs::read_dir(dir.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().is_some_and(|name| name.ends_with(".part") || name.ends_with(".log"))
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn the_oldest_go_first_and_nothing_goes_that_is_being_written_or_somebody_elses() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("holiday.ts"), [0; 100_000]).unwrap();
    let mut shelf = Shelf::open(dir.path()).unwrap();
    for era in 0..4 {
        shelf.write(&write(era, era), ROLL).unwrap();
    }
    shelf.prune(None, Some(3 * 188)).unwrap();
    assert_eq!(shelf.entries().count(), 2, "two finished ones and the one that is written");
    shelf.prune(None, Some(1)).unwrap();
    assert_eq!((shelf.entries().count(), shelf.writing().count()), (0, 1));
    shelf.finish_all().unwrap();
    let past = Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(60)).unwrap();
    shelf.prune(Some(past), None).unwrap();
    assert_eq!(listed(dir.path()).0, [1]);
    let text = std::fs::read_to_string(dir.path().join("index.m3u8")).unwrap();
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:3\n"), "{text}");
    let future = Timestamp::now().checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
    shelf.prune(Some(future), None).unwrap();
    assert_eq!(shelf.entries().count(), 0);
    assert!(dir.path().join("holiday.ts").exists());
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn starts(shelf: &Shelf) -> Vec<Timestamp> {
    shelf.entries().map(|entry| entry.start).collect()
}

#[test]
fn files_that_are_written_late_are_named_by_the_time_their_media_came() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path()).unwrap();
    for (id, era) in (0..4).zip(0..) {
        let came = at(20 * i64::try_from(era).unwrap());
        shelf.write(&Write { came, ..write(id, era) }, ROLL).unwrap();
    }
    shelf.finish_all().unwrap();
    let named: Vec<_> = shelf.entries().map(|entry| entry.name.start).collect();
    assert_eq!(named, [at(0), at(20), at(40), at(60)]);
}

#[test]
fn what_comes_at_once_is_dated_back_from_its_newest() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path()).unwrap();
    for id in 0..5 {
        // nothing is known of what follows: each seems to have begun only as long ago as it plays
        shelf.write(&Write { came: at(-4), ..write(id, 0) }, ROLL).unwrap();
    }
    for came in [0, 5, 8] {
        shelf.write(&Write { came: at(came), ..write(9, 0) }, ROLL).unwrap();
    }
    shelf.finish_all().unwrap();
    assert_eq!(starts(&shelf), [at(-20), at(-8), at(4)]);
    let text = std::fs::read_to_string(dir.path().join("index.m3u8")).unwrap();
    let known = index::read(&text);
    assert_eq!(known.values().map(|known| known.start).collect::<Vec<_>>(), starts(&shelf), "{text}");
}

#[test]
fn the_date_of_the_stream_counts_and_a_break_of_the_time_line_is_dated_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path()).unwrap();
    shelf.write(&Write { date: Some(at(1000)), came: at(0), ..write(0, 0) }, ROLL).unwrap();
    shelf.write(&Write { came: at(4), ..write(1, 0) }, ROLL).unwrap();
    shelf.write(&Write { came: at(9), ..write(2, 1) }, ROLL).unwrap();
    shelf.write(&Write { came: at(10), ..write(3, 2) }, ROLL).unwrap();
    shelf.finish_all().unwrap();
    assert_eq!(starts(&shelf), [at(1000), at(9), at(10)]);
}
