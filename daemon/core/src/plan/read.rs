//! From texts to a plan.

use super::conflict::Taken;
use super::follow::Followers;
use super::later::LATER;
use super::needed::Needed;
use super::pipeline::{Surroundings, pipeline};
use super::template::Templates;
use super::{Plan, server};
use crate::conf::{Code, Collector, Document, Lookup, Node, Problem, Problems, Scope};
use crate::stage::Kinds;

const TOP_LEVEL: &[&str] = &["server", "template", "pipeline"];

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
    let (mut taken, mut followers) = (Taken::default(), Followers::default());
    let mut around = Surroundings {
        kinds,
        templates: &mut templates,
        taken: &mut taken,
        followers: &mut followers,
        needed: &mut needed,
        partial,
    };
    for node in of("pipeline") {
        if let Some(read) = pipeline(node, &mut around) {
            plan.pipelines.insert(read.name.clone(), read);
        }
    }
    followers.problems(&taken, partial).into_iter().for_each(|problem| problems.add(problem));
    templates.unused().for_each(|problem| problems.add(problem));
    (plan, needed)
}

fn second_server(first: &Node<'_>, second: &Node<'_>) {
    let message = "`server` stands twice; it may stand once over all files";
    let problem = Problem::new(Code::Repeated, second.place("again"), message);
    second.add(problem.help("put all of it into one node").and(first.place("first")));
    second.ignore_rest();
}
