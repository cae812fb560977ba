//! Reading one pipeline, with the template that it uses.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conflict::Taken;
use super::follow::Followers;
use super::needed::Needed;
use super::stage::{self, Staged};
use super::template::{Template, Templates};
use super::{Failover, HandlerPlan, HealthPlan, PipelinePlan, StagePlan};
use crate::conf::{Code, Node, Place, Problem, Scope, Variable, decode, nearest};
use crate::stage::{BufferSpec, Configured, Kinds, SinkForm, SinkSpec, SourceSpec};

/// The longest name of a pipeline, in characters.
const LONGEST_NAME: usize = 64;
const STAGES: &[&str] = &["source", "failover", "buffer", "sink", "health", "on"];

/// What reading pipelines needs besides their nodes.
pub(super) struct Surroundings<'r, 'a> {
    pub(super) kinds: &'r Kinds,
    pub(super) templates: &'r mut Templates<'a>,
    pub(super) taken: &'r mut Taken,
    pub(super) followers: &'r mut Followers,
    pub(super) needed: &'r mut Vec<Needed>,
    /// The plugins that something uses.
    pub(super) used_plugins: &'r mut BTreeSet<Arc<str>>,
    /// Whether a file is missing from what was read, so that a template may be missing for this reason alone.
    pub(super) partial: bool,
}

/// Reads a `pipeline` node. `None` after at least one problem, here or in a file that could not be read.
pub(super) fn pipeline(node: &Node<'_>, around: &mut Surroundings<'_, '_>) -> Option<PipelinePlan> {
    if node.has_property("on-demand") {
        let place = node.place_of_property("on-demand", "not yet");
        let problem = Problem::new(Code::NotYet, place, "`on-demand` is not supported yet");
        node.add(problem.help("leave the pipeline out; a later version understands it"));
        node.ignore_rest();
        return None;
    }
    let name = name(node, around.taken);
    let enabled = node.property::<bool>("enabled");
    let template = used_template(node, around);
    if node.has_property("template") && template.is_none() {
        node.ignore_rest(); // its properties are the variables of a template that is not known
        return None;
    }
    let variables = variables(node, name.as_deref(), template)?;
    let scope = Scope { variables: &variables, ..node.scope() };
    let stages = gather(node, scope, template);
    let enabled = enabled.unwrap_or(true);
    // a pipeline whose name is wrong has needs all the same
    let written = || node.kdl().get(0).and_then(|value| value.as_string()).unwrap_or_default();
    let called = name.as_deref().unwrap_or_else(written);
    let mut stages = read_stages(node, &stages, around.kinds, |stage| {
        if enabled {
            around.needed.extend(Needed::of_stage(called, stage));
        }
    })?;
    for source in &mut stages.sources {
        if let (Some(name), Some((followed, place))) = (&name, source.follows.take()) {
            around.followers.add(name, followed, place);
        }
    }
    around.used_plugins.insert(stages.health.run.plugin.clone());
    around.used_plugins.extend(stages.handlers.iter().map(|handler| handler.run.plugin.clone()));
    for source in stages.sources.iter().filter(|_| enabled) {
        let Some(address) = source.plan.spec.listens() else { continue };
        let pipeline = name.as_deref().unwrap_or_default();
        let problem = around.taken.address(&address, pipeline, source.kind.clone());
        problem.into_iter().for_each(|problem| node.add(problem));
    }
    for (sink, path) in stages.sinks.iter().filter(|_| enabled) {
        let problem = match sink.plan.spec.form() {
            SinkForm::Serves(spec) => around.taken.path(spec.path(), path.clone()),
            SinkForm::Pushes(spec) => around.taken.target(spec.target(), sink.kind.clone()),
        };
        problem.into_iter().for_each(|problem| node.add(problem));
    }
    Some(PipelinePlan {
        name: name?,
        file: node.scope().file.name.clone(),
        enabled,
        sources: stages.sources.into_iter().map(|source| source.plan).collect(),
        failover: stages.failover,
        buffer: stages.buffer,
        sinks: stages.sinks.into_iter().map(|(sink, _)| sink.plan).collect(),
        health: stages.health,
        handlers: stages.handlers,
    })
}

/// The stages of one pipeline; each sink with where its path stands.
struct Stages {
    sources: Vec<Staged<dyn SourceSpec>>,
    failover: Failover,
    buffer: StagePlan<dyn BufferSpec>,
    sinks: Vec<(Staged<dyn SinkSpec>, Place)>,
    health: HealthPlan,
    handlers: Vec<HandlerPlan>,
}

fn name(node: &Node<'_>, taken: &mut Taken) -> Option<Arc<str>> {
    let name = node.argument::<String>("name")?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_/".contains(&byte);
    let parts = name.split('/').all(|part| !part.is_empty());
    if !(parts && name.len() <= LONGEST_NAME && name.bytes().all(plain)) {
        let help =
            format!("lowercase letters, digits, - _ and / between them, at most {LONGEST_NAME} characters");
        node.problem_at_argument(0, "a pipeline cannot have this name", help);
        return None;
    }
    if let Some(problem) = taken.name(&name, node.place_of_argument(0, "")) {
        node.add(problem);
        return None;
    }
    Some(name.into())
}

fn used_template<'t, 'a>(node: &Node<'_>, around: &'t mut Surroundings<'_, 'a>) -> Option<&'t Template<'a>> {
    let name = node.property::<String>("template")?;
    around.templates.used.insert(name.clone());
    if !around.templates.by_name.contains_key(&name) && !around.partial {
        let known = || around.templates.by_name.keys().map(String::as_str);
        let help = match nearest(&name, known()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write a template \"{name}\" {{ ... }} in one of the files"),
        };
        let place = node.place_of_property("template", "unknown");
        node.add(Problem::new(Code::Unknown, place, format!("unknown template \"{name}\"")).help(help));
    }
    around.templates.by_name.get(&name)
}

/// The variables that hold for a pipeline. `None` where one is missing or wrong.
fn variables(node: &Node<'_>, name: Option<&str>, template: Option<&Template<'_>>) -> Option<Vec<Variable>> {
    // a pipeline whose own name is wrong is still checked, under some name
    let value = name.unwrap_or("name").to_owned();
    let mut variables = vec![Variable { name: "name".into(), value, place: node.place_of_argument(0, "") }];
    let mut complete = true;
    for wanted in template.iter().flat_map(|template| &template.variables) {
        if let Some(value) = node.free_property::<String>(wanted) {
            let place = node.place_of_property(wanted, "");
            variables.push(Variable { name: wanted.clone(), value, place });
        } else {
            complete = false;
            if !node.has_property(wanted) {
                node.add(missing_variable(node, wanted, template));
            }
        }
    }
    if !complete {
        node.skip_children();
    }
    complete.then_some(variables)
}

fn missing_variable(node: &Node<'_>, wanted: &str, template: Option<&Template<'_>>) -> Problem {
    let place = node.place_of_property("template", "");
    let message = format!("the template needs the variable `{wanted}`");
    let problem =
        Problem::new(Code::Missing, place, message).help(format!("add {wanted}=\"...\" to the pipeline"));
    match template {
        Some(template) => problem.and(Place { label: "the template".into(), ..template.place.clone() }),
        None => problem,
    }
}

/// The stages of a pipeline: its own, and of the template those whose name it does not write itself.
fn gather<'s>(node: &Node<'s>, scope: Scope<'s>, template: Option<&Template<'s>>) -> Vec<Node<'s>> {
    let own = node.kdl();
    node.children_in(STAGES).iter().for_each(Node::ignore_rest); // read below, with the variables
    let written = |name: &str| own.iter_children().any(|child| child.name().value() == name);
    let mut stages: Vec<Node<'s>> = Vec::new();
    if let Some(template) = template {
        let scope = Scope { file: template.file, ..scope };
        let shared = Node::new(template.node, scope);
        drop(shared.argument::<String>("name"));
        for stage in shared.children_in(STAGES) {
            if written(stage.name()) {
                stage.ignore_rest();
            } else {
                stages.push(stage);
            }
        }
    }
    let own = own.iter_children().filter(|child| STAGES.contains(&child.name().value()));
    stages.extend(own.map(|child| Node::new(child, scope)));
    stages
}

/// Reads the stages, and shows `see` each that can be read.
fn read_stages(
    node: &Node<'_>,
    stages: &[Node<'_>],
    kinds: &Kinds,
    mut see: impl FnMut(&dyn Configured),
) -> Option<Stages> {
    let of = |name: &'static str| stages.iter().filter(move |stage| stage.name() == name);
    let sources: Vec<_> = of("source").map(|source| stage::source(source, kinds)).collect();
    if sources.is_empty() {
        missing::<()>(node, "source", "write a source: where the stream comes from");
    }
    let failover = read_failover(of("failover"), sources.len());
    let mut buffers = of("buffer");
    let first = buffers.next();
    let buffer = match first {
        Some(first) => stage::buffer(first, kinds),
        None => default_buffer(node, kinds),
    };
    buffers.for_each(|second| second_buffer(first, second));
    let mut sinks = Vec::new();
    for sink in of("sink") {
        sinks.push(stage::sink(sink, kinds).map(|staged| (staged, sink.place_of_property("path", ""))));
    }
    if sinks.is_empty() {
        missing::<()>(node, "sink", "write a sink: what viewers are served");
    }
    sources.iter().flatten().for_each(|source| see(&*source.plan.spec));
    buffer.iter().for_each(|buffer| see(&*buffer.plan.spec));
    sinks.iter().flatten().for_each(|(sink, _)| see(&*sink.plan.spec));
    let health = read_health(node, of("health"));
    let handlers: Vec<_> = of("on").map(|handler| HandlerPlan::decode(handler, true)).collect();
    let (sources, sinks) =
        (sources.into_iter().collect::<Option<Vec<_>>>()?, sinks.into_iter().collect::<Option<Vec<_>>>()?);
    let (buffer, handlers) = (buffer?, handlers.into_iter().collect::<Option<Vec<_>>>()?);
    check_fit(node, &sources, &buffer, &sinks);
    let whole = !sources.is_empty() && !sinks.is_empty();
    whole.then_some(Stages { sources, failover, buffer: buffer.plan, sinks, health, handlers })
}

fn missing<T>(node: &Node<'_>, what: &str, help: &str) -> Option<T> {
    let place = node.place_of_argument(0, "here");
    node.add(Problem::new(Code::Missing, place, format!("the pipeline has no {what}")).help(help));
    None
}

/// Reads the `failover` node; without one, its defaults hold.
fn read_failover<'n, 's: 'n>(mut nodes: impl Iterator<Item = &'n Node<'s>>, sources: usize) -> Failover {
    let Some(first) = nodes.next() else { return Failover::default() };
    let failover = Failover::decode(first);
    if sources == 1 {
        let message = "`failover` has no effect on a pipeline with one source";
        let problem = Problem::new(Code::NoEffect, first.place("no effect"), message);
        first.add(problem.help("write a second source, or leave it out").warning());
        return Failover::default();
    }
    nodes.for_each(|second| stands_twice(first, second));
    failover
}

/// Reads the `health` node; without one, its defaults hold.
fn read_health<'n, 's: 'n>(pipeline: &Node<'_>, mut nodes: impl Iterator<Item = &'n Node<'s>>) -> HealthPlan {
    let Some(first) = nodes.next() else { return HealthPlan::usual(pipeline.place_of_argument(0, "")) };
    let health = HealthPlan::decode(first);
    nodes.for_each(|second| stands_twice(first, second));
    health
}

fn stands_twice(first: &Node<'_>, second: &Node<'_>) {
    let message = format!("`{}` stands twice in one pipeline", first.name());
    let problem = Problem::new(Code::Repeated, second.place("again"), message);
    second.add(problem.help("keep one of them").and(first.place("first")));
    second.ignore_rest();
}

fn second_buffer(first: Option<&Node<'_>>, second: &Node<'_>) {
    let problem = Problem::new(Code::Repeated, second.place("again"), "a pipeline has one buffer");
    let problem = problem.help("keep one of them");
    second.add(match first {
        Some(first) => problem.and(first.place("first")),
        None => problem,
    });
    second.ignore_rest();
}

/// The first kind of the registry with its own defaults: what holds when a pipeline writes no buffer.
fn default_buffer(node: &Node<'_>, kinds: &Kinds) -> Option<Staged<dyn BufferSpec>> {
    let kind = kinds.buffers.first()?;
    let written = format!("buffer \"{}\"", kind.doc.name);
    let (read, _) = decode(&written, |buffer| stage::buffer(buffer, kinds));
    read.flatten().map(|staged| Staged { kind: node.place_of_argument(0, ""), ..staged })
}

/// Each stage must take what the one before it gives.
fn check_fit(
    node: &Node<'_>,
    sources: &[Staged<dyn SourceSpec>],
    buffer: &Staged<dyn BufferSpec>,
    sinks: &[(Staged<dyn SinkSpec>, Place)],
) {
    let unfit = |what: String, place: &Place, giver: String, from: &Place| {
        let place = Place { label: "does not take it".into(), ..place.clone() };
        let from = Place { label: giver, ..from.clone() };
        let problem = Problem::new(Code::Conflict, place, what).and(from);
        node.add(problem.help("sluice kinds says what each kind takes and gives"));
    };
    for source in sources.iter().filter(|source| source.goods != buffer.goods) {
        let (gives, takes) = (source.goods.word(), buffer.goods.word());
        let what = format!("the buffer takes {takes}, the source gives {gives}");
        unfit(what, &buffer.kind, format!("gives {gives}"), &source.kind);
    }
    for (sink, _) in sinks.iter().filter(|(sink, _)| sink.goods != buffer.goods) {
        let (gives, takes) = (buffer.goods.word(), sink.goods.word());
        let what = format!("the sink takes {takes}, the buffer gives {gives}");
        unfit(what, &sink.kind, format!("gives {gives}"), &buffer.kind);
    }
    let held = buffer.plan.spec.segments();
    for (sink, _) in sinks.iter().filter(|(sink, _)| sink.plan.spec.shown_segments() > held) {
        let shown = sink.plan.spec.shown_segments();
        let place = Place { label: format!("shows {shown} segments"), ..sink.kind.clone() };
        let from = Place { label: format!("keeps {held}"), ..buffer.kind.clone() };
        let problem =
            Problem::new(Code::Conflict, place, "the sink shows more segments than the buffer keeps");
        node.add(problem.and(from).help("raise segments= of the buffer, or lower window= of the sink"));
    }
}
