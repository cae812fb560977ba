//! Middleware: layers that stand around a source's exchanges or a sink's requests. One kind has one meaning
//! everywhere; what a request is, a layer asks it by [`Ask`](crate::stage::Ask).
//!
//! `poll_ready` passes through; layers acquire in `call`, and a clone is never called without being ready.

mod cache;
mod circuit_breaker;
mod concurrency;
#[cfg(test)]
pub(crate) mod fixture;
mod flight;
mod rate_limit;
mod retry;
mod timeout;
mod waiting;

pub use cache::{CACHE, Cache};
pub use circuit_breaker::{CIRCUIT_BREAKER, CircuitBreaker};
pub use concurrency::{CONCURRENCY, Concurrency};
pub use rate_limit::{RATE_LIMIT, RateLimit};
pub use retry::{RETRY, Retry};
pub use timeout::{TIMEOUT, Timeout};

use tower::Service;

use crate::fault::Fault;
use crate::stage::{LayerKind, Reply};

/// Every kind of middleware.
pub const LAYERS: &[LayerKind] = &[TIMEOUT, RETRY, RATE_LIMIT, CONCURRENCY, CACHE, CIRCUIT_BREAKER];

/// Why no layer stands on a `memory` buffer.
const WINDOW_IS_MEMORY: &str = "the window is memory: nothing there can fail, wait or be far away";

/// What a layer can stand around.
trait Inner<R>:
    Service<R, Response: Reply, Error = Fault, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

impl<R, S> Inner<R> for S where
    S: Service<R, Response: Reply, Error = Fault, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

/// The service that `poll_ready` made ready, for a call that happens later; a fresh clone stays behind.
fn take_ready<S: Clone>(inner: &mut S) -> S {
    let fresh = inner.clone();
    std::mem::replace(inner, fresh)
}

#[cfg(test)]
mod tests {
    use super::LAYERS;
    use super::fixture::layer;
    use crate::conf::Reveal;
    use crate::stage::Place;

    #[test]
    fn what_a_layer_shows_is_read_again_as_the_same() {
        for kind in LAYERS {
            let spec = layer(kind.doc.example);
            let again = layer(spec.show(Reveal::Whole).to_string().trim());
            assert!(spec.same(again.as_any()), "{spec:?} {again:?}");
        }
    }

    #[test]
    fn no_layer_stands_on_memory_and_every_layer_on_a_source() {
        for kind in LAYERS {
            assert!((kind.meaning)(Place::MemoryBuffer).is_err(), "{}", kind.doc.name);
            assert!((kind.meaning)(Place::Source).is_ok(), "{}", kind.doc.name);
        }
    }
}
