//! What the tests of layers stand on: stacks read from KDL around a mock.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};
use tower_test::mock::{Handle, Mock};
use url::Url;

use super::LAYERS;
use crate::conf::decode;
use crate::event::Events;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::pipeline::stack::{around_serving, around_upstream};
use crate::pipeline::{Around, Bounds, Setup, Shared};
use crate::port::NoLedger;
use crate::stage::{
    Answer, Body, Class, Deadlines, Exchange, Frames, Freshness, LayerContext, LayerSpec, Provenance,
    Serving, States, Upstream, Viewing,
};

/// Reads a layer; a problem fails the test.
pub(crate) fn layer(text: &str) -> Box<dyn LayerSpec> {
    let name = text.split(' ').next().unwrap();
    let kind = LAYERS.iter().find(|kind| kind.doc.name == name).unwrap();
    let (spec, problems) = decode(text, kind.decode);
    assert!(problems.is_empty(), "{text}: {problems:?}");
    spec.flatten().unwrap()
}

fn specs(layers: &[&str]) -> Vec<Arc<dyn LayerSpec>> {
    layers.iter().map(|text| layer(text).into()).collect()
}

pub(super) struct Bench {
    pub(super) context: LayerContext,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::beside(Arc::default())
    }

    /// Another pipeline of the fleet that shares `states`.
    pub(super) fn beside(states: Arc<States>) -> Self {
        let metrics = Arc::new(Metrics::new(Registry::new()).unwrap()).pipeline("news");
        let stage: Arc<str> = "stage".into();
        let setup = Setup {
            name: "news".into(),
            metrics: metrics.clone(),
            events: Events::default(),
            ledger: Arc::new(NoLedger),
            states,
            around: Around::default(),
        };
        let pipeline = Arc::new(Shared::new(setup, Bounds { segments: 10, bytes: 1 << 20 }));
        let metrics = metrics.stage(&stage);
        Self { context: LayerContext { pipeline, metrics, stage, states: Arc::default(), beneath: 0 } }
    }

    /// A source's stack, the first layer nearest the origin.
    pub(super) fn upstream(&self, layers: &[&str]) -> (Upstream, Handle<Exchange, Answer>) {
        let (mock, handle) = mock();
        (around_upstream(mock, &specs(layers), &self.context), handle)
    }

    /// A sink's stack.
    pub(super) fn serving(&self, layers: &[&str]) -> (Serving, Handle<Viewing, Response<Body>>) {
        let (mock, handle) = mock();
        (around_serving(Serving::new(mock), &specs(layers), &self.context), handle)
    }

    pub(super) fn ask(&self, upstream: &mut Upstream, exchange: Exchange) -> Asked<Answer> {
        Asked(tokio::spawn(upstream.clone().oneshot(exchange)))
    }

    pub(super) fn view(&self, serving: &mut Serving, viewing: Viewing) -> Asked<Response<Body>> {
        Asked(tokio::spawn(serving.clone().oneshot(viewing)))
    }

    /// Whether nothing reaches the mock before time moves.
    pub(super) async fn is_idle<T, U>(&self, handle: &mut Handle<T, U>) -> bool {
        for _ in 0..20 {
            yield_now().await;
        }
        futures_util::FutureExt::now_or_never(handle.next_request()).is_none()
    }
}

/// A request under way on a task of its own.
pub(super) struct Asked<T>(JoinHandle<Result<T, Fault>>);

impl<T> Asked<T> {
    /// The fault that it must end with.
    pub(super) async fn fault(self) -> Fault {
        self.await.err().unwrap()
    }

    /// Goes away before the answer.
    pub(super) async fn leave(self) {
        self.0.abort();
        assert!(self.0.await.is_err());
    }
}

impl<T> Future for Asked<T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Result::unwrap)
    }
}

fn mock<T: Send + 'static, U: Send + 'static>() -> (BoxCloneSyncService<T, U, Fault>, Handle<T, U>)
where
    Mock<T, U>: Service<T, Response = U, Error = tower::BoxError>,
    <Mock<T, U> as Service<T>>::Future: Send,
{
    let (mock, handle) = tower_test::mock::pair::<T, U>();
    (
        BoxCloneSyncService::new(mock.map_err(|error: tower::BoxError| *error.downcast::<Fault>().unwrap())),
        handle,
    )
}

pub(crate) fn segment(name: &str) -> Exchange {
    Exchange {
        url: Url::parse("http://origin.example/").unwrap().join(name).unwrap(),
        provenance: Provenance::Learned,
        class: Class::Segment,
        range: None,
        headers: Arc::default(),
        validators: HeaderMap::new(),
        deadlines: Deadlines::default(),
        audience: 0,
    }
}

pub(super) fn playlist(name: &str) -> Exchange {
    Exchange { class: Class::Playlist, ..segment(name) }
}

pub(crate) fn answer(body: &'static str) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
        frames: None,
        url: Url::parse("http://origin.example/").unwrap(),
        first_byte: Duration::ZERO,
        total: Duration::ZERO,
        retries: 0,
        freshness: Freshness::Origin,
    }
}

pub(super) fn stream(name: &str) -> Exchange {
    Exchange { class: Class::Stream, ..segment(name) }
}

/// The head of an endless answer, and what brings its frames.
pub(super) fn endless() -> (Answer, mpsc::Sender<Bytes>) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|frame| frame.map(Ok)));
    (Answer { frames: Some(Frames::new(frames)), ..answer("") }, sender)
}

pub(super) fn viewing() -> Viewing {
    viewing_from(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

pub(super) fn viewing_from(client: IpAddr) -> Viewing {
    Viewing {
        method: Method::GET,
        uri: Uri::from_static("/index.m3u8"),
        rest_at: 1,
        bare: false,
        headers: HeaderMap::new(),
        client,
    }
}

pub(super) fn page(body: &'static str) -> Response<Body> {
    Response::new(Body::from(Bytes::from_static(body.as_bytes())))
}
