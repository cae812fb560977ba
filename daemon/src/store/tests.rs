//! What is kept, what is not, and that the file survives.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::event_log::KEPT_EVENTS;
use super::*;

fn of(plugin: &str, pipeline: Option<&str>) -> Namespace {
    Namespace { plugin: plugin.into(), pipeline: pipeline.map(Arc::from) }
}

fn entry(key: &str, value: &[u8]) -> Entry {
    Entry { key: key.to_owned(), value: value.to_vec(), keep: None }
}

fn event(id: u64, kind: &str, pipeline: Option<&str>) -> KeptEvent {
    KeptEvent {
        id,
        time: Timestamp::from_millisecond(i64::try_from(id).unwrap() * 1000).unwrap(),
        kind: kind.to_owned(),
        pipeline: pipeline.map(str::to_owned),
        cause: None,
        detail: "{}".to_owned(),
    }
}

async fn ids(store: &Store, wanted: KeptEvents) -> Vec<u64> {
    store.events(wanted).await.unwrap().iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn values_outlive_the_store_and_are_apart_by_plugin_and_pipeline() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let spaces = [of("a", None), of("a", Some("news")), of("b", Some("news"))];
    for (number, space) in spaces.iter().enumerate() {
        store.set(space, entry("key", format!("{number}").as_bytes()), 100).await.unwrap();
    }
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    for (number, space) in spaces.iter().enumerate() {
        let kept = store.get(space, "key".to_owned()).await.unwrap();
        assert_eq!(kept, Some(format!("{number}").into_bytes()), "{space:?}");
    }
    store.delete(&spaces[0], "key".to_owned()).await.unwrap();
    assert_eq!(store.get(&spaces[0], "key".to_owned()).await.unwrap(), None);
    assert!(store.get(&spaces[1], "key".to_owned()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_quota_counts_keys_and_values_over_all_pipelines_and_nothing_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (one, two) = (of("a", Some("one")), of("a", Some("two")));
    store.set(&one, entry("k", &[0; 9]), 20).await.unwrap();
    store.set(&two, entry("k", &[0; 9]), 20).await.unwrap();
    let refused = store.set(&one, entry("k", &[1; 10]), 20).await;
    assert!(matches!(refused, Err(KeyValueError::Quota(20))), "{refused:?}");
    assert_eq!(store.get(&one, "k".to_owned()).await.unwrap(), Some(vec![0; 9]), "nothing was written");
    store.set(&of("b", None), entry("k", &[0; 19]), 20).await.unwrap();
    store.set(&two, entry("k", &[0; 1]), 20).await.unwrap();
    store.set(&one, entry("k", &[1; 17]), 20).await.unwrap();
    store.delete(&one, "k".to_owned()).await.unwrap();
    let one_too_many = store.set(&one, entry("k", &[1; 18]), 20).await;
    assert!(matches!(one_too_many, Err(KeyValueError::Quota(20))), "{one_too_many:?}");
    store.set(&one, entry("k", &[1; 17]), 20).await.unwrap();
}

#[tokio::test]
async fn a_value_whose_time_is_over_is_gone_and_counts_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let space = of("a", None);
    let brief = Entry { keep: Some(Duration::ZERO), ..entry("brief", &[0; 15]) };
    store.set(&space, brief, 20).await.unwrap();
    assert_eq!(store.get(&space, "brief".to_owned()).await.unwrap(), None);
    assert_eq!(store.keys(&space, String::new()).await.unwrap(), Vec::<String>::new());
    let lasting = Entry { keep: Some(Duration::MAX), ..entry("long", &[0; 15]) };
    store.set(&space, lasting, 20).await.unwrap();
    assert_eq!(store.get(&space, "long".to_owned()).await.unwrap(), Some(vec![0; 15]));
}

#[tokio::test]
async fn keys_are_listed_by_prefix_in_order_and_odd_ones_are_just_text() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let space = of("a", Some("x"));
    for key in ["b%", "b_1", "bé", "a", "b", "B", "c"] {
        store.set(&space, entry(key, b""), 1000).await.unwrap();
    }
    store.set(&of("a", Some("y")), entry("b-elsewhere", b""), 1000).await.unwrap();
    assert_eq!(store.keys(&space, "b".to_owned()).await.unwrap(), ["b", "b%", "b_1", "bé"]);
    assert_eq!(store.keys(&space, "b%".to_owned()).await.unwrap(), ["b%"]);
    assert_eq!(store.keys(&space, String::new()).await.unwrap().len(), 7);
}

#[tokio::test]
async fn events_are_found_by_kind_pipeline_time_and_id_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let events = vec![
        event(1, "stream.started", Some("news")),
        event(2, "stream.stalled", Some("news")),
        event(3, "stream.started", Some("sport")),
        event(4, "config.reloaded", None),
    ];
    store.append(events.clone()).await.unwrap();
    assert_eq!(
        store.events(KeptEvents::default()).await.unwrap()[3],
        events[0],
        "nothing is lost on the way"
    );
    let kinds = |kinds: &[&str]| KeptEvents {
        kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
        ..KeptEvents::default()
    };
    let at = |seconds: i64| Some(Timestamp::from_second(seconds).unwrap());
    for (wanted, expected) in [
        (KeptEvents::default(), vec![4, 3, 2, 1]),
        (KeptEvents { limit: 2, ..KeptEvents::default() }, vec![4, 3]),
        (KeptEvents { limit: 2, before: Some(3), ..KeptEvents::default() }, vec![2, 1]),
        (KeptEvents { after: Some(2), ..KeptEvents::default() }, vec![4, 3]),
        (KeptEvents { pipeline: Some("news".to_owned()), ..KeptEvents::default() }, vec![2, 1]),
        (KeptEvents { since: at(2), until: at(4), ..KeptEvents::default() }, vec![3, 2]),
        (kinds(&["stream.*"]), vec![3, 2, 1]),
        (kinds(&["stream.stalled", "config.*"]), vec![4, 2]),
        (kinds(&["stream.s?arted", "[a-z]*"]), vec![]),
    ] {
        assert_eq!(ids(&store, wanted.clone()).await, expected, "{wanted:?}");
    }
}

#[tokio::test]
async fn the_newest_events_are_kept_and_their_ids_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.last_event(), 0);
    let last = KEPT_EVENTS * 2;
    for first in (1..=last).step_by(1000) {
        store.append((first..first + 1000).map(|id| event(id, "x", None)).collect()).await.unwrap();
    }
    let kept = ids(&store, KeptEvents::default()).await;
    assert!((10_000..=10_500).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept[0], last);
    drop(store);
    assert_eq!(Store::open(dir.path()).unwrap().last_event(), last);
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_a_new_one_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sluice.db");
    let space = of("a", None);
    let spoil: [fn(Vec<u8>) -> Vec<u8>; 3] = [
        |_| b"this is no database, and long enough to be looked at".to_vec(),
        |mut sound| {
            sound.truncate(sound.len() / 2);
            sound
        },
        |mut sound| {
            sound.get_mut(4096..).unwrap().fill(0xff);
            sound
        },
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let store = Store::open(dir.path()).unwrap();
        store.set(&space, entry("key", &[7; 9000]), 10_000).await.unwrap();
        drop(store);
        let sound = std::fs::read(&path).unwrap();
        std::fs::write(&path, spoil(sound)).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.get(&space, "key".to_owned()).await.unwrap(), None);
        store.set(&space, entry("key", b"new"), 100).await.unwrap();
        drop(store);
        let aside = std::fs::read_dir(dir.path()).unwrap().filter_map(Result::ok);
        let aside = aside.filter(|entry| entry.file_name().to_string_lossy().contains(".db.damaged-2"));
        assert_eq!(aside.count(), number + 1);
    }
}

#[tokio::test]
async fn where_no_file_can_be_opened_the_store_works_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sluice.db")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.set(&of("a", None), entry("key", b"kept"), 100).await.unwrap();
    assert_eq!(store.get(&of("a", None), "key".to_owned()).await.unwrap(), Some(b"kept".to_vec()));
}

/// Runs as a child of the test below, which ends it.
#[tokio::test]
async fn child_that_writes_without_end() {
    let Some(dir) = std::env::var_os("SLUICE_TEST_STORE") else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    for id in store.last_event() + 1.. {
        store.append(vec![event(id, "x", None)]).await.unwrap();
        let value = id.to_string().repeat(500).into_bytes();
        store.set(&of("a", None), entry(&format!("key-{}", id % 50), &value), 1 << 20).await.unwrap();
    }
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_a_store_that_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for _ in 0..5 {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::child_that_writes_without_end"])
            .env("SLUICE_TEST_STORE", dir.path())
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let grown = || dir.path().join("sluice.db-wal").metadata().is_ok_and(|log| log.len() > 200_000);
        let waiting = async {
            while !grown() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
        child.kill().await.unwrap(); // SIGKILL
        let store = Store::open(dir.path()).unwrap();
        let last = store.last_event();
        assert!(last > before, "{last}");
        let kept = ids(&store, KeptEvents::default()).await;
        assert_eq!(kept.len() as u64, last, "no hole");
        let keys = store.keys(&of("a", None), "key-".to_owned()).await.unwrap();
        let mut bytes = 0;
        for key in keys {
            bytes += key.len() + store.get(&of("a", None), key).await.unwrap().unwrap().len();
        }
        let counted = store.read(|connection| key_value::used(connection, "a")).await.unwrap();
        assert_eq!(counted, bytes as u64);
        before = last;
    }
    let damaged = std::fs::read_dir(dir.path()).unwrap().filter_map(Result::ok);
    assert_eq!(damaged.filter(|file| file.file_name().to_string_lossy().contains("damaged")).count(), 0);
}
