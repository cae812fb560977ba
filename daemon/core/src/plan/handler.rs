//! The node `on`: a plugin that handles events.

use kdl::KdlNode;

use super::plugin::named;
use crate::conf::{Code, Node, Problem, Reveal, Shown};
use crate::event::{Pattern, Scope};
use crate::plugin::Use;
use crate::stage::{Doc, Entry};

/// The node.
pub const ON: Doc = Doc {
    name: "on",
    about: "A plugin that handles events: in a pipeline those of the pipeline, beside the pipelines those of all and of the daemon.",
    example: "on \"stream.*\" \"source.switched\" run=\"webhook\" {\n    url \"https://hooks.example/stream\"\n}",
    entries: &[
        Entry {
            form: "PATTERN...",
            about: "Kinds of events: source.switched, a family as stream.*, or * for all. sluice kinds events lists them.",
            default: "",
        },
        Entry {
            form: "run=PLUGIN",
            about: "The plugin, by the name of its file without .wasm.",
            default: "",
        },
        Entry {
            form: "KEY VALUE",
            about: "What the plugin reads, as a property or a child. sluice plugin inspect says which keys it knows.",
            default: "as the plugin says",
        },
    ],
};

/// A plugin that handles events. Equal to others that handle the same ones in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerPlan {
    /// Which events; at least one pattern.
    pub patterns: Vec<Pattern>,
    /// What handles them.
    pub run: Use,
}

impl HandlerPlan {
    /// Whether events of this kind are handled.
    pub fn wants(&self, kind: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(kind))
    }

    /// Reads the node, which stands in a pipeline or beside them. `None` after at least one problem.
    pub(super) fn decode(node: &Node<'_>, in_pipeline: bool) -> Option<Self> {
        let texts = node.arguments::<String>("pattern");
        let patterns: Vec<Option<Pattern>> =
            texts.iter().enumerate().map(|(at, text)| pattern(node, at, text)).collect();
        let place = node.place_of_property("run", "");
        let plugin = named(node.required_property("run"), node, place.clone());
        let settings = node.settings();
        let patterns = patterns.into_iter().collect::<Option<Vec<_>>>()?;
        let in_vain =
            |pattern: &Pattern| in_pipeline && pattern.kinds().all(|kind| kind.scope == Scope::Daemon);
        for (at, pattern) in patterns.iter().enumerate().filter(|(_, pattern)| in_vain(pattern)) {
            let message = format!("\"{pattern}\" matches nothing that happens to a pipeline");
            let problem = Problem::new(Code::NoEffect, node.place_of_argument(at, "no effect"), message);
            node.add(problem.help("write this `on` beside the pipelines").warning());
        }
        if patterns.is_empty() {
            return None;
        }
        Some(Self { patterns, run: Use { plugin: plugin?, settings, place } })
    }

    /// The effective node.
    pub(super) fn show(&self, reveal: Reveal) -> KdlNode {
        let patterns = self.patterns.iter().map(Pattern::as_str);
        let shown = patterns.fold(Shown::new("on"), Shown::argument).property("run", &*self.run.plugin);
        shown.children(self.run.settings.show(reveal)).node()
    }
}

fn pattern(node: &Node<'_>, at: usize, text: &str) -> Option<Pattern> {
    let unknown = match Pattern::read(text) {
        Ok(pattern) => return Some(pattern),
        Err(unknown) => unknown,
    };
    let help = match &unknown.nearest {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "sluice kinds events lists the events that there are".to_owned(),
    };
    let place = node.place_of_argument(at, "matches nothing");
    node.add(Problem::new(Code::Unknown, place, unknown.to_string()).help(help));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{decode, print};

    #[test]
    fn the_example_reads_and_shows_as_itself() {
        let read = |text: &str| decode(text, |node| HandlerPlan::decode(node, true));
        let (handler, problems) = read(ON.example);
        assert!(problems.is_empty(), "{problems:?}");
        let handler = handler.flatten().unwrap();
        assert!(
            handler.wants("stream.stalled")
                && handler.wants("source.switched")
                && !handler.wants("source.failed")
        );
        assert_eq!(read(&print([&handler.show(Reveal::Whole)])).0.flatten(), Some(handler));
    }
}
