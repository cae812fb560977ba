//! The source kind `exec`: a program that writes a transport stream.

mod complaints;
mod run;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use kdl::KdlNode;
use sluice_core::conf::{Node, Secret, Shown, show_secret, show_url};
use sluice_core::pipeline::{Cutting, Source, SourceContext};
use sluice_core::port::Program;
use sluice_core::stage::{Configured, Doc, Entry, Goods, Reveal, SourceKind, SourceSpec};
use url::Url;

use super::cutting::{PROGRAM_ENTRY, SEGMENT_ENTRY, decode_cutting, show_cutting};
use run::Run;

/// The kind.
pub(crate) const EXEC: SourceKind = SourceKind {
    doc: Doc {
        name: "exec",
        about: "Runs a program that writes a transport stream to its standard output at real time, and runs it again \
                when it ends.",
        example: r#"source "exec" "ffmpeg" "-re" "-i" "clip.mp4" "-c" "copy" "-f" "mpegts" "-" segment="2s" cwd="media" {
    env TZ="UTC"
}"#,
        entries: &[
            Entry {
                form: "PROGRAM ARGUMENT...",
                about: "A path, or a name that is looked up in PATH, and its arguments, each passed as it is: there is no \
                        shell.",
                default: "",
            },
            SEGMENT_ENTRY,
            PROGRAM_ENTRY,
            Entry {
                form: "cwd=\"media\"",
                about: "The directory that it runs in.",
                default: "the daemon's own",
            },
            Entry {
                form: "env NAME=\"value\"",
                about: "Variables beside those that the daemon has. Values never show; secrets are best read by (env) or \
                        (file).",
                default: "none",
            },
        ],
    },
    gives: Goods::Live,
    exchanges: false,
    decode,
};

/// A configured `exec` source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exec {
    program: String,
    arguments: Vec<Secret>,
    environment: Vec<(String, Secret)>,
    directory: Option<PathBuf>,
    cutting: Cutting,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    let program = node.argument::<String>("PROGRAM");
    let mut arguments = Vec::new();
    let count = node.kdl().entries().iter().filter(|entry| entry.name().is_none()).count();
    for _ in 2..count {
        arguments.push(node.argument::<Argument>("ARGUMENT").map(|argument| argument.0));
    }
    let cutting = decode_cutting(node);
    let directory = node.property::<PathBuf>("cwd");
    let environment = node.children("env").iter().map(decode_variables).collect::<Option<Vec<_>>>();
    if program.as_deref() == Some("") {
        node.problem_at_argument(1, "the program has no name", "write a path or a name, as \"ffmpeg\"");
        return None;
    }
    Some(Box::new(Exec {
        program: program?,
        arguments: arguments.into_iter().collect::<Option<Vec<_>>>()?,
        environment: environment?.into_iter().flatten().collect(),
        directory,
        cutting,
    }))
}

/// An argument: any text, an empty one too.
struct Argument(Secret);

impl sluice_core::conf::Scalar for Argument {
    const EXPECTED: &'static str = String::EXPECTED;

    fn read(value: &kdl::KdlValue) -> Result<Self, Option<String>> {
        String::read(value).map(|text| Self(text.into()))
    }
}

fn decode_variables(node: &Node<'_>) -> Option<Vec<(String, Secret)>> {
    let names = node.kdl().entries().iter().filter_map(|entry| entry.name());
    let names: Vec<String> = names.map(|name| name.value().to_owned()).collect();
    if names.is_empty() {
        node.problem("`env` names no variable", "write env NAME=\"value\"");
        return None;
    }
    let read = |name: &String| {
        if name.is_empty() || name.contains(['=', '\0']) {
            node.problem_at(name, "this is no name of a variable", "letters, digits and _");
        }
        Some((name.clone(), node.free_property::<Argument>(name)?.0))
    };
    let read: Vec<_> = names.iter().map(read).collect();
    read.into_iter().collect()
}

impl Configured for Exec {
    fn kind(&self) -> &'static str {
        EXEC.doc.name
    }

    fn show(&self, reveal: Reveal) -> KdlNode {
        let shown = Shown::new("source").argument("exec").argument(&*self.program);
        let arguments = self.arguments.iter().map(|argument| show_argument(argument, reveal));
        let shown = arguments.fold(shown, |shown, argument| shown.argument(argument));
        let shown = show_cutting(shown, &self.cutting).optional("cwd", self.directory.as_deref());
        let variables = self.environment.iter();
        shown
            .children(
                variables
                    .map(|(name, value)| Shown::new("env").property(name, show_secret(value, reveal)).node()),
            )
            .node()
    }

    fn programs(&self) -> Vec<String> {
        vec![self.program.clone()]
    }
}

/// An argument as it may be seen: options as they are, of a URL scheme and host, of all else nothing, for it may be a
/// secret.
fn show_argument(argument: &Secret, reveal: Reveal) -> String {
    let text = argument.expose();
    let is_option = text.starts_with('-') && !text.contains(['=', ' ']);
    match Url::parse(text) {
        _ if reveal == Reveal::Whole || is_option => text.to_owned(),
        Ok(url) if url.has_host() => show_url(&url, reveal),
        _ => show_secret(argument, reveal),
    }
}

impl SourceSpec for Exec {
    fn build(&self, context: SourceContext) -> Box<dyn Source> {
        Box::new(Run::new(self.clone(), context))
    }

    fn segment(&self) -> Option<Duration> {
        Some(self.cutting.segment)
    }
}

impl Exec {
    fn to_run(&self) -> Program {
        let own = |secret: &Secret| secret.expose().to_owned();
        Program {
            name: self.program.clone(),
            arguments: self.arguments.iter().map(own).collect(),
            environment: self.environment.iter().map(|(name, value)| (name.clone(), own(value))).collect(),
            directory: self.directory.clone(),
        }
    }
}
