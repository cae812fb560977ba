//! From the text of a file to a document: limits first, then the scan for usual slips, then the parser.

use std::ops::Range;
use std::sync::Arc;

use kdl::{KdlDocument, KdlNode};

use super::scan::scan;
use super::scope::NoSecrets;
use super::{Code, Collector, File, Node, Place, Problem, Problems, Scope};

/// The largest file that is read, in bytes.
pub const LARGEST_FILE_BYTES: usize = 1 << 20;

/// How many complaints of the parser are reported for one file.
const MOST_DIAGNOSTICS: usize = 20;

/// A file that was parsed.
#[derive(Debug)]
pub struct Document {
    /// The file.
    pub file: Arc<File>,
    root: KdlNode,
}

impl Document {
    /// Parses a file. Whoever read it puts U+FFFD in the place of bytes that are not UTF-8. `None` after at least one problem; a slip that can be told apart from the rest, as a bare
    /// `5ms`, is a problem too, but the rest of the file is read all the same.
    pub fn parse(name: &str, text: &str, problems: &Collector) -> Option<Self> {
        let file = Arc::new(File { name: name.into(), text: text.into() });
        let place = |span: Range<usize>, label: &str| Place::new(file.clone(), span, label);
        if text.len() > LARGEST_FILE_BYTES {
            let message = format!("the file is larger than {} KiB", LARGEST_FILE_BYTES >> 10);
            problems
                .add(Problem::new(Code::Limit, place(0..0, ""), message).help("split it into several files"));
            return None;
        }
        if let Some(at) = text.find(char::REPLACEMENT_CHARACTER) {
            let marked = place(at..at + char::REPLACEMENT_CHARACTER.len_utf8(), "here");
            problems
                .add(Problem::new(Code::Syntax, marked, "the file is not UTF-8").help("save it as UTF-8"));
            return None;
        }
        let scanned = scan(text);
        for slip in &scanned.slips {
            let problem = Problem::new(slip.code, place(slip.span.clone(), slip.label), slip.message.clone());
            problems.add(problem.help(slip.help.clone()));
        }
        match KdlDocument::parse_v2(&scanned.mended?) {
            Ok(document) => {
                let mut root = KdlNode::new("");
                root.set_children(document);
                Some(Self { file, root })
            }
            Err(error) => {
                for one in error.diagnostics.into_iter().take(MOST_DIAGNOSTICS) {
                    let message = one.message.unwrap_or_else(|| "this is not KDL 2.0".into());
                    let label = one.label.unwrap_or_default();
                    let marked = place(super::node::range(one.span), &label);
                    problems
                        .add(Problem::new(Code::Syntax, marked, message).help(one.help.unwrap_or_default()));
                }
                None
            }
        }
    }

    /// A cursor whose children are the nodes of the file.
    pub fn root<'a>(&'a self, scope: Scope<'a>) -> Node<'a> {
        Node::new(&self.root, scope)
    }
}

/// Reads the first node of `text` with `decode`: for examples in documentation and for tests of decoders.
pub fn decode<T>(text: &str, decode: impl FnOnce(&Node<'_>) -> T) -> (Option<T>, Problems) {
    let problems = Collector::default();
    let document = Document::parse("example.kdl", text, &problems);
    let decoded = document.as_ref().and_then(|document| {
        let file = &document.file;
        let scope = Scope { file, problems: &problems, lookup: &NoSecrets, variables: &[], later: &[] };
        let first = document.root.iter_children().next()?;
        Some(decode(&Node::new(first, scope)))
    });
    (decoded, problems.finish())
}
