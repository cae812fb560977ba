//! `sluice plugin test`: one call of a plugin by the daemon's own host.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::{complain, print};
use crate::plugin::{Trial, Tried, try_out};

/// What is called, with what.
#[derive(Debug, Args)]
pub(in crate::cli) struct Asked {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The sample or the event, as JSON: what `GET /api/v1/pipelines/NAME/health?observations=1` gives, or an event of the API.
    #[arg(long, value_name = "JSON")]
    input: Option<PathBuf>,
    /// A setting, as an operator would write its value; once for each.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// A server that it may ask, as `https://hooks.example`; once for each. Requests are really sent.
    #[arg(long = "http", value_name = "SERVER")]
    http: Vec<String>,
}

/// Prints what the plugin gave. 0 where it gave something, else 1.
pub(super) fn test(asked: &Asked) -> ExitCode {
    let input = match asked.input.as_ref().map(std::fs::read_to_string).transpose() {
        Ok(input) => input,
        Err(error) => return complain(&format!("error: the input cannot be read: {error}\n"), 1),
    };
    let trial =
        Trial { file: &asked.file, input: input.as_deref(), settings: &asked.settings, http: &asked.http };
    match super::block_on(try_out(trial)) {
        Ok(tried) => print(&words(&tried), u8::from(tried.given.is_err())),
        Err(error) => complain(&format!("error: {}: {error}\n", asked.file.display()), 1),
    }
}

fn words(tried: &Tried) -> String {
    let mut text: String = tried.lines.iter().map(|line| format!("log: {line}\n")).collect();
    if tried.lines_left_out > 0 {
        text += &format!("log: {} more lines were left out\n", tried.lines_left_out);
    }
    match &tried.given {
        Ok(given) => text += &format!("{given:#}\n"),
        Err(words) => text += &format!("failed: {words}\n"),
    }
    let ms = tried.spent.as_secs_f64() * 1000.0;
    format!("{text}own time {ms:.3} ms, memory {} KiB\n", tried.memory_bytes / 1024)
}
