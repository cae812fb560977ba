//! What the stages of a pipeline are made of: requests and answers, the trait objects between them, and
//! the kinds that a registry offers.

mod body;
mod exchange;
mod frames;
mod kind;
mod pushing;
mod serving;
mod spec;
mod states;

pub use body::{Body, Endless, Flow};
pub use exchange::{Answer, ByteRange, Class, Deadlines, Exchange, Freshness, Provenance, Upstream};
pub use frames::Frames;
pub use kind::{BufferKind, Doc, Entry, Goods, Kinds, LayerKind, Place, SinkKind, SourceKind};
pub use pushing::{Done, Operation, Outlet, outlet};
pub use serving::{Served, Serving, Viewing};
pub use spec::{
    BufferSpec, Configured, LayerContext, LayerSpec, Liveness, PushingSpec, Reveal, ServingSpec, SinkForm,
    SinkSpec, SourceSpec, Spec,
};
pub use states::States;

use std::net::IpAddr;

/// What a middleware layer may ask of any request, so that one layer works on every stage.
pub trait Ask: Send + Sized + 'static {
    /// The name under which a cache and a single flight know the answer; none where it must not be shared.
    fn key(&self) -> Option<String>;

    /// Who asks, for limits by client; none where the daemon itself asks.
    fn client(&self) -> Option<IpAddr>;

    /// The same request once more; none where sending it twice could do harm.
    fn again(&self) -> Option<Self>;

    /// Whether it must not queue behind the others of its stage, as the poll of a live playlist: it passes a
    /// `concurrency` limit without a place.
    fn is_urgent(&self) -> bool {
        false
    }

    /// Bounds the waits that happen beneath the layers, as connecting and the gap between two frames.
    fn bound(&mut self, deadlines: Deadlines);
}

/// What a middleware layer may ask of any answer.
pub trait Reply: Send + Sized + 'static {
    /// Keeps `held` (a permit, a timer, a count) until the last byte of the answer is gone.
    #[must_use]
    fn holding<T: Send + Sync + 'static>(self, held: T) -> Self;

    /// Notes that it took so many attempts after the first, for an answer that keeps count.
    #[must_use]
    fn retried(self, times: u32) -> Self {
        let _ = times;
        self
    }
}
