//! What it costs to publish an event, with handlers that hear it, against a bare bounded channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::conf::{File, Place, Settings};
use sluice_core::event::{Event, Events, Handling, HandlingParts, Pattern, STREAM_STALLED, Subscription};
use sluice_core::metrics::DeliveryMetrics;
use sluice_core::plugin::{Action, Actor, Handler, PluginFault, Plugins, Reaction, Scorer, Use};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Effort;
use super::report::{Bar, Figure, Report};

/// Events in a burst: what no queue loses.
const BURST: usize = 100;
const BURSTS: usize = 500;
const USES: usize = 3;

/// Measures bursts of events; each is taken whole before the next begins.
pub(crate) async fn measure(effort: Effort, report: &mut Report) {
    let (mut own, mut bare) = (Figure::default(), Figure::default());
    for _ in 0..effort.rounds {
        own.push(publishing().await);
        bare.push(sending().await);
    }
    let what = format!("publishing an event that {USES} handlers hear,");
    report.compare(&what, &own, ("try_send of a bounded channel", &bare), Bar::AtMost(10.0), (1.0, "ns"));
}

/// Nanoseconds for an event, in the middle one of all bursts: others of the machine interrupt some of them.
async fn publishing() -> f64 {
    let (events, counted) = (Events::default(), Arc::new(Counted::default()));
    let metrics = DeliveryMetrics::new(&prometheus::Registry::new()).unwrap();
    let (plugins, actor) = (counted.clone(), counted.clone());
    let mut handling = Handling::start(HandlingParts { events: events.clone(), plugins, actor, metrics });
    handling.retune((0..USES).map(subscription).collect(), Default::default());
    let pipeline: Arc<str> = "news".into();
    let mut bursts = Figure::default();
    for burst in 1..=BURSTS {
        let details: Vec<_> = (0..BURST).map(|number| serde_json::json!({ "from": number })).collect();
        let began = Instant::now();
        for detail in details {
            events.publish(STREAM_STALLED, Some(pipeline.clone()), Some("no media for 6 s"), detail);
        }
        bursts.push(began.elapsed().as_nanos() as f64 / BURST as f64);
        taken(&counted.0, burst * BURST * USES).await;
    }
    bursts.median()
}

/// The same of a bare channel, whose receiver takes what is ready made.
async fn sending() -> f64 {
    let (sender, mut receiver) = mpsc::channel::<Arc<Event>>(1024);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let receiving = tokio::spawn(async move {
        while receiver.recv().await.is_some() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let events = Events::default();
    let mut listening = events.listen();
    events.publish(STREAM_STALLED, None, None, serde_json::json!({}));
    let event = listening.recv().await.unwrap();
    let mut bursts = Figure::default();
    for burst in 1..=BURSTS {
        let began = Instant::now();
        for _ in 0..BURST {
            sender.try_send(event.clone()).unwrap();
        }
        bursts.push(began.elapsed().as_nanos() as f64 / BURST as f64);
        taken(&count, burst * BURST).await;
    }
    drop(sender);
    receiving.await.unwrap();
    bursts.median()
}

async fn taken(count: &AtomicUsize, expected: usize) {
    let began = Instant::now();
    while count.load(Ordering::Relaxed) < expected {
        assert!(began.elapsed().as_secs() < 10, "{count:?} of {expected} events came");
        tokio::task::yield_now().await;
    }
}

fn subscription(number: usize) -> Subscription {
    let file = Arc::new(File { name: "bench.kdl".into(), text: "".into() });
    let plugin = format!("handler-{number}").into();
    let run = Use { plugin, settings: Settings::default(), place: Place::new(file, 0..0, "") };
    Subscription { pipeline: None, patterns: vec![Pattern::read("stream.*").unwrap()], run }
}

/// Plugins that do nothing but count.
#[derive(Default)]
struct Counted(Arc<AtomicUsize>);

impl Handler for Counted {
    fn handle(&self, _: Arc<Event>) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.wake()
    }

    fn wake(&self) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        std::future::ready(Ok(Reaction::default())).boxed()
    }
}

impl Plugins for Counted {
    fn scorer(&self, _: &Use, _: &str) -> Arc<dyn Scorer> {
        unreachable!("nothing is scored here")
    }

    fn handler(&self, _: &Use, _: Option<&str>) -> Arc<dyn Handler> {
        Arc::new(Self(self.0.clone()))
    }
}

impl Actor for Counted {
    fn act(&self, _: &Arc<str>, _: Action, _: &Arc<str>) -> BoxFuture<'static, Result<String, String>> {
        unreachable!("nothing is asked for here")
    }
}
