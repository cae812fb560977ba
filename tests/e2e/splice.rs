//! Splices: what comes out where a source dies, another takes over, or one comes back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice_harness::origin::{After, Answer, Origin};
use sluice_harness::{Version, Viewer};

use super::mpegts::{demo, live};
use super::program::{decode, take, watch};
use super::{SOON, failover, serves, setup};

/// What the demo plays a second.
const BYTES_PER_SECOND: u32 = 79_258;

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_dies_five_times_in_the_middle_of_a_picture_leaves_no_half_of_one() {
    let origin = Origin::start().await;
    let connections = AtomicUsize::new(0);
    origin.script(move |_| {
        let number = connections.fetch_add(1, Ordering::Relaxed);
        // never at the end of a packet
        let length = 2 * BYTES_PER_SECOND as usize + number * 23_456 + 77;
        let dies = Answer::paced(demo(12).slice(..length), BYTES_PER_SECOND, After::Cut);
        Some(if number < 5 { dies } else { live(12, After::Silence) })
    });
    let text = format!(
        "pipeline \"news\" {{
    source \"mpegts\" \"{}\" segment=\"1s\" reconnect=\"100ms..200ms\"
    buffer \"memory\" segments=60 bytes=\"64MiB\"
    sink \"mpegts\" path=\"/live/news.ts\" behind=\"500ms\"
    sink \"hls\" path=\"/live/news\" window=30
}}
",
        origin.url("/live.ts")
    );
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    let mut viewer = watch(&sluice, Version::One).await;
    let mut taken = Vec::new();
    while origin.asked("/live.ts").len() < 6 {
        taken.extend(take(&mut viewer, Duration::from_secs(1)).await);
    }
    taken.extend(take(&mut viewer, Duration::from_secs(4)).await);
    viewing.takes(1, SOON).await;
    let segments = viewing.stop().await;
    let splices = sluice.metrics().await.sum("sluice_program_splices_total", &[("pipeline", "news")]);
    assert_eq!(splices, 5.0);
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(decode(&taken, directory.path()).await, "");
    let complaints = failover::decode(&segments, directory.path()).await;
    // where ffmpeg puts pictures of two time lines is its own affair
    let of_media: Vec<_> = complaints.lines().filter(|line| !line.starts_with("[null @")).collect();
    assert_eq!(of_media, [""; 0]);
    let seconds = taken.len() / BYTES_PER_SECOND as usize;
    assert!(seconds >= 10, "only {seconds} s came");
}
