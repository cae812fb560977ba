//! The node `health`: what scores the health of a pipeline, and from where on that is news.

use std::sync::Arc;
use std::time::Duration;

use kdl::KdlNode;

use super::plugin::named;
use crate::conf::{Code, Node, Place, Problem, Reveal, Settings, Shown};
use crate::plugin::Use;
use crate::stage::{Doc, Entry};

/// The scorer that is part of the daemon: it scores where nothing else is named, and stands in for a plugin that fails.
pub const BUILT_IN_SCORER: &str = "health-default";

const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The node.
pub const HEALTH: Doc = Doc {
    name: "health",
    about: "What scores the health of a pipeline from 0 to 100, and which scores are news. Without it health-default scores.",
    example: "health \"health-default\" warn-below=70 fail-below=30 every=\"2s\"",
    entries: &[
        Entry {
            form: "PLUGIN",
            about: "A plugin that scores, by the name of its file without .wasm; health-default is built in.",
            default: "",
        },
        Entry { form: "warn-below=70", about: "A score below this is degraded, 0 to 100.", default: "70" },
        Entry {
            form: "fail-below=30",
            about: "A score below this is failing, 0 to 100. What it does is said by health-below of failover.",
            default: "30",
        },
        Entry { form: "every=\"2s\"", about: "How often it is asked, 1s to 5m.", default: "2s" },
        Entry {
            form: "KEY VALUE",
            about: "What the plugin reads, as a property or a child. sluice plugin inspect says which keys it knows.",
            default: "as the plugin says",
        },
    ],
};

/// What scores the health of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthPlan {
    /// The scorer.
    pub run: Use,
    /// A score below this is degraded, 0 to 100.
    pub warn_below: u32,
    /// A score below this is failing; at most `warn_below`.
    pub fail_below: u32,
    /// How often it is asked.
    pub every: Duration,
}

impl HealthPlan {
    /// What holds without the node; `place` is that of the pipeline.
    pub fn usual(place: Place) -> Self {
        let run = Use { plugin: Arc::from(BUILT_IN_SCORER), settings: Settings::default(), place };
        Self { run, warn_below: 70, fail_below: 30, every: Duration::from_secs(2) }
    }

    /// Reads the node. A value with a problem is left at its default; the problem stays with the node.
    pub(super) fn decode(node: &Node<'_>) -> Self {
        let usual = Self::usual(node.place_of_argument(0, ""));
        let plugin = named(node.argument("plugin"), node, node.place_of_argument(0, ""));
        let (warn, fail) = ("warn-below", "fail-below");
        let warn_below = node.property_within(warn, 0..=100);
        let fail_below = node.property_within(fail, 0..=100);
        let every = node.property_within("every", EVERY.0..=EVERY.1).unwrap_or(usual.every);
        let settings = node.settings();
        // one that is written alone takes the other along
        let warn_below = warn_below.unwrap_or(usual.warn_below.max(fail_below.unwrap_or_default()));
        let fail_below = fail_below.unwrap_or(usual.fail_below.min(warn_below));
        if fail_below > warn_below {
            let place = node.place_of_property(fail, "above");
            let problem = Problem::new(Code::Conflict, place, "`fail-below` is above `warn-below`");
            let problem = problem.and(node.place_of_property(warn, "below"));
            node.add(problem.help("a score that fails is one that warns: lower fail-below"));
        }
        let plugin = plugin.unwrap_or_else(|| usual.run.plugin.clone());
        Self { run: Use { plugin, settings, place: usual.run.place }, warn_below, fail_below, every }
    }

    /// The effective node.
    pub(super) fn show(&self, reveal: Reveal) -> KdlNode {
        Shown::new("health")
            .argument(&*self.run.plugin)
            .property("warn-below", self.warn_below)
            .property("fail-below", self.fail_below)
            .property("every", self.every)
            .children(self.run.settings.show(reveal))
            .node()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::decode;

    #[test]
    fn the_example_reads_as_what_holds_without_the_node() {
        let (read, problems) = decode(HEALTH.example, HealthPlan::decode);
        assert!(problems.is_empty(), "{problems:?}");
        let read = read.unwrap();
        assert_eq!(read, HealthPlan::usual(read.run.place.clone()));
    }

    #[test]
    fn a_bound_that_stands_alone_takes_the_other_along() {
        let bounds = |text: &str| {
            let (read, problems) = decode(text, HealthPlan::decode);
            assert!(problems.is_empty(), "{text}: {problems:?}");
            read.map(|read| (read.warn_below, read.fail_below))
        };
        assert_eq!(bounds("health \"x\" fail-below=80"), Some((80, 80)));
        assert_eq!(bounds("health \"x\" warn-below=20"), Some((20, 20)));
        assert!(decode("health \"x\" warn-below=20 fail-below=21", HealthPlan::decode).1.are_fatal());
    }
}
