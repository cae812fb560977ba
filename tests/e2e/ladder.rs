//! Variants whose origins disagree stay in step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_harness::origin::{Answer, Live, Origin, Ticking};
use sluice_harness::{Sluice, Taken, Viewer, Viewing, eventually};

use super::{SOON, relay, seconds, serves, setup};

/// Two variants of one stream.
struct Two {
    origin: Origin,
    high: Arc<Live>,
    low: Arc<Live>,
    sluice: Sluice,
    _ticking: [Ticking; 2],
}

const MULTIVARIANT: &str = "#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720
high/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=640x360
low/index.m3u8
";

impl Two {
    /// Starts both, of which the second has `behind` segments fewer and counts from `offset`.
    async fn start(offset: u64, behind: usize) -> Self {
        let low = Live::new("low").from_sequence(offset).filled(8 - behind);
        Self::with(Live::new("high").filled(8), low, |_| {}).await
    }

    /// Starts both from an origin that `prepare` may break.
    async fn with(high: Arc<Live>, low: Arc<Live>, prepare: impl FnOnce(&Origin)) -> Self {
        let origin = Origin::start().await;
        origin.serve("/index.m3u8", Answer::text(MULTIVARIANT));
        origin.mount("/high", &high);
        origin.mount("/low", &low);
        prepare(&origin);
        let ticking = [&high, &low].map(|live| live.ticking(Duration::from_secs(1)));
        let text = relay("news", &origin.url("/index.m3u8"), "variant \"all\"");
        let sluice = setup().file("news.kdl", &text).start().await;
        serves(&sluice, "/live/news/index.m3u8").await;
        Self { origin, high, low, sluice, _ticking: ticking }
    }

    async fn watch(&self) -> [Viewing; 2] {
        let viewers = Viewer::new(self.sluice.viewers, "/live/news/index.m3u8").renditions().await;
        let [high, low] = <[Viewer; 2]>::try_from(viewers).unwrap();
        [high.watch(), low.watch()]
    }

    /// The number of each segment's content, by the playing time at which it came after the first sequence.
    fn places(&self, live: &Live, taken: &Taken) -> BTreeMap<u64, (u64, u64)> {
        let contents: BTreeMap<_, _> =
            (0..=live.newest()).map(|number| (live.segment(number), number)).collect();
        let place = |segment: &sluice_harness::Segment| {
            let number = contents[&segment.bytes];
            (number, (segment.entry.sequence, segment.entry.discontinuity_sequence))
        };
        taken.segments.iter().map(place).collect()
    }
}

/// Asserts that equal content has equal discontinuity sequences, and stands equally far apart in both.
fn assert_in_step(high: &BTreeMap<u64, (u64, u64)>, low: &BTreeMap<u64, (u64, u64)>, content_offset: i64) {
    let shared: Vec<_> = high
        .iter()
        .filter_map(|(number, high)| {
            let same = number.checked_add_signed(content_offset)?;
            low.get(&same).map(|low| (*high, *low))
        })
        .collect();
    assert!(shared.len() >= 4, "only {} segments are shared", shared.len());
    let distance = |((high, _), (low, _)): &((u64, u64), (u64, u64))| i128::from(*high) - i128::from(*low);
    let first = distance(&shared[0]);
    for pair in &shared {
        assert_eq!(pair.0.1, pair.1.1, "the discontinuity sequences of {pair:?}");
        assert_eq!(distance(pair), first, "the places of {pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_that_count_from_different_numbers_are_in_step() {
    let two = Two::start(3, 0).await;
    let [mut high, low] = two.watch().await;
    high.takes(8, SOON).await;
    two.high.advance_with_discontinuity();
    two.low.advance_with_discontinuity();
    high.takes(5, SOON).await;
    let (high, low) = (high.stop().await, low.stop().await);
    high.assert_whole();
    low.assert_whole();
    assert_in_step(&two.places(&two.high, &high), &two.places(&two.low, &low), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_lags_by_two_segments_is_in_step() {
    // both publish the same number at the same playing time, the second two seconds later
    let two = Two::start(0, 2).await;
    let [mut high, low] = two.watch().await;
    high.takes(12, SOON).await;
    let (high, low) = (high.stop().await, low.stop().await);
    high.assert_whole();
    low.assert_whole();
    assert_in_step(&two.places(&two.high, &high), &two.places(&two.low, &low), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_is_missing_gets_gaps_and_comes_back_in_step() {
    let two = Two::start(0, 0).await;
    let [mut high, mut low] = two.watch().await;
    low.takes(4, SOON).await;
    let outage = seconds(10);
    two.origin.fail("/low/", Answer::status(404));
    // the other goes on, with one segment a second
    high.takes(usize::try_from(outage.as_secs()).unwrap(), outage + SOON).await;
    two.sluice.wait_for_metric("sluice_segment_gaps_total", &[("pipeline", "news")], 3.0, SOON).await;
    two.origin.mend();
    low.takes(4, SOON).await;
    high.takes(2, SOON).await;
    let (high, low) = (high.stop().await, low.stop().await);
    high.assert_whole();
    assert!(low.gaps.len() >= 3, "{:?}", low.gaps);
    assert_eq!((&low.failures[..], &low.violations[..], &low.lost[..]), (&[][..], &[][..], &[][..]));
    assert_in_step(&two.places(&two.high, &high), &two.places(&two.low, &low), 0);
    assert_eq!(two.sluice.state("news").await, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_is_served_when_every_variant_can_be_played() {
    let [high, low] = ["high", "low"].map(|name| Live::new(name).lasting(4).filled(8));
    let slow = low.clone();
    let two = Two::with(high, low, move |origin| {
        origin.fail_by(move |asked| {
            let number = asked.path.strip_prefix("/low/low-")?.strip_suffix(".ts")?.parse().ok()?;
            Some(Answer::bytes(slow.segment(number)).after(Duration::from_secs(2)))
        });
    })
    .await;
    let [high, low] = two.watch().await;
    assert_eq!((&high.stop().await.failures[..], &low.stop().await.failures[..]), (&[][..], &[][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_starts_without_a_variant_that_is_not_there() {
    let [high, low] = ["high", "low"].map(|name| Live::new(name).filled(8));
    let two = Two::with(high, low, |origin| origin.fail("/high/", Answer::status(404))).await;
    two.sluice.wait_for_state("news", "live", SOON).await;
    two.origin.mend();
    let served = async || {
        let index = two.sluice.get("/live/news/index.m3u8").await.text();
        let uri = index.lines().find(|line| line.contains("video-1"))?;
        two.sluice.get(&format!("/live/news/{uri}")).await.status.is_success().then_some(())
    };
    eventually("the variant that came later", SOON, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_variants_carry_themselves_is_named_to_players() {
    let carried = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES\n\
                   #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"English\",INSTREAM-ID=\"CC1\"\n";
    let origin = Origin::start().await;
    let groups = "AUDIO=\"a\",CLOSED-CAPTIONS=\"cc\",RESOLUTION";
    let text = MULTIVARIANT.replace("RESOLUTION", groups).replacen('\n', &format!("\n{carried}"), 1);
    origin.serve("/index.m3u8", Answer::text(text));
    for name in ["high", "low"] {
        origin.mount(&format!("/{name}"), &Live::new(name).filled(6));
    }
    let text = relay("news", &origin.url("/index.m3u8"), "variant \"all\"");
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let served = sluice.get("/live/news/index.m3u8").await.text();
    assert!(served.contains(carried), "{served}");
    assert_eq!(served.matches(",CLOSED-CAPTIONS=\"cc\",AUDIO=\"a\"").count(), 2, "{served}");
    assert_eq!(Viewer::new(sluice.viewers, "/live/news/index.m3u8").renditions().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_the_renditions_is_told_for_players_start_again() {
    let two = Two::start(0, 0).await;
    let one = relay("news", &two.origin.url("/index.m3u8"), "variant \"lowest\"");
    two.sluice.write("news.kdl", &one);
    let segments = async || {
        let served = two.sluice.get("/live/news/index.m3u8").await.text();
        served.contains("#EXTINF").then_some(())
    };
    eventually("one rendition in place of two", SOON, segments).await;
    let log = two.sluice.log();
    let told = log.lines().find(|line| line.contains("players have to open the stream again"));
    assert!(told.is_some_and(|line| line.contains("video-1")), "{log}");
}
