//! What every kind of a registry must hold: for the tests of whoever makes one.

use super::stage;
use crate::conf::{Code, Node, Problems, Reveal, decode, print};
use crate::stage::{Doc, Kinds};

/// Reads every documented example. Says what is wrong: an example that does not decode without a problem, a shown
/// node that does not, or an unknown property that is taken or refused without the nearest name.
pub fn compliance(kinds: &Kinds) -> Vec<String> {
    kinds.docs().flat_map(|(family, doc)| check(family, doc, kinds)).collect()
}

fn check(family: &str, doc: &Doc, kinds: &Kinds) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut fail = |what: String| wrong.push(format!("{family} `{}`: {what}", doc.name));
    let (shown, problems) = read(family, doc.example, doc, kinds);
    match shown {
        Some(shown) if problems.is_empty() => {
            let (again, problems) = read(family, &shown, doc, kinds);
            if again.as_ref() != Some(&shown) {
                fail(format!("what it shows does not read as the same: {shown} {problems:?}"));
            }
        }
        _ => fail(format!("the example has problems: {problems:?}")),
    }
    if doc.about.is_empty() || doc.entries.iter().any(|entry| entry.about.is_empty()) {
        fail("something is not documented".into());
    }
    for name in doc.names() {
        let slip = format!("{name}x");
        let text = with_property(doc.example, &slip);
        let (_, problems) = read(family, &text, doc, kinds);
        let refused = |one: &crate::conf::Problem| one.code == Code::Unknown && one.help.contains(name);
        if !problems.iter().any(refused) {
            fail(format!(
                "the property `{slip}` is not refused with `{name}` as the nearest name: {problems:?}"
            ));
        }
    }
    wrong
}

/// The example with a further property, before its children.
fn with_property(example: &str, name: &str) -> String {
    let (head, children) = match example.split_once('{') {
        Some((head, children)) => (head, format!("{{{children}")),
        None => (example, String::new()),
    };
    format!("{} {name}=1 {children}", head.trim_end())
}

/// Reads a node as what it is; gives what it shows.
fn read(family: &str, text: &str, doc: &Doc, kinds: &Kinds) -> (Option<String>, Problems) {
    let (read, problems) = decode(text, |node| decode_one(family, node, doc, kinds));
    (read.flatten(), problems)
}

fn decode_one(family: &str, node: &Node<'_>, doc: &Doc, kinds: &Kinds) -> Option<String> {
    let shown = match family {
        "source" => stage::source(node, kinds)?.plan.spec.show(Reveal::Whole),
        "buffer" => stage::buffer(node, kinds)?.plan.spec.show(Reveal::Whole),
        "sink" => stage::sink(node, kinds)?.plan.spec.show(Reveal::Whole),
        _ => {
            node.documented(doc.names());
            let kind = kinds.layers.iter().find(|kind| kind.doc.name == doc.name)?;
            (kind.decode)(node)?.show(Reveal::Whole)
        }
    };
    Some(print([&shown]))
}
