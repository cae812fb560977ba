//! The routes of the admin listener.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, RawQuery, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sluice_core::fault::FaultKind;
use sluice_core::pipeline::{Ordered, SourceState};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::Parts;
use super::events::{LogQuery, StreamQuery};
use super::gate::Gate;
use super::problem::Refusal;

/// The largest body that is read: a log level.
const BODY_BYTES: usize = 16 * 1024;

/// The longest that an answer may take to begin. A reload waits for what it prepares, as connections to databases.
const PATIENCE: Duration = Duration::from_secs(60);

struct App {
    parts: Parts,
    gate: Arc<Gate>,
}

type Shared = State<Arc<App>>;

/// The whole admin side behind its gate.
pub(super) fn router(parts: Parts, gate: Arc<Gate>) -> Router {
    let app = Arc::new(App { parts, gate });
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/pipelines", get(pipelines))
        .route("/api/v1/pipelines/{*name}", get(pipeline).post(switch)) // names may hold slashes, encoded or not
        .route("/api/v1/config", get(config))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/events", get(events))
        .route("/api/v1/events/log", get(event_log))
        .route("/api/v1/events/stats", get(event_stats))
        .route("/api/v1/events/handlers", get(handlers))
        .route("/api/v1/log", put(set_log).get(log))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "nothing is here") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not answered here")
        })
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(app.clone(), admit))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE))
        .layer(CatchPanicLayer::custom(|_| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "a defect: see the log").into_response()
        }))
        .with_state(app)
}

async fn admit(State(app): Shared, request: Request, next: Next) -> Response {
    if let Err(refusal) = app.gate.admit(request.method(), request.uri(), request.headers()) {
        let mut response = refusal.into_response();
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        return response;
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

async fn readyz(State(app): Shared, RawQuery(query): RawQuery) -> Response {
    let checks = app.parts.control.ready();
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !has(query.as_deref(), "verbose") {
        return (status, if ready { "ok\n" } else { "not ready\n" }).into_response();
    }
    let lines = checks.iter().map(|check| {
        let mark = if check.ok { "+" } else { "-" };
        let (name, detail) = (&check.name, &check.detail);
        if detail.is_empty() { format!("[{mark}] {name}\n") } else { format!("[{mark}] {name}: {detail}\n") }
    });
    (status, lines.collect::<String>()).into_response()
}

async fn metrics(State(app): Shared) -> Result<Response, Refusal> {
    let families = app.parts.registry.gather();
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&families)
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

async fn pipelines(State(app): Shared) -> Response {
    Json(app.parts.control.pipelines()).into_response()
}

async fn pipeline(
    State(app): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let control = &app.parts.control;
    if let Some(view) = control.pipeline(&name) {
        return Ok(Json(view).into_response());
    }
    let viewers = || Some(Json(control.audience(name.strip_suffix("/viewers")?)?).into_response());
    let health = || match name.strip_suffix("/health")? {
        name if has(query.as_deref(), "observations") => Some(Json(control.sample(name)?).into_response()),
        name => Some(Json(control.health(name)?).into_response()),
    };
    match viewers().or_else(health) {
        Some(response) => Ok(response),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no pipeline {name:?}"))),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Switch {
    /// The place in the chain, from 1; none for the next one.
    source: Option<usize>,
}

/// `POST /api/v1/pipelines/NAME/switch`.
async fn switch(
    State(app): Shared,
    Path(path): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let Some(name) = path.strip_suffix("/switch") else {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not answered here"));
    };
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    let parsed = if body.is_empty() { Ok(Switch::default()) } else { serde_json::from_slice(&body) };
    let wanted: Switch = parsed.map_err(|_| {
        let detail =
            "the body is {\"source\": N}, the place in the chain from 1, or nothing for the next one";
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })?;
    match app.parts.control.switch(name, wanted.source).await {
        None => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no pipeline {name:?}"))),
        Some(Ok(Ordered { stage, is_started, is_active })) => {
            let state = if is_active { SourceState::Active } else { SourceState::Starting };
            let answer = json!({ "source": stage, "started": is_started, "state": state.word() });
            Ok(Json(answer).into_response())
        }
        Some(Err(fault)) if fault.kind == FaultKind::NotFound => {
            let number = wanted.source.unwrap_or_default();
            let detail = format!("the pipeline {name:?} has no source {number}");
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
        Some(Err(fault)) => Err(Refusal::new(fault.status(), fault.to_string())),
    }
}

async fn config(State(app): Shared) -> Response {
    Json(app.parts.control.config()).into_response()
}

async fn reload(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let view = app.parts.control.reload(has(query.as_deref(), "dry-run")).await;
    if !view.has_errors() {
        return Ok(Json(view).into_response());
    }
    let detail = match &view.error {
        Some(error) => error.clone(),
        None => "the configuration has problems: files with errors keep their last good pipelines".to_owned(),
    };
    Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with("reload", json!(view)))
}

async fn events(
    State(app): Shared,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = query.map_err(|rejection| unfit(rejection.body_text()))?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    Ok(app.parts.events.stream(last, wanted.checked().map_err(unfit)?))
}

async fn event_log(
    State(app): Shared,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = query.map_err(|rejection| unfit(rejection.body_text()))?;
    let page = app.parts.events.page(wanted.wanted().map_err(unfit)?).await;
    Ok(Json(page.map_err(|error| unreadable(&error))?).into_response())
}

async fn event_stats(State(app): Shared) -> Result<Response, Refusal> {
    let stats = app.parts.events.stats().await;
    Ok(Json(stats.map_err(|error| unreadable(&error))?).into_response())
}

fn unfit(words: String) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words)
}

fn unreadable(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("the log of events cannot be read: {error}"))
}

async fn handlers(State(app): Shared) -> Response {
    Json(app.parts.handlers.statuses()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    level: String,
}

async fn log(State(app): Shared) -> Response {
    Json(json!({ "level": app.parts.log.level() })).into_response()
}

async fn set_log(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    let refused =
        |error: &dyn std::error::Error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
    let wanted: Level = serde_json::from_slice(&body).map_err(|error| refused(&error))?;
    app.parts.log.set(&wanted.level).map_err(|error| refused(&error))?;
    tracing::info!(level = wanted.level, "log level was changed");
    Ok(log(State(app)).await)
}

/// Whether a query asks for something: `?verbose`, `?verbose=true`.
fn has(query: Option<&str>, name: &str) -> bool {
    query.unwrap_or_default().split('&').any(|pair| match pair.split_once('=') {
        Some((key, value)) => key == name && value != "false" && value != "0",
        None => pair == name,
    })
}

/// What hyper hands over, as axum takes it.
pub(super) fn incoming(request: http::Request<hyper::body::Incoming>) -> Request {
    request.map(Body::new)
}
