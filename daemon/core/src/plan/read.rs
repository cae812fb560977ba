//! From texts to a plan.

use std::collections::BTreeSet;

use super::conflict::Taken;
use super::follow::Followers;
use super::later::LATER;
use super::needed::Needed;
use super::pipeline::{Surroundings, pipeline};
use super::template::Templates;
use super::{HandlerPlan, Plan, PluginPlan, server};
use crate::conf::{Code, Collector, Document, Lookup, Node, Place, Problem, Problems, Scope};
use crate::stage::Kinds;

const TOP_LEVEL: &[&str] = &["server", "template", "pipeline", "plugin", "on"];

/// Reads `files`, each a name and a text, and merges them in the order of their names. The plan holds every
/// pipeline that has no problem; whether it may be applied is for [`Problems::are_fatal`] to say. Every problem of
/// every file is reported; a problem between two files is one of the later file.
pub fn read(files: &[(String, String)], kinds: &Kinds, lookup: &dyn Lookup) -> (Plan, Problems) {
    let (plan, problems, _) = read_all(files, kinds, lookup);
    (plan, problems)
}

/// Reads `files` as [`read`] does, with what they need to exist.
pub(super) fn read_all(
    files: &[(String, String)],
    kinds: &Kinds,
    lookup: &dyn Lookup,
) -> (Plan, Problems, Vec<Needed>) {
    let problems = Collector::default();
    let mut files: Vec<&(String, String)> = files.iter().collect();
    files.sort();
    let parsed: Vec<_> = files.iter().map(|(name, text)| Document::parse(name, text, &problems)).collect();
    let partial = parsed.iter().any(Option::is_none);
    let documents: Vec<Document> = parsed.into_iter().flatten().collect();
    let (plan, needed) = merge(&documents, kinds, lookup, &problems, partial);
    (plan, problems.finish(), needed)
}

fn merge(
    documents: &[Document],
    kinds: &Kinds,
    lookup: &dyn Lookup,
    problems: &Collector,
    partial: bool,
) -> (Plan, Vec<Needed>) {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for document in documents {
        let file = &document.file;
        let scope = Scope { file, problems, lookup, variables: &[], later: LATER.names };
        nodes.extend(document.root(scope).children_in(TOP_LEVEL));
    }
    let of = |name: &'static str| nodes.iter().filter(move |node| node.name() == name);
    let mut plan = Plan::default();
    let mut servers = of("server");
    if let Some(first) = servers.next() {
        plan.server = server::server(first);
        servers.for_each(|second| second_server(first, second));
    }
    let mut templates = Templates::default();
    of("template").for_each(|node| templates.add(node));
    let mut needed = Needed::of_server(&plan.server);
    let (mut taken, mut followers, mut used_plugins) =
        (Taken::default(), Followers::default(), BTreeSet::new());
    let mut around = Surroundings {
        kinds,
        templates: &mut templates,
        taken: &mut taken,
        followers: &mut followers,
        needed: &mut needed,
        used_plugins: &mut used_plugins,
        partial,
    };
    for node in of("pipeline") {
        if let Some(read) = pipeline(node, &mut around) {
            plan.pipelines.insert(read.name.clone(), read);
        }
    }
    plan.handlers = of("on").filter_map(|node| HandlerPlan::decode(node, false)).collect();
    used_plugins.extend(plan.handlers.iter().map(|handler| handler.run.plugin.clone()));
    of("plugin").for_each(|node| add_plugin(&mut plan, node));
    let unused = plan.plugins.values().filter(|plugin| !partial && !used_plugins.contains(&plugin.name));
    unused.for_each(|plugin| problems.add(unused_plugin(plugin)));
    followers.problems(&taken, partial).into_iter().for_each(|problem| problems.add(problem));
    templates.unused().for_each(|problem| problems.add(problem));
    (plan, needed)
}

fn add_plugin(plan: &mut Plan, node: &Node<'_>) {
    let Some(plugin) = PluginPlan::decode(node) else { return };
    if let Some(first) = plan.plugins.get(&plugin.name) {
        let message = format!("two nodes grant something to the plugin `{}`", plugin.name);
        let problem = Problem::new(Code::Repeated, Place { label: "again".into(), ..plugin.place }, message);
        let first = Place { label: "first".into(), ..first.place.clone() };
        node.add(problem.help("put all of it into one node").and(first));
        return;
    }
    plan.plugins.insert(plugin.name.clone(), plugin);
}

fn unused_plugin(plugin: &PluginPlan) -> Problem {
    let message = format!("nothing uses the plugin `{}`", plugin.name);
    let problem = Problem::new(Code::NoEffect, plugin.place.clone(), message).warning();
    problem.help(format!("write on \"...\" run=\"{0}\", or health \"{0}\", or leave it out", plugin.name))
}

fn second_server(first: &Node<'_>, second: &Node<'_>) {
    let message = "`server` stands twice; it may stand once over all files";
    let problem = Problem::new(Code::Repeated, second.place("again"), message);
    second.add(problem.help("put all of it into one node").and(first.place("first")));
    second.ignore_rest();
}
