//! What is in force after a change: a file with problems keeps its last good text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{PipelinePlan, Plan, Server, read};
use crate::conf::{File, Lookup, Problem, Problems};
use crate::stage::Kinds;

/// Texts that made a plan without errors, and that plan.
#[derive(Debug, Clone, Default)]
pub struct Good {
    /// The texts by file name, in order.
    pub files: Vec<(String, String)>,
    /// The plan that they made.
    pub plan: Plan,
}

/// What came of a change.
#[derive(Debug, Clone)]
pub struct Settled {
    /// What is in force now. Its plan has no errors.
    pub good: Good,
    /// Every problem of the current texts, and of putting them beside last good ones.
    pub problems: Problems,
    /// The files whose current text is not in force.
    pub held_back: BTreeSet<Arc<str>>,
}

/// Reads `current`. Files with problems fall back to their text in `last`, or to nothing where they are new, until
/// what is left has no errors; where that does not help, the other files that the errors name fall back too, and
/// at last all of them: then `last` stays in force as it is. A file whose text did not change has a problem that
/// comes from outside, as a secret that is gone or a template that was deleted: its pipelines stay as they are.
pub fn settle(current: &[(String, String)], last: &Good, kinds: &Kinds, lookup: &dyn Lookup) -> Settled {
    let mut held_back = BTreeSet::new();
    let mut found = Vec::new();
    loop {
        let kept = unchanged(current, last, &held_back);
        let mut files = choose(current, last, &held_back);
        files.retain(|(name, _)| !kept.contains(&**name));
        let (mut plan, problems) = read(&files, kinds, lookup);
        let before = held_back.len();
        let fatal = problems.are_fatal();
        held_back.extend(problems.files());
        if fatal && held_back.len() == before {
            held_back.extend(
                problems.errors().filter_map(|one| one.other.as_ref()).map(|place| place.file.name.clone()),
            );
        }
        found.extend(problems);
        if !fatal && kept.is_empty() {
            return settled(current, Good { files, plan }, found, held_back);
        }
        if !fatal {
            let released: BTreeSet<_> = held_back.difference(&kept).cloned().collect();
            let whole = choose(current, last, &released);
            let (whole_plan, left) = read(&whole, kinds, lookup);
            if !left.are_fatal() {
                // what was wrong with the unchanged files went with the others
                return settled(current, Good { files: whole, plan: whole_plan }, found, released);
            }
            match keep_pipelines(&mut plan, &last.plan, &kept) {
                None => {
                    files.extend(last.files.iter().filter(|(name, _)| kept.contains(&**name)).cloned());
                    files.sort();
                    return Settled { good: Good { files, plan }, problems: found.into(), held_back };
                }
                Some(in_the_way) => _ = held_back.insert(in_the_way),
            }
        }
        if held_back.len() == before {
            held_back.extend(current.iter().map(|(name, _)| Arc::from(name.as_str())));
            return settled(current, last.clone(), found, held_back);
        }
    }
}

fn settled(
    current: &[(String, String)],
    good: Good,
    found: Vec<Problem>,
    mut held_back: BTreeSet<Arc<str>>,
) -> Settled {
    held_back.retain(|name| text_of(current, name) != text_of(&good.files, name));
    Settled { good, problems: found.into(), held_back }
}

/// The files that are held back with the very text that is in force.
fn unchanged(
    current: &[(String, String)],
    last: &Good,
    held_back: &BTreeSet<Arc<str>>,
) -> BTreeSet<Arc<str>> {
    let same = |name: &&Arc<str>| {
        let text = text_of(current, name);
        text.is_some() && text == text_of(&last.files, name)
    };
    held_back.iter().filter(same).cloned().collect()
}

/// Adds the pipelines, handlers and grants that `kept` files have in force, and the server where one of them may hold
/// it. Gives the file of what is new and in the way of one.
fn keep_pipelines(plan: &mut Plan, last: &Plan, kept: &BTreeSet<Arc<str>>) -> Option<Arc<str>> {
    if plan.server == Server::default() {
        plan.server = last.server.clone();
    }
    let is_kept = |file: &File| kept.contains(&file.name);
    plan.handlers.extend(last.handlers.iter().filter(|handler| is_kept(&handler.run.place.file)).cloned());
    for (name, plugin) in last.plugins.iter().filter(|(_, plugin)| is_kept(&plugin.place.file)) {
        if let Some(other) = plan.plugins.get(name) {
            return Some(other.place.file.name.clone());
        }
        plan.plugins.insert(name.clone(), plugin.clone());
    }
    for pipeline in last.pipelines.values().filter(|pipeline| kept.contains(&pipeline.file)) {
        let own: Vec<_> = places(pipeline).collect();
        let clashes = |other: &&PipelinePlan| {
            other.name == pipeline.name || places(other).any(|place| own.contains(&place))
        };
        if let Some(other) = plan.pipelines.values().find(clashes) {
            return Some(other.file.clone());
        }
        plan.pipelines.insert(pipeline.name.clone(), pipeline.clone());
    }
    None
}

/// The path or the target of each sink.
fn places(pipeline: &PipelinePlan) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    pipeline.sinks.iter().map(|sink| (sink.spec.form().path(), sink.spec.form().target()))
}

/// The current texts, with the last good ones of the files that are held back.
fn choose(
    current: &[(String, String)],
    last: &Good,
    held_back: &BTreeSet<Arc<str>>,
) -> Vec<(String, String)> {
    let held = |name: &str| held_back.contains(name);
    let current = current.iter().filter(|(name, _)| !held(name));
    let last = last.files.iter().filter(|(name, _)| held(name));
    let chosen: BTreeMap<&String, &String> = current.chain(last).map(|(name, text)| (name, text)).collect();
    chosen.into_iter().map(|(name, text)| (name.clone(), text.clone())).collect()
}

fn text_of<'f>(files: &'f [(String, String)], name: &str) -> Option<&'f str> {
    files.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
}
