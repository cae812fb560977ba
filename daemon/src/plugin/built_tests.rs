//! Plugins that were built elsewhere: with the first version of the contract, by other languages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sluice_core::health::{Observation, Sample};

use super::testing::{Bench, event};

const GRANTED: &str = "kv \"64KiB\"; deadline \"5s\"";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(repository().join("tests/fixtures/since-0.1.0").join(name)).unwrap()
}

/// An example of the SDK, as `sluice plugin build` makes it.
fn javascript(kind: &str) -> Vec<u8> {
    let example = repository().join("plugin-sdk/examples/js").join(kind);
    for arguments in [&["install", "--no-audit", "--no-fund"][..], &["run", "build", "--silent"]] {
        let output = Command::new("npm").args(arguments).current_dir(&example).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::read(example.join("build/plugin.wasm")).unwrap()
}

/// A stream of four segments, of which so many stalled, and as many are missing.
fn troubled(troubles: usize) -> Arc<Sample> {
    let segment = |place: usize| Observation {
        duration: Duration::from_secs(4),
        stalls: u32::from(place < troubles),
        gap: place < troubles,
        ..Observation::default()
    };
    Arc::new(Sample { observations: (0..4).map(segment).collect(), ..Sample::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_the_first_version_of_the_contract_go_on_working() {
    let bench = Bench::empty(GRANTED, "price=10", "{ greeting \"Ah\" }");
    bench.take_up("tried-scorer", fixture("scorer.wasm")).await;
    bench.take_up("tried-handler", fixture("handler.wasm")).await;
    let verdict = bench.scorer().score(troubled(2)).await.unwrap();
    assert_eq!((verdict.score, &*verdict.words), (80, "2 stalls in 4 segments"));
    for _ in 0..2 {
        bench.handle().await.unwrap();
    }
    let lines = bench.lines();
    assert!(lines[1].contains("Ah: stream.stalled of news, number 2"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_in_javascript_score_and_handle() {
    let bench = Bench::empty(GRANTED, "price=10.0", "{ greeting \"Ah\" }");
    bench.take_up("tried-scorer", javascript("scorer")).await;
    bench.take_up("tried-handler", javascript("handler")).await;
    assert_eq!((bench.refusal("tried-scorer"), bench.refusal("tried-handler")), (None, None));
    let verdict = bench.scorer().score(troubled(1)).await.unwrap();
    assert_eq!((verdict.score, &*verdict.words), (90, "1 of 4 segments are missing"));
    for _ in 0..2 {
        bench.handler().handle(event()).await.unwrap();
    }
    let lines = bench.lines();
    assert!(lines[1].contains("Ah: stream.stalled of news, number 2"), "{lines:?}");
}
