//! The node `failover`: when a pipeline leaves a source for the next of its chain, and when it comes back.

use std::time::Duration;

use kdl::{KdlNode, KdlValue};

use crate::conf::{Node, Scalar, Shown, show_duration};
use crate::stage::{Doc, Entry};

const STALLS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
const RETURNS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
const SPANS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// The node.
pub const FAILOVER: Doc = Doc {
    name: "failover",
    about: "When a pipeline of several sources leaves one for the next of its chain, and when it comes back.",
    example: r#"failover stall="auto" return-after="60s" health-below=30 budget=10 per="10m" probe-return=#false"#,
    entries: &[
        Entry {
            form: "stall=\"auto\"",
            about: "When nothing new counts as a failure: auto is 2 s without a byte for an endless stream, 1.5 target \
                    durations for a playlist; or 500ms to 5m, of which a playlist takes no less than those 1.5.",
            default: "auto",
        },
        Entry {
            form: "return-after=\"60s\"",
            about: "How long a better source must prove itself before the pipeline returns to it, 1s to 24h.",
            default: "60s",
        },
        Entry {
            form: "health-below=30",
            about: "A health score below this counts as a failure; 0 never does, at most 100.",
            default: "30",
        },
        Entry { form: "budget=10", about: "So many switches in per, 1 to 1000.", default: "10" },
        Entry {
            form: "per=\"10m\"",
            about: "One switch comes back each per / budget, 1s to 24h.",
            default: "10m",
        },
        Entry {
            form: "probe-return=#false",
            about: "Whether a source without a playlist may be connected to just to see whether it is well.",
            default: "#false",
        },
    ],
};

/// When nothing new counts as a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// As the source's own rule has it: 2 s without a byte for an endless stream, 1.5 target durations without a new
    /// segment for a playlist.
    Auto,
    /// After this time; for a playlist no less than its own rule has.
    After(Duration),
}

/// How a pipeline fails over.
#[derive(Debug, Clone, PartialEq)]
pub struct Failover {
    /// When nothing new counts as a stall.
    pub stall: Stall,
    /// How long a better source must prove itself before the pipeline returns to it.
    pub return_after: Duration,
    /// A health score below this, 0 to 100, counts as a failure; 0 never does.
    pub health_below: u32,
    /// How many switches there may be in `per`; one comes back each `per` / `budget`.
    pub budget: u32,
    /// See `budget`.
    pub per: Duration,
    /// Whether a source may be connected to just to see whether it is well again. One that has a playlist is always
    /// asked for it.
    pub probe_return: bool,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            stall: Stall::Auto,
            return_after: Duration::from_secs(60),
            health_below: 30,
            budget: 10,
            per: Duration::from_secs(600),
            probe_return: false,
        }
    }
}

impl Failover {
    /// Reads the node. A value with a problem is left at its default; the problem stays with the node.
    pub(super) fn decode(node: &Node<'_>) -> Self {
        let usual = Self::default();
        let within = |key, (least, most)| node.property_within::<Duration>(key, least..=most);
        Self {
            stall: node.property("stall").unwrap_or(usual.stall),
            return_after: within("return-after", RETURNS).unwrap_or(usual.return_after),
            health_below: node.property_within("health-below", 0..=100).unwrap_or(usual.health_below),
            budget: node.property_within("budget", 1..=1000).unwrap_or(usual.budget),
            per: within("per", SPANS).unwrap_or(usual.per),
            probe_return: node.property("probe-return").unwrap_or(usual.probe_return),
        }
    }

    /// The effective node.
    pub(super) fn show(&self) -> KdlNode {
        let stall = match self.stall {
            Stall::Auto => "auto".to_owned(),
            Stall::After(after) => show_duration(after),
        };
        Shown::new("failover")
            .property("stall", stall)
            .property("return-after", self.return_after)
            .property("health-below", self.health_below)
            .property("budget", self.budget)
            .property("per", self.per)
            .property("probe-return", self.probe_return)
            .node()
    }
}

impl Scalar for Stall {
    const EXPECTED: &'static str = "\"auto\" or a duration from \"500ms\" to \"5m\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        if value.as_string() == Some("auto") {
            return Ok(Self::Auto);
        }
        let after = Duration::read(value)?;
        if after < STALLS.0 || after > STALLS.1 { Err(None) } else { Ok(Self::After(after)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::decode;

    #[test]
    fn the_example_reads_as_what_holds_without_the_node() {
        let (read, problems) = decode(FAILOVER.example, Failover::decode);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(read, Some(Failover::default()));
        let shown = Failover::default().show();
        let names: Vec<_> = shown.entries().iter().filter_map(|entry| Some(entry.name()?.value())).collect();
        assert_eq!(names, FAILOVER.names().collect::<Vec<_>>());
    }
}
