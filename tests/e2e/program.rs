//! The program of a pipeline as one transport stream: whole, without a seam, for any number of viewers.

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sluice_harness::origin::{Answer, Origin};
use sluice_harness::{
    Connection, Encoder, Ladder, Nginx, Protection, Sluice, Version, eventually, play_with_ffmpeg,
    play_with_vlc, probe, program, within,
};
use tokio::time::Instant;

use super::players::repository;
use super::{SOON, setup};

const PACKET: usize = 188;
/// The longest step between two pictures at 25 a second, with room for the clock of 90 kHz.
const FRAME_SECONDS: f64 = 0.041;

/// A pipeline that serves `source` on `/live/news.ts`.
pub(super) fn serving(source: &str) -> String {
    format!(
        "pipeline \"news\" {{
    {source}
    buffer \"memory\" segments=40 bytes=\"64MiB\"
    sink \"mpegts\" path=\"/live/news.ts\" behind=\"1s\"
}}
"
    )
}

fn clip() -> String {
    let clip = repository().join("conf.d/media/demo.ts");
    serving(&format!("source \"file\" {:?} loop=#true", clip.display().to_string()))
}

/// The demo's clip, on the air.
async fn on_air() -> Sluice {
    let sluice = setup().file("news.kdl", &clip()).start().await;
    sluice.wait_for_state("news", "live", SOON).await;
    sluice
}

pub(super) async fn watch(sluice: &Sluice, version: Version) -> http::Response<Incoming> {
    let mut connection = Connection::open(sluice.viewers, version).await;
    let response = connection.send(Method::GET, "/live/news.ts", &[("user-agent", "tester")]).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// What comes within `length`; all of it where the stream ends before.
pub(super) async fn take(response: &mut http::Response<Incoming>, length: Duration) -> Vec<u8> {
    let (end, mut taken) = (Instant::now() + length, BytesMut::new());
    while let Ok(Some(frame)) = tokio::time::timeout_at(end, response.body_mut().frame()).await {
        taken.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    taken.to_vec()
}

/// The PIDs of packets, null packets left out. The stream stands on whole packets.
fn pids(bytes: &[u8]) -> Vec<u16> {
    let packets = bytes.chunks(PACKET).map(|packet| {
        assert_eq!((packet.len(), packet[0]), (PACKET, 0x47));
        u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2])
    });
    packets.filter(|pid| *pid != 0x1fff).collect()
}

fn is_null(packet: &[u8]) -> bool {
    packet.len() == PACKET && packet[..4] == [0x47, 0x1f, 0xff, 0x10]
}

/// What ffmpeg says when it decodes everything, but for the last picture: that is not whole.
pub(super) async fn decode(bytes: &[u8], directory: &Path) -> String {
    let file = directory.join("taken.ts");
    let whole =
        bytes.as_chunks::<PACKET>().0.iter().rposition(|packet| packet[1] & 0x1f == 0 && packet[2] == 0);
    std::fs::write(&file, &bytes[..whole.unwrap() * PACKET]).unwrap();
    let mut command = tokio::process::Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-v", "warning", "-i"]).arg(&file).args(["-f", "null", "-"]);
    let output = within("ffmpeg", Duration::from_secs(60), command.output()).await.unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Plays what an encoder makes for `length`.
async fn plays(ladder: Ladder, length: Duration) {
    let encoder = Encoder::start(ladder).await;
    let nginx = Nginx::serving(encoder.directory()).await;
    let source = format!("source \"hls\" \"{}\"", nginx.url("/index.m3u8"));
    let sluice = setup().file("news.kdl", &serving(&source)).start().await;
    sluice.wait_for_state("news", "live", SOON).await;
    let url = sluice.url("/live/news.ts");
    let (complaints, streams) = probe(&url).await;
    assert_eq!(complaints, "", "ffprobe found {streams}");
    assert!(streams.contains("h264") && streams.contains("aac"), "{streams}");
    let playback = play_with_ffmpeg(&url, length).await;
    assert_eq!(playback.complaints, "");
    for stream in [0, 1] {
        let lasted = playback.length(stream);
        assert!(lasted > length.as_secs_f64() - 1.0, "stream {stream} lasted {lasted} s");
    }
    assert!(playback.longest_step(0) <= FRAME_SECONDS, "a step of {} s", playback.longest_step(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_comes_out_as_one_transport_stream() {
    plays(Ladder::TransportStream(Protection::Clear), Duration::from_secs(15)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_with_its_audio_apart_comes_out_as_one_transport_stream() {
    plays(Ladder::TwoVariants, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_with_packed_audio_comes_out_as_one_transport_stream() {
    plays(Ladder::PackedAudioGroup, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_source_takes_over_without_a_seam() {
    let encoders = [
        Encoder::start(Ladder::TransportStream(Protection::Clear)).await,
        Encoder::start(Ladder::PackedAudioGroup).await,
        Encoder::start(Ladder::TransportStream(Protection::Clear)).await,
    ];
    let mut origins = Vec::new();
    for encoder in &encoders {
        origins.push(Nginx::serving(encoder.directory()).await);
    }
    let text = |nginx: &Nginx| serving(&format!("source \"hls\" \"{}\"", nginx.url("/index.m3u8")));
    let sluice = setup().file("news.kdl", &text(&origins[0])).start().await;
    sluice.wait_for_state("news", "live", SOON).await;
    let mut viewer = watch(&sluice, Version::One).await;
    let mut taken = take(&mut viewer, Duration::from_secs(4)).await;
    for next in &origins[1..] {
        sluice.apply("news.kdl", &text(next)).await;
        taken.extend(take(&mut viewer, Duration::from_secs(8)).await);
    }
    pids(&taken);
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(decode(&taken, directory.path()).await, "");
    let seconds = taken.len() as f64 / 50_000.0;
    assert!(seconds > 8.0, "only {} bytes came", taken.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_plays_over_its_loop_in_vlc_and_decodes_without_a_word() {
    let sluice = on_air().await;
    let mut viewer = watch(&sluice, Version::Two).await;
    let directory = tempfile::tempdir().unwrap();
    let url = sluice.url("/live/news.ts");
    let (played, taken) = tokio::join!(
        play_with_vlc(&url, Duration::from_secs(12), directory.path()),
        take(&mut viewer, Duration::from_secs(14)),
    );
    let (seconds, log) = played;
    assert!(seconds > 8.0, "VLC wrote {seconds} s: {log}");
    assert_eq!(&pids(&taken)[..2], [0, 0x1000], "it starts with PAT and PMT");
    assert_eq!(decode(&taken, directory.path()).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_seen_while_there_is_one_and_counted_by_what_it_takes() {
    let sluice = on_air().await;
    let mut viewer = watch(&sluice, Version::One).await;
    let taken = take(&mut viewer, Duration::from_secs(3)).await;
    let view = sluice.api("/api/v1/pipelines/news/viewers").await.json();
    let own = &view["viewers"][0];
    assert_eq!((&own["user_agent"], &own["address"]), (&"tester".into(), &"127.0.0.1".into()), "{view}");
    let bytes = own["bytes"].as_u64().unwrap();
    assert!(bytes > 0 && bytes <= taken.len() as u64 + 200_000, "{bytes} of {}", taken.len());
    assert_eq!(own["skips"], 0);
    drop(viewer);
    let gone = async || {
        let metrics = sluice.metrics().await;
        (metrics.sum("sluice_viewers", &[("pipeline", "news")]) == 0.0).then_some(())
    };
    eventually("the viewer to be gone", SOON, gone).await;
    let unknown = sluice.api("/api/v1/pipelines/other/viewers").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn zapping_leaves_nobody_behind() {
    let sluice = on_air().await;
    let mut steady = watch(&sluice, Version::One).await;
    for _ in 0..200 {
        let mut viewer = watch(&sluice, Version::One).await;
        viewer.body_mut().frame().await.unwrap().unwrap();
    }
    let one = async || {
        let metrics = sluice.metrics().await;
        (metrics.sum("sluice_viewers", &[("pipeline", "news")]) == 1.0).then_some(())
    };
    eventually("one viewer to be left", SOON, one).await;
    let taken = take(&mut steady, Duration::from_secs(2)).await;
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(decode(&taken, directory.path()).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_reads_nothing_is_gone_and_slows_nobody() {
    let sluice = on_air().await;
    let mut narrow = Connection::open_narrow(sluice.viewers, Version::One).await.unwrap();
    let stuck = narrow.send(Method::GET, "/live/news.ts", &[]).await.unwrap();
    let mut viewer = watch(&sluice, Version::One).await;
    let mut taken = take(&mut viewer, Duration::from_secs(10)).await;
    let one = async || {
        let metrics = sluice.metrics().await;
        (metrics.sum("sluice_viewers", &[("pipeline", "news")]) == 1.0).then_some(())
    };
    eventually("the stuck viewer to be gone", Duration::from_secs(60), one).await;
    taken.extend(take(&mut viewer, Duration::from_millis(100)).await);
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(decode(&taken, directory.path()).await, "");
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_comes_before_the_stream_is_kept_with_null_packets() {
    let origin = Origin::start().await;
    origin.serve("/slow/index.m3u8", Answer::text("").after(Duration::from_secs(60)));
    let source = format!("source \"hls\" \"{}\"", origin.url("/slow/index.m3u8"));
    let sluice = setup().file("news.kdl", &serving(&source)).start().await;
    let mut connection = Connection::open(sluice.viewers, Version::One).await;
    let head = connection.ask(Method::HEAD, "/live/news.ts", &[]).await.unwrap();
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "video/mp2t"));
    let mut viewer = watch(&sluice, Version::One).await;
    let taken = take(&mut viewer, Duration::from_secs(3)).await;
    assert!((PACKET * 3..=PACKET * 7).contains(&taken.len()), "{} bytes", taken.len());
    assert!(taken.chunks(PACKET).all(is_null));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_will_come_nobody_waits() {
    let origin = Origin::start().await;
    let source = format!("source \"hls\" \"{}\"", origin.url("/nothing/index.m3u8"));
    let sluice = setup().file("news.kdl", &serving(&source)).start().await;
    sluice.wait_for_state("news", "failed", SOON).await;
    let refused = sluice.get("/live/news.ts").await;
    assert!(refused.status.is_server_error(), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_bridged_with_null_packets_and_goes_on() {
    let encoder = Encoder::start(Ladder::TransportStream(Protection::Clear)).await;
    let nginx = Nginx::serving(encoder.directory()).await;
    let source = format!("source \"hls\" \"{}\"", nginx.url("/index.m3u8"));
    let sluice = setup().file("news.kdl", &serving(&source)).start().await;
    sluice.wait_for_state("news", "live", SOON).await;
    let mut viewer = watch(&sluice, Version::One).await;
    take(&mut viewer, Duration::from_secs(3)).await;
    drop((encoder, nginx));
    let idle = async {
        loop {
            let frame = viewer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            if is_null(&frame) {
                return;
            }
        }
    };
    within("a null packet", SOON, idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fragmented_mp4_is_refused_with_its_reason() {
    let encoder = Encoder::start(Ladder::FragmentedMp4).await;
    let nginx = Nginx::serving(encoder.directory()).await;
    let source = format!("source \"hls\" \"{}\"", nginx.url("/index.m3u8"));
    let sluice = setup().file("news.kdl", &serving(&source)).start().await;
    let refused = async || {
        let mut connection = Connection::open(sluice.viewers, Version::One).await;
        let reply = connection.ask(Method::HEAD, "/live/news.ts", &[]).await.unwrap();
        (reply.status == 503).then_some(reply)
    };
    eventually("a refusal", SOON, refused).await;
    let reply = sluice.get("/live/news.ts").await;
    assert!(reply.text().contains("cannot carry fragmented MP4"), "{}", reply.text());
    let view = sluice.api("/api/v1/pipelines/news/viewers").await.text();
    assert!(view.contains("cannot carry fragmented MP4"), "{view}");
    let view = sluice.api("/api/v1/pipelines/news").await.json();
    let reason = "no endless transport stream is served: not supported: a transport stream cannot carry fragmented MP4";
    assert_eq!((&view["state"], &view["reason"]), (&"live".into(), &reason.into()), "{view}");
    assert_eq!(sluice.log().matches("a sink cannot carry what comes").count(), 1, "{}", sluice.log());
    let without = serving(&source).replace(
        "    sink \"mpegts\" path=\"/live/news.ts\" behind=\"1s\"\n",
        "    sink \"hls\" path=\"/live/news\"\n",
    );
    sluice.apply("news.kdl", &without).await;
    let well = async || {
        let view = sluice.api("/api/v1/pipelines/news").await.json();
        (view["state"] == "live" && view["reason"] == "").then_some(())
    };
    eventually("the reason to be gone with the sink", SOON, well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_streams_between_packets() {
    let sluice = on_air().await;
    let mut one = watch(&sluice, Version::One).await;
    let mut two = watch(&sluice, Version::Two).await;
    let began = Instant::now();
    let (ended, one, two) = tokio::join!(
        sluice.terminate(),
        take(&mut one, Duration::from_secs(20)),
        take(&mut two, Duration::from_secs(20)),
    );
    assert!(ended.0.success(), "{}", ended.1);
    assert!(began.elapsed() < Duration::from_secs(8), "the streams ended by themselves");
    pids(&one);
    pids(&two);
}
