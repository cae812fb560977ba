//! Rules of any text that wants to be a playlist.

use crate::Violation;

pub(crate) fn check(text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if text.starts_with('\u{feff}') {
        violations.push(Violation::new("4.1", 1, "a byte order mark"));
    }
    if text.trim_start_matches('\u{feff}').lines().next() != Some("#EXTM3U") {
        violations.push(Violation::new("4.3.1.1", 1, "the first line is not #EXTM3U"));
    }
    for (at, line) in text.lines().enumerate() {
        if line.chars().any(char::is_control) {
            violations.push(Violation::new("4.1", at + 1, "a control character"));
        }
        if !line.is_empty() && !line.starts_with('#') && line.contains(char::is_whitespace) {
            violations.push(Violation::new("4.1", at + 1, "white space in a URI"));
        }
        if at > 0 && line == "#EXTM3U" {
            violations.push(Violation::new("4.3.1.1", at + 1, "#EXTM3U again"));
        }
    }
    violations
}
