//! Logs to stderr, in the format that the configuration names, at a level that can change while the daemon runs.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_core::plan::LogFormat;
use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::logfmt::Logfmt;

/// Why logs cannot be set up, or not so.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    /// A level that is none.
    #[error(
        "{0:?} is no level: write off, error, warn, info, debug or trace, or target=level, parted by commas"
    )]
    Level(String),
    /// Another subscriber is installed.
    #[error("logs are set up already")]
    Installed,
}

/// Changes the level of a running daemon.
#[derive(Clone)]
pub(crate) struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    level: Arc<Mutex<String>>,
}

impl LogHandle {
    /// Changes the level: a level, or `target=level`, parted by commas.
    ///
    /// # Errors
    /// When it is none; the level stays then.
    pub(crate) fn set(&self, level: &str) -> Result<(), LogError> {
        let filter = parse(level)?;
        self.filter.reload(filter).map_err(|_| LogError::Level(level.to_owned()))?;
        level.clone_into(&mut self.level.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// The level as it was set last.
    pub(crate) fn level(&self) -> String {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Sends the logs of the whole process to stderr. Call it once.
///
/// # Errors
/// When `level` is none, or logs are set up already.
pub(crate) fn install(level: &str, format: LogFormat) -> Result<LogHandle, LogError> {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (subscriber, handle) = build(level, format, colours, std::io::stderr)?;
    subscriber.try_init().map_err(|_| LogError::Installed)?;
    Ok(handle)
}

/// Logs that go nowhere, for tests of what changes the level. They are alive as long as the subscriber.
#[cfg(test)]
pub(crate) fn detached(level: &str) -> (tracing::Dispatch, LogHandle) {
    let (subscriber, handle) = build(level, LogFormat::Pretty, false, std::io::sink).unwrap();
    (tracing::Dispatch::new(subscriber), handle)
}

fn build<W>(
    level: &str,
    format: LogFormat,
    colours: bool,
    writer: W,
) -> Result<(impl tracing::Subscriber + Send + Sync + 'static, LogHandle), LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse(level)?);
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match format {
        LogFormat::Pretty => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Logfmt => lines.event_format(Logfmt).fmt_fields(Logfmt).boxed(),
    };
    let handle = LogHandle { filter: handle, level: Arc::new(Mutex::new(level.to_owned())) };
    Ok((tracing_subscriber::registry().with(filter).with(lines), handle))
}

/// A directive without a level would silence everything else: a level that is spelt wrong reads as a target.
fn parse(level: &str) -> Result<EnvFilter, LogError> {
    let wrong = || LogError::Level(level.to_owned());
    let named = |directive: &str| {
        let word = directive.rsplit('=').next().unwrap_or(directive);
        !word.is_empty() && word.parse::<LevelFilter>().is_ok() && word.parse::<u8>().is_err()
    };
    if !level.split(',').map(str::trim).all(named) {
        return Err(wrong());
    }
    EnvFilter::builder().parse(level).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, log: impl Fn(&LogHandle)) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let (subscriber, handle) = build("info", format, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || log(&handle));
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn logfmt_quotes_what_would_break_a_line_and_names_the_spans_around() {
        let text = written(LogFormat::Logfmt, |_| {
            let _pipeline = tracing::info_span!("pipeline", pipeline = "news", empty = "").entered();
            tracing::info!(state = "live", reason = "a \"b\"\n", bytes = 5, "pipeline changed state");
        });
        let fields = text.split_once(" target=").unwrap().1.split_once(' ').unwrap().1;
        assert_eq!(
            fields,
            "msg=\"pipeline changed state\" state=live reason=\"a \\\"b\\\"\\n\" bytes=5 pipeline=news empty=\"\"\n"
        );
        assert!(text.starts_with("time=20") && text.contains(" level=info "), "{text}");
    }

    #[test]
    fn json_lines_are_objects_with_the_fields_on_top() {
        let text = written(LogFormat::Json, |_| tracing::warn!(pipeline = "news", "stalled"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["pipeline"], &line["message"]), (&"news".into(), &"stalled".into()));
    }

    #[test]
    fn the_level_changes_while_the_daemon_runs_and_a_wrong_one_changes_nothing() {
        let text = written(LogFormat::Pretty, |handle| {
            tracing::debug!("before");
            handle.set("sluice=debug,warn").unwrap();
            for wrong in ["inof", "debgu,warn", "", "sluice=loud", "3"] {
                assert!(matches!(handle.set(wrong), Err(LogError::Level(_))), "{wrong}");
            }
            assert_eq!(handle.level(), "sluice=debug,warn");
            tracing::debug!(target: "sluice::edge", "after");
            tracing::info!(target: "hyper", "other");
        });
        assert!(text.contains("after") && !text.contains("before") && !text.contains("other"), "{text}");
    }
}
