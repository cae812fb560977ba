//! Lines of `key=value`, for what collects logs.

use std::fmt::{self, Write};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events and the fields of spans as logfmt: time, level, target, message, fields, then those of the spans
/// around it, the nearest first.
pub(super) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let level = metadata.level().as_str().to_ascii_lowercase();
        write!(writer, "time={:.3} level={level} target={}", Timestamp::now(), metadata.target())?;
        event.record(&mut Pairs { writer: writer.by_ref(), separate: true });
        for span in context.lookup_current().into_iter().flat_map(|span| span.scope()) {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

impl<'writer> FormatFields<'writer> for Logfmt {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        fields.record(&mut Pairs { writer, separate: false });
        Ok(())
    }
}

struct Pairs<'writer> {
    writer: Writer<'writer>,
    separate: bool,
}

impl Pairs<'_> {
    fn pair(&mut self, name: &str, value: &str) {
        let name = if name == "message" { "msg" } else { name };
        let space = if std::mem::replace(&mut self.separate, true) { " " } else { "" };
        // a writer that fails has nowhere to report it
        let _written = match needs_quotes(value) {
            false => write!(self.writer, "{space}{name}={value}"),
            true => write!(self.writer, "{space}{name}=\"{}\"", Escaped(value)),
        };
    }
}

impl Visit for Pairs<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.pair(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.pair(field.name(), &format!("{value:?}"));
    }
}

fn needs_quotes(value: &str) -> bool {
    let special = |character: char| {
        character.is_control() || character.is_whitespace() || matches!(character, '"' | '=' | '\\')
    };
    value.is_empty() || value.contains(special)
}

/// A value between quotes: one line, whatever it holds.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}
