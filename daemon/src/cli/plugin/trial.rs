//! `sluice plugin test`: a call of a plugin by the daemon's own host, and what it takes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::{complain, print};
use crate::plugin::{Trial, Tried, try_out};

/// The times of all calls are kept to be sorted.
const MOST_REPEATS: i64 = 1_000_000;

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
    /// Call it so many times more, to see what a call takes. What it keeps and sends, it keeps and sends each time.
    #[arg(long, value_name = "TIMES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=MOST_REPEATS))]
    repeat: u32,
    /// Keep what is compiled in this directory, as the daemon does: the next start is quick.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Prints what the plugin gave. 0 where it gave something, else 1.
pub(super) fn test(asked: &Asked) -> ExitCode {
    let input = match asked.input.as_ref().map(std::fs::read_to_string).transpose() {
        Ok(input) => input,
        Err(error) => return complain(&format!("error: the input cannot be read: {error}\n"), 1),
    };
    let trial = Trial {
        file: &asked.file,
        input: input.as_deref(),
        settings: &asked.settings,
        http: &asked.http,
        cache: asked.cache.as_deref(),
        repeat: asked.repeat,
    };
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
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    text += &format!("own time {:.3} ms, memory {} KiB\n", ms(tried.spent), tried.memory_bytes / 1024);
    text += &format!("loaded in {:.3} ms, first answer {:.3} ms later\n", ms(tried.loading), ms(tried.first));
    let further = &tried.further;
    if let (Some(median), Some(p99)) = (further.get(further.len() / 2), further.get(further.len() * 99 / 100))
    {
        let us = |time: &Duration| time.as_secs_f64() * 1e6;
        text += &format!(
            "{} more calls: median {:.2} us, 99 % within {:.2} us\n",
            further.len(),
            us(median),
            us(p99)
        );
    }
    text
}
