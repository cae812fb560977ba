//! The sink kind `record`: writes what a pipeline carries into files, with a playlist that plays them.

mod choice;
mod file;
mod index;
mod mixing;
mod name;
mod recorder;
mod shelf;
mod writer;

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use kdl::KdlNode;
use sluice_core::conf::{ByteSize, Node, Shown};
use sluice_core::pipeline::{PushContext, Pusher};
use sluice_core::stage::{Configured, Doc, Entry, Goods, PushingSpec, Reveal, SinkForm, SinkKind, SinkSpec};

use recorder::Recorder;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The kind.
pub(crate) const RECORD: SinkKind = SinkKind {
    doc: Doc {
        name: "record",
        about: "Writes files into a directory, with DIRECTORY/index.m3u8 that plays them.",
        example: r#"sink "record" dir="var/recordings/news" keep="24h" keep-bytes="50GiB" roll="1h""#,
        entries: &[
            Entry {
                form: "dir=DIRECTORY",
                about: "Where the files go; it is made where it is missing. No two sinks share one.",
                default: "",
            },
            Entry {
                form: "roll=\"1h\"",
                about: "How long a file lasts, up to the next keyframe that begins a segment; 1s to 24h.",
                default: "1h",
            },
            Entry {
                form: "keep=\"24h\"",
                about: "Files that ended longer ago are deleted; 1s to 3650 days, written in hours.",
                default: "for ever",
            },
            Entry {
                form: "keep-bytes=\"50GiB\"",
                about: "The oldest files are deleted while all of them hold more; at least 64KiB.",
                default: "without limit",
            },
            Entry {
                form: "rendition=NAME",
                about: "Which rendition is recorded, a variant with its audio.",
                default: "the best variant with its audio",
            },
        ],
    },
    takes: Goods::Live,
    pushes: true,
    decode,
};

/// A configured `record` sink.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// As it was written, without what changes nothing (`./`, `//`, a slash at the end).
    dir: String,
    roll: Duration,
    keep: Option<Duration>,
    keep_bytes: Option<ByteSize>,
    rendition: Option<String>,
}

fn decode(node: &Node<'_>) -> Option<Box<dyn SinkSpec>> {
    let dir = node.required_property::<String>("dir");
    let roll = node.property_within("roll", SECOND..=DAY).unwrap_or(Duration::from_secs(3600));
    let keep = node.property_within("keep", SECOND..=DAY * 3650);
    let keep_bytes = node.property_within("keep-bytes", ByteSize(64 << 10)..=ByteSize(u64::MAX));
    let rendition = node.property::<String>("rendition");
    let dir = plain(&dir?);
    if dir.is_empty() {
        node.problem_at("dir", "nothing can be written there", "name a directory, as var/recordings/news");
        return None;
    }
    Some(Box::new(Record { dir, roll, keep, keep_bytes, rendition }))
}

/// The path without `.` and empty parts, so that equal directories are written equally.
fn plain(path: &str) -> String {
    let parts = Path::new(path).components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().display().to_string()
}

impl Configured for Record {
    fn kind(&self) -> &'static str {
        RECORD.doc.name
    }

    fn show(&self, _: Reveal) -> KdlNode {
        Shown::new("sink")
            .argument(self.kind())
            .property("dir", self.dir.as_str())
            .property("roll", self.roll)
            .optional("keep", self.keep)
            .optional("keep-bytes", self.keep_bytes)
            .optional("rendition", self.rendition.as_deref())
            .node()
    }
}

impl SinkSpec for Record {
    fn form(&self) -> SinkForm<'_> {
        SinkForm::Pushes(self)
    }
}

impl PushingSpec for Record {
    fn target(&self) -> &str {
        &self.dir
    }

    fn build(&self, context: PushContext) -> Box<dyn Pusher> {
        Box::new(Recorder::new(self.clone(), context))
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn equal_directories_are_written_equally() {
        for (written, plainly) in
            [("var/news/", "var/news"), ("./var//news", "var/news"), ("/var/news/.", "/var/news"), (".", "")]
        {
            assert_eq!(plain(written), plainly, "{written}");
        }
    }
}
