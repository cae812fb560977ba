//! Handling with made-up plugins, under a paused clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prometheus::Registry;
use serde_json::json;

use super::super::{PLUGIN_ACTION, Pattern, SOURCE_FAILED, STREAM_STALLED};
use super::queue::DEPTH;
use super::*;
use crate::conf::{File, Place, Settings};
use crate::health::{Sample, Verdict};
use crate::plugin::{Action, Handler, PluginFault, Reaction, Scorer, Use};

/// A plugin that notes what it is called with and answers as it is told.
#[derive(Default)]
struct Scripted {
    calls: Mutex<Vec<String>>,
    wakes: AtomicUsize,
    /// So many wakes find it not there.
    missing: usize,
    takes: Duration,
    answer: Reaction,
    fails: bool,
}

impl Scripted {
    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn answer(&self) -> Result<Reaction, PluginFault> {
        if self.fails { Err(PluginFault::Refused("no".into())) } else { Ok(self.answer.clone()) }
    }
}

struct Called(Arc<Scripted>);

impl Handler for Called {
    fn handle(&self, event: Arc<Event>) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        async move {
            tokio::time::sleep(self.0.takes).await;
            let pipeline = event.pipeline.as_deref().unwrap_or("-");
            self.0.calls.lock().unwrap().push(format!("{} {pipeline}", event.kind));
            self.0.answer()
        }
        .boxed()
    }

    fn wake(&self) -> BoxFuture<'_, Result<Reaction, PluginFault>> {
        let before = self.0.wakes.fetch_add(1, Ordering::Relaxed);
        let missing = || Err(PluginFault::Missing("there is no such file".into()));
        let result = if before < self.0.missing { missing() } else { Ok(Reaction::default()) };
        std::future::ready(result).boxed()
    }
}

impl Plugins for Scripted {
    fn scorer(&self, _: &Use, _: &str) -> Arc<dyn Scorer> {
        struct None;
        impl Scorer for None {
            fn score(&self, _: Arc<Sample>) -> BoxFuture<'_, Result<Verdict, PluginFault>> {
                unreachable!("nothing is scored here")
            }
        }
        Arc::new(None)
    }

    fn handler(&self, _: &Use, _: Option<&str>) -> Arc<dyn Handler> {
        unreachable!("the scene makes them")
    }
}

/// Gives each use the plugin of its name.
struct Scene {
    plugins: BTreeMap<&'static str, Arc<Scripted>>,
    acted: Mutex<Vec<String>>,
}

impl Plugins for Scene {
    fn scorer(&self, of: &Use, pipeline: &str) -> Arc<dyn Scorer> {
        self.plugins[&*of.plugin].scorer(of, pipeline)
    }

    fn handler(&self, of: &Use, _: Option<&str>) -> Arc<dyn Handler> {
        Arc::new(Called(self.plugins[&*of.plugin].clone()))
    }
}

impl Actor for Scene {
    fn act(
        &self,
        pipeline: &Arc<str>,
        action: Action,
        plugin: &Arc<str>,
    ) -> BoxFuture<'static, Result<String, String>> {
        self.acted.lock().unwrap().push(format!("{plugin}: {action} on {pipeline}"));
        std::future::ready(Ok("done".to_owned())).boxed()
    }
}

fn scene(plugins: impl IntoIterator<Item = (&'static str, Scripted)>) -> (Arc<Scene>, Handling, Events) {
    let plugins = plugins.into_iter().map(|(name, plugin)| (name, Arc::new(plugin))).collect();
    let scene = Arc::new(Scene { plugins, acted: Mutex::default() });
    let events = Events::default();
    let metrics = DeliveryMetrics::new(&Registry::new()).unwrap();
    let parts =
        HandlingParts { events: events.clone(), plugins: scene.clone(), actor: scene.clone(), metrics };
    (scene, Handling::start(parts), events)
}

fn on(plugin: &str, pipeline: Option<&str>, pattern: &str) -> Subscription {
    let file = Arc::new(File { name: "a.kdl".into(), text: "".into() });
    let run = Use { plugin: plugin.into(), settings: Settings::default(), place: Place::new(file, 0..0, "") };
    Subscription { pipeline: pipeline.map(Arc::from), patterns: vec![Pattern::read(pattern).unwrap()], run }
}

fn allowed(plugin: &str, actions: &[ActionKind]) -> Allowed {
    Allowed::from([(plugin.into(), actions.iter().copied().collect())])
}

fn stalled(events: &Events, pipeline: &str) {
    events.publish(STREAM_STALLED, Some(pipeline.into()), Some("nothing comes"), json!({}));
}

/// Lets everything happen that needs no time.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_reaches_the_uses_that_want_it_and_no_others() {
    let (scene, mut handling, events) = scene([("a", Scripted::default()), ("b", Scripted::default())]);
    let wanted = vec![on("a", Some("news"), "stream.*"), on("b", None, "*")];
    handling.retune(wanted, Allowed::new());
    stalled(&events, "news");
    stalled(&events, "sport");
    events.publish(SOURCE_FAILED, Some("news".into()), None, json!({}));
    events.publish(crate::event::CONFIG_RELOADED, None, None, json!({}));
    events.publish(crate::event::PLUGIN_FAILED, None, None, json!({ "plugin": "b" }));
    settle().await;
    assert_eq!(scene.plugins["a"].calls(), ["stream.stalled news"]);
    let all = ["stream.stalled news", "stream.stalled sport", "source.failed news", "config.reloaded -"];
    assert_eq!(scene.plugins["b"].calls(), all, "all but its own failure");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_sleeps_holds_up_neither_who_publishes_nor_another_handler() {
    let slow = Scripted { takes: Duration::from_secs(10), ..Scripted::default() };
    let (scene, mut handling, events) = scene([("slow", slow), ("quick", Scripted::default())]);
    handling.retune(vec![on("slow", None, "*"), on("quick", None, "*")], Allowed::new());
    settle().await;
    let before = Instant::now();
    for _ in 0..DEPTH * 2 {
        stalled(&events, "news");
        tokio::task::yield_now().await;
    }
    settle().await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(scene.plugins["quick"].calls().len(), DEPTH * 2);
    let statuses = handling.table().statuses();
    let of = |plugin: &str| statuses.iter().find(|one| &*one.plugin == plugin).unwrap().clone();
    assert_eq!((of("slow").waiting, of("quick").waiting, of("quick").dropped), (DEPTH as u64, 0, 0));
    // the queue, and the one that is being handled
    assert_eq!(of("slow").dropped, (DEPTH * 2 - DEPTH - 1) as u64);
}

#[tokio::test(start_paused = true)]
async fn a_use_is_woken_at_its_start_and_when_it_asked_for_it() {
    let answer = Reaction { wake_after: Some(Duration::from_secs(5)), ..Reaction::default() };
    let (scene, mut handling, events) = scene([("a", Scripted { answer, ..Scripted::default() })]);
    let wakes = || scene.plugins["a"].wakes.load(Ordering::Relaxed);
    handling.retune(vec![on("a", None, "*")], Allowed::new());
    settle().await;
    assert_eq!(wakes(), 1);
    stalled(&events, "news");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(wakes(), 1);
    stalled(&events, "news"); // the later wish replaces the earlier one
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(wakes(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(wakes(), 2);
}

#[tokio::test(start_paused = true)]
async fn events_wait_for_a_plugin_that_is_still_being_loaded() {
    let (scene, mut handling, events) = scene([("a", Scripted { missing: 20, ..Scripted::default() })]);
    handling.retune(vec![on("a", None, "*")], Allowed::new());
    stalled(&events, "news");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.plugins["a"].calls(), [""; 0]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.plugins["a"].calls(), ["stream.stalled news"]);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_comes_much_later_is_woken_when_it_comes() {
    let (scene, mut handling, _events) = scene([("a", Scripted { missing: 105, ..Scripted::default() })]);
    handling.retune(vec![on("a", None, "*")], Allowed::new());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let wakes = scene.plugins["a"].wakes.load(Ordering::Relaxed);
    assert_eq!(wakes, 106, "woken until it was there, and then no more");
}

#[tokio::test(start_paused = true)]
async fn a_use_that_did_not_change_keeps_its_queue_and_its_timer_over_a_reload() {
    let answer = Reaction { wake_after: Some(Duration::from_secs(5)), ..Reaction::default() };
    let slow = Scripted { answer, takes: Duration::from_secs(1), ..Scripted::default() };
    let (scene, mut handling, events) = scene([("a", slow), ("b", Scripted::default())]);
    handling.retune(vec![on("a", None, "*")], Allowed::new());
    settle().await;
    (0..3).for_each(|_| stalled(&events, "news"));
    settle().await;
    handling.retune(vec![on("b", None, "*"), on("a", None, "*")], Allowed::new());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(scene.plugins["a"].calls().len(), 3);
    assert_eq!(scene.plugins["a"].wakes.load(Ordering::Relaxed), 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.plugins["a"].wakes.load(Ordering::Relaxed), 2, "the timer of before the reload");
    handling.retune(vec![on("a", None, "source.*")], Allowed::new());
    settle().await;
    assert_eq!(scene.plugins["a"].wakes.load(Ordering::Relaxed), 3, "another use is woken at its start");
}

#[tokio::test(start_paused = true)]
async fn an_action_is_done_where_it_is_allowed_and_refused_and_told_once_where_not() {
    let asks = |name: &str| Reaction { actions: vec![(name.to_owned(), None)], wake_after: None };
    let plugin = |name: &str| Scripted { answer: asks(name), ..Scripted::default() };
    let (scene, mut handling, events) =
        scene([("good", plugin("restart-source")), ("bad", plugin("switch-source"))]);
    let wanted = vec![on("good", Some("news"), "stream.*"), on("bad", None, "stream.*")];
    handling.retune(wanted, allowed("good", &[ActionKind::RestartSource]));
    let mut bus = events.listen();
    (0..3).for_each(|_| stalled(&events, "news"));
    settle().await;
    assert_eq!(*scene.acted.lock().unwrap(), ["good: restart-source on news"; 3]);
    let mut outcomes = Vec::new();
    while let Ok(event) = bus.try_recv() {
        if event.kind == PLUGIN_ACTION {
            outcomes.push(format!("{} {}", event.detail["plugin"], event.detail["outcome"]));
        }
    }
    outcomes.sort();
    assert_eq!(
        outcomes,
        ["\"bad\" \"refused\"", "\"good\" \"done\"", "\"good\" \"done\"", "\"good\" \"done\""]
    );
    let bad = handling.table().statuses().into_iter().find(|one| &*one.plugin == "bad").unwrap();
    assert_eq!((bad.refused_actions, bad.delivered), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_counted_and_shown_and_the_next_event_comes_all_the_same() {
    let (scene, mut handling, events) = scene([("a", Scripted { fails: true, ..Scripted::default() })]);
    handling.retune(vec![on("a", None, "*")], Allowed::new());
    (0..2).for_each(|_| stalled(&events, "news"));
    settle().await;
    assert_eq!(scene.plugins["a"].calls().len(), 2);
    let status = handling.table().statuses().remove(0);
    assert_eq!((status.failed, status.delivered), (2, 0));
    assert_eq!(status.last_fault.map(|fault| fault.words), Some("no".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_was_published_before_the_end_is_handled_within_the_drain_time() {
    let slow = |secs| Scripted { takes: Duration::from_secs(secs), ..Scripted::default() };
    let (scene, mut handling, events) = scene([("a", slow(1)), ("b", slow(50))]);
    handling.retune(vec![on("a", None, "*"), on("b", None, "*")], Allowed::new());
    settle().await;
    (0..3).for_each(|_| stalled(&events, "news"));
    let before = Instant::now();
    handling.drain(Duration::from_secs(5)).await;
    assert_eq!((scene.plugins["a"].calls().len(), scene.plugins["b"].calls().len()), (3, 0));
    assert!(before.elapsed() <= Duration::from_secs(5));
}
