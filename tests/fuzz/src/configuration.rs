//! Text of any kind as a configuration: problems with places that are in it, or a plan that reads the same again.

use sluice_core::buffer::MEMORY;
use sluice_core::conf::{Lookup, Reveal, print};
use sluice_core::middleware::LAYERS;
use sluice_core::plan::{Plan, diff, read, show};
use sluice_core::stage::Kinds;

/// Sources and sinks of the tests of the plan; the real ones stand in the binary.
#[path = "../../../daemon/core/src/plan/fake.rs"]
#[expect(dead_code, reason = "what its tests need besides")]
mod fake;

const KINDS: Kinds = Kinds { buffers: &[MEMORY], layers: LAYERS, ..fake::KINDS };

struct NoSecrets;

impl Lookup for NoSecrets {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(format!("the secret {name}"))
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no such file".to_owned())
    }
}

/// Reads one file, or two with a line `////` between them.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let texts = text.splitn(2, "////\n").enumerate();
    let files: Vec<_> = texts.map(|(at, text)| (format!("{at}.kdl"), text.to_owned())).collect();
    let (plan, problems) = read(&files, &KINDS, &NoSecrets);
    for problem in problems.iter() {
        for place in [Some(&problem.place), problem.other.as_ref()].into_iter().flatten() {
            let marked = place.file.text.get(place.span.clone());
            assert!(marked.is_some(), "{:?} lies outside of the text: {}", place.span, problem.message);
        }
        assert!(!problem.message.is_empty());
    }
    assert!(diff(&plan, &plan).is_empty(), "a plan differs from itself");
    if problems.is_empty() {
        assert_shown(&plan);
    }
}

/// What is shown of a plan reads as the plan.
fn assert_shown(plan: &Plan) {
    let shown = print(&show(plan, Reveal::Whole));
    let (again, problems) = read(&[("shown.kdl".to_owned(), shown.clone())], &KINDS, &NoSecrets);
    assert!(!problems.are_fatal(), "{shown}\n{problems:?}");
    assert_eq!(*plan, again, "{shown}");
    let hidden = print(&show(plan, Reveal::Hidden));
    assert!(!hidden.contains("the secret "), "{hidden}");
}
