//! Small kinds for the tests of this module.

use std::time::Duration;

use kdl::KdlNode;

use super::{Plan, read};
use crate::conf::{HttpUrl, Lookup, Node, Problems, Reveal, Shown, show_url};
use crate::pipeline::{PushContext, Pusher, Source, SourceContext};
use crate::stage::{
    BufferKind, BufferSpec, Configured, Doc, Entry, Goods, Kinds, LayerContext, LayerKind, LayerSpec, Outlet,
    Place, PushingSpec, Serving, ServingSpec, SinkForm, SinkKind, SinkSpec, SourceKind, SourceSpec, Upstream,
};

const fn doc(name: &'static str, example: &'static str, entries: &'static [Entry]) -> Doc {
    Doc { name, about: "A fake.", example, entries }
}

const fn entry(form: &'static str) -> Entry {
    Entry { form, about: "Something.", default: "" }
}

pub(super) const KINDS: Kinds = Kinds {
    sources: &[
        SourceKind {
            doc: doc(
                "hls",
                "source \"hls\" \"https://x.example/\" { parallel 3; }",
                &[entry("URL"), entry("parallel N")],
            ),
            gives: Goods::Live,
            exchanges: true,
            decode: hls,
        },
        SourceKind {
            doc: doc("file", "source \"file\" \"a.ts\"", &[]),
            gives: Goods::Live,
            exchanges: false,
            decode: file,
        },
        SourceKind {
            doc: doc("shelf", "source \"shelf\" \"videos\"", &[]),
            gives: Goods::Catalog,
            exchanges: false,
            decode: file,
        },
    ],
    buffers: &[BufferKind {
        doc: doc("memory", "buffer \"memory\" segments=5", &[entry("segments=N")]),
        holds: Goods::Live,
        decode: memory,
    }],
    sinks: &[
        SinkKind {
            doc: doc(
                "hls",
                "sink \"hls\" path=\"/live/x\" window=6",
                &[entry("path=PATH"), entry("window=N")],
            ),
            takes: Goods::Live,
            pushes: false,
            decode: sink,
        },
        SinkKind {
            doc: doc("store", "sink \"store\" dir=\"x\"", &[entry("dir=DIRECTORY")]),
            takes: Goods::Live,
            pushes: true,
            decode: store,
        },
    ],
    layers: &[
        LayerKind {
            doc: doc("timeout", "timeout \"5s\"", &[entry("TOTAL")]),
            meaning: anywhere,
            decode: timeout,
        },
        LayerKind { doc: doc("retry", "retry 3", &[entry("TIMES")]), meaning: not_on_memory, decode: retry },
        LayerKind {
            doc: doc("cache", "cache 3", &[entry("TIMES")]),
            meaning: not_when_pushing,
            decode: retry,
        },
    ],
};

#[derive(Debug, PartialEq)]
struct Hls(HttpUrl, u32);
#[derive(Debug, PartialEq)]
struct Path(String);
#[derive(Debug, PartialEq)]
struct Memory(usize);
#[derive(Debug, PartialEq)]
struct Sink(String, u32);
#[derive(Debug, PartialEq)]
struct Store(String);
#[derive(Debug, PartialEq)]
struct Timeout(Duration);
#[derive(Debug, PartialEq)]
struct Retry(u32);

fn hls(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    let url = node.argument("URL")?; // gives up before it has read everything, on purpose
    let parallel = node.child("parallel").map_or(Some(3), |node| node.argument_within("number", 1..=16));
    Some(Box::new(Hls(url, parallel?)))
}

fn file(node: &Node<'_>) -> Option<Box<dyn SourceSpec>> {
    Some(Box::new(Path(node.argument("path")?)))
}

fn memory(node: &Node<'_>) -> Option<Box<dyn BufferSpec>> {
    Some(Box::new(Memory(node.property_within("segments", 1..=1000).unwrap_or(100))))
}

fn sink(node: &Node<'_>) -> Option<Box<dyn SinkSpec>> {
    let (path, window) = (node.required_property("path"), node.property("window"));
    Some(Box::new(Sink(path?, window.unwrap_or(3))))
}

fn store(node: &Node<'_>) -> Option<Box<dyn SinkSpec>> {
    Some(Box::new(Store(node.required_property("dir")?)))
}

fn timeout(node: &Node<'_>) -> Option<Box<dyn LayerSpec>> {
    Some(Box::new(Timeout(node.argument("duration")?)))
}

fn retry(node: &Node<'_>) -> Option<Box<dyn LayerSpec>> {
    Some(Box::new(Retry(node.argument_within("number", 1..=10)?)))
}

fn anywhere(_: Place) -> Result<&'static str, &'static str> {
    Ok("waits")
}

fn not_on_memory(place: Place) -> Result<&'static str, &'static str> {
    if place == Place::MemoryBuffer { Err("memory does not fail") } else { Ok("tries again") }
}

fn not_when_pushing(place: Place) -> Result<&'static str, &'static str> {
    if place == Place::PushingSink { Err("nothing is read") } else { Ok("keeps") }
}

macro_rules! configured {
    ($($kind:ty: $name:literal, |$this:ident, $reveal:ident| $show:expr;)*) => {$(
        impl Configured for $kind {
            fn kind(&self) -> &'static str {
                $name
            }

            fn show(&self, $reveal: Reveal) -> KdlNode {
                let $this = self;
                $show.node()
            }
        }
    )*};
}
configured! {
    Hls: "hls", |this, reveal| Shown::new("source").argument("hls").argument(show_url(&this.0.0, reveal))
        .child(Shown::new("parallel").argument(this.1));
    Path: "file", |this, _reveal| Shown::new("source").argument("file").argument(this.0.as_str());
    Memory: "memory", |this, _reveal| Shown::new("buffer").argument("memory").property("segments", this.0);
    Sink: "hls", |this, _reveal| Shown::new("sink").argument("hls").property("path", this.0.as_str())
        .property("window", this.1);
    Store: "store", |this, _reveal| Shown::new("sink").argument("store").property("dir", this.0.as_str());
    Timeout: "timeout", |this, _reveal| Shown::new("timeout").argument(this.0);
    Retry: "retry", |this, _reveal| Shown::new("retry").argument(this.0);
}

impl SourceSpec for Hls {
    fn build(&self, _: SourceContext) -> Box<dyn Source> {
        unreachable!("plans are not built here")
    }
}

impl SourceSpec for Path {
    fn build(&self, _: SourceContext) -> Box<dyn Source> {
        unreachable!("plans are not built here")
    }
}

impl BufferSpec for Memory {
    fn segments(&self) -> usize {
        self.0
    }

    fn bytes(&self) -> u64 {
        0
    }
}

impl SinkSpec for Sink {
    fn form(&self) -> SinkForm<'_> {
        SinkForm::Serves(self)
    }

    fn shown_segments(&self) -> usize {
        self.1 as usize
    }
}

impl ServingSpec for Sink {
    fn path(&self) -> &str {
        &self.0
    }

    fn build(&self, _: &LayerContext) -> Serving {
        unreachable!("plans are not built here")
    }
}

impl SinkSpec for Store {
    fn form(&self) -> SinkForm<'_> {
        SinkForm::Pushes(self)
    }
}

impl PushingSpec for Store {
    fn target(&self) -> &str {
        &self.0
    }

    fn build(&self, _: PushContext) -> Box<dyn Pusher> {
        unreachable!("plans are not built here")
    }
}

impl LayerSpec for Timeout {
    fn wrap_upstream(&self, inner: Upstream, _: &LayerContext) -> Upstream {
        inner
    }

    fn wrap_serving(&self, inner: Serving, _: &LayerContext) -> Serving {
        inner
    }

    fn wrap_pushing(&self, inner: Outlet, _: &LayerContext) -> Outlet {
        inner
    }
}

impl LayerSpec for Retry {
    fn wrap_upstream(&self, inner: Upstream, _: &LayerContext) -> Upstream {
        inner
    }

    fn wrap_serving(&self, inner: Serving, _: &LayerContext) -> Serving {
        inner
    }

    fn wrap_pushing(&self, inner: Outlet, _: &LayerContext) -> Outlet {
        inner
    }
}

/// Knows one variable, `TOKEN`.
pub(super) struct Vault;

impl Lookup for Vault {
    fn env(&self, name: &str) -> Result<String, String> {
        if name == "TOKEN" { Ok("hunter2".into()) } else { Err("it is not set".into()) }
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no such file".into())
    }
}

pub(super) fn texts(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Reads with the fake kinds.
pub(super) fn plan(files: &[(&str, &str)]) -> (Plan, Problems) {
    read(&texts(files), &KINDS, &Vault)
}

/// Reads what must have no problem.
pub(super) fn good(files: &[(&str, &str)]) -> Plan {
    let (plan, problems) = plan(files);
    assert!(problems.is_empty(), "{problems:#?}");
    plan
}
