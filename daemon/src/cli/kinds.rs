//! `sluice kinds`: what a configuration can name, from the registry.

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use sluice_core::conf::nearest;
use sluice_core::event::KINDS as KINDS_OF_EVENTS;
use sluice_core::plan::{FAILOVER, HEALTH, ON, PLUGIN};
use sluice_core::stage::{Doc, Kinds, Place};

use super::{USAGE, complain, print};

/// The width of what is printed, in characters.
const WIDTH: u16 = 110;

/// Lists every kind, or explains one: 0, or 2 where there is no such kind.
pub(super) fn kinds(kinds: &Kinds, name: Option<&str>) -> ExitCode {
    let Some(name) = name else { return print(&list(kinds), 0) };
    if name == "events" {
        return print(&events(), 0);
    }
    let found: Vec<_> = docs(kinds).filter(|(_, doc)| doc.name == name).collect();
    if found.is_empty() {
        let help = match nearest(name, docs(kinds).map(|(_, doc)| doc.name)) {
            Some(near) => format!("did you mean {near}?"),
            None => "sluice kinds lists them".to_owned(),
        };
        return complain(&format!("error: unknown kind {name}: {help}\n"), USAGE);
    }
    let explained: Vec<_> = found.into_iter().map(|(family, doc)| explain(family, doc, kinds)).collect();
    print(&explained.join("\n"), 0)
}

/// Every kind, and the nodes that are none.
fn docs(kinds: &Kinds) -> impl Iterator<Item = (&'static str, &'static Doc)> {
    kinds.docs().chain([&FAILOVER, &HEALTH, &ON, &PLUGIN].map(|doc| ("node", doc)))
}

fn list(kinds: &Kinds) -> String {
    let mut table = table();
    for (family, doc) in docs(kinds) {
        table.add_row([family, doc.name, doc.about]);
    }
    lines(&mut table)
}

/// Every kind of event, for the patterns of `on`.
fn events() -> String {
    let mut table = table();
    for kind in KINDS_OF_EVENTS {
        table.add_row([kind.name, kind.about]);
    }
    lines(&mut table)
}

fn explain(family: &str, doc: &Doc, kinds: &Kinds) -> String {
    let mut text = format!("{family} {}\n{}\n\n", doc.name, doc.about);
    let mut entries = table();
    for entry in doc.entries {
        let default = match entry.default {
            "" => "required".to_owned(),
            default => format!("default: {default}"),
        };
        entries.add_row([format!("  {}", entry.form), entry.about.to_owned(), default]);
    }
    text.push_str(&lines(&mut entries));
    text.push_str(&flow(family, doc, kinds));
    let example = doc.example.lines().map(|line| format!("  {line}\n"));
    text.push_str("\nExample:\n");
    text.extend(example);
    text
}

/// What a stage takes and gives, or what a layer means where.
fn flow(family: &str, doc: &Doc, kinds: &Kinds) -> String {
    let source = kinds.sources.iter().find(|kind| family == "source" && kind.doc.name == doc.name);
    let buffer = kinds.buffers.iter().find(|kind| family == "buffer" && kind.doc.name == doc.name);
    let sink = kinds.sinks.iter().find(|kind| family == "sink" && kind.doc.name == doc.name);
    let layer = kinds.layers.iter().find(|kind| family == "layer" && kind.doc.name == doc.name);
    let gives = source.map(|kind| format!("\nGives {}.\n", kind.gives.word()));
    let holds = buffer.map(|kind| format!("\nTakes and gives {}.\n", kind.holds.word()));
    let takes = sink.map(|kind| format!("\nTakes {}.\n", kind.takes.word()));
    let means = layer.map(|kind| {
        let places = [
            ("source", Place::Source),
            ("memory buffer", Place::MemoryBuffer),
            ("sink that serves", Place::Sink),
            ("sink that pushes", Place::PushingSink),
        ];
        let mut meanings = table();
        for (word, place) in places {
            let meaning = match (kind.meaning)(place) {
                Ok(meaning) => meaning.to_owned(),
                Err(reason) => format!("no effect: {reason}"),
            };
            meanings.add_row([format!("  on a {word}"), meaning]);
        }
        format!("\n{}", lines(&mut meanings))
    });
    [gives, holds, takes, means].into_iter().flatten().collect()
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}

fn lines(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    #[test]
    fn every_kind_holds_what_its_documentation_says() {
        let wrong = sluice_core::plan::compliance(&KINDS);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_kind_of_event_is_listed() {
        let text = events();
        assert!(
            KINDS_OF_EVENTS.iter().all(|kind| text.lines().any(|line| line.starts_with(kind.name))),
            "{text}"
        );
    }

    #[test]
    fn a_node_that_is_no_kind_is_explained_too() {
        let text = explain("node", &FAILOVER, &KINDS);
        assert!(
            text.contains("stall=") && text.contains("default: auto") && text.contains("Example:"),
            "{text}"
        );
    }

    #[test]
    fn a_kind_is_explained_with_its_entries_and_an_example() {
        let (family, doc) = KINDS.docs().next().unwrap();
        let text = explain(family, doc, &KINDS);
        assert!(
            text.contains(doc.about) && text.contains("Gives live media.") && text.contains("Example:"),
            "{text}"
        );
        let listed = list(&KINDS);
        for (family, doc) in docs(&KINDS) {
            let is_it = |line: &str| line.split_whitespace().take(2).eq([family, doc.name]);
            assert!(listed.lines().any(is_it), "{family} {} is not in {listed}", doc.name);
        }
    }
}
