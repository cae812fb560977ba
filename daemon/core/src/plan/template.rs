//! Templates: stages that several pipelines share, with variables that each pipeline gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kdl::{KdlNode, KdlValue};

use crate::conf::{Code, File, Node, Place, Problem, variables_in};

/// A template as written.
pub(super) struct Template<'a> {
    pub(super) place: Place,
    pub(super) file: &'a Arc<File>,
    pub(super) node: &'a KdlNode,
    /// What its strings name in braces, besides `{name}`.
    pub(super) variables: BTreeSet<String>,
}

/// Every template, by name.
#[derive(Default)]
pub(super) struct Templates<'a> {
    pub(super) by_name: BTreeMap<String, Template<'a>>,
    pub(super) used: BTreeSet<String>,
}

impl<'a> Templates<'a> {
    /// Takes note of a `template` node. Its stages are read when a pipeline uses them.
    pub(super) fn add(&mut self, node: &Node<'a>) {
        node.skip_children();
        let Some(name) = node.argument::<String>("name") else { return };
        let place = node.place_of_argument(0, "");
        if let Some(first) = self.by_name.get(&name) {
            let before = Place { label: "first".into(), ..first.place.clone() };
            let again = Place { label: "again".into(), ..place };
            let problem =
                Problem::new(Code::Repeated, again, format!("two templates have the name `{name}`"));
            node.add(problem.help("rename one of them").and(before));
            return;
        }
        let mut variables = BTreeSet::new();
        collect(node.kdl(), &mut variables);
        variables.remove("name");
        let template = Template { place, file: node.scope().file, node: node.kdl(), variables };
        self.by_name.insert(name, template);
    }

    /// Warnings for templates that nothing uses: nothing reads their stages either.
    pub(super) fn unused(&self) -> impl Iterator<Item = Problem> {
        let unused = self.by_name.iter().filter(|(name, _)| !self.used.contains(*name));
        unused.map(|(name, template)| {
            let message = format!("no pipeline uses the template `{name}`");
            Problem::new(Code::NoEffect, template.place.clone(), message)
                .help(format!("its stages are not checked; use it by template=\"{name}\""))
                .warning()
        })
    }
}

fn collect(node: &KdlNode, variables: &mut BTreeSet<String>) {
    for child in node.iter_children() {
        for entry in child.entries() {
            if let KdlValue::String(text) = entry.value() {
                variables.extend(variables_in(text).map(str::to_owned));
            }
        }
        collect(child, variables);
    }
}
