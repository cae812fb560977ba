//! Reading one stage: its kind from the registry, its middleware in the order written.

use std::sync::Arc;

use super::StagePlan;
use super::later::LATER;
use crate::conf::{Code, Node, Place as Marked, Problem, nearest};
use crate::stage::{
    BufferKind, BufferSpec, Doc, Goods, Kinds, LayerKind, LayerSpec, Place, SinkKind, SinkSpec, SourceKind,
    SourceSpec,
};

/// A stage that was read, with where its kind stands and what passes through it.
pub(super) struct Staged<S: ?Sized> {
    pub(super) plan: StagePlan<S>,
    pub(super) goods: Goods,
    pub(super) kind: Marked,
    /// The pipeline that it follows, and where that is named.
    pub(super) follows: Option<(String, Marked)>,
}

/// Reads a `source` node.
pub(super) fn source(node: &Node<'_>, kinds: &Kinds) -> Option<Staged<dyn SourceSpec>> {
    let kind: &SourceKind = find(node, kinds.sources, |kind| &kind.doc)?;
    let spec = (kind.decode)(node);
    // a kind may ask an origin at some addresses and not at others
    let exchanges = kind.exchanges && spec.as_ref().is_none_or(|spec| spec.asks_origin());
    let layers = layers(node, kinds, |layer| match exchanges {
        true => (layer.meaning)(Place::Source),
        false => Err("this source asks nothing of an origin"),
    });
    let follows = spec.as_ref().and_then(|spec| spec.follows().map(str::to_owned));
    let follows = follows.map(|name| (name, node.place_of_argument(1, "")));
    staged(node, spec, layers, kind.gives).map(|staged| Staged { follows, ..staged })
}

/// Reads a `buffer` node.
pub(super) fn buffer(node: &Node<'_>, kinds: &Kinds) -> Option<Staged<dyn BufferSpec>> {
    let kind: &BufferKind = find(node, kinds.buffers, |kind| &kind.doc)?;
    let layers = layers(node, kinds, |layer| (layer.meaning)(Place::MemoryBuffer));
    let spec = (kind.decode)(node);
    staged(node, spec, layers, kind.holds)
}

/// Reads a `sink` node.
pub(super) fn sink(node: &Node<'_>, kinds: &Kinds) -> Option<Staged<dyn SinkSpec>> {
    let kind: &SinkKind = find(node, kinds.sinks, |kind| &kind.doc)?;
    let place = if kind.pushes { Place::PushingSink } else { Place::Sink };
    let layers = layers(node, kinds, |layer| (layer.meaning)(place));
    let spec = (kind.decode)(node);
    staged(node, spec, layers, kind.takes)
}

fn staged<S: ?Sized>(
    node: &Node<'_>,
    spec: Option<Box<S>>,
    layers: Vec<Arc<dyn LayerSpec>>,
    goods: Goods,
) -> Option<Staged<S>> {
    let plan = StagePlan { spec: Arc::from(spec?), layers };
    Some(Staged { plan, goods, kind: node.place_of_argument(0, ""), follows: None })
}

/// The kind that the node's first argument names.
fn find<'k, K>(node: &Node<'_>, kinds: &'k [K], doc: impl Fn(&K) -> &Doc) -> Option<&'k K> {
    let family = node.name();
    let Some(name) = node.argument::<String>("kind") else {
        node.ignore_rest();
        return None;
    };
    if let Some(kind) = kinds.iter().find(|kind| doc(kind).name == name) {
        node.documented(doc(kind).names());
        return Some(kind);
    }
    node.ignore_rest();
    let place = |label: &str| node.place_of_argument(0, label);
    if LATER.has_kind(family, &name) {
        let message = format!("{family} \"{name}\" is not supported yet");
        let problem = Problem::new(Code::NotYet, place("not yet"), message);
        node.add(problem.help("leave it out; a later version understands it"));
        return None;
    }
    let names = || kinds.iter().map(|kind| doc(kind).name);
    let help = match nearest(&name, names()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known: {}", names().collect::<Vec<_>>().join(", ")),
    };
    node.add(
        Problem::new(Code::Unknown, place("unknown"), format!("unknown {family} \"{name}\"")).help(help),
    );
    None
}

/// The middleware of a stage; one that means nothing there is a problem with its reason.
fn layers(
    node: &Node<'_>,
    kinds: &Kinds,
    meaning: impl Fn(&LayerKind) -> Result<&'static str, &'static str>,
) -> Vec<Arc<dyn LayerSpec>> {
    let mut layers = Vec::new();
    for layer in node.children_in(&kinds.layer_names()) {
        let Some(kind) = kinds.layers.iter().find(|kind| kind.doc.name == layer.name()) else { continue };
        if let Err(reason) = meaning(kind) {
            let message = format!("`{}` has no effect on this {}: {reason}", layer.name(), node.name());
            layer.add(Problem::new(Code::NoEffect, layer.place("no effect"), message).help("leave it out"));
            layer.ignore_rest();
            continue;
        }
        layer.documented(kind.doc.names());
        layers.extend((kind.decode)(&layer).map(Arc::from));
    }
    layers
}
