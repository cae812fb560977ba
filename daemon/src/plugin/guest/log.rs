//! The daemon's log, under the name of the plugin.

use super::Guest;
use super::interfaces::log::{self, Host};

/// Log lines of one call; more are counted and left out.
const LINES: u32 = 100;

/// The longest message, and the longest of all fields together.
const LINE_BYTES: usize = 8 << 10;

/// How much a line matters.
pub(crate) use super::interfaces::log::Level;

/// A line of a plugin, without its secrets, and without what could make two lines of it.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) pipeline: Option<&'a str>,
    pub(crate) level: Level,
    pub(crate) message: &'a str,
    /// `key=value`, apart by blanks; may be empty.
    pub(crate) fields: &'a str,
}

/// Takes log lines.
pub(crate) trait Journal: Send + Sync {
    /// Writes a line. Does not wait.
    fn write(&self, line: &Line<'_>);
}

/// The log of the daemon.
pub(crate) struct TracingJournal;

impl Journal for TracingJournal {
    fn write(&self, line: &Line<'_>) {
        let Line { plugin, pipeline, level, message, fields } = *line;
        let fields = (!fields.is_empty()).then_some(fields);
        match level {
            Level::Error => tracing::error!(plugin, pipeline, fields, "{message}"),
            Level::Warn => tracing::warn!(plugin, pipeline, fields, "{message}"),
            Level::Info => tracing::info!(plugin, pipeline, fields, "{message}"),
            Level::Debug => tracing::debug!(plugin, pipeline, fields, "{message}"),
            Level::Trace => tracing::trace!(plugin, pipeline, fields, "{message}"),
        }
    }
}

impl Host for Guest {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        if self.call.lines >= LINES {
            self.call.lines_left_out += 1;
            return;
        }
        self.call.lines += 1;
        let message = self.clean(&message);
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        let fields = self.clean(&fields.join(" "));
        if level == Level::Error {
            self.call.complaint = Some(message.clone());
        }
        let (plugin, pipeline) = (&*self.space.plugin, self.space.pipeline.as_deref());
        let line = Line { plugin, pipeline, level, message: &message, fields: &fields };
        self.environment.journal.write(&line);
    }
}

impl Guest {
    /// Secrets struck before it is cut, so that no half of one is left.
    fn clean(&self, text: &str) -> String {
        let struck = self.strike(text);
        let end = struck.floor_char_boundary(LINE_BYTES);
        let kept = struck.get(..end).unwrap_or_default();
        kept.chars().flat_map(one_line).collect()
    }
}

fn one_line(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}
