//! The node `plugin`: what a plugin is granted, and what it may use up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kdl::KdlNode;

use crate::conf::{ByteSize, Code, HttpOrigin, Node, Place, Problem, Shown, nearest};
use crate::plugin::{ACTIONS, ActionKind, is_plugin_name};
use crate::stage::{Doc, Entry};

const STORES: (ByteSize, ByteSize) = (ByteSize(1 << 10), ByteSize(1 << 30));
const MEMORIES: (ByteSize, ByteSize) = (ByteSize(1 << 20), ByteSize(256 << 20));
const DEADLINES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(10));

/// The node.
pub const PLUGIN: Doc = Doc {
    name: "plugin",
    about: "What a plugin is granted, wherever it is used; without this node it gets no servers, no store and no actions.",
    example: "plugin \"webhook\" {\n    http \"https://hooks.example\"\n    kv \"1MiB\"\n    memory \"16MiB\"\n    \
              deadline \"100ms\"\n    actions \"switch-source\"\n}",
    entries: &[
        Entry {
            form: "NAME",
            about: "The name of its file in the plugins directory, without .wasm.",
            default: "",
        },
        Entry {
            form: "http SERVER...",
            about: "Servers that it may ask, as scheme, host and port. One that is written here may be private.",
            default: "none",
        },
        Entry {
            form: "kv SIZE",
            about: "How much it may keep over restarts, 1KiB to 1GiB.",
            default: "nothing",
        },
        Entry { form: "memory SIZE", about: "The memory of an instance, 1MiB to 256MiB.", default: "16MiB" },
        Entry {
            form: "deadline DURATION",
            about: "How long a call may compute, 1ms to 10s. Waiting for a server does not count.",
            default: "100ms",
        },
        Entry {
            form: "actions ACTION...",
            about: "What it may have done to the pipelines that use it: switch-source, restart-source.",
            default: "none",
        },
    ],
};

/// What a plugin is granted. Equal to others that grant the same.
#[derive(Debug, Clone)]
pub struct PluginPlan {
    /// The plugin.
    pub name: Arc<str>,
    /// The servers that it may ask.
    pub http: Vec<HttpOrigin>,
    /// How much it may keep; 0 for nothing, and no store at all.
    pub kv: ByteSize,
    /// The memory of an instance.
    pub memory: ByteSize,
    /// How long a call may compute.
    pub deadline: Duration,
    /// What it may have done.
    pub actions: BTreeSet<ActionKind>,
    /// Where it stands. Does not count when grants are compared.
    pub place: Place,
}

impl PartialEq for PluginPlan {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.http == other.http
            && self.kv == other.kv
            && self.memory == other.memory
            && self.deadline == other.deadline
            && self.actions == other.actions
    }
}

impl PluginPlan {
    /// What holds for a plugin without a node: the usual limits, and no grant.
    pub fn usual(name: Arc<str>, place: Place) -> Self {
        Self {
            name,
            http: Vec::new(),
            kv: ByteSize(0),
            memory: ByteSize(16 << 20),
            deadline: Duration::from_millis(100),
            actions: BTreeSet::new(),
            place,
        }
    }

    /// Reads the node. A value with a problem is left at its default; `None` where the name has one.
    pub(super) fn decode(node: &Node<'_>) -> Option<Self> {
        node.documented(PLUGIN.names());
        let name = named(node.argument::<String>("name"), node, node.place_of_argument(0, "unknown"));
        let usual = Self::usual(name.clone().unwrap_or_default(), node.place_of_argument(0, ""));
        let http = node.children("http").iter().flat_map(|http| http.arguments("server")).collect();
        let size =
            |key, (least, most)| node.child(key).and_then(|size| size.argument_within("size", least..=most));
        let deadline = node.child("deadline");
        let deadline = deadline.and_then(|node| node.argument_within("duration", DEADLINES.0..=DEADLINES.1));
        let read = Self {
            http,
            kv: size("kv", STORES).unwrap_or(usual.kv),
            memory: size("memory", MEMORIES).unwrap_or(usual.memory),
            deadline: deadline.unwrap_or(usual.deadline),
            actions: node.children("actions").iter().flat_map(actions).collect(),
            ..usual
        };
        name.map(|_| read)
    }

    /// The effective node.
    pub(super) fn show(&self) -> KdlNode {
        let mut shown = Shown::new("plugin").argument(&*self.name);
        if !self.http.is_empty() {
            shown = shown.child(self.http.iter().cloned().fold(Shown::new("http"), Shown::argument));
        }
        if self.kv.0 > 0 {
            shown = shown.child(Shown::new("kv").argument(self.kv));
        }
        shown = shown
            .child(Shown::new("memory").argument(self.memory))
            .child(Shown::new("deadline").argument(self.deadline));
        if !self.actions.is_empty() {
            let words = self.actions.iter().map(|action| action.word());
            shown = shown.child(words.fold(Shown::new("actions"), Shown::argument));
        }
        shown.node()
    }
}

/// The name of a plugin, where it can be one.
pub(super) fn named(name: Option<String>, node: &Node<'_>, place: Place) -> Option<Arc<str>> {
    let name = name?;
    if !is_plugin_name(&name) {
        let problem = Problem::new(
            Code::Value,
            Place { label: String::new(), ..place },
            "a plugin cannot have this name",
        );
        node.add(problem.help("its file without .wasm: lowercase letters, digits, - and _, at most 64"));
        return None;
    }
    Some(name.into())
}

fn actions(node: &Node<'_>) -> Vec<ActionKind> {
    let words = node.arguments::<String>("action");
    let known = words.iter().enumerate().filter_map(|(at, word)| {
        if let Some((_, kind)) = ACTIONS.iter().find(|(known, _)| known == word) {
            return Some(*kind);
        }
        let names = || ACTIONS.iter().map(|(name, _)| *name);
        let help = match nearest(word, names()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known: {}", names().collect::<Vec<_>>().join(", ")),
        };
        let place = node.place_of_argument(at, "unknown");
        node.add(Problem::new(Code::Unknown, place, format!("unknown action \"{word}\"")).help(help));
        None
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{decode, print};

    #[test]
    fn the_example_reads_and_shows_as_itself() {
        let (read, problems) = decode(PLUGIN.example, PluginPlan::decode);
        assert!(problems.is_empty(), "{problems:?}");
        let read = read.flatten().unwrap();
        assert_eq!(read.actions, BTreeSet::from([ActionKind::SwitchSource]));
        assert_eq!(
            (read.kv, read.memory, read.deadline),
            (ByteSize(1 << 20), ByteSize(16 << 20), Duration::from_millis(100))
        );
        let (again, _) = decode(&print([&read.show()]), PluginPlan::decode);
        assert_eq!(again.flatten(), Some(read));
    }

    #[test]
    fn a_name_that_leads_out_of_the_directory_is_refused() {
        for name in ["../x", "a/b", "", "x.wasm", "A"] {
            let (read, problems) = decode(&format!("plugin \"{name}\""), PluginPlan::decode);
            assert!(read.flatten().is_none() && problems.are_fatal(), "{name}");
        }
    }
}
