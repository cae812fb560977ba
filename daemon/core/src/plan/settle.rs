//! What is in force after a change: a file with problems keeps its last good text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Plan, read};
use crate::conf::{Lookup, Problems};
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
/// at last all of them: then `last` stays in force as it is.
pub fn settle(current: &[(String, String)], last: &Good, kinds: &Kinds, lookup: &dyn Lookup) -> Settled {
    let mut held_back = BTreeSet::new();
    let mut found = Vec::new();
    loop {
        let files = choose(current, last, &held_back);
        let (plan, problems) = read(&files, kinds, lookup);
        let fatal = problems.are_fatal();
        let before = held_back.len();
        held_back.extend(problems.files());
        if fatal && held_back.len() == before {
            held_back.extend(
                problems.errors().filter_map(|one| one.other.as_ref()).map(|place| place.file.name.clone()),
            );
        }
        found.extend(problems);
        if !fatal {
            held_back.retain(|name| text_of(current, name) != text_of(&files, name));
            return Settled { good: Good { files, plan }, problems: found.into(), held_back };
        }
        if held_back.len() == before {
            held_back.extend(current.iter().map(|(name, _)| Arc::from(name.as_str())));
            held_back.retain(|name| text_of(current, name) != text_of(&last.files, name));
            return Settled { good: last.clone(), problems: found.into(), held_back };
        }
    }
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
