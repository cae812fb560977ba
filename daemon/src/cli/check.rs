//! `sluice check`: every problem of a configuration, and the files that it needs and that are missing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use kdl::{KdlDocument, KdlEntry};
use serde::Serialize;
use sluice_core::conf::{Code, File, Place, Problem, Problems, Severity};
use sluice_core::plan::{Needed, Settled, Thing, needed};

use super::{CONFIGURATION, Format, complain, print, read, render};
use crate::files::SystemLookup;
use crate::kinds::KINDS;

/// Checks and prints: 0 without errors, else 78.
pub(super) fn check(dir: &Path, format: Format) -> ExitCode {
    let (files, settled) = match read(dir) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let mut missing = missing(&files);
    missing.extend(nothing_to_read(dir, &settled));
    let good = !settled.problems.are_fatal() && missing.is_empty();
    let code = if good { 0 } else { CONFIGURATION };
    match format {
        Format::Json => print(&json(&settled, &missing, good), code),
        Format::Text => {
            let mut text = render::problems(&settled.problems);
            let (placed, others): (Vec<_>, Vec<_>) =
                missing.iter().partition(|missing| missing.place.is_some());
            text += &render::problems(&Problems::from(
                placed.into_iter().filter_map(Missing::problem).collect::<Vec<_>>(),
            ));
            text.extend(others.iter().map(|missing| format!("error: {missing}\n")));
            if good && text.is_empty() {
                return print(&summary(dir, &settled), 0);
            }
            complain(&format!("{text}{}", count(&settled, &missing)), code)
        }
    }
}

/// A file that the plan needs.
#[derive(Debug, Serialize)]
struct Missing {
    /// What it is: `certificate`.
    what: &'static str,
    path: String,
    /// Who needs it: the server or a pipeline.
    needed_by: String,
    /// Where it is named, unless a template puts the name together.
    #[serde(skip)]
    place: Option<Place>,
}

impl Missing {
    fn problem(&self) -> Option<Problem> {
        Some(Problem::new(Code::Missing, self.place.clone()?, self.to_string()))
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} {} of {} is missing", self.what, self.path, self.needed_by)
    }
}

/// What is not there of what all files need, those with problems too.
fn missing(files: &[(String, String)]) -> Vec<Missing> {
    let needed = needed(files, &KINDS, &SystemLookup);
    let missing = needed.into_iter().filter_map(|Needed { by: needed_by, what }| {
        let (what, path) = match what {
            Thing::File(path, what) if !path.is_file() => (what, path.display().to_string()),
            Thing::Program(name) if !is_program(&name) => ("program", name),
            _ => return None,
        };
        Some(Missing { what, needed_by, place: place_of(files, &path), path })
    });
    missing.collect()
}

/// Where a file names something: its first entry with just this text.
fn place_of(files: &[(String, String)], wanted: &str) -> Option<Place> {
    files.iter().find_map(|(name, text)| {
        let document = KdlDocument::parse_v2(text).ok()?;
        let span = entry_of(&document, wanted)?.span();
        let (start, end) = (span.offset(), span.offset() + span.len());
        let blank = text.get(start..end).map_or(0, |entry| entry.len() - entry.trim_start().len());
        let file = File { name: name.as_str().into(), text: text.as_str().into() };
        Some(Place::new(Arc::new(file), start + blank..end, "not there"))
    })
}

fn entry_of<'d>(document: &'d KdlDocument, wanted: &str) -> Option<&'d KdlEntry> {
    document.nodes().iter().find_map(|node| {
        let named = node.entries().iter().find(|entry| entry.value().as_string() == Some(wanted));
        named.or_else(|| entry_of(node.children()?, wanted))
    })
}

/// Whether a path, or a name in `PATH`, is a file that may be run.
fn is_program(name: &str) -> bool {
    let may_run = |path: &Path| {
        let permissions = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        permissions.is_some_and(|file| file.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return may_run(Path::new(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| may_run(&directory.join(name)))
}

/// A directory without a file is most often another one than was meant.
fn nothing_to_read(dir: &Path, settled: &Settled) -> Option<Missing> {
    let empty = settled.good.files.is_empty() && settled.held_back.is_empty();
    let path = dir.join("*.kdl").display().to_string();
    empty.then(|| Missing { what: "file", path, needed_by: "the configuration".to_owned(), place: None })
}

fn summary(dir: &Path, settled: &Settled) -> String {
    let plan = &settled.good.plan;
    let (files, all, enabled) = (settled.good.files.len(), plan.pipelines.len(), plan.enabled().count());
    let disabled = if enabled < all { format!(" ({} disabled)", all - enabled) } else { String::new() };
    format!(
        "{}: {}, {}{disabled}, no problems\n",
        dir.display(),
        number(files, "file"),
        number(all, "pipeline")
    )
}

fn count(settled: &Settled, missing: &[Missing]) -> String {
    let errors = settled.problems.errors().count() + missing.len();
    let warnings = settled.problems.iter().count() + missing.len() - errors;
    format!("{}, {}\n", number(errors, "error"), number(warnings, "warning"))
}

fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    files: usize,
    pipelines: usize,
    problems: Vec<Shown<'a>>,
    missing: Vec<ShownMissing<'a>>,
}

#[derive(Serialize)]
struct ShownMissing<'a> {
    #[serde(flatten)]
    missing: &'a Missing,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Marked<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    #[serde(flatten)]
    place: Marked<'a>,
    help: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Marked<'a>>,
}

/// A marked stretch: lines and columns from 1, the end after the last character.
#[derive(Serialize)]
struct Marked<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    label: &'a str,
}

fn json(settled: &Settled, missing: &[Missing], ok: bool) -> String {
    let checked = Checked {
        ok,
        files: settled.good.files.len() + settled.held_back.len(),
        pipelines: settled.good.plan.pipelines.len(),
        problems: settled.problems.iter().map(shown).collect(),
        missing: missing
            .iter()
            .map(|missing| ShownMissing { missing, place: missing.place.as_ref().map(marked) })
            .collect(),
    };
    let value = serde_json::to_value(checked).unwrap_or_default();
    format!("{value:#}\n")
}

fn shown(problem: &Problem) -> Shown<'_> {
    Shown {
        severity: if problem.severity == Severity::Error { "error" } else { "warning" },
        code: problem.code.word(),
        message: &problem.message,
        place: marked(&problem.place),
        help: &problem.help,
        other: problem.other.as_ref().map(marked),
    }
}

fn marked(place: &Place) -> Marked<'_> {
    let (start, end) = (place.start(), place.end());
    Marked {
        file: &place.file.name,
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        label: &place.label,
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::conf::NoSecrets;
    use sluice_core::plan::{Good, settle};

    use super::*;

    fn file(text: &str) -> [(String, String); 1] {
        [("a.kdl".to_owned(), text.to_owned())]
    }

    fn settled(text: &str) -> Settled {
        settle(&file(text), &Good::default(), &KINDS, &NoSecrets)
    }

    fn missing_words(text: &str) -> Vec<String> {
        missing(&file(text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_json_names_place_end_help_and_code_of_a_problem() {
        let settled = settled("server {\n    drian \"5s\"\n}\n");
        let value: serde_json::Value = serde_json::from_str(&json(&settled, &[], false)).unwrap();
        let expected = serde_json::json!({
            "severity": "error", "code": "unknown", "message": "unknown node `drian` in `server`",
            "file": "a.kdl", "line": 2, "column": 5, "end_line": 2, "end_column": 10,
            "label": "unknown", "help": "did you mean `drain`?"
        });
        assert_eq!(value["problems"][0], expected);
        assert_eq!((&value["ok"], &value["files"]), (&false.into(), &1.into()));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let text = |program: &str| {
            format!(
                "pipeline \"a\" {{\n    source \"exec\" \"{program}\"\n    sink \"hls\" path=\"/a\"\n}}\n"
            )
        };
        for program in ["no-such-program-7", "/nowhere/ffmpeg", "/etc/passwd"] {
            assert_eq!(
                missing_words(&text(program)),
                [format!("the program {program} of pipeline `a` is missing")]
            );
        }
        for program in ["sh", "/bin/sh"] {
            assert!(missing_words(&text(program)).is_empty());
        }
    }

    #[test]
    fn what_is_missing_is_shown_where_it_is_named() {
        let text = "pipeline \"a\" {\n    source \"exec\" \"no-such-program-7\" \"-i\"\n    sink \"hls\" path=\"/a\"\n}\n";
        let (settled, missing) = (settled(text), missing(&file(text)));
        let place = missing[0].problem().unwrap().place;
        assert_eq!(place.to_string(), "a.kdl:2:19");
        assert_eq!(place.file.text.get(place.span.clone()), Some("\"no-such-program-7\""));
        let value: serde_json::Value = serde_json::from_str(&json(&settled, &missing, false)).unwrap();
        let shown = &value["missing"][0];
        assert_eq!((&shown["what"], &shown["place"]["line"]), (&"program".into(), &2.into()), "{value}");
    }

    #[test]
    fn a_directory_without_a_file_is_named() {
        let empty = settle(&[], &Good::default(), &KINDS, &NoSecrets);
        let missing = nothing_to_read(Path::new("/etc/sluice"), &empty).unwrap();
        assert_eq!(missing.to_string(), "the file /etc/sluice/*.kdl of the configuration is missing");
        for text in ["", "nonsense"] {
            assert!(nothing_to_read(Path::new("/etc/sluice"), &settled(text)).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_there_is_named() {
        assert_eq!(
            missing_words("server { tls cert=\"/nowhere/cert.pem\" key=\"/nowhere/key.pem\"; }"),
            [
                "the certificate /nowhere/cert.pem of the server is missing",
                "the private key /nowhere/key.pem of the server is missing",
            ]
        );
    }

    #[test]
    fn what_is_missing_is_named_beside_every_other_problem() {
        let text = "server {\n    drian \"5s\"\n    tls cert=\"/nowhere/cert.pem\" key=\"/etc/passwd\"\n}
pipeline \"a\" {\n    source \"file\" \"/nowhere/slate.ts\" lop=#true\n    source \"nonsense\"\n}
pipeline \"B!\" {\n    source \"exec\" \"/nowhere/ffmpeg\"\n    sink \"hls\"\n}
pipeline \"off\" enabled=#false {\n    source \"file\" \"/nowhere/else.ts\"\n    sink \"hls\" path=\"/off\"\n}\n";
        assert!(settled(text).problems.errors().count() >= 5);
        let expected = [
            "the certificate /nowhere/cert.pem of the server is missing",
            "the transport stream /nowhere/slate.ts of pipeline `a` is missing",
            "the program /nowhere/ffmpeg of pipeline `B!` is missing",
        ];
        assert_eq!(missing_words(text), expected);
    }
}
