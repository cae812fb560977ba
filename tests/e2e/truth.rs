//! What is said of a stream is what ffmpeg and ffprobe say of it, and what is said of one that fails is that it fails.

use std::path::{Path, PathBuf};

use sluice_harness::origin::{Answer, Live, Origin};
use sluice_harness::{Sluice, eventually, program};
use tokio::process::Command;

use super::{SOON, relay, serves, setup};

/// Runs ffmpeg or ffprobe to its end; what it printed.
async fn run(name: &str, arguments: &str, directory: &Path) -> String {
    let mut command = Command::new(program(name, "ffmpeg"));
    let output = command.args(arguments.split_whitespace()).current_dir(directory).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Six seconds, written as `output` says.
async fn encode(directory: &Path, video: &str, output: &str) {
    let inputs = "-f lavfi -i testsrc2=size=322x182:rate=30000/1001 -f lavfi -i sine=sample_rate=44100";
    let arguments = format!("-v error {inputs} -pix_fmt yuv420p {video} -t 6 -c:a aac -b:a 64k {output}");
    run("ffmpeg", &arguments, directory).await;
}

async fn clip(directory: &Path, video: &str) -> PathBuf {
    encode(directory, video, "-mpegts_flags +resend_headers -f mpegts clip.ts").await;
    directory.join("clip.ts")
}

async fn multivariant(clip: &Path) -> (Sluice, String) {
    let text = format!(
        "pipeline \"news\" {{\n    source \"file\" \"{}\" segment=\"1s\"\n    sink \"hls\" path=\"/live/news\"\n}}\n",
        clip.display()
    );
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let text = sluice.get("/live/news/multivariant.m3u8").await.text();
    (sluice, text)
}

/// The value of an attribute, without its quotes.
fn attribute<'t>(text: &'t str, name: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {text}"));
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap(),
        None => rest.split([',', '\n']).next().unwrap(),
    }
}

async fn assert_picture(directory: &Path, text: &str) {
    let entries = "-select_streams v:0 -show_entries stream=width,height,r_frame_rate,level -of csv=p=0";
    let told = run("ffprobe", &format!("-v error {entries} clip.ts"), directory).await;
    let told: Vec<_> = told.lines().next().unwrap().split(',').collect();
    let [width, height, level, rate] = told[..] else { panic!("{told:?}") };
    assert_eq!(attribute(text, "RESOLUTION"), format!("{width}x{height}"), "{text}");
    assert_eq!(rate, "30000/1001");
    assert_eq!(attribute(text, "FRAME-RATE"), "29.970", "{text}");
    let codec = attribute(text, "CODECS").split(',').next().unwrap();
    let level: u32 = level.parse().unwrap();
    let ending = if codec.starts_with("avc1") { format!("{level:02x}") } else { format!(".L{level}.90") };
    assert!(codec.ends_with(&ending), "{codec} of level {level}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_aac_is_said_to_be_what_ffmpeg_says() {
    let directory = tempfile::tempdir().unwrap();
    let video = "-c:v libx264 -preset veryfast -profile:v high -g 30";
    let clip = clip(directory.path(), video).await;
    let (_sluice, text) = multivariant(&clip).await;
    // ffmpeg writes what it knows of the same encoding into a playlist of its own
    encode(directory.path(), video, "-f hls -master_pl_name told.m3u8 index.m3u8").await;
    let told = std::fs::read_to_string(directory.path().join("told.m3u8")).unwrap();
    for name in ["CODECS", "RESOLUTION"] {
        assert_eq!(attribute(&text, name), attribute(&told, name), "{text}\n{told}");
    }
    assert_picture(directory.path(), &text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hevc_with_aac_is_said_to_be_what_ffprobe_says() {
    let directory = tempfile::tempdir().unwrap();
    let video = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30:min-keyint=30";
    let clip = clip(directory.path(), video).await;
    let (_sluice, text) = multivariant(&clip).await;
    let codecs: Vec<_> = attribute(&text, "CODECS").split(',').collect();
    assert!(codecs[0].starts_with("hvc1.1.6.L") && codecs[1..] == ["mp4a.40.2"], "{text}");
    assert_picture(directory.path(), &text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_whose_source_fails_says_so_to_viewers_until_it_is_well() {
    let origin = Origin::start().await;
    origin.mount("/news", &Live::new("a").filled(6));
    origin.fail("index", Answer::status(404));
    let text = relay("news", &origin.url("/news/index.m3u8"), "");
    let sluice = setup().file("news.kdl", &text).start().await;
    let refused = async || {
        let reply = sluice.get("/live/news/index.m3u8").await;
        let says = reply.text().contains("the stream failed (status_4xx)");
        (says && reply.status == 503 && reply.header("retry-after") == "1").then_some(())
    };
    eventually("a failure that is told", SOON, refused).await;
    origin.mend();
    serves(&sluice, "/live/news/index.m3u8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_in_low_latency_reports_on_each_other_rendition() {
    let origin = Origin::start().await;
    let ladder =
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\na/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb/index.m3u8\n";
    let (high, low) = (Live::new("a").filled(6), Live::new("b").filled(6));
    origin.mount("/a", &high);
    origin.mount("/b", &low);
    origin.serve("/index.m3u8", Answer::text(ladder));
    let text = relay("news", &origin.url("/index.m3u8"), "variant \"all\"");
    let text = text.replace("window=12", "window=12 low-latency=#true");
    let sluice = setup().file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    for (own, other) in [("video-1", "video-2"), ("video-2", "video-1")] {
        let other_text = sluice.get(&format!("/live/news/{other}/index.m3u8")).await.text();
        let last = sluice_harness::Listing::read(&other_text).entries.last().unwrap().sequence;
        let text = sluice.get(&format!("/live/news/{own}/index.m3u8")).await.text();
        assert_eq!(sluice_conformance::check(&text), []);
        let report = format!("#EXT-X-RENDITION-REPORT:URI=\"../{other}/index.m3u8\",LAST-MSN={last}\n");
        assert_eq!(text.matches("#EXT-X-RENDITION-REPORT").count(), 1, "{text}");
        assert!(text.contains(&report), "{report} in {text}");
    }
}
