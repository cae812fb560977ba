//! The layer around a mock, and two of them beside each other.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tower_test::mock::Handle;

use super::super::fixture::{Bench, answer, endless, playlist, segment, stream};
use super::*;

const LINE: &str = r#"cache ttl="60s" max="64KiB" stale="60s""#;

async fn respond(origin: &mut Handle<Exchange, Answer>, body: &'static str) {
    origin.next_request().await.unwrap().1.send_response(answer(body));
}

fn counts(bench: &Bench) -> [u64; 4] {
    ["hit", "miss", "stale", "shared"].map(|result| bench.context.metrics.cache(result).get())
}

/// Two pipelines of one fleet.
fn neighbours() -> (Bench, Bench) {
    let fleet = Arc::default();
    (Bench::beside(Arc::clone(&fleet)), Bench::beside(fleet))
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_costs_the_origin_nothing() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let first = bench.ask(&mut upstream, segment("a"));
    respond(&mut origin, "one").await;
    assert!(matches!(first.await.unwrap().freshness, Freshness::Origin));
    tokio::time::advance(Duration::from_secs(59)).await;
    let second = bench.ask(&mut upstream, segment("a")).await.unwrap();
    assert!(matches!(second.freshness, Freshness::Cache));
    assert_eq!(second.body, "one");
    tokio::time::advance(Duration::from_secs(2)).await;
    let third = bench.ask(&mut upstream, segment("a"));
    respond(&mut origin, "two").await;
    assert_eq!(third.await.unwrap().body, "two");
    assert_eq!(counts(&bench), [1, 2, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_fetch_even_when_the_first_leaves() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let leader = bench.ask(&mut upstream, segment("a"));
    let (_, respond) = origin.next_request().await.unwrap();
    let others: Vec<_> = (0..100).map(|_| bench.ask(&mut upstream, segment("a"))).collect();
    assert!(bench.is_idle(&mut origin).await);
    leader.leave().await;
    respond.send_response(answer("one"));
    for other in others {
        assert_eq!(other.await.unwrap().body, "one");
    }
    assert!(bench.is_idle(&mut origin).await);
    assert_eq!(counts(&bench), [0, 1, 0, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_shared_fault_fails_every_caller_and_is_not_kept() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let (first, second) = (bench.ask(&mut upstream, segment("a")), bench.ask(&mut upstream, segment("a")));
    origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
    assert_eq!(first.fault().await.kind, FaultKind::Connect);
    assert_eq!(second.fault().await.kind, FaultKind::Connect);
    let third = bench.ask(&mut upstream, segment("a"));
    respond(&mut origin, "one").await;
    assert_eq!(third.await.unwrap().body, "one");
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_serves_while_the_origin_fails_and_says_so() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let first = bench.ask(&mut upstream, segment("a"));
    respond(&mut origin, "one").await;
    first.await.unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    let stale = bench.ask(&mut upstream, segment("a"));
    origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
    let stale = stale.await.unwrap();
    assert!(matches!(&stale.freshness, Freshness::Stale(fault) if fault.kind == FaultKind::Connect));
    assert_eq!(stale.body, "one");

    let gone = bench.ask(&mut upstream, segment("a"));
    let not_found = FaultKind::Status(StatusCode::NOT_FOUND);
    origin.next_request().await.unwrap().1.send_error(Fault::new(not_found.clone()));
    assert_eq!(gone.fault().await.kind, not_found, "the origin says that there is none");

    tokio::time::advance(Duration::from_secs(60)).await;
    let expired = bench.ask(&mut upstream, segment("a"));
    origin.next_request().await.unwrap().1.send_error(Fault::new(FaultKind::Connect));
    assert_eq!(expired.fault().await.kind, FaultKind::Connect);
}

#[tokio::test(start_paused = true)]
async fn live_playlists_are_shared_and_never_kept() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let (first, second) = (bench.ask(&mut upstream, playlist("p")), bench.ask(&mut upstream, playlist("p")));
    respond(&mut origin, "one").await;
    assert_eq!((first.await.unwrap().body, second.await.unwrap().body), ("one".into(), "one".into()));
    let third = bench.ask(&mut upstream, playlist("p"));
    respond(&mut origin, "two").await;
    assert_eq!(third.await.unwrap().body, "two");
}

#[tokio::test(start_paused = true)]
async fn a_conditional_request_does_not_share_with_a_plain_one() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let validators = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"1\""))]);
    let _plain = bench.ask(&mut upstream, playlist("p"));
    let _conditional = bench.ask(&mut upstream, Exchange { validators, ..playlist("p") });
    let (first, second) = (origin.next_request().await.unwrap(), origin.next_request().await.unwrap());
    assert_ne!(first.0.validators.is_empty(), second.0.validators.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_keeps_no_more_than_it_may() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let large: &'static str = "x".repeat(65 << 10).leak();
    for _ in 0..2 {
        let asked = bench.ask(&mut upstream, segment("large"));
        respond(&mut origin, large).await;
        asked.await.unwrap();
        bench.is_idle(&mut origin).await;
    }
    assert_eq!(counts(&bench)[0], 0);
}

#[tokio::test(start_paused = true)]
async fn equal_caches_of_two_pipelines_share_what_they_keep_and_fetch() {
    let (one, other) = neighbours();
    let (mut first, mut origin) = one.upstream(&[LINE]);
    let (mut second, mut unasked) = other.upstream(&["retry 3", LINE]);
    let asked = one.ask(&mut first, segment("a"));
    let (_, answering) = origin.next_request().await.unwrap();
    let shared = other.ask(&mut second, segment("a"));
    assert!(other.is_idle(&mut unasked).await);
    answering.send_response(answer("one"));
    assert_eq!((asked.await.unwrap().body, shared.await.unwrap().body), ("one".into(), "one".into()));
    assert!(matches!(other.ask(&mut second, segment("a")).await.unwrap().freshness, Freshness::Cache));
    assert_eq!((counts(&one), counts(&other)), ([0, 1, 0, 0], [1, 0, 0, 1]));
}

#[tokio::test(start_paused = true)]
async fn another_audience_or_other_settings_share_nothing() {
    let (one, other) = neighbours();
    let (mut first, mut origin) = one.upstream(&[LINE]);
    let (mut second, mut other_origin) = other.upstream(&[LINE]);
    let (mut third, mut third_origin) = other.upstream(&[r#"cache ttl="61s" max="64KiB" stale="60s""#]);
    let asked = one.ask(&mut first, segment("a"));
    respond(&mut origin, "one").await;
    asked.await.unwrap();
    let asked = other.ask(&mut second, Exchange { audience: 1, ..segment("a") });
    respond(&mut other_origin, "two").await;
    assert_eq!(asked.await.unwrap().body, "two");
    let asked = other.ask(&mut third, segment("a"));
    respond(&mut third_origin, "three").await;
    assert_eq!(asked.await.unwrap().body, "three");
}

#[tokio::test(start_paused = true)]
async fn two_equal_caches_in_one_stack_do_not_wait_for_each_other() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE, LINE]);
    let asked = bench.ask(&mut upstream, segment("a"));
    respond(&mut origin, "one").await;
    assert_eq!(asked.await.unwrap().body, "one");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_ends_with_the_last_who_could_want_it() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&[LINE]);
    let asked = bench.ask(&mut upstream, segment("a"));
    let _unanswered = origin.next_request().await.unwrap();
    drop(upstream);
    asked.leave().await;
    let closed = tokio::time::timeout(Duration::from_secs(1), origin.next_request()).await;
    assert!(matches!(closed, Ok(None)), "the fetch still holds its way to the origin");
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_end_is_neither_kept_nor_shared() {
    let bench = Bench::new();
    let (mut upstream, mut origin) = bench.upstream(&["cache"]);
    for _ in 0..2 {
        let asked = bench.ask(&mut upstream, stream("live"));
        origin.next_request().await.unwrap().1.send_response(endless().0);
        assert!(asked.await.unwrap().frames.is_some());
    }
}
