//! The chain over a clock of the test.

use std::time::Duration;

use tokio::time::Instant;

use super::chain::Chain;
use super::entry::{Down, Id, Least, Traits};
use super::step::{Event, Step};
use super::{Reason, Verdict};
use crate::fault::FaultKind;
use crate::plan::Failover;

const SECOND: Duration = Duration::from_secs(1);

/// A chain with its clock. Sources are numbered from 1; the last is a slate where `slate` says so.
struct Scene {
    chain: Chain,
    now: Instant,
}

fn traits(sources: u64, slate: bool) -> Vec<Traits> {
    (1..=sources).map(|id| Traits { id, stands_in: slate && id == sources, is_listed: false }).collect()
}

impl Scene {
    fn new(sources: u64, slate: bool, policy: &Failover) -> Self {
        let now = Instant::now();
        let mut scene = Self { chain: Chain::new(&traits(sources, slate), policy), now };
        assert_eq!(scene.tick(), [Step::Start(1)], "the first one is taken at the start");
        scene
    }

    fn tick(&mut self) -> Vec<Step> {
        self.chain.tick(self.now)
    }

    fn on(&mut self, event: Event) -> Vec<Step> {
        self.chain.on(self.now, event)
    }

    /// It brings media, and that is new.
    fn live(&mut self, id: Id) -> Vec<Step> {
        let mut steps = self.on(Event::Live(id));
        steps.extend(self.on(Event::Works(id)));
        steps
    }

    fn down(&mut self, id: Id, reason: Reason) -> Vec<Step> {
        self.on(Event::Down(id, Down { verdict: verdict(reason), least: Least::After(Duration::ZERO) }))
    }

    fn after(&mut self, seconds: u32) -> Vec<Step> {
        self.now += seconds * SECOND;
        self.tick()
    }
}

fn verdict(reason: Reason) -> Verdict {
    Verdict { reason, words: String::new() }
}

fn switched(from: Id, to: Id, reason: &Reason) -> impl Fn(&Step) -> bool {
    move |step| matches!(step, Step::Switched { from: Some(a), to: b, why } if *a == from && *b == to && why.reason == *reason)
}

fn count_switches(steps: &[Step]) -> usize {
    steps.iter().filter(|step| matches!(step, Step::Switched { .. })).count()
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_one_switch_to_the_next_source_for_its_reason() {
    let mut scene = Scene::new(3, false, &Failover::default());
    assert_eq!(count_switches(&scene.live(1)), 0, "the first one is no switch");
    assert_eq!(scene.down(1, Reason::Stall), [Step::Stop(1), Step::Start(2)]);
    let steps = scene.live(2);
    assert!(steps.iter().any(switched(1, 2, &Reason::Stall)), "{steps:?}");
    assert_eq!(scene.after(120), [], "without a probe it stays");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_start_is_passed_over_and_the_switch_has_the_first_reason() {
    let mut scene = Scene::new(3, false, &Failover::default());
    scene.live(1);
    scene.down(1, Reason::Slow);
    assert_eq!(scene.down(2, Reason::Fault(FaultKind::Connect)), [Step::Stop(2), Step::Start(3)]);
    let steps = scene.live(3);
    assert!(steps.iter().any(switched(1, 3, &Reason::Slow)), "{steps:?}");
    assert_eq!(count_switches(&steps), 1);
}

#[tokio::test(start_paused = true)]
async fn the_chain_wraps_once_the_first_has_rested() {
    let mut scene = Scene::new(2, false, &Failover::default());
    scene.live(1);
    scene.down(1, Reason::Stall);
    scene.live(2);
    scene.after(10);
    assert_eq!(scene.down(2, Reason::Ended), [Step::Stop(2), Step::Start(1)]);
}

#[tokio::test(start_paused = true)]
async fn sources_that_fail_rest_for_longer_each_time_and_all_are_tried_again() {
    let mut scene = Scene::new(2, false, &Failover::default());
    let mut tries = vec![(scene.now, 1)];
    let start = scene.now;
    let mut running = 1;
    while scene.now - start < 300 * SECOND {
        let mut steps = scene.down(running, Reason::Fault(FaultKind::Connect));
        while steps.iter().all(|step| !matches!(step, Step::Start(_))) {
            scene.now = scene.chain.due(scene.now).expect("something is due");
            steps = scene.tick();
        }
        running =
            steps.iter().find_map(|step| if let Step::Start(id) = step { Some(*id) } else { None }).unwrap();
        tries.push((scene.now, running));
    }
    assert!(tries.iter().any(|(_, id)| *id == 2));
    let late = tries.iter().filter(|(at, _)| *at - start > 150 * SECOND).count();
    assert!((2..10).contains(&late), "{late} tries late");
    let early = tries.iter().filter(|(at, _)| *at - start < 10 * SECOND).count();
    assert!(early >= 6, "{early} tries early");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_is_made_again_later_and_one_that_proves_itself_is_returned_to() {
    let policy = Failover { probe_return: true, ..Failover::default() };
    let mut scene = Scene::new(2, false, &policy);
    scene.live(1);
    scene.down(1, Reason::Stall);
    assert_eq!(count_switches(&scene.live(2)), 1);
    assert_eq!(scene.after(1), [Step::Probe(1)]);
    assert_eq!(scene.down(1, Reason::Stall), [Step::Unprobe]);
    assert_eq!(scene.after(1), [], "it rests for longer");
    assert_eq!(scene.after(1), [Step::Probe(1)]);
    assert_eq!(scene.on(Event::Proved(1)), [Step::Unprobe, Step::Start(1)]);
    let steps = scene.live(1);
    assert_eq!(steps[0], Step::Stop(2), "the other feeds until then");
    assert!(steps.iter().any(switched(2, 1, &Reason::Return)), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_return_that_fails_leaves_the_source_that_serves_alone() {
    let policy = Failover { probe_return: true, ..Failover::default() };
    let mut scene = Scene::new(2, false, &policy);
    scene.live(1);
    scene.down(1, Reason::Stall);
    scene.live(2);
    scene.after(2);
    scene.on(Event::Proved(1));
    assert_eq!(scene.down(1, Reason::Stall), [Step::Stop(1)]);
    assert_eq!(scene.chain.serving(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn while_the_slate_plays_better_sources_are_tried_beside_it() {
    let mut scene = Scene::new(2, true, &Failover::default());
    assert_eq!(scene.down(1, Reason::Fault(FaultKind::Dns)), [Step::Stop(1), Step::Start(2)]);
    let steps = scene.live(2);
    assert!(steps.iter().any(switched(1, 2, &Reason::Fault(FaultKind::Dns))), "{steps:?}");
    assert_eq!(scene.after(1), [Step::Try(1)]);
    assert_eq!(scene.down(1, Reason::Fault(FaultKind::Dns)), [Step::Stop(1)]);
    assert_eq!(scene.chain.serving(), Some(2), "the slate plays on");
    assert_eq!(scene.after(2), [Step::Try(1)]);
    let steps = scene.live(1);
    assert!(steps.iter().any(switched(2, 1, &Reason::Return)), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_keeps_the_source_and_starts_it_again_until_a_switch_comes_back() {
    let policy = Failover { budget: 2, per: 20 * SECOND, ..Failover::default() };
    let mut scene = Scene::new(2, false, &policy);
    scene.live(1);
    for (from, to) in [(1, 2), (2, 1)] {
        scene.after(1);
        scene.down(from, Reason::Stall);
        let steps = scene.live(to);
        assert_eq!(count_switches(&steps), 1, "{steps:?}");
    }
    assert_eq!(scene.chain.switches_left(scene.now), 0);
    assert_eq!(scene.down(1, Reason::Stall), [Step::Stop(1)], "it is not left for the other");
    let mut steps = Vec::new();
    while steps.is_empty() {
        scene.now = scene.chain.due(scene.now).unwrap();
        steps = scene.tick();
    }
    assert_eq!(steps, [Step::Start(1)]);
    assert_eq!(count_switches(&scene.live(1)), 0);
    scene.after(10);
    assert_eq!(scene.down(1, Reason::Stall), [Step::Stop(1), Step::Start(2)]);
}

#[tokio::test(start_paused = true)]
async fn what_still_brings_something_is_left_only_for_another() {
    let mut scene = Scene::new(2, false, &Failover::default());
    scene.live(1);
    assert!(scene.chain.may_leave(scene.now, &Reason::Health));
    scene.down(1, Reason::Stall);
    scene.live(2);
    assert!(!scene.chain.may_leave(scene.now, &Reason::Slow), "the other one rests");
    assert!(scene.chain.may_leave(scene.now, &Reason::Stall));
}

#[tokio::test(start_paused = true)]
async fn an_order_is_followed_beside_the_source_that_serves_and_stands_until_that_one_fails() {
    let policy = Failover { probe_return: true, ..Failover::default() };
    let mut scene = Scene::new(3, false, &policy);
    scene.live(1);
    assert_eq!(scene.on(Event::Order(3, verdict(Reason::Manual))), [Step::Start(3)]);
    let steps = scene.live(3);
    assert!(steps.iter().any(switched(1, 3, &Reason::Manual)), "{steps:?}");
    assert_eq!(scene.after(600), [], "nobody returns behind the operator's back");
    assert_eq!(scene.chain.switches_left(scene.now), policy.budget, "an order costs nothing");
    assert_eq!(scene.down(3, Reason::Stall), [Step::Stop(3), Step::Start(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_a_plugin_asks_for_costs_one_of_the_budget_and_pins_nothing() {
    let policy = Failover { probe_return: true, ..Failover::default() };
    let mut scene = Scene::new(2, false, &policy);
    scene.live(1);
    assert_eq!(scene.on(Event::Order(2, verdict(Reason::Plugin))), [Step::Start(2)]);
    let steps = scene.live(2);
    assert!(steps.iter().any(switched(1, 2, &Reason::Plugin)), "{steps:?}");
    assert_eq!(scene.chain.switches_left(scene.now), policy.budget - 1);
    assert!(scene.chain.probing().is_some(), "the better one is looked at again");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_started_anew_runs_beside_itself_and_its_failure_leaves_the_old_run() {
    let mut scene = Scene::new(1, false, &Failover::default());
    scene.live(1);
    assert_eq!(scene.on(Event::Renew(7, verdict(Reason::Plugin))), [Step::Start(7)]);
    assert_eq!(scene.chain.serving(), Some(1), "it feeds until then");
    let steps = scene.live(7);
    assert_eq!(steps[0], Step::Stop(1));
    assert!(steps.iter().any(switched(1, 7, &Reason::Plugin)), "{steps:?}");
    assert_eq!(scene.on(Event::Renew(8, verdict(Reason::Plugin))), [Step::Start(8)]);
    assert_eq!(scene.down(8, Reason::Stall), [Step::Stop(8)]);
    assert_eq!(scene.chain.serving(), Some(7));
    assert_eq!(scene.after(8), [Step::Start(8)], "tried again after its rest");
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_edited_keeps_the_source_that_serves_where_it_stays() {
    let mut scene = Scene::new(2, false, &Failover::default());
    scene.live(1);
    let stays = [traits(3, false)[2], traits(1, false)[0]];
    assert_eq!(scene.chain.retune(scene.now, &stays, &Failover::default()), []);
    assert_eq!(scene.chain.serving(), Some(1));
    let goes = [traits(3, false)[2]];
    assert_eq!(scene.chain.retune(scene.now, &goes, &Failover::default()), [Step::Start(3)]);
    let steps = scene.live(3);
    assert_eq!(steps[0], Step::Stop(1), "it fed until then");
    assert!(steps.iter().any(switched(1, 3, &Reason::Reload)), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_move_is_passed_over_as_one_that_does_not_start() {
    let mut scene = Scene::new(3, false, &Failover::default());
    scene.live(1);
    scene.down(1, Reason::Slow);
    assert_eq!(scene.on(Event::Live(2)), [], "it serves, and is not believed in");
    assert_eq!((scene.chain.serving(), scene.chain.is_arriving()), (Some(2), true));
    assert_eq!(scene.down(2, Reason::Stall), [Step::Stop(2), Step::Start(3)]);
    let steps = scene.live(3);
    assert!(steps.iter().any(switched(1, 3, &Reason::Slow)), "{steps:?}");
    assert_eq!(scene.chain.switches_left(scene.now), Failover::default().budget - 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_went_back_to_itself_over_an_old_list_has_not_switched() {
    let mut scene = Scene::new(2, false, &Failover::default());
    scene.live(1);
    scene.down(1, Reason::Stall);
    scene.on(Event::Live(2));
    scene.now += 2 * SECOND;
    assert_eq!(scene.down(2, Reason::Stall), [Step::Stop(2), Step::Start(1)]);
    assert_eq!(count_switches(&scene.live(1)), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slate_bridges_a_long_start_and_the_other_one_is_tried_behind_it() {
    let mut scene = Scene::new(3, true, &Failover::default());
    scene.live(1);
    assert_eq!(scene.down(1, Reason::Stall), [Step::Stop(1), Step::Start(2)]);
    assert_eq!(scene.chain.dark_since(scene.now), Some(scene.now));
    assert_eq!(scene.on(Event::Late(2)), [Step::Bridge(3)]);
    let steps = scene.live(3);
    assert!(steps.iter().any(switched(1, 3, &Reason::Stall)), "{steps:?}");
    assert_eq!((scene.chain.coming(), scene.chain.dark_since(scene.now)), (Some(2), None));
    let steps = scene.live(2);
    assert_eq!(steps[0], Step::Stop(3));
    assert!(steps.iter().any(switched(3, 2, &Reason::Return)), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_before_its_bridge_is_one_switch() {
    let mut scene = Scene::new(3, true, &Failover::default());
    scene.live(1);
    scene.down(1, Reason::Stall);
    scene.on(Event::Late(2));
    let steps = scene.live(2);
    assert_eq!(steps[0], Step::Stop(3));
    assert!(steps.iter().any(switched(1, 2, &Reason::Stall)), "{steps:?}");
    assert_eq!(count_switches(&steps), 1);
}

#[tokio::test(start_paused = true)]
async fn behind_a_slate_a_list_is_watched_and_the_next_source_takes_the_turn_of_one_that_fails() {
    let now = Instant::now();
    let mut all = traits(3, true);
    all[0].is_listed = true;
    let mut scene = Scene { chain: Chain::new(&all, &Failover::default()), now };
    scene.tick();
    scene.live(1);
    scene.down(1, Reason::Stall);
    scene.on(Event::Late(2));
    assert_eq!(scene.down(2, Reason::Stall), [Step::Stop(2)], "the slate is on its way");
    assert_eq!(count_switches(&scene.live(3)), 1);
    assert_eq!(scene.after(1), [Step::Probe(1)]);
}
