//! `sluice events`: what happened, from the log of a running daemon.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use http::{Method, StatusCode};
use url::form_urlencoded::Serializer;

use super::remote::{RemoteError, ask, parse, refused};
use crate::api::{EventPage, EventView};

/// How often a daemon is asked for what is new.
const AGAIN: Duration = Duration::from_millis(500);

/// So many events are asked for at once while following.
const PAGE: u64 = 1000;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct EventArguments {
    /// Only events of these kinds: source.switched, a family as "stream.*". May stand several times.
    #[arg(long, value_name = "PATTERN")]
    kind: Vec<String>,
    /// Only events of this pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// How many of the newest are shown.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Go on with what comes, until the command is ended.
    #[arg(long)]
    follow: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Prints the newest events, oldest first. 0 where the daemon answered, else 1. Following, it waits for a daemon that is
/// away.
pub(super) fn events(admin: &str, token: Option<&str>, wanted: &EventArguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error),
    };
    match runtime.block_on(print(admin, token, wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        // a reader that closed the pipe, as head does, has seen what it wanted
        Err(Ended::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Ended::Write(error)) => complain(&error),
        Err(Ended::Remote(error)) => complain(&error),
    }
}

fn complain(error: &dyn std::error::Error) -> ExitCode {
    match writeln!(io::stderr().lock(), "error: {error}") {
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

enum Ended {
    Remote(RemoteError),
    Write(io::Error),
}

async fn print(admin: &str, token: Option<&str>, wanted: &EventArguments) -> Result<(), Ended> {
    let mut last = None;
    loop {
        match page(admin, token, wanted, last).await {
            Ok(events) => {
                let mut out = io::stdout().lock();
                for event in events.iter().rev() {
                    last = last.max(Some(event.id));
                    out.write_all(line(event, wanted.json).as_bytes()).map_err(Ended::Write)?;
                }
                last = last.or(Some(0));
            }
            Err(RemoteError::Connect { .. } | RemoteError::Exchange(_))
                if wanted.follow && last.is_some() => {}
            Err(error) => return Err(Ended::Remote(error)),
        }
        if !wanted.follow {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A page, newest first; `after` an event, or the newest ones.
async fn page(
    admin: &str,
    token: Option<&str>,
    wanted: &EventArguments,
    after: Option<u64>,
) -> Result<Vec<EventView>, RemoteError> {
    let mut query = Serializer::new(String::new());
    if !wanted.kind.is_empty() {
        query.append_pair("kind", &wanted.kind.join(","));
    }
    query.extend_pairs(wanted.pipeline.iter().map(|name| ("pipeline", name)));
    query.extend_pairs(after.iter().map(|after| ("after", after.to_string())));
    query.append_pair("limit", &after.map_or(wanted.limit, |_| PAGE).to_string());
    let path = format!("/api/v1/events/log?{}", query.finish());
    match ask(admin, token, Method::GET, &path).await? {
        (StatusCode::OK, body) => Ok(parse::<EventPage>(&body)?.events),
        (status, body) => Err(refused(status, &body)),
    }
}

fn line(event: &EventView, json: bool) -> String {
    if json {
        return serde_json::to_string(event)
            .map_or_else(|error| format!("{error}\n"), |text| format!("{text}\n"));
    }
    let time = event.time.strftime("%Y-%m-%dT%H:%M:%SZ");
    let pipeline = event.pipeline.as_deref().unwrap_or("-");
    let words = event.cause.clone().unwrap_or_else(|| event.detail.to_string());
    format!("{time}  {:18} {pipeline:16} {words}\n", event.kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_core::event::{CONFIG_RELOADED, STREAM_STALLED};

    use super::*;
    use crate::api::testing::Running;

    fn arguments(kind: &[&str], pipeline: Option<&str>) -> EventArguments {
        let kind = kind.iter().map(|kind| (*kind).to_owned()).collect();
        EventArguments { kind, pipeline: pipeline.map(str::to_owned), limit: 10, follow: false, json: false }
    }

    #[tokio::test]
    async fn the_log_is_asked_by_pattern_pipeline_and_id() {
        let running = Running::new().await;
        let admin = format!("http://{}", running.admin.local_addr());
        for number in 1..=3 {
            let detail = json!({ "number": number });
            running.events.publish(STREAM_STALLED, Some("tv/news".into()), Some("silence"), detail);
        }
        running.events.publish(CONFIG_RELOADED, None, None, json!({}));
        running.parts.events.finish().await;
        let ids = async |wanted: EventArguments, after: Option<u64>| -> Vec<u64> {
            let events = page(&admin, None, &wanted, after).await.unwrap();
            events.iter().map(|event| event.id).collect()
        };
        assert_eq!(ids(arguments(&[], None), None).await, [4, 3, 2, 1]);
        assert_eq!(ids(arguments(&["stream.*"], Some("tv/news")), Some(1)).await, [3, 2]);
        assert_eq!(ids(arguments(&["config.*", "source.*"], None), None).await, [4]);
        assert_eq!(ids(arguments(&[], Some("tv/sport")), None).await, [0; 0]);
        let refused = page(&admin, None, &arguments(&["steam.*"], None), None).await.unwrap_err().to_string();
        assert!(refused.contains("did you mean \"stream.*\"?"), "{refused}");
        let newest = page(&admin, None, &arguments(&["stream.*"], None), None).await.unwrap().remove(0);
        let shown = line(&newest, false);
        assert!(shown.contains("stream.stalled     tv/news          silence\n"), "{shown}");
        assert_eq!(serde_json::from_str::<EventView>(&line(&newest, true)).unwrap(), newest);
    }
}
