//! A spec is a stage as configured: it reads itself from KDL, compares itself, shows itself and builds itself.

use std::any::Any;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kdl::KdlNode;
use url::Url;

use super::{Outlet, Serving, States, Upstream};
use crate::conf::HostRule;
pub use crate::conf::Reveal;
use crate::metrics::StageMetrics;
use crate::pipeline::{PushContext, Pusher, Shared, Source, SourceContext};

/// What every kind writes: its name, and how it shows. Derive `PartialEq`, and [`Spec`] comes for free.
pub trait Configured: Any + Debug + Send + Sync {
    /// The kind's name in KDL.
    fn kind(&self) -> &'static str;

    /// The effective node, defaults filled in: what `sluice config` prints.
    fn show(&self, reveal: Reveal) -> KdlNode;

    /// Files that must exist, each with what it is: named by `check` when missing.
    fn files(&self) -> Vec<(PathBuf, &'static str)> {
        Vec::new()
    }

    /// Programs that must exist, as paths or names in `PATH`: named by `check` when missing.
    fn programs(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A configured stage or layer behind a trait object: it can be compared.
pub trait Spec: Configured {
    /// Whether the other is equal, kind and all.
    fn same(&self, other: &dyn Any) -> bool;

    /// Itself, to be compared with.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Configured + PartialEq> Spec for T {
    fn same(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// How a source shows that it is alive: what counts as a stall of it, and how it proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// By its bytes: an endless stream that pauses for 2 s has stalled.
    Bytes,
    /// By its list of segments: one that brings nothing new for 1.5 target durations has stalled. It proves itself by
    /// its list alone.
    Playlist,
}

/// A configured source.
pub trait SourceSpec: Spec {
    /// Makes the source. Does no I/O: what can fail fails when it runs.
    fn build(&self, context: SourceContext) -> Box<dyn Source>;

    /// What counts as a stall of it.
    fn liveness(&self) -> Liveness {
        Liveness::Bytes
    }

    /// The length of the segments that it cuts; none where the origin decides. The target duration of a pipeline holds
    /// those of all its sources, so that it need not change when one takes over.
    fn segment(&self) -> Option<Duration> {
        None
    }

    /// Whether it stands in for others, as a slate does: while it plays, better sources are tried as soon as they may.
    fn stands_in(&self) -> bool {
        false
    }

    /// Makes what only looks whether the origin is well, and takes no media in (see `Feed::moved`). `None` where that
    /// costs as much as the source itself, which is run instead where the operator allows it.
    fn probe(&self, _: SourceContext) -> Option<Box<dyn Source>> {
        None
    }

    /// The URL that the operator wrote, whose host may resolve anywhere; none where nothing is asked of an origin.
    fn operator_url(&self) -> Option<&Url> {
        None
    }

    /// Whether it asks an origin by exchanges as it is configured, so that layers on it have an effect. Only for kinds
    /// of which some do.
    fn asks_origin(&self) -> bool {
        true
    }

    /// The pipeline whose window it follows.
    fn follows(&self) -> Option<&str> {
        None
    }

    /// The address of this machine that it alone can listen on, as an operator writes it.
    fn listens(&self) -> Option<String> {
        None
    }

    /// How many connections to one host are worth keeping between exchanges: as many as it uses at once, again and
    /// again.
    fn idle_connections(&self) -> usize {
        1
    }

    /// Hosts that what this source reads may lead to, besides public ones and its own.
    fn allowed_hosts(&self) -> &[HostRule] {
        &[]
    }
}

/// A configured buffer.
pub trait BufferSpec: Spec {
    /// How many segments the window keeps.
    fn segments(&self) -> usize;
    /// How many bytes the window keeps, for each rendition.
    fn bytes(&self) -> u64;
}

/// A configured sink.
pub trait SinkSpec: Spec {
    /// How it gets its bytes out.
    fn form(&self) -> SinkForm<'_>;

    /// How many segments it shows at once: no buffer may keep fewer.
    fn shown_segments(&self) -> usize {
        0
    }
}

/// How a sink gets its bytes out.
pub enum SinkForm<'s> {
    /// It answers viewers on a path.
    Serves(&'s dyn ServingSpec),
    /// It follows the windows by itself.
    Pushes(&'s dyn PushingSpec),
}

impl<'s> SinkForm<'s> {
    /// The path of a sink that serves.
    pub fn path(&self) -> Option<&'s str> {
        if let Self::Serves(spec) = self { Some(spec.path()) } else { None }
    }

    /// The target of a sink that pushes.
    pub fn target(&self) -> Option<&'s str> {
        if let Self::Pushes(spec) = self { Some(spec.target()) } else { None }
    }
}

/// A configured sink that serves.
pub trait ServingSpec {
    /// The path that it is mounted on, always with a leading and never with a trailing slash.
    fn path(&self) -> &str;

    /// The innermost service, without the layers.
    fn build(&self, context: &LayerContext) -> Serving;
}

/// A configured sink that pushes.
pub trait PushingSpec {
    /// What it writes to, which no other sink may share: a directory. Equal targets are written equally.
    fn target(&self) -> &str;

    /// Makes the task's work. Does no I/O: what can fail fails when it runs.
    fn build(&self, context: PushContext) -> Box<dyn Pusher>;
}

/// What a sink or a layer gets when it is built.
#[derive(Clone)]
pub struct LayerContext {
    /// The pipeline, for waits on its state and for its name.
    pub pipeline: Arc<Shared>,
    /// The stage, as `source 1 hls`: the label of its metrics.
    pub stage: Arc<str>,
    /// The stage's counters.
    pub metrics: StageMetrics,
    /// What the layers of this stage know: the same for the stack that takes the place of this one.
    pub states: Arc<States>,
    /// How many layers of the same kind stand beneath a layer.
    pub beneath: usize,
}

impl LayerContext {
    /// The state of `layer` on this stage: that of an equal layer in the stack that this one replaces, else the
    /// one that `make` gives.
    pub fn state<T: Send + Sync + 'static>(
        &self,
        layer: &dyn Configured,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let settings = layer.show(Reveal::Whole);
        self.states.get(format!("{} {} {settings}", self.stage, self.beneath), make)
    }

    /// The state that all equal layers of all pipelines share. A second layer of a kind on one stage keeps to
    /// that stage, so that no request waits in one for what it holds up in the other.
    pub fn common_state<T: Send + Sync + 'static>(
        &self,
        layer: &dyn Configured,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        if self.beneath > 0 {
            return self.state(layer, make);
        }
        self.pipeline.states.get(layer.show(Reveal::Whole).to_string(), make)
    }
}

/// A configured layer.
pub trait LayerSpec: Spec {
    /// Wraps a source's exchanges.
    fn wrap_upstream(&self, inner: Upstream, context: &LayerContext) -> Upstream;

    /// Wraps a sink's requests.
    fn wrap_serving(&self, inner: Serving, context: &LayerContext) -> Serving;

    /// Wraps the operations of a sink that pushes.
    fn wrap_pushing(&self, inner: Outlet, context: &LayerContext) -> Outlet;
}
