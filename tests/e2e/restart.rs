//! The daemon starts again: numbers go on, and no URL changes its bytes.

use std::collections::BTreeSet;

use sluice_harness::{Listing, Sluice, eventually};

use super::{SOON, Stage};

async fn listing(sluice: &Sluice) -> Listing {
    let read = async || {
        let reply = sluice.get("/live/news/index.m3u8").await;
        reply.status.is_success().then(|| Listing::read(&reply.text()))
    };
    eventually("a playlist", SOON, read).await
}

fn names(listing: &Listing) -> BTreeSet<String> {
    listing.entries.iter().map(|entry| entry.uri.clone()).collect()
}

/// Ends the daemon after some more segments, does something to its directory, starts it again, and compares.
async fn goes_on(segments: f64, between: impl Fn(&std::path::Path)) {
    let stage = Stage::new("").await;
    let taken = [("pipeline", "news")];
    let now = stage.sluice.metrics().await.sum("sluice_segments_total", &taken);
    stage.sluice.wait_for_metric("sluice_segments_total", &taken, now + segments, SOON).await;
    let before = listing(&stage.sluice).await;
    let setup = stage.sluice.setup().clone();
    let (status, log) = stage.sluice.terminate().await;
    assert!(status.success(), "{log}");
    between(setup.home());
    let sluice = setup.start().await;
    let after = listing(&sluice).await;
    let newest = before.entries.last().unwrap();
    let oldest = after.entries.first().unwrap();
    assert!(oldest.sequence > newest.sequence, "{} after {}", oldest.sequence, newest.sequence);
    assert!(oldest.discontinuity_sequence >= newest.discontinuity_sequence);
    assert!(names(&before).is_disjoint(&names(&after)), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn media_sequences_go_on_over_a_restart() {
    goes_on(0.0, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_sequences_go_on_where_the_state_is_lost() {
    // numbers then come from the clock, at four a second: it must have passed what a start takes at once
    goes_on(6.0, |home| std::fs::remove_dir_all(home.join("state")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_sequences_go_on_over_a_kill() {
    let mut stage = Stage::new("").await;
    let before = listing(&stage.sluice).await;
    stage.sluice.process().signal(nix::sys::signal::Signal::SIGKILL);
    stage.sluice.process().ended(SOON).await;
    let sluice = stage.sluice.setup().start().await;
    let after = listing(&sluice).await;
    assert!(after.entries[0].sequence > before.entries.last().unwrap().sequence);
}
