//! Problems for people: the message, the marked lines, and what to do.

use std::fmt;
use std::io::IsTerminal as _;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity as Level,
    SourceCode,
};
use sluice_core::conf::{Place, Problem, Problems, Severity};

/// All problems as they are shown on the standard error.
pub(super) fn problems(problems: &Problems) -> String {
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let theme = if coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    problems.iter().map(|problem| render(problem, &handler)).collect()
}

fn render(problem: &Problem, handler: &GraphicalReportHandler) -> String {
    let mut text = String::new();
    match handler.render_report(&mut text, &Report::new(problem)) {
        Ok(()) => text + "\n",
        // a terminal without room for the marks still has room for the words
        Err(fmt::Error) => format!("{problem}\n"),
    }
}

/// A problem as miette takes it.
#[derive(Debug)]
struct Report<'p> {
    problem: &'p Problem,
    source: NamedSource<String>,
    help: String,
    labels: Vec<LabeledSpan>,
}

impl<'p> Report<'p> {
    fn new(problem: &'p Problem) -> Self {
        let file = &problem.place.file;
        let source = NamedSource::new(&*file.name, file.text.to_string());
        let mut labels = vec![label(&problem.place, LabeledSpan::new_primary_with_span)];
        let mut help = problem.help.clone();
        match &problem.other {
            Some(other) if other.file.name == file.name => {
                labels.push(label(other, LabeledSpan::new_with_span))
            }
            Some(other) => {
                let separator = if help.is_empty() { "" } else { "\n" };
                help = format!("{help}{separator}{}: {other}", other.label);
            }
            None => {}
        }
        Self { problem, source, help, labels }
    }
}

fn label(place: &Place, make: impl Fn(Option<String>, std::ops::Range<usize>) -> LabeledSpan) -> LabeledSpan {
    make(Some(place.label.clone()).filter(|label| !label.is_empty()), place.span.clone())
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<Level> {
        Some(match self.problem.severity {
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.help.is_empty()).then(|| Box::new(&self.help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::conf::NoSecrets;
    use sluice_core::plan::read;

    use super::*;
    use crate::kinds::KINDS;

    #[test]
    fn a_problem_shows_its_line_its_mark_and_its_help() {
        let text = "pipeline \"news\" {\n    source \"hsl\" \"https://x.example/\"\n    sink \"hls\" path=\"/news\"\n}\n";
        let (_, found) = read(&[("news.kdl".to_owned(), text.to_owned())], &KINDS, &NoSecrets);
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_links(false);
        let shown: String = found.iter().map(|problem| render(problem, &handler)).collect();
        for words in [
            "× unknown source \"hsl\"",
            "news.kdl:2:12",
            "source \"hsl\"",
            "unknown",
            "did you mean \"hls\"?",
        ] {
            assert!(shown.contains(words), "{words} is missing from {shown}");
        }
    }
}
