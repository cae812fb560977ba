use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::tests::{Kept, setup};
use super::super::{Bounds, Feed, Opening, RenditionSpec, Role, Writer};
use super::*;
use crate::event::Event;
use crate::health::Factor;
use crate::media::{Container, Media, Part};
use crate::metrics::Metrics;

const TARGET: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_secs(2);

/// Says what it is told to; the built-in one says 50.
struct Fake {
    says: Mutex<Result<Verdict, PluginFault>>,
    hangs: bool,
    asked: AtomicU32,
}

impl Fake {
    fn new(score: u8) -> Arc<Self> {
        Arc::new(Self { says: Mutex::new(Ok(verdict(score))), hangs: false, asked: AtomicU32::new(0) })
    }

    fn say(&self, says: Result<Verdict, PluginFault>) {
        *self.says.lock().unwrap() = says;
    }
}

impl Scorer for Fake {
    fn score(&self, _: Arc<Sample>) -> BoxFuture<'_, Result<Verdict, PluginFault>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.hangs {
            return std::future::pending().boxed();
        }
        std::future::ready(self.says.lock().unwrap().clone()).boxed()
    }
}

fn verdict(score: u8) -> Verdict {
    let factor = Factor { name: "gaps".into(), weight: 1.0, score: score.into(), words: String::new() };
    Verdict { score, factors: vec![factor], refresh: Duration::from_secs(5), words: format!("it is {score}") }
}

/// A pipeline that a fake judges.
struct Bench {
    shared: Arc<Shared>,
    registry: prometheus::Registry,
    events: tokio::sync::broadcast::Receiver<Arc<Event>>,
    writer: Writer,
    assigned: watch::Sender<Assignment>,
    _judge: tokio_util::task::AbortOnDropHandle<()>,
}

fn assignment(scorer: Arc<Fake>, is_built_in: bool) -> Assignment {
    let limits = Limits { warn_below: 70, fail_below: 30 };
    let (name, built_in) = ("strict".into(), Fake::new(50));
    Assignment { name, is_built_in, every: EVERY, limits, scorer, built_in }
}

fn writer(shared: &Arc<Shared>, run: u64) -> Writer {
    let feed = Feed::new(shared.clone(), shared.metrics.source("source 1"), run);
    let specs = [RenditionSpec { name: "main".into(), role: Role::only() }];
    let opening = Opening { specs: &specs, target: TARGET, independent_segments: true, part_target: None };
    feed.open(&opening).remove(0)
}

impl Bench {
    fn new(assignment: Assignment) -> Self {
        let registry = prometheus::Registry::new();
        let mut setup = setup(&Arc::new(Kept::default()));
        setup.metrics = Arc::new(Metrics::new(registry.clone()).unwrap()).pipeline("news");
        let events = setup.events.listen();
        let shared = Arc::new(Shared::new(setup, Bounds { segments: 10, bytes: 1 << 20 }));
        let assigned = watch::Sender::new(assignment);
        let judge = tokio::spawn(judge(shared.clone(), assigned.subscribe()));
        let writer = writer(&shared, 1);
        let _judge = tokio_util::task::AbortOnDropHandle::new(judge);
        Self { shared, registry, events, writer, assigned, _judge }
    }

    /// Lets `count` turns of the judge pass, each with a segment before it.
    async fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.segment();
            tokio::time::sleep(EVERY).await;
        }
    }

    fn segment(&self) {
        let part = Part { duration: TARGET, independent: true, bytes: vec![0x47; 188].into() };
        let (container, parts) = (Container::TransportStream, vec![part]);
        let media = Media {
            duration: TARGET,
            era: 0,
            gap: false,
            program_date_time: None,
            container,
            origin: None,
            parts,
        };
        self.writer.append(media).unwrap();
    }

    fn standing(&self) -> Arc<Standing> {
        self.shared.standing().unwrap()
    }

    fn changes(&mut self) -> Vec<(String, String)> {
        let mut changes = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if event.kind == event::HEALTH_CHANGED {
                let word = |key: &str| event.detail[key].as_str().unwrap().to_owned();
                changes.push((word("from"), word("to")));
            }
        }
        changes
    }

    fn series(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_scored_before_the_first_media_and_while_stopped() {
    let fake = Fake::new(90);
    let mut bench = Bench::new(assignment(fake.clone(), false));
    tokio::time::sleep(3 * EVERY).await;
    assert_eq!((fake.asked.load(Ordering::Relaxed), bench.shared.standing()), (0, None));
    assert!(!bench.series().contains("sluice_health_score"), "no score is no series");
    bench.turns(2).await;
    assert_eq!(bench.standing().verdict.score, 90);
    bench.shared.set_state(State::Stopped, "on purpose");
    let asked = fake.asked.load(Ordering::Relaxed);
    tokio::time::sleep(3 * EVERY).await;
    assert_eq!(fake.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test(start_paused = true)]
async fn a_level_that_changes_is_told_once_each_way_with_its_factors() {
    let fake = Fake::new(100);
    let mut bench = Bench::new(assignment(fake.clone(), false));
    bench.turns(5).await;
    assert!(bench.changes().is_empty(), "good from the start is no news");
    fake.say(Ok(verdict(10)));
    bench.turns(5).await;
    let news = |from: &str, to: &str| vec![(from.to_owned(), to.to_owned())];
    assert_eq!(bench.changes(), news("good", "failing"));
    assert_eq!((bench.standing().level, bench.standing().verdict.score), (Level::Failing, 10));
    let series = bench.series();
    assert!(series.contains(r#"sluice_health_score{pipeline="news"} 10"#), "{series}");
    assert!(series.contains(r#"sluice_health_factor{factor="gaps",pipeline="news"} 10"#), "{series}");
    assert!(series.contains(r#"sluice_health_level{level="failing",pipeline="news"} 1"#), "{series}");
    fake.say(Ok(Verdict { factors: Vec::new(), ..verdict(100) }));
    bench.turns(5).await;
    assert_eq!(bench.changes(), news("failing", "good"));
    assert!(!bench.series().contains("sluice_health_factor"), "a factor that is gone has no series");
}

#[tokio::test(start_paused = true)]
async fn failover_hears_what_a_run_held_for_two_scores_and_three_segments() {
    let fake = Fake::new(10);
    let mut bench = Bench::new(assignment(fake.clone(), false));
    let opinion = bench.shared.opinions();
    bench.turns(2).await;
    assert_eq!(opinion.borrow().score, None, "too few segments");
    bench.turns(3).await;
    assert_eq!((opinion.borrow().run, opinion.borrow().score), (1, Some(10)));
    fake.say(Ok(verdict(90)));
    bench.turns(1).await;
    assert_eq!(opinion.borrow().score, Some(90), "one good score is no trouble any more");
    fake.say(Ok(verdict(5)));
    bench.writer = writer(&bench.shared, 2);
    bench.turns(3).await;
    assert_eq!((opinion.borrow().run, opinion.borrow().score), (2, None), "another run begins anew");
    bench.turns(1).await;
    assert_eq!(opinion.borrow().score, Some(5));
}

#[tokio::test(start_paused = true)]
async fn the_built_in_scorer_stands_in_for_one_that_fails_hangs_or_makes_no_sense() {
    let broken = Fake::new(0);
    broken.say(Err(PluginFault::Broken("a trap".into())));
    let senseless = Fake::new(255);
    let hanging = Arc::new(Fake { says: Mutex::new(Ok(verdict(0))), hangs: true, asked: AtomicU32::new(0) });
    for (fake, why) in [
        (broken, "the plugin failed: a trap"),
        (senseless, "the plugin failed: the score is 255, over 100"),
        (hanging, "it took longer than its deadline"),
    ] {
        let mut bench = Bench::new(assignment(fake.clone(), false));
        bench.turns(10).await;
        let standing = bench.standing();
        assert_eq!((standing.verdict.score, standing.stood_in.as_deref()), (50, Some(why)));
        let fallbacks = bench.shared.metrics.health().fallbacks().get();
        assert!(fallbacks >= 1, "{fallbacks}");
        assert_eq!(bench.shared.status().borrow().state, State::Live);
    }
}

#[tokio::test(start_paused = true)]
async fn the_built_in_scorer_where_it_is_configured_is_no_fallback() {
    let absent = Fake::new(0);
    absent.say(Err(PluginFault::Missing("there is no such file".into())));
    let mut bench = Bench::new(assignment(absent.clone(), true));
    bench.turns(4).await;
    assert_eq!((bench.standing().verdict.score, bench.standing().stood_in.clone()), (50, None));
    assert_eq!(bench.shared.metrics.health().fallbacks().get(), 0);

    absent.say(Err(PluginFault::Unavailable("it was refused".into())));
    bench.turns(2).await;
    let stood_in = bench.standing().stood_in.clone();
    assert_eq!(stood_in.as_deref(), Some("the plugin cannot be used: it was refused"));
}

#[tokio::test(start_paused = true)]
async fn another_scorer_takes_over_at_its_next_turn() {
    let mut bench = Bench::new(assignment(Fake::new(90), false));
    bench.turns(4).await;
    bench.assigned.send_replace(assignment(Fake::new(80), false));
    bench.turns(2).await;
    assert_eq!(bench.standing().verdict.score, 80);
}

#[test]
fn pipelines_take_turns() {
    let turns: BTreeSet<_> =
        (0..200).map(|at| until_turn(&format!("p{at}"), EVERY).as_millis() / 100 % 20).collect();
    assert!(turns.len() > 12, "{turns:?}");
}
