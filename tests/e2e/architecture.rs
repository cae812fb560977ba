//! Dependencies point one way. Read from the sources, so that a `use` against it fails here.

use std::collections::BTreeSet;
use std::path::Path;

use super::players::repository;

/// The modules of the domain by rank: a module names those of its own rank and below.
const CORE: &[&[&str]] = &[
    &["media", "conf", "fault", "metrics"],
    &["stage", "middleware", "buffer", "event", "port", "monitor", "health", "plugin"],
    &["plan", "pipeline"],
];

/// Files that stand above their module: a spec builds itself, so it names what it is built into.
/// A retry on a sink waits for its pipeline's state.
const ABOVE: &[&str] = &["stage/spec.rs", "stage/mod.rs", "middleware/retry.rs"];

/// The modules of the daemon by rank: adapters, the table of them, what drives them, what puts all together.
const DAEMON: &[&[&str]] = &[
    &[
        "buffer",
        "child",
        "client",
        "edge",
        "files",
        "ledger",
        "sink",
        "source",
        "state_dir",
        "store",
        "telemetry",
        "watch",
    ],
    &["kinds", "plugin"],
    &["api", "reload", "service"],
    &["app", "cli", "main"],
];

/// A module named in a file of another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    file: String,
    module: String,
    named: String,
}

#[test]
fn modules_of_the_domain_name_only_what_stands_below_them() {
    let mut wrong = edges(&repository().join("daemon/core/src"));
    wrong.retain(|edge| {
        let own = if ABOVE.contains(&&*edge.file) { CORE.len() } else { rank(CORE, &edge.module) };
        rank(CORE, &edge.named) > own
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn adapters_know_neither_each_other_nor_what_puts_them_together() {
    let mut wrong = edges(&repository().join("daemon/src"));
    wrong.retain(|edge| {
        let (own, named) = (rank(DAEMON, &edge.module), rank(DAEMON, &edge.named));
        named > own || (named == own && own == 0)
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_domain_opens_no_socket_file_or_process() {
    let root = repository().join("daemon/core");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
    for banned in ["hyper", "axum", "tower-http", "rustls", "notify", "nix", "socket2", "tempfile"] {
        let named = dependencies.lines().any(|line| line.starts_with(banned));
        assert!(!named, "the domain depends on {banned}");
    }
    for (file, text) in sources(&root.join("src")) {
        for banned in ["std::fs", "tokio::fs", "net::Tcp", "tokio::net", "std::process", "tokio::process"] {
            assert!(!text.contains(banned), "{file} names {banned}");
        }
    }
}

#[test]
fn a_use_is_read_in_every_form() {
    let text = "use crate::{media::Segment, conf};\nuse super::super::plan::Plan;\nfn x() -> crate::port::Ledger {}\n";
    let named = |file: &str| names(file, text).into_iter().collect::<Vec<_>>();
    assert_eq!(named("stage/deep/file.rs"), ["conf", "media", "port"]);
    assert_eq!(named("stage/file.rs"), ["conf", "media", "plan", "port"]);
}

/// The rank of a module.
fn rank(ranks: &[&[&str]], module: &str) -> usize {
    let found = ranks.iter().position(|modules| modules.contains(&module));
    found.unwrap_or_else(|| panic!("the module {module} has no rank: give it one"))
}

/// Every name of one module in another.
fn edges(root: &Path) -> Vec<Edge> {
    let sources = sources(root);
    let module = |file: &str| file.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    let modules: BTreeSet<String> = sources.iter().map(|(file, _)| module(file)).collect();
    let mut edges = Vec::new();
    for (file, text) in &sources {
        let own = module(file);
        let named = names(file, text).into_iter().filter(|named| *named != own && modules.contains(named));
        edges.extend(named.map(|named| Edge { file: file.clone(), module: own.clone(), named }));
    }
    edges.retain(|edge| edge.module != "lib");
    edges
}

/// The top modules that a file names, by `crate::` or by enough `super::`.
fn names(file: &str, text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let depth = file.split('/').count() - usize::from(file.ends_with("mod.rs"));
    let to_the_root = "super::".repeat(depth);
    let mut names = BTreeSet::new();
    for prefix in ["crate::", &to_the_root] {
        for (at, _) in text.match_indices(prefix) {
            let (before, rest) = text.split_at(at);
            let before = before.chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || before == ':' || before == '_') {
                continue;
            }
            names.extend(rest.strip_prefix(prefix).map(heads).unwrap_or_default());
        }
    }
    names
}

/// The first name of a path, or those of a list in braces.
fn heads(path: &str) -> Vec<String> {
    let Some(list) = path.strip_prefix('{') else { return vec![head(path)] };
    let (mut entries, mut nested) = (vec![String::new()], 0);
    for character in list.chars() {
        match character {
            '{' => nested += 1,
            '}' if nested == 0 => break,
            '}' => nested -= 1,
            ',' if nested == 0 => entries.push(String::new()),
            _ => {}
        }
        if let (0, Some(entry)) = (nested, entries.last_mut()) {
            entry.push(character);
        }
    }
    entries.iter().map(|entry| head(entry)).filter(|head| !head.is_empty()).collect()
}

/// The first name in a text.
fn head(text: &str) -> String {
    let text = text.trim_start_matches(|character: char| character.is_whitespace() || character == ',');
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// The files that only tests are made of, as declared in `file`.
fn modules_for_tests(file: &str, text: &str) -> Vec<String> {
    let directory = file.trim_end_matches("mod.rs").trim_end_matches("lib.rs").trim_end_matches(".rs");
    let directory = directory.trim_end_matches('/');
    let declared = text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let line = rest.lines().next()?;
        line.trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(|name| format!("{directory}/{name}.rs").trim_start_matches('/').to_owned()).collect()
}

/// Every source file below `root` with its text, without tests.
fn sources(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let file = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                directories.push(path);
            } else if file.ends_with(".rs") && !file.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((file, text));
            }
        }
    }
    let for_tests: Vec<String> =
        found.iter().flat_map(|(file, text)| modules_for_tests(file, text)).collect();
    found.retain(|(file, _)| !for_tests.contains(file));
    found.sort();
    found
}
