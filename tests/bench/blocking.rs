//! Reloads that wait: how long after a part all who waited for it are answered, and how often the playlist is rendered.
//!
//! The clock of a round starts with the first answer, for nobody outside of the daemon sees a part earlier.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use sluice_harness::{Connection, Listing, Setup, Sluice, Version, eventually};
use tokio::time::Instant;

use super::Effort;
use super::report::{Bar, Figure, Report};

const WAITERS: usize = 2000;
/// Parts that are waited for in each round of the benchmark.
const PARTS_PER_ROUND: usize = 10;
/// So many parts ahead that all wait before it comes.
const AHEAD: usize = 3;
const INDEX: &str = "/live/news/index.m3u8";
const LIMIT: Duration = Duration::from_secs(30);

/// Measures a crowd that waits for the same parts.
pub(crate) async fn measure(effort: Effort, report: &mut Report) {
    let sluice = playing().await;
    let mut connections = Vec::new();
    for _ in 0..WAITERS {
        connections.push(Connection::open(sluice.viewers, Version::One).await);
    }
    let labels = [("pipeline", "news")];
    let renderings = async || sluice.metrics().await.sum("sluice_playlist_renderings_total", &labels);
    let (mut p99, mut rendered) = (Figure::default(), Figure::default());
    let mut text = sluice.get(INDEX).await.text();
    for _ in 0..effort.rounds {
        let (mut late, mut texts, before) = (Vec::new(), BTreeSet::new(), renderings().await);
        for _ in 0..PARTS_PER_ROUND {
            let path = later(&text);
            let answers =
                join_all(connections.iter_mut().map(|connection| answered(connection, &path))).await;
            let first = answers.iter().map(|(at, _)| *at).min().unwrap();
            late.extend(answers.iter().map(|(at, _)| (*at - first).as_secs_f64() * 1e6));
            text.clone_from(&answers[0].1);
            // who is answered late may get a later part with it
            texts.extend(answers.into_iter().map(|(_, text)| text));
        }
        late.sort_by(f64::total_cmp);
        p99.push(late[late.len() * 99 / 100]);
        rendered.push((renderings().await - before) / texts.len() as f64);
    }
    let what = format!("from a part to the answer of {WAITERS} who wait, p99,");
    report.alone(&what, &p99, Bar::Within(10_000.0), (1e3, "ms"));
    report.alone(
        "renderings for each text of a playlist that anyone got",
        &rendered,
        Bar::Within(1.0),
        (1.0, ""),
    );
}

/// Gives the moment of the whole answer, and its text.
async fn answered(connection: &mut Connection, path: &str) -> (Instant, String) {
    let reply = connection.get(path).await.unwrap();
    let at = Instant::now();
    assert_eq!(reply.status, 200, "{path}");
    (at, reply.text())
}

/// The path of the playlist with a part that is some parts away.
fn later(text: &str) -> String {
    let last = Listing::read(text).entries.last().unwrap().sequence;
    let behind = text.lines().rev().take_while(|line| line.starts_with('#'));
    let parts = behind.filter(|line| line.starts_with("#EXT-X-PART:")).count();
    format!("{INDEX}?_HLS_msn={}&_HLS_part={}", last + 1, parts + AHEAD)
}

async fn playing() -> Sluice {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf.d/media/demo.ts");
    let text = format!(
        "pipeline \"news\" {{\n source \"file\" \"{clip}\" segment=\"4s\"\n
         sink \"hls\" path=\"/live/news\" low-latency=#true\n}}\n"
    );
    let sluice = Setup::new(env!("CARGO_BIN_EXE_sluice")).file("news.kdl", &text).start().await;
    let served = async || sluice.get(INDEX).await.status.is_success().then_some(());
    eventually("the clip", LIMIT, served).await;
    sluice
}
