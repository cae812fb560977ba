//! What the documents show works: every block of KDL in them is a configuration without problems.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::players::repository;
use super::setup;

/// Every document, as paths.
fn documents() -> Vec<PathBuf> {
    let root = repository();
    let mut found = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    let mut directories = vec![root.join("docs")];
    while let Some(directory) = directories.pop().filter(|directory| directory.is_dir()) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|kind| kind == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The blocks of KDL in a document, each with its line.
fn blocks(document: &Path) -> Vec<(usize, String)> {
    let text =
        std::fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.trim()) {
            (None, "```kdl") => open = Some((at + 1, String::new())),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, block)), _) => block.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    blocks
}

#[tokio::test]
async fn every_block_of_kdl_in_the_documents_passes_check() {
    let mut count = 0;
    for document in documents() {
        for (line, block) in blocks(&document) {
            count += 1;
            let setup = setup().file("block.kdl", &block);
            let output = setup.output(&["check", "conf.d", "--format", "json"]).await;
            let said: Value = serde_json::from_slice(&output.stdout).unwrap();
            let missing = said["missing"].as_array().unwrap().iter();
            // the plugins that ship are built apart
            let is_wrong = |problem: &&Value| {
                problem["severity"] == "error"
                    && !problem["message"].as_str().unwrap().starts_with("there is no plugin")
            };
            let wrong: Vec<&Value> =
                said["problems"].as_array().unwrap().iter().filter(is_wrong).chain(missing).collect();
            assert!(wrong.is_empty(), "{}:{line}\n{block}\n{wrong:#?}", document.display());
        }
    }
    assert!(count > 0, "the documents show no configuration");
}

#[tokio::test]
async fn the_example_of_every_kind_passes_check() {
    let setup = setup();
    let output = setup.output(&["kinds"]).await;
    assert!(output.status.success());
    let kinds = String::from_utf8(output.stdout).unwrap();
    for kind in
        ["hls", "file", "memory", "rate-limit", "concurrency", "timeout", "retry", "cache", "circuit-breaker"]
    {
        assert!(kinds.contains(kind), "{kind} is missing in {kinds}");
        let output = setup.output(&["kinds", kind]).await;
        assert!(output.status.success() && !output.stdout.is_empty(), "{kind}");
    }
}
