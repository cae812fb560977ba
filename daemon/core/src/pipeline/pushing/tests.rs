//! Sinks that push, with a scripted one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use kdl::KdlNode;

use super::super::tests::{Kept, setup};
use super::super::{Bounds, Shared};
use super::*;
use crate::middleware::fixture::layer;
use crate::stage::{Configured, PushingSpec, Reveal};

/// What the runs of a scripted sink do; all equal ones share it.
#[derive(Debug, Default)]
struct Log {
    runs: AtomicUsize,
    /// Runs that go on now.
    alive: AtomicUsize,
    operations: AtomicU32,
    order: Mutex<Vec<String>>,
}

#[derive(Debug, Clone)]
struct Scripted {
    roll: u32,
    dir: &'static str,
    /// So many runs panic before one works.
    panics: usize,
    log: Arc<Log>,
}

impl PartialEq for Scripted {
    fn eq(&self, other: &Self) -> bool {
        (self.roll, self.dir) == (other.roll, other.dir)
    }
}

impl Configured for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn show(&self, _: Reveal) -> KdlNode {
        KdlNode::new("sink")
    }
}

impl SinkSpec for Scripted {
    fn form(&self) -> SinkForm<'_> {
        SinkForm::Pushes(self)
    }
}

impl PushingSpec for Scripted {
    fn target(&self) -> &str {
        self.dir
    }

    fn build(&self, context: PushContext) -> Box<dyn Pusher> {
        Box::new(Pushing { spec: self.clone(), context })
    }
}

struct Pushing {
    spec: Scripted,
    context: PushContext,
}

impl Pusher for Pushing {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<(), Fault>> {
        async move {
            let Self { spec, context } = *self;
            assert!(spec.log.runs.fetch_add(1, Ordering::Relaxed) >= spec.panics, "on purpose");
            let came = context.marks.get("main").map_or(0, |mark| mark.sequence);
            let say =
                |what: &str| spec.log.order.lock().unwrap().push(format!("{what} {} {came}", spec.roll));
            assert_eq!(spec.log.alive.fetch_add(1, Ordering::Relaxed), 0, "two write to one target");
            say("begins at");
            context.report(|status| status.state = PushState::Running);
            let log = spec.log.clone();
            let work = Operation::new(move || {
                let tries = log.operations.fetch_add(1, Ordering::Relaxed);
                let result = if tries == 0 { Err(FaultKind::Write("busy".into()).into()) } else { Ok(()) };
                futures_util::future::ready(result).boxed()
            });
            if let Err(fault) = context.carry_out(work).await {
                context.report(|status| status.reason = fault.to_string());
            }
            context.stopped().await;
            tokio::time::sleep(Duration::from_millis(100)).await; // finishing takes a while
            context.marks.set("main", Mark { epoch: "e".into(), sequence: came + 1, parts: 0 });
            say("finished at");
            spec.log.alive.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }
}

fn sink(spec: &Scripted, layers: &[&str]) -> StagePlan<dyn SinkSpec> {
    let layers = layers.iter().map(|text| layer(text).into()).collect();
    StagePlan { spec: Arc::new(spec.clone()), layers }
}

fn scripted(panics: usize) -> Scripted {
    Scripted { roll: 1, dir: "var/a", panics, log: Arc::default() }
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(setup(&Arc::new(Kept::default())), Bounds { segments: 10, bytes: 1 << 20 }))
}

async fn until(pushers: &Pushers, state: PushState) -> PushStatus {
    let mut status = pushers.iter().next().unwrap().status;
    status.wait_for(|status| status.state == state).await.unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_is_started_again_with_backoff() {
    let (spec, shared, began) = (scripted(2), shared(), Instant::now());
    let mut pushers = Pushers::default();
    pushers.bring(&[sink(&spec, &[])], &shared);
    let status = until(&pushers, PushState::Failed).await;
    assert_eq!(status.reason, "sink 1 scripted: internal: panic: on purpose");
    until(&pushers, PushState::Running).await;
    assert!(began.elapsed() >= Duration::from_secs(3), "after one second, then after two");
    pushers.stop().await;
    assert_eq!(*spec.log.order.lock().unwrap(), ["begins at 1 0", "finished at 1 0"]);
}

#[tokio::test(start_paused = true)]
async fn another_setting_takes_over_once_the_one_before_has_finished_and_goes_on_where_it_left_off() {
    let (spec, shared) = (scripted(0), shared());
    let mut pushers = Pushers::default();
    pushers.bring(&[sink(&spec, &[])], &shared);
    until(&pushers, PushState::Running).await;
    let other = Scripted { roll: 2, ..spec.clone() };
    pushers.bring(&[sink(&other, &[])], &shared);
    until(&pushers, PushState::Running).await;
    pushers.stop().await;
    let order = ["begins at 1 0", "finished at 1 0", "begins at 2 1", "finished at 2 1"];
    assert_eq!(*spec.log.order.lock().unwrap(), order);
}

#[tokio::test(start_paused = true)]
async fn other_layers_leave_the_run_alone_and_a_retry_repairs_an_operation() {
    let (spec, shared) = (scripted(0), shared());
    let mut pushers = Pushers::default();
    pushers.bring(&[sink(&spec, &["retry 2"])], &shared);
    tokio::time::sleep(Duration::from_secs(10)).await;
    pushers.bring(&[sink(&spec, &["retry 3", r#"timeout "5s""#])], &shared);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(until(&pushers, PushState::Running).await.reason, "");
    assert_eq!(spec.log.operations.load(Ordering::Relaxed), 2, "once more after its fault");
    assert_eq!(spec.log.runs.load(Ordering::Relaxed), 1);
    pushers.stop().await;
}
