//! Commands that ask a running daemon over its admin side.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use comfy_table::{Cell, CellAlignment, Table, presets};
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpStream;

use super::beneath::beneath;
use crate::api::view::{Outcome, PipelineView, ReloadView};

/// The exit code for a configuration with problems (EX_CONFIG of sysexits.h).
const CONFIGURATION: u8 = 78;

/// How long an answer may take: a reload waits for what it prepares.
const PATIENCE: Duration = Duration::from_secs(65);

/// The largest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why a daemon could not be asked.
#[derive(Debug, Error)]
pub(super) enum RemoteError {
    #[error("{0} is no address of an admin side: write http://HOST:PORT")]
    Address(String),
    #[error("cannot reach {address}: {cause}: is the daemon running?")]
    Connect {
        address: String,
        #[source]
        cause: io::Error,
    },
    #[error("the exchange failed: {0}")]
    Exchange(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("{status}: {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("the answer is not understood: {0}")]
    Answer(#[from] serde_json::Error),
}

/// `sluice status`: prints every pipeline as a table. 0 where the daemon answered, else 1.
pub(crate) fn status(admin: &str, token: Option<&str>) -> ExitCode {
    finish(run(|| async { Ok((table(&pipelines(admin, token).await?), 0)) }))
}

/// `sluice reload`: prints what changed, or with `dry_run` what would, and the problems. 0 where there are none,
/// 78 where the configuration has some, 1 where the daemon could not be asked or could not apply it.
pub(crate) fn reload(admin: &str, token: Option<&str>, dry_run: bool) -> ExitCode {
    finish(run(|| async {
        let view = ask_reload(admin, token, dry_run).await?;
        let code = match (&view.error, view.has_errors()) {
            (Some(_), _) => 1,
            (None, true) => CONFIGURATION,
            (None, false) => 0,
        };
        Ok((describe(&view), code))
    }))
}

/// `sluice switch`: prints the source that was started. 0 where the daemon started it, else 1.
pub(crate) fn switch(admin: &str, token: Option<&str>, pipeline: &str, source: Option<usize>) -> ExitCode {
    finish(run(|| async { Ok((format!("{}\n", ask_switch(admin, token, pipeline, source).await?), 0)) }))
}

async fn ask_switch(
    admin: &str,
    token: Option<&str>,
    pipeline: &str,
    source: Option<usize>,
) -> Result<String, RemoteError> {
    let path = format!("/api/v1/pipelines/{pipeline}/switch");
    let body = serde_json::json!({ "source": source }).to_string();
    match send(admin, token, Method::POST, &path, body).await? {
        (StatusCode::OK, body) => {
            let answer: Value = parse(&body)?;
            let source = answer["source"].as_str().unwrap_or_default();
            let what = match (answer["started"] == true, answer["state"] == "starting") {
                (true, _) => "is started",
                (false, true) => "is starting already",
                (false, false) => "is the active one already",
            };
            Ok(format!("{pipeline}: {source} {what}"))
        }
        (status, body) => Err(refused(status, &body)),
    }
}

type Printed = Result<(String, u8), RemoteError>;

fn run<F: Future<Output = Printed>>(command: impl FnOnce() -> F) -> Printed {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RemoteError::Exchange(error.into()))?;
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, command()).await.unwrap_or(Err(RemoteError::Timeout))
    })
}

fn finish(printed: Printed) -> ExitCode {
    let (written, code) = match printed {
        Ok((text, code)) => (io::stdout().lock().write_all(text.as_bytes()), code),
        Err(error) => (writeln!(io::stderr().lock(), "error: {error}"), 1),
    };
    // a reader that closed the pipe, as head does, has seen what it wanted
    match written {
        Ok(()) => ExitCode::from(code),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

async fn pipelines(admin: &str, token: Option<&str>) -> Result<Vec<PipelineView>, RemoteError> {
    match ask(admin, token, Method::GET, "/api/v1/pipelines").await? {
        (StatusCode::OK, body) => parse(&body),
        (status, body) => Err(refused(status, &body)),
    }
}

async fn ask_reload(admin: &str, token: Option<&str>, dry_run: bool) -> Result<ReloadView, RemoteError> {
    let path = if dry_run { "/api/v1/reload?dry-run" } else { "/api/v1/reload" };
    match ask(admin, token, Method::POST, path).await? {
        (StatusCode::OK, body) => parse(&body),
        (StatusCode::UNPROCESSABLE_ENTITY, body) => {
            let mut problem: Value = parse(&body)?;
            Ok(serde_json::from_value(problem["reload"].take())?)
        }
        (status, body) => Err(refused(status, &body)),
    }
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, RemoteError> {
    Ok(serde_json::from_slice(body)?)
}

pub(super) fn refused(status: StatusCode, body: &[u8]) -> RemoteError {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    RemoteError::Refused {
        status,
        detail: problem["detail"].as_str().unwrap_or("no reason given").to_owned(),
    }
}

pub(super) async fn ask(
    admin: &str,
    token: Option<&str>,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), RemoteError> {
    send(admin, token, method, path, String::new()).await
}

async fn send(
    admin: &str,
    token: Option<&str>,
    method: Method,
    path: &str,
    body: String,
) -> Result<(StatusCode, Bytes), RemoteError> {
    let wrong = || RemoteError::Address(admin.to_owned());
    let uri: Uri = admin.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let socket = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .map_err(|cause| RemoteError::Connect { address: authority.to_string(), cause })?;
    let failed = |error: hyper::Error| RemoteError::Exchange(error.into());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(failed)?;
    let mut request = Request::builder().method(method).uri(path).header(HOST, authority.as_str());
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request =
        request.body(Full::<Bytes>::from(body)).map_err(|error| RemoteError::Exchange(error.into()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES)
            .collect()
            .await
            .map_err(RemoteError::Exchange)?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        outcome = connection => match outcome {
            Ok(()) => exchange.await, // it closed after the answer, which is read by now
            Err(error) => Err(failed(error)),
        },
    }
}

fn table(pipelines: &[PipelineView]) -> String {
    if pipelines.is_empty() {
        return "no pipelines\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["PIPELINE", "STATE", "SOURCE", "HEALTH", "VIEWERS", "SEGMENTS", "BYTES", "REASON"]);
    for pipeline in pipelines {
        let segments =
            pipeline.renditions.iter().map(|rendition| rendition.segments).max().unwrap_or_default();
        let bytes: u64 = pipeline.renditions.iter().map(|rendition| rendition.bytes).sum();
        let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(&pipeline.name),
            Cell::new(&pipeline.state),
            Cell::new(pipeline.source.as_deref().unwrap_or("none")),
            number(pipeline.health.as_ref().map_or(String::new(), |health| health.score.to_string())),
            number(pipeline.viewers().to_string()),
            number(segments.to_string()),
            number(size(bytes)),
            Cell::new(&pipeline.reason),
        ]);
        for (name, state, reason) in beneath(pipeline) {
            table.add_row([&format!("  {name}"), state, "", "", "", "", "", &reason]);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn describe(view: &ReloadView) -> String {
    let mut text = String::new();
    for change in &view.changes {
        let what =
            if change.what.is_empty() { String::new() } else { format!(" ({})", change.what.join(", ")) };
        text += &format!("{:8} {}{what}, {} viewers\n", change.change, change.pipeline, change.viewers);
    }
    if !view.restart.is_empty() {
        text += &format!("restart  the daemon, to apply {}\n", view.restart.join(", "));
    }
    for problem in &view.problems {
        let (file, line, column) = (&problem.file, problem.line, problem.column);
        text += &format!("{file}:{line}:{column}: {}: {}\n", problem.severity, problem.message);
        if !problem.help.is_empty() {
            text += &format!("  help: {}\n", problem.help);
        }
    }
    if let Some(error) = &view.error {
        text += &format!("error: {error}\n");
    }
    text += match view.outcome {
        Outcome::Partial => "applied, without the files that have problems\n",
        Outcome::Applied => "applied\n",
        Outcome::Unchanged => "nothing has changed\n",
        Outcome::Refused => "nothing was applied\n",
        Outcome::DryRun => "dry run: nothing was applied\n",
    };
    text
}

/// Bytes for a person: `3.0 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::api::rendition::FedView;
    use crate::api::testing::Running;
    use crate::api::view::{PushView, SourceView};

    #[tokio::test]
    async fn status_shows_each_pipeline_in_a_line() {
        let running = Running::new().await;
        let admin = format!("http://{}", running.admin.local_addr());
        let text = table(&pipelines(&admin, None).await.unwrap());
        let line = text.lines().nth(1).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let expected = "tv/news stalled source 1 hls 64 7 3 3.0 MiB nothing new for 18 s";
        assert_eq!(words, expected.split(' ').collect::<Vec<_>>());
        let health: Vec<_> = text.lines().nth(2).unwrap().split_whitespace().collect();
        assert_eq!(health, ["health", "degraded", "2", "segments", "are", "missing"]);
        assert_eq!(text.lines().count(), 3);
    }

    #[tokio::test]
    async fn status_shows_the_chain_and_a_recorder_that_is_paused_beneath_their_pipeline() {
        let running = Running::new().await;
        let admin = format!("http://{}", running.admin.local_addr());
        let mut known = pipelines(&admin, None).await.unwrap();
        let source = |name: &str, state: &str, reason: &str| {
            let [name, state, reason] = [name, state, reason].map(str::to_owned);
            SourceView { name, state, reason, until: None }
        };
        known[0].sources =
            vec![source("source 1 hls", "active", ""), source("source 2 mpegts", "resting", "read_timeout")];
        let recorder = |state: &str| PushView {
            name: "sink 2 record".to_owned(),
            target: "var".to_owned(),
            state: state.to_owned(),
            reason: "no room is left".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
            current: None,
            bytes: 0,
            objects: 0,
            oldest: None,
            lost_seconds: 0.0,
        };
        known[0].health = None;
        known[0].pushing = vec![recorder("paused"), recorder("running")];
        let from = vec!["main".to_owned(), "english".to_owned()];
        known[0].renditions[0].fed_by = Some(FedView { how: "joined".to_owned(), from });
        let text = table(&known);
        let beneath: Vec<Vec<_>> =
            text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            beneath,
            [
                vec!["source", "2", "mpegts", "resting", "read_timeout"],
                vec!["video", "joined", "main", "and", "english"],
                vec!["sink", "2", "record", "paused", "no", "room", "is", "left"]
            ]
        );
    }

    #[tokio::test]
    async fn reload_prints_the_plan_and_the_problems_with_their_places() {
        let running = Running::new().await;
        let admin = format!("http://{}", running.admin.local_addr());
        let view = ask_reload(&admin, None, true).await.unwrap();
        let expected = "retune   tv/news (buffer), 7 viewers\nrestart  the daemon, to apply state-dir\n\
                        dry run: nothing was applied\n";
        assert_eq!(describe(&view), expected);
        running.control.broken.store(true, Ordering::SeqCst);
        let view = ask_reload(&admin, None, false).await.unwrap();
        assert!(view.has_errors());
        let text = describe(&view);
        assert!(text.contains("news.kdl:3:5: error: unknown node \"sorce\"\n  help: did you mean"), "{text}");
    }

    #[tokio::test]
    async fn a_switch_tells_what_was_started_from_what_was_already() {
        let running = Running::new().await;
        let admin = format!("http://{}", running.admin.local_addr());
        for (source, expected) in [
            (1, "tv/news: source 1 hls is the active one already"),
            (2, "tv/news: source 2 hls is started"),
            (3, "tv/news: source 3 hls is starting already"),
        ] {
            assert_eq!(ask_switch(&admin, None, "tv/news", Some(source)).await.unwrap(), expected);
        }
        let path = "/api/v1/pipelines/tv/news/switch";
        for body in ["{\"source\":\"2\"}", "{\"sorce\":2}", "2"] {
            let (status, body) = send(&admin, None, Method::POST, path, body.to_owned()).await.unwrap();
            let said = refused(status, &body).to_string();
            assert!(said.contains("the body is {\"source\": N}, the place in the chain from 1"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_daemon_that_is_away_or_refuses_is_an_error_in_words() {
        for (admin, words) in [
            ("127.0.0.1:9090", "is no address of an admin side"),
            ("https://127.0.0.1:9090", "is no address of an admin side"),
            ("http://127.0.0.1:1", "is the daemon running?"),
        ] {
            let error = pipelines(admin, None).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let running = Running::new().await;
        let port = running.admin.local_addr().port();
        let error = ask(&format!("http://127.0.0.1:{port}"), None, Method::GET, "/nothing").await.unwrap();
        assert_eq!(refused(error.0, &error.1).to_string(), "404 Not Found: nothing is here");
    }
}
