//! What authors and operators are told before a plugin runs.

use std::time::Duration;

use super::testing::{GRANTED, component, plan};
use super::{Trial, check, inspect, try_out};

/// What `sluice check` says of the uses of a plan, with their places.
async fn checked(scores: &str, handles: &str, scorer: Option<&str>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("tried-handler.wasm", component("handler"));
    if let Some(feature) = scorer {
        write("tried-scorer.wasm", component(feature));
    }
    let mut plan = plan(GRANTED, scores, handles);
    plan.server.plugins = dir.path().to_owned();
    check(&plan).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong_between_a_configuration_and_its_plugins() {
    assert_eq!(checked("score=5", "", Some("scorer")).await, [""; 0]);
    for (scores, scorer, sentence) in [
        ("", None, "there is no plugin `tried-scorer`"),
        ("", Some("handler"), "the plugin `tried-scorer` is a handler, and a scorer is wanted here"),
        ("scor=5", Some("scorer"), "the plugin `tried-scorer` has no key `scor`"),
        ("score=#true", Some("scorer"), "`score` of the plugin `tried-scorer` must be a whole number"),
        (
            "mode=\"init\"",
            Some("scorer"),
            "the plugin `tried-scorer` refuses its settings: this is not to my liking",
        ),
    ] {
        let said = checked(scores, "", scorer).await;
        assert!(said.len() == 1 && said[0].starts_with("a.kdl:7:") && said[0].contains(sentence), "{said:?}");
    }
    let said = checked("", "mode=\"init\"", Some("scorer")).await;
    assert!(said.len() == 1 && said[0].starts_with("a.kdl:3:"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_sees_what_a_file_is_and_what_it_gives() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tried.wasm");
    std::fs::write(&file, component("scorer")).unwrap();
    let inspected = inspect(&file).await.unwrap();
    assert_eq!((&*inspected.name, inspected.kind, inspected.description.keys.len()), ("tried", "scorer", 4));
    assert_eq!(inspected.imports, ["clock", "config", "http", "kv", "log"]);
    let tried = |input: Option<&'static str>, setting: &str| {
        let (file, settings) = (file.clone(), vec![setting.to_owned()]);
        let cache = dir.path().join("cache");
        async move {
            let (settings, cache) = (&settings[..], Some(&*cache));
            try_out(Trial { file: &file, input, settings, http: &[], cache, repeat: 3 }).await
        }
    };
    let window = Some(r#"{"pipeline": "news", "observations": [{"sequence": 1}, {"sequence": 2}]}"#);
    let given = tried(window, "score=55").await.unwrap();
    let json = given.given.unwrap();
    assert_eq!((&json["score"], &json["factors"][0]["score"]), (&55.into(), &2.0.into()), "{json}");
    assert!(given.memory_bytes > 0 && given.spent > Duration::ZERO);
    assert!(given.further.len() == 3 && given.further.is_sorted() && given.further[0] > Duration::ZERO);
    assert!(given.loading > Duration::ZERO && given.first >= given.spent);
    assert!(dir.path().join("cache").read_dir().unwrap().next().is_some(), "nothing is kept");
    let faulty = tried(window, "mode=panic").await.unwrap();
    assert!(faulty.given.unwrap_err().starts_with("trap fault: it panicked"));
    assert_eq!(faulty.lines, ["error panicked at the disco"]);
    assert!(faulty.further.is_empty(), "it is called again");
    let wrong = tried(window, "moed=panic").await.err().unwrap().to_string();
    assert!(wrong.contains("has no key `moed`: did you mean `mode`?"), "{wrong}");
}
