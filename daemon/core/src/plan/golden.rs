//! Golden diagnostics: each `golden/NAME.kdl` is read, and its problems must read as `golden/NAME.txt` does. A line
//! `//// NAME` begins a further file. With `UPDATE_GOLDEN=1` the expected texts are written anew.

use std::fmt::Write as _;
use std::path::Path;

use super::fake::{KINDS, Vault};
use super::read;
use crate::conf::{Problem, Problems, Severity};

#[test]
fn every_bad_file_is_diagnosed_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/golden");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "kdl") {
            continue;
        }
        count += 1;
        let (_, problems) = read(&split(&std::fs::read_to_string(&path).unwrap()), &KINDS, &Vault);
        let (found, expected) = (describe(&problems), path.with_extension("txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if found != expected || found.is_empty() {
            wrong.push(format!("{}: expected\n{expected}\nfound\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "only {count} bad files were found");
}

fn split(text: &str) -> Vec<(String, String)> {
    let mut files = vec![("a.kdl".to_owned(), String::new())];
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix("//// "), files.last_mut()) {
            (Some(name), _) => files.push((name.trim().to_owned(), String::new())),
            (None, Some((_, text))) => text.push_str(line),
            (None, None) => {}
        }
    }
    files
}

fn describe(problems: &Problems) -> String {
    let mut text = String::new();
    for Problem { severity, code, message, place, other, help } in problems.iter() {
        let severity = if *severity == Severity::Error { "error" } else { "warning" };
        writeln!(text, "{severity}[{}] {message}", code.word()).unwrap();
        let marked = place.file.text.get(place.span.clone()).unwrap_or("?");
        let marked: String = marked.chars().take(60).collect();
        writeln!(text, "  at {place} `{marked}` {}", place.label).unwrap();
        if let Some(other) = other {
            writeln!(text, "  and {other} {}", other.label).unwrap();
        }
        if !help.is_empty() {
            writeln!(text, "  help: {help}").unwrap();
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
