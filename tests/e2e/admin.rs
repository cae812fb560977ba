//! The admin listener: what it tells, and whom it does not.

use http::Method;
use http_body_util::BodyExt;
use sluice_harness::{Connection, Version, within};

use super::{SOON, Stage, relay, setup};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_tells_of_pipelines_and_speaks_of_errors_as_problems() {
    let stage = Stage::new("").await;
    let sluice = &stage.sluice;
    assert_eq!(sluice.api("/livez").await.status, 200);
    let ready = sluice.api("/readyz?verbose").await;
    assert_eq!(ready.status, 200);
    let all = sluice.api("/api/v1/pipelines").await.json();
    assert!(all.to_string().contains("\"news\""), "{all}");
    let unknown = sluice.api("/api/v1/pipelines/other").await;
    assert_eq!((unknown.status.as_u16(), unknown.header("content-type")), (404, "application/problem+json"));
    let metrics = sluice.metrics().await;
    assert_eq!(metrics.sum("sluice_pipeline_state", &[("pipeline", "news"), ("state", "live")]), 1.0);
    for name in ["sluice_build_info", "process_resident_memory_bytes", "sluice_config_last_reload_successful"]
    {
        assert!(metrics.has(name, &[]) || metrics.text().contains(&format!("{name}{{")), "{name} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_help_and_type_and_our_prefix() {
    let stage = Stage::new("").await;
    let text = stage.sluice.metrics().await.text().to_owned();
    let names = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let name = line.split(['{', ' ']).next().unwrap();
        ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
    });
    for name in names {
        assert!(name.starts_with("sluice_") || name.starts_with("process_"), "{name}");
        assert!(
            text.contains(&format!("# HELP {name} ")) && text.contains(&format!("# TYPE {name} ")),
            "{name}"
        );
    }
    let origin = stage.origin.address().to_string();
    assert!(!text.contains(&origin), "an address stands in a label");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_cannot_reach_a_loopback_admin() {
    let stage = Stage::new("").await;
    let asked = async |method: Method, headers: &[(&str, &str)]| {
        stage.sluice.ask_admin(method, "/api/v1/reload", headers).await.status.as_u16()
    };
    assert_eq!(asked(Method::POST, &[("Host", "evil.example")]).await, 403, "a name that was rebound");
    assert_eq!(asked(Method::POST, &[("Origin", "http://evil.example")]).await, 403, "another site's page");
    let own = format!("http://{}", stage.sluice.admin);
    assert!(asked(Method::POST, &[("Origin", &own)]).await < 300);
    assert_eq!(stage.sluice.api("/api/v1/reload").await.status, 405);
    let read = stage.sluice.ask_admin(Method::GET, "/api/v1/pipelines", &[("Host", "evil.example")]).await;
    assert_eq!(read.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_pushed_as_they_happen() {
    let stage = Stage::new("").await;
    let mut connection = Connection::open(stage.sluice.admin, Version::One).await;
    let response = connection.send(Method::GET, "/api/v1/events", &[]).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let text = relay("second", &stage.origin.url("/news/index.m3u8"), "");
    stage.sluice.apply("second.kdl", &text).await;
    let mut seen = String::new();
    let read = async {
        while !(seen.contains("pipeline.state") && seen.contains("second")) {
            let frame = body.frame().await.unwrap().unwrap();
            seen.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
        }
    };
    within("an event of the second pipeline", SOON, read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_beyond_loopback_needs_a_token() {
    let setup = setup().server("admin \"0.0.0.0:0\"");
    let (status, log) = setup.start_in_vain().await;
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(log.contains("token"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reads_the_api() {
    let stage = Stage::new("").await;
    let admin = format!("http://{}", stage.sluice.admin);
    let output = stage.sluice.setup().output(&["status", "--admin", &admin]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("news") && text.contains("live"), "{text}");
    let output = stage.sluice.setup().output(&["reload", "--admin", &admin]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
