//! What a program says on its standard error: to the log, bounded in length and rate, and without secrets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::Exec;

/// Longer lines are cut.
const LONGEST_LINE_BYTES: usize = 500;
/// So many lines are logged in each [`SPAN`]; of the others only their number.
const MOST_LINES: u32 = 20;
const SPAN: Duration = Duration::from_secs(5);
/// Shorter words are no secrets, but parts of other words.
const SHORTEST_SECRET_BYTES: usize = 4;

/// Where the lines go. Clones share the last line.
#[derive(Clone)]
pub(super) struct Complaints {
    stage: Arc<str>,
    secrets: Arc<[String]>,
    last: Arc<Mutex<String>>,
}

/// What of the rate is used up.
struct Allowance {
    since: Instant,
    logged: u32,
    left_out: u32,
}

impl Complaints {
    pub(super) fn new(stage: Arc<str>, exec: &Exec) -> Self {
        let arguments = exec.arguments.iter().filter(|argument| argument.expose().contains([':', '=', ' ']));
        let values = exec.environment.iter().map(|(_, value)| value).chain(arguments);
        let long = values.map(|value| value.expose()).filter(|value| value.len() >= SHORTEST_SECRET_BYTES);
        let mut secrets: Vec<String> = long.map(str::to_owned).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len())); // the whole before its parts
        Self { stage, secrets: secrets.into(), last: Arc::default() }
    }

    /// Logs all that comes, to its end.
    pub(super) async fn listen(self, mut from: impl AsyncRead + Unpin) {
        let mut line = Vec::new();
        let mut chunk = [0; 4096];
        let mut allowance = Allowance { since: Instant::now(), logged: 0, left_out: 0 };
        while let Ok(length @ 1..) = from.read(&mut chunk).await {
            for byte in chunk.iter().take(length) {
                match byte {
                    b'\n' | b'\r' => self.take(&mut line, &mut allowance),
                    byte if line.len() < LONGEST_LINE_BYTES => line.push(*byte),
                    _ => {} // the rest of a line that is too long
                }
            }
        }
        self.take(&mut line, &mut allowance);
    }

    /// The last line that said something.
    pub(super) fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, line: &mut Vec<u8>, allowance: &mut Allowance) {
        let text = clean(&String::from_utf8_lossy(line), &self.secrets);
        line.clear();
        if text.is_empty() {
            return;
        }
        if allowance.since.elapsed() >= SPAN {
            if allowance.left_out > 0 {
                tracing::debug!(stage = %self.stage, lines = allowance.left_out, "lines of the program left out");
            }
            *allowance = Allowance { since: Instant::now(), logged: 0, left_out: 0 };
        }
        if allowance.logged < MOST_LINES {
            allowance.logged += 1;
            tracing::debug!(stage = %self.stage, line = text, "the program says");
        } else {
            allowance.left_out += 1;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// A line without secrets, without what stands behind the host of a URL, and without control characters.
fn clean(line: &str, secrets: &[String]) -> String {
    let mut text: String = line.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    for secret in secrets {
        text = text.replace(secret.as_str(), "***");
    }
    let words = text.split(' ').map(|word| match word.split_once("://") {
        Some((before, rest)) => hide_path(before, rest),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// `'http://user:word@host:80/path',` as `'http://host:80/…`.
fn hide_path(before: &str, rest: &str) -> String {
    let authority = rest.split(['/', '?', '#', '\'', '"', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{before}://{host}/…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_the_paths_of_urls_do_not_reach_the_log() {
        let secrets = ["hunter2 & co".to_owned(), "hunter2".to_owned()];
        for (line, expected) in [
            (
                "Input #0, hls, from 'http://bob:pw@h.example:80/live/pw/1.m3u8':",
                "Input #0, hls, from 'http://h.example:80/…",
            ),
            ("error opening https://h.example?token=x", "error opening https://h.example/…"),
            ("word hunter2 & co and hunter2", "word *** and ***"),
            ("frame= 25\u{8}\u{1b}[0m", "frame= 25  [0m"),
            ("  \t ", ""),
        ] {
            assert_eq!(clean(line, &secrets), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_cut_and_the_last_one_is_kept() {
        let last = Arc::default();
        let complaints = Complaints { stage: "source 1 exec".into(), secrets: Arc::new([]), last };
        let text = format!("first\r{}\n\n", "x".repeat(10_000));
        complaints.clone().listen(text.as_bytes()).await;
        assert_eq!(complaints.last(), "x".repeat(LONGEST_LINE_BYTES));
    }
}
