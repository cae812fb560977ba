//! A playlist leads the daemon nowhere that the operator did not allow.

use std::net::Ipv4Addr;
use std::time::Duration;

use sluice_harness::origin::{Answer, Live, Origin};
use sluice_harness::{Sluice, Viewer};

use super::{SOON, relay, serves, setup};

/// A playlist with one segment, three times, under an absolute URI.
fn leading_to(uri: &str) -> Answer {
    let entry = format!("#EXTINF:1,\n{uri}\n");
    Answer::text(format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n{}", entry.repeat(3)))
}

/// Starts a daemon whose origin's playlist is `playlist`, and waits until going there is refused.
async fn is_refused(playlist: Answer) -> Sluice {
    let origin = Origin::start().await;
    origin.serve("/index.m3u8", playlist);
    let sluice = setup().file("news.kdl", &relay("news", &origin.url("/index.m3u8"), "")).start().await;
    let labels = [("pipeline", "news"), ("kind", "forbidden")];
    sluice.wait_for_metric("sluice_source_faults_total", &labels, 1.0, SOON).await;
    sluice
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_leads_to_another_private_host_is_refused() {
    let inner = Origin::start_on(Ipv4Addr::new(127, 0, 0, 2).into()).await;
    is_refused(leading_to(&inner.url("/a.ts"))).await;
    let port = inner.address().port();
    is_refused(leading_to(&format!("http://[::ffff:127.0.0.2]:{port}/a.ts"))).await;
    is_refused(Answer::redirect(&inner.url("/index.m3u8"))).await;
    assert_eq!(inner.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_leads_to_the_metadata_of_a_cloud_or_to_a_file_is_refused() {
    is_refused(leading_to("http://169.254.169.254/latest/meta-data")).await;
    is_refused(leading_to("file:///etc/passwd")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allow_hosts_lets_a_playlist_lead_there() {
    let (outer, inner) = (Origin::start().await, Origin::start_on(Ipv4Addr::new(127, 0, 0, 2).into()).await);
    let live = Live::new("a").filled(6);
    inner.mount("/news", &live);
    let _ticking = live.ticking(Duration::from_secs(1));
    outer.serve("/index.m3u8", Answer::redirect(&inner.url("/news/index.m3u8")));
    let text = relay("news", &outer.url("/index.m3u8"), "allow-hosts \"127.0.0.2\"");
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let mut viewing = Viewer::new(sluice.viewers, "/live/news/index.m3u8").watch();
    viewing.takes(3, SOON).await;
    viewing.stop().await.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_sends_to_the_origin_goes_to_no_other_host() {
    let (outer, inner) = (Origin::start().await, Origin::start_on(Ipv4Addr::new(127, 0, 0, 2).into()).await);
    let live = Live::new("a").filled(6);
    inner.mount("/news", &live);
    outer.serve("/index.m3u8", Answer::redirect(&inner.url("/news/index.m3u8")));
    let lines = "allow-hosts \"127.0.0.2\"\nheader \"Authorization\" \"Bearer secret\"\nheader \"User-Agent\" \"box\"";
    let sluice = setup().file("news.kdl", &relay("news", &outer.url("/index.m3u8"), lines)).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let header = |asked: &sluice_harness::origin::Asked, name: &str| {
        asked.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let (own, other) = (&outer.asked("")[0], &inner.asked("")[0]);
    assert_eq!(header(own, "authorization").as_deref(), Some("Bearer secret"));
    assert_eq!(header(other, "authorization"), None);
    assert_eq!(header(other, "user-agent").as_deref(), Some("box"));
    assert!(!sluice.log().contains("secret"), "a secret stands in the log");
}
