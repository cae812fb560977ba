//! Pipelines that follow one another: each must be there, and none may follow itself, however far around.

use std::collections::BTreeMap;

use super::conflict::Taken;
use crate::conf::{Code, Place, Problem, nearest};

/// Who follows whom, with where that is written.
#[derive(Default)]
pub(super) struct Followers {
    /// Each step by the name of who follows, in the order in which they were read.
    steps: Vec<Step>,
}

struct Step {
    by: String,
    followed: String,
    place: Place,
}

impl Followers {
    /// Notes that the pipeline `by` has a source that follows `followed`.
    pub(super) fn add(&mut self, by: &str, followed: String, place: Place) {
        self.steps.push(Step { by: by.to_owned(), followed, place });
    }

    /// What is wrong with them. Where `partial`, a file is missing from what was read, and with it perhaps a pipeline.
    pub(super) fn problems(&self, taken: &Taken, partial: bool) -> Vec<Problem> {
        let unknown = self.steps.iter().filter(|step| !partial && !taken.has_name(&step.followed));
        let unknown = unknown.map(|step| {
            let message = format!("unknown pipeline `{}`", step.followed);
            let help = match nearest(&step.followed, taken.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name another pipeline of this configuration".to_owned(),
            };
            Problem::new(Code::Unknown, labelled(&step.place, "unknown"), message).help(help)
        });
        unknown.chain(self.circles()).collect()
    }

    /// One problem for each circle, at the step that was read first.
    fn circles(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut known: BTreeMap<&str, ()> = BTreeMap::new();
        for first in &self.steps {
            if known.contains_key(&*first.by) {
                continue;
            }
            let Some(circle) = self.back_to(first) else { continue };
            known.extend(circle.iter().map(|step| (&*step.by, ())));
            found.push(told(first, &circle));
        }
        found
    }

    /// The steps from this one back to who makes it, itself first.
    fn back_to<'s>(&'s self, first: &'s Step) -> Option<Vec<&'s Step>> {
        let mut ways = vec![vec![first]];
        let mut seen = vec![&*first.by];
        while let Some(way) = ways.pop() {
            let last = way.last()?;
            if last.followed == first.by {
                return Some(way);
            }
            if seen.contains(&&*last.followed) {
                continue;
            }
            seen.push(&last.followed);
            for next in self.steps.iter().filter(|step| step.by == last.followed) {
                ways.push([way.as_slice(), &[next]].concat());
            }
        }
        None
    }
}

fn told(first: &Step, circle: &[&Step]) -> Problem {
    let place = labelled(&first.place, "followed here");
    let help = "a pipeline gets its stream from an origin in the end: give one of them another source";
    let Some(last) = circle.last().filter(|_| circle.len() > 1) else {
        let message = format!("the pipeline `{}` follows itself", first.by);
        return Problem::new(Code::Conflict, place, message).help(help);
    };
    let names: Vec<&str> = circle.iter().map(|step| &*step.followed).collect();
    let message = format!("the pipeline `{}` follows itself, by way of {}", first.by, names.join(", "));
    Problem::new(Code::Conflict, place, message).help(help).and(labelled(&last.place, "and back"))
}

fn labelled(place: &Place, label: &str) -> Place {
    Place { label: label.into(), ..place.clone() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conf::File;

    fn problems(names: &[&str], steps: &[(&str, &str)], partial: bool) -> Vec<String> {
        let file = Arc::new(File { name: "a.kdl".into(), text: "x".repeat(100).into() });
        let place = |at: usize| Place::new(file.clone(), at..at + 1, "");
        let (mut taken, mut followers) = (Taken::default(), Followers::default());
        names.iter().for_each(|name| assert!(taken.name(name, place(0)).is_none()));
        for (at, (by, followed)) in steps.iter().enumerate() {
            followers.add(by, (*followed).to_owned(), place(at));
        }
        let told = followers.problems(&taken, partial);
        told.iter()
            .map(|one| {
                let back =
                    one.other.as_ref().map(|other| format!(" and {}", other.span.start)).unwrap_or_default();
                format!(
                    "{}{back}: {} ({})",
                    one.place.span.start,
                    one.message,
                    one.help.split(':').next().unwrap()
                )
            })
            .collect()
    }

    #[test]
    fn a_pipeline_that_is_not_there_is_named_with_the_nearest() {
        let steps = [("b", "newz"), ("b", "news")];
        assert_eq!(
            problems(&["news", "b"], &steps, false),
            ["0: unknown pipeline `newz` (did you mean `news`?)"]
        );
        assert!(
            problems(&["news", "b"], &steps, true).is_empty(),
            "it may stand in the file that is missing"
        );
    }

    #[test]
    fn circles_are_told_once_with_both_places_and_diamonds_are_none() {
        let cause = "(a pipeline gets its stream from an origin in the end)";
        assert_eq!(
            problems(&["a"], &[("a", "a")], false),
            [format!("0: the pipeline `a` follows itself {cause}")]
        );
        assert_eq!(
            problems(&["a", "b", "c", "d"], &[("d", "a"), ("a", "b"), ("b", "c"), ("c", "a")], false),
            [format!("1 and 3: the pipeline `a` follows itself, by way of b, c, a {cause}")]
        );
        let diamond = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")];
        assert!(problems(&["a", "b", "c", "d"], &diamond, false).is_empty());
    }
}
