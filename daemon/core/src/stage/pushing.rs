//! One operation of a sink that pushes, and the service that carries it out.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tower::util::BoxCloneSyncService;

use super::{Ask, Deadlines, Reply};
use crate::fault::Fault;

/// The service that a pushing sink sends its operations through: the work itself inside the stage's layers.
pub type Outlet = BoxCloneSyncService<Operation, Done, Fault>;

type Work = dyn Fn() -> BoxFuture<'static, Result<(), Fault>> + Send + Sync;

/// A piece of work on what a sink pushes to, as writing one segment. It may be run again after a fault, and also
/// while an earlier run that was given up still goes on: doing it twice must be as doing it once.
#[derive(Clone)]
pub struct Operation(Arc<Work>);

impl Operation {
    /// The operation that `work` carries out each time it is called.
    pub fn new(work: impl Fn() -> BoxFuture<'static, Result<(), Fault>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(work))
    }
}

/// An operation was carried out.
#[derive(Debug, Clone, Copy)]
pub struct Done;

/// The innermost service of every pushing sink.
pub fn outlet() -> Outlet {
    BoxCloneSyncService::new(tower::service_fn(|operation: Operation| async move {
        (operation.0)().await.map(|()| Done)
    }))
}

impl Ask for Operation {
    fn key(&self) -> Option<String> {
        None
    }

    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn bound(&mut self, _: Deadlines) {} // it neither connects nor reads
}

impl Reply for Done {
    fn holding<T: Send + Sync + 'static>(self, _held: T) -> Self {
        self // the work is over
    }
}
