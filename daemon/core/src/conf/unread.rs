//! What nothing read of a node: unknown names with the nearest known one, and arguments that are too many.

use std::collections::BTreeSet;

use super::node::Marks;
use super::{Code, Node, Problem};

/// The names that a decoder asked for, and what became of it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) properties: BTreeSet<String>,
    pub(super) children: BTreeSet<String>,
    pub(super) documented: Vec<&'static str>,
    pub(super) failed: bool,
    pub(super) ignored: bool,
}

/// Reports what is left of `node`.
pub(super) fn report(node: &Node<'_>, marks: &Marks) {
    if marks.known.ignored {
        return;
    }
    // a decoder that gave up may not have asked for everything that it knows
    let excused = |name: &str| marks.known.failed && marks.known.documented.contains(&name);
    for (entry, _) in node.kdl().entries().iter().zip(&marks.entries).filter(|(_, read)| !**read) {
        let place = |label| node.place_of(entry.span(), label);
        match entry.name().map(|name| name.value()) {
            Some(name) if excused(name) => {}
            Some(name) => node.add(unknown(node, name, "property", &marks.known, place("unknown"))),
            None if marks.known.failed => {}
            None => {
                let message = format!("`{}` takes no {}argument", node.name(), more(marks.arguments));
                node.add(Problem::new(Code::Unknown, place("too many"), message).help("leave it out"));
            }
        }
    }
    for (child, _) in node.kdl().iter_children().zip(&marks.children).filter(|(_, read)| !**read) {
        let name = child.name().value();
        if !excused(name) {
            let place = node.place_of(child.name().span(), "unknown");
            node.add(unknown(node, name, "node", &marks.known, place));
        }
    }
}

fn more(asked: usize) -> &'static str {
    if asked == 0 { "" } else { "further " }
}

fn unknown(node: &Node<'_>, name: &str, what: &str, known: &Known, place: super::Place) -> Problem {
    if node.scope().later.contains(&name) {
        let place = super::Place { label: "not yet".into(), ..place };
        return Problem::new(Code::NotYet, place, format!("`{name}` is not supported yet"))
            .help("leave it out; a later version understands it");
    }
    let (same, other) = match what {
        "property" => (&known.properties, &known.children),
        _ => (&known.children, &known.properties),
    };
    let message = format!("unknown {what} `{name}` in {}", node.title());
    let help = if other.contains(name) {
        match what {
            "property" => format!("`{name}` is a node here: write it within the braces"),
            _ => format!("`{name}` is a property here: write {name}= on the line of `{}`", node.name()),
        }
    } else {
        suggestion(name, same, &known.documented)
    };
    Problem::new(Code::Unknown, place, message).help(help)
}

fn suggestion(name: &str, asked: &BTreeSet<String>, documented: &[&'static str]) -> String {
    let names = || asked.iter().map(String::as_str).chain(documented.iter().copied());
    if let Some(near) = nearest(name, names()) {
        return format!("did you mean `{near}`?");
    }
    if asked.is_empty() {
        return "leave it out".into();
    }
    format!("known here: {}", asked.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// The name among `known` that `name` was probably meant to be.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|one| (strsim::damerau_levenshtein(name, one), one))
        .filter(|(distance, one)| {
            let shorter = one.chars().count().min(name.chars().count());
            *distance <= 1 + shorter / 4 || strsim::jaro_winkler(name, one) > 0.9 // or another form of the word
        })
        .min()
        .map(|(_, one)| one)
}

pub(super) fn article(noun: &str) -> &'static str {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']);
    if vowel { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = || ["retry", "timeout", "cache"].into_iter();
        assert_eq!(nearest("retyr", known()), Some("retry"));
        assert_eq!(nearest("retries", known()), Some("retry"));
        assert_eq!(nearest("time-out", known()), Some("timeout"));
        assert_eq!(nearest("sauce", known()), None);
    }
}
