//! One request of a viewer, and the service that answers it.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, Method, Response, Uri};
use tower::{Service, ServiceExt};

use super::{Ask, Body, Deadlines, Reply};
use crate::fault::Fault;

/// The service that a sink mounts on its route, inside the stage's layers. A clone is one more count of the same
/// service: a viewer's request costs no allocation for it.
#[derive(Clone)]
pub struct Serving(Arc<dyn Answers>);

impl Serving {
    /// Erases the type of a service.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Viewing, Response = Response<Body>, Error = Fault, Future: Send + Unpin + 'static>,
        S: Clone + Send + Sync + 'static,
    {
        Self(Arc::new(Erased(service)))
    }

    /// The innermost service: it needs no readiness, and what it knows at once it answers without a box.
    pub fn from_fn(answer: impl Fn(Viewing) -> Served + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// Answers. As [`Service::call`], for who shares it.
    pub fn answer(&self, viewing: Viewing) -> Served {
        self.0.answer(viewing)
    }
}

impl Service<Viewing> for Serving {
    type Response = Response<Body>;
    type Error = Fault;
    type Future = Served;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(())) // the clone that answers is made ready in `call`
    }

    fn call(&mut self, viewing: Viewing) -> Served {
        self.answer(viewing)
    }
}

trait Answers: Send + Sync {
    fn answer(&self, viewing: Viewing) -> Served;
}

struct Erased<S>(S);

impl<S> Answers for Erased<S>
where
    S: Service<Viewing, Response = Response<Body>, Error = Fault, Future: Send + Unpin + 'static>,
    S: Clone + Send + Sync + 'static,
{
    /// Most layers let a request pass at once: an answer that is there needs no box. What is not is polled again by
    /// who waits for it.
    fn answer(&self, viewing: Viewing) -> Served {
        let mut service = self.0.clone();
        let mut context = Context::from_waker(Waker::noop());
        match service.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(fault)) => return Served::now(Err(fault)),
            Poll::Pending => return Served::later(service.oneshot(viewing)),
        }
        let mut answer = service.call(viewing);
        match Pin::new(&mut answer).poll(&mut context) {
            Poll::Ready(answer) => Served::now(answer),
            Poll::Pending => Served::later(answer),
        }
    }
}

impl<F: Fn(Viewing) -> Served + Send + Sync> Answers for F {
    fn answer(&self, viewing: Viewing) -> Served {
        self(viewing)
    }
}

type Later = Pin<Box<dyn Future<Output = Result<Response<Body>, Fault>> + Send>>;

/// The answer to a viewer, or the way to it.
pub struct Served(Progress);

enum Progress {
    Now(Option<Result<Response<Body>, Fault>>),
    Later(Later),
}

impl Served {
    /// An answer that is known.
    pub fn now(answer: Result<Response<Body>, Fault>) -> Self {
        Self(Progress::Now(Some(answer)))
    }

    /// An answer that takes its time.
    pub fn later(answer: impl Future<Output = Result<Response<Body>, Fault>> + Send + 'static) -> Self {
        Self(Progress::Later(Box::pin(answer)))
    }
}

impl Future for Served {
    type Output = Result<Response<Body>, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Progress::Now(answer) => match answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => Poll::Pending, // a future is not polled after it was ready
            },
            Progress::Later(answer) => answer.as_mut().poll(context),
        }
    }
}

/// A request of a viewer. Sinks answer GET and HEAD; the route refuses what has a body.
#[derive(Debug, Clone)]
pub struct Viewing {
    /// GET or HEAD; other methods reach the sink too and are its to refuse.
    pub method: Method,
    /// What was asked for, as it came.
    pub uri: Uri,
    /// Where in the path of `uri` begins what stands behind the mount point.
    pub rest_at: usize,
    /// Whether the path ended at the mount point itself, without a slash.
    pub bare: bool,
    /// The headers.
    pub headers: HeaderMap,
    /// Who asks: the peer, or what a trusted proxy says.
    pub client: IpAddr,
}

impl Viewing {
    /// What stands behind the mount point, without a leading slash: `index.m3u8`. Percent-encoded as it came.
    pub fn rest(&self) -> &str {
        self.uri.path().get(self.rest_at..).unwrap_or_default()
    }

    /// The query, as it came.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }
}

impl Ask for Viewing {
    fn key(&self) -> Option<String> {
        matches!(self.method, Method::GET | Method::HEAD)
            .then(|| format!("{} {}?{}", self.method, self.rest(), self.query().unwrap_or_default()))
    }

    fn client(&self) -> Option<IpAddr> {
        Some(self.client)
    }

    fn again(&self) -> Option<Self> {
        matches!(self.method, Method::GET | Method::HEAD).then(|| self.clone())
    }

    fn bound(&mut self, _: Deadlines) {} // nothing beneath a sink connects or reads
}

impl Reply for Response<Body> {
    fn holding<T: Send + Sync + 'static>(self, held: T) -> Self {
        self.map(|body| body.holding(held))
    }
}
