//! Plugins that behave, and plugins that do not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use std::time::Duration;

use sluice_core::plugin::{PluginFault, Plugins};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::fault::FaultKind;
use super::testing::{Bench, GRANTED, component, event, module, plan, sample};

#[tokio::test(flavor = "multi_thread")]
async fn a_scorer_scores_and_a_handler_handles_with_what_is_configured() {
    let bench = Bench::new(GRANTED, "mode=\"clock\" score=77", "mode=\"next\"").await;
    let verdict = bench.score().await.unwrap();
    assert_eq!((verdict.score, &*verdict.words, verdict.refresh), (77, "true true", Duration::from_secs(5)));
    assert_eq!(
        (&*verdict.factors[0].name, &*verdict.factors[0].words, verdict.factors[0].score),
        ("seen", "news", 3.0)
    );
    let reaction = bench.handle().await.unwrap();
    assert_eq!(reaction.actions, [("stream.stalled".to_owned(), Some("next".to_owned()))]);
    assert_eq!(reaction.wake_after, Some(Duration::from_millis(10)));
    assert!(bench.handler().wake().await.unwrap().actions.is_empty());
}

/// Calls a plugin in a mode, expects a fault, and that the other plugin is served at once all the while.
async fn faults(mode: &str, expected: FaultKind, words: &str) {
    let bench = Bench::new(GRANTED, &format!("mode={mode:?}"), "").await;
    let (scorer, handler) = (bench.scorer(), bench.handler());
    handler.handle(event()).await.unwrap();
    let over = AtomicBool::new(false);
    let others = async {
        let mut handled = 0;
        while !over.load(Ordering::Relaxed) {
            handler.handle(event()).await.unwrap();
            handled += 1;
        }
        handled
    };
    let bad = async {
        let outcome = scorer.score(sample(1)).await;
        over.store(true, Ordering::Relaxed);
        outcome
    };
    let (outcome, handled) = tokio::join!(bad, others);
    let fault = outcome.unwrap_err();
    let record = bench.host.inner.known("tried-scorer").unwrap();
    let last = record.state().last_fault.clone().unwrap_or_else(|| panic!("{mode}: {fault}"));
    assert_eq!(last.fault.kind, expected, "{mode}: {fault}");
    assert!(last.fault.words.contains(words), "{mode}: {}", last.fault.words);
    if expected == FaultKind::Deadline {
        assert!(handled > 0, "{mode}: the other plugin had to wait");
        assert_eq!(fault, PluginFault::Deadline);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_is_cut_at_the_deadline() {
    faults("loop", FaultKind::Deadline, "longer than its deadline of 100ms").await;
    faults("init-loop", FaultKind::Deadline, "longer than its deadline of 100ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_ends_its_own_call() {
    faults("recursion", FaultKind::Trap, "its stack is too deep").await;
    faults("panic", FaultKind::Trap, "panicked at the disco").await;
    faults("memory", FaultKind::Memory, "and 16777216 are granted").await;
    faults("init", FaultKind::Init, "not to my liking").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_make_no_sense_are_refused() {
    faults("255", FaultKind::Invalid, "over 100").await;
    faults("nan", FaultKind::Invalid, "NaN").await;
    faults("negative", FaultKind::Invalid, "-1").await;
    faults("factors", FaultKind::Invalid, "1000 factors").await;
    faults("long", FaultKind::Invalid, "what it gave cannot be taken").await;
    let bench = Bench::new(GRANTED, "mode=\"zero-refresh\"", "mode=\"actions\"").await;
    assert_eq!(bench.score().await.unwrap().refresh, Duration::from_secs(1));
    let refused = bench.handle().await.unwrap_err();
    assert_eq!(refused.to_string(), "the plugin failed: it asks for 17 actions at once, over 16");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_a_hundred() {
    let bench =
        Bench::new("deadline \"10s\"; kv \"8KiB\"; http \"http://127.0.0.1:9\"", "mode=\"logs\"", "").await;
    bench.score().await.unwrap();
    assert_eq!(bench.lines().len(), 100);
    assert_eq!(bench.lines()[3], "tried-scorer Some(\"news\") Level::Info: again number=\"3\"");
    let counted = prometheus::TextEncoder::new().encode_to_string(&bench.registry.gather()).unwrap();
    assert!(
        counted.contains("sluice_plugin_log_lines_left_out_total{plugin=\"tried-scorer\"} 9900"),
        "{counted}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_struck_from_the_log_and_from_what_a_plugin_says() {
    let bench = Bench::new(GRANTED, "mode=\"secret\" secret=\"hunter2\"", "").await;
    let refused = bench.score().await.unwrap_err();
    assert_eq!(refused, PluginFault::Refused("the secret is ***".into()));
    assert_eq!(bench.lines(), ["tried-scorer Some(\"news\") Level::Info: it is ***\\nhere "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_lasts_within_its_quota_and_calls_are_counted() {
    let bench = Bench::new(GRANTED, "mode=\"count\"", "mode=\"kv-fill\"").await;
    for count in 1..4 {
        assert_eq!(
            bench.scorer().score(sample(0)).await.unwrap().words,
            count.to_string(),
            "a new use each time"
        );
    }
    let argument = bench.handle().await.unwrap().actions[0].1.clone().unwrap();
    assert_eq!(argument, "Some(Error::Quota(8192))");
    let bench = Bench::new(GRANTED, "mode=\"kv-flood\"", "").await;
    assert!(bench.score().await.unwrap().words.contains("more than 1000 calls"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_faults_again_and_again_is_disabled_until_a_new_file_comes() {
    let bench = Bench::new(GRANTED, "mode=\"panic\"", "").await;
    let mut unavailable = String::new();
    for _ in 0..12 {
        // a use of its own each time, so that none waits
        if let Err(PluginFault::Unavailable(why)) = bench.score().await {
            unavailable = why.to_string();
        }
    }
    assert!(unavailable.starts_with("disabled after 10 faults; the last one: it panicked"), "{unavailable}");
    assert!(bench.handle().await.is_ok(), "the other plugin is not");
    let mut bytes = component("scorer");
    bytes.extend(b"\x00\x02\x01x"); // a custom section: another file that does the same
    bench.take_up("tried-scorer", bytes).await;
    assert_eq!(bench.refusal("tried-scorer"), None);
    assert!(matches!(bench.score().await, Err(PluginFault::Broken(_))), "it is called again");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fault_a_use_waits_before_it_tries_again() {
    let bench = Bench::new(GRANTED, "mode=\"panic\"", "").await;
    let scorer = bench.scorer();
    assert!(matches!(scorer.score(sample(1)).await, Err(PluginFault::Broken(_))));
    let waits = scorer.score(sample(1)).await.unwrap_err().to_string();
    assert!(waits.contains("it waits after a fault: it panicked"), "{waits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_plugin_are_refused_with_a_sentence_and_the_old_one_stays() {
    let bench = Bench::new(GRANTED, "", "").await;
    let (good, core) = (component("scorer"), module("scorer"));
    for (bytes, sentence) in [
        (vec![], "the file is empty"),
        (b"\0as".to_vec(), "the file ends too early: was it copied whole?"),
        (b"#!/bin/sh".to_vec(), "it is no WebAssembly"),
        (core, "it is a core module and no component: build it with `sluice plugin build`"),
        (good[..good.len() / 2].to_vec(), "the file ends too early: was it copied whole?"),
        (b"\0asm\x0d\0\x01\0".to_vec(), "it is a component and no plugin: it does not export `lifecycle`"),
        (component("handler"), ""),
    ] {
        bench.take_up("tried-scorer", bytes).await;
        let refusal = bench.refusal("tried-scorer");
        if sentence.is_empty() {
            assert_eq!(refusal, None, "a plugin of another kind is one, and its uses say so");
            assert!(
                bench
                    .score()
                    .await
                    .unwrap_err()
                    .to_string()
                    .contains("it is a handler, and a scorer is wanted")
            );
            continue;
        }
        assert!(
            refusal.as_deref().is_some_and(|refusal| refusal.starts_with(sentence)),
            "{sentence}: {refusal:?}"
        );
        assert_eq!(bench.score().await.unwrap().score, 90, "the old one stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_refused_with_the_node_that_grants_it() {
    let bench = Bench::new("", "", "").await;
    let refusal = bench.refusal("tried-scorer").unwrap();
    assert_eq!(
        refusal,
        "it keeps values, which is not granted: write plugin \"tried-scorer\" { kv \"1MiB\"; }"
    );
    assert!(bench.score().await.unwrap_err().to_string().contains("it keeps values, which is not granted"));
    let bench = Bench::new("kv \"1MiB\"", "", "").await;
    assert!(bench.refusal("tried-scorer").unwrap().starts_with("it sends requests, which is not granted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_taken_back_is_gone_at_once_and_can_be_given_again() {
    let bench = Bench::new(GRANTED, "", "").await;
    assert!(bench.score().await.is_ok());
    bench.host.apply(&plan("", "", ""));
    eventually(async || bench.score().await.is_err()).await;
    let fault = bench.score().await.unwrap_err().to_string();
    assert!(fault.contains("it keeps values, which is not granted"), "{fault}");
    bench.host.apply(&plan(GRANTED, "", ""));
    eventually(async || bench.score().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_the_plugin_does_not_have_are_said_at_their_place() {
    let bench = Bench::new(GRANTED, "mood=\"fine\" score=\"many\"", "").await;
    let words = bench.score().await.unwrap_err().to_string();
    assert!(
        words.contains("the plugin `tried-scorer` has no key `mood`") && words.contains("a.kdl:7:"),
        "{words}"
    );
    assert!(words.contains("`score` of the plugin `tried-scorer` must be a whole number"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_lose_no_call_and_no_state() {
    let bench = Bench::new(GRANTED, "mode=\"count\"", "").await;
    let (over, good, counted) = (AtomicBool::new(false), component("scorer"), AtomicU64::new(0));
    let scorer = bench.scorer();
    let load = async {
        while !over.load(Ordering::Relaxed) {
            let words = scorer.score(sample(1)).await.unwrap().words;
            let calls = counted.fetch_add(1, Ordering::Relaxed) + 1;
            assert_eq!(words, (calls % 256).to_string(), "call {calls}");
        }
    };
    let reloads = async {
        for number in 0..100_u8 {
            let mut bytes = good.clone();
            bytes.extend([0, 2, 1, number]);
            bench.take_up("tried-scorer", bytes).await;
            assert_eq!(bench.refusal("tried-scorer"), None);
            let before = counted.load(Ordering::Relaxed);
            eventually(|| async { counted.load(Ordering::Relaxed) > before }).await; // each is called
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, reloads);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_uses_than_places_take_turns() {
    let bench = Bench::new(GRANTED, "mode=\"count\"", "").await;
    let pipeline = bench.plan.enabled().next().unwrap();
    let scorers: Vec<_> =
        (0..300).map(|number| bench.host.scorer(&pipeline.health.run, &format!("news-{number}"))).collect();
    for round in 1..4 {
        let scored =
            futures_util::future::join_all(scorers.iter().map(|scorer| scorer.score(sample(1)))).await;
        for (number, verdict) in scored.into_iter().enumerate() {
            let record = bench.host.inner.known("tried-scorer").unwrap();
            let fault = || format!("{number}: {:?}", record.state().last_fault);
            assert_eq!(
                verdict.unwrap_or_else(|_| panic!("{}", fault())).words,
                round.to_string(),
                "{number}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_taken_up_from_the_directory_as_they_come_and_go() {
    let bench = Bench::empty(GRANTED, "", "");
    let _following = bench.host.follow();
    assert!(bench.score().await.unwrap_err().to_string().contains("there is no tried-scorer.wasm"));
    let path = bench.directory.join("tried-scorer.wasm");
    std::fs::write(&path, component("scorer")).unwrap();
    eventually(|| async { bench.score().await.is_ok_and(|verdict| verdict.score == 90) }).await;
    std::fs::write(&path, b"\0asm").unwrap();
    eventually(|| async { bench.refusal("tried-scorer").is_some() }).await;
    assert!(bench.score().await.is_ok());
    std::fs::remove_file(&path).unwrap();
    eventually(|| async { bench.score().await.is_err() }).await;
}

async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(20), "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Answers every connection with the same.
async fn server(answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let read = peer.read(&mut asked).await.unwrap_or_default();
            let body = asked[..read].split(|byte| *byte == b'\n').next_back().unwrap_or_default();
            let answer = answer.replace("BODY", &String::from_utf8_lossy(body));
            drop(peer.write_all(answer.as_bytes()).await);
        }
    }));
    port
}

/// What a request to `url` says, where `granted` is.
async fn requested(mode: &str, granted: &str, url: &str) -> String {
    let node = format!("kv \"8KiB\"; http {granted:?}");
    let bench = Bench::new(&node, &format!("mode={mode:?} url={url:?}"), "").await;
    bench.score().await.unwrap().words
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_to_granted_servers_only_also_by_redirect() {
    let echo =
        server("HTTP/1.1 201 Created\r\ncontent-length: 5\r\nconnection: close\r\n\r\nBODY".to_owned()).await;
    let own = format!("http://127.0.0.1:{echo}");
    assert_eq!(requested("post", &own, &format!("{own}/hook")).await, "201 hello");
    let other = requested("http", "http://127.0.0.1:9", &own).await;
    assert!(other.starts_with("Error::Refused(") && other.contains("not granted"), "{other}");
    let secret = "http://169.254.169.254/latest";
    let redirecting = server(format!(
        "HTTP/1.1 302 Found\r\nlocation: {secret}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
    .await;
    let redirecting = format!("http://127.0.0.1:{redirecting}");
    let led = requested("http", &redirecting, &redirecting).await;
    assert!(led.contains("169.254.169.254, which is not granted"), "{led}");
    assert!(requested("header", &own, &own).await.contains("the daemon sets this header itself"));
    assert!(requested("http", &own, "not a URL").await.starts_with("Error::Invalid"));
    assert!(requested("http", &own, "file:///etc/passwd").await.contains("not granted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_and_one_that_never_ends_cost_their_call_only() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    assert_eq!(requested("http", &silent, &silent).await, "Error::Timeout");
    let endless =
        server(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n{}", "x".repeat(1 << 21))).await;
    let endless = format!("http://127.0.0.1:{endless}");
    assert_eq!(requested("http", &endless, &endless).await, "Error::TooLarge(1048576)");
}

#[test]
fn a_plan_equals_itself_so_that_nothing_is_linked_anew_for_nothing() {
    assert_eq!(plan(GRANTED, "", "").plugins, plan(GRANTED, "", "").plugins);
}
