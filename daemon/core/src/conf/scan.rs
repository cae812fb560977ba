//! A look at the text before the parser sees it: bounds the nesting, which the parser does not, and tells usual
//! slips, as an unquoted URL or a bare `5ms`, from other bad syntax. Slips are mended by a string of the same
//! length, so that the rest of the file can be read with true positions.

use std::ops::Range;

use super::Code;

/// How deep braces and comments may nest. The parser is recursive and would overflow its stack.
const DEEPEST: usize = 64;

/// What the look found.
pub(super) struct Scanned {
    /// The text with slips replaced.
    pub(super) mended: String,
    /// The slips, in order.
    pub(super) slips: Vec<Slip>,
    /// Whether the nesting forbids to parse.
    pub(super) too_deep: bool,
}

/// One slip.
pub(super) struct Slip {
    pub(super) code: Code,
    pub(super) span: Range<usize>,
    pub(super) label: &'static str,
    pub(super) message: String,
    pub(super) help: String,
}

/// Looks through `text`.
pub(super) fn scan(text: &str) -> Scanned {
    let mut scanner = Scanner { text, at: 0, depth: 0, slips: Vec::new(), too_deep: false };
    while scanner.step() {}
    let mut mended = text.as_bytes().to_vec();
    for slip in scanner.slips.iter().filter(|slip| slip.code == Code::Syntax && slip.span.len() >= 2) {
        mended[slip.span.clone()].fill(b'x');
        mended[slip.span.start] = b'"';
        mended[slip.span.end - 1] = b'"';
    }
    let mended = String::from_utf8(mended).unwrap_or_else(|_| text.to_owned());
    Scanned { mended, slips: scanner.slips, too_deep: scanner.too_deep }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    slips: Vec<Slip>,
    too_deep: bool,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes over one thing; false at the end, or where it goes on too deep.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return false };
        match first {
            '"' => self.string(),
            '#' if rest.trim_start_matches('#').starts_with('"') => self.raw_string(),
            '#' => {
                self.at += 1 + rest.get(1..).and_then(|name| name.find(delimits)).unwrap_or(rest.len() - 1)
            }
            '/' if rest.starts_with("//") => self.at += rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => self.block_comment(),
            '/' if rest.starts_with("/-") => self.at += 2,
            '{' => {
                self.depth += 1;
                self.at += 1;
                self.check_depth(self.depth, self.at - 1, "braces");
            }
            '}' => {
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            _ if delimits(first) && first != '/' => self.at += first.len_utf8(),
            _ => self.token(),
        }
        !self.too_deep
    }

    fn check_depth(&mut self, depth: usize, at: usize, what: &str) {
        if depth > DEEPEST {
            self.too_deep = true;
            self.slips.push(Slip {
                code: Code::Limit,
                span: at..at + 1,
                label: "too deep",
                message: format!("{what} nest deeper than {DEEPEST}"),
                help: "nothing in a configuration nests so deep: look for a brace that is not closed".into(),
            });
        }
    }

    fn string(&mut self) {
        let rest = self.rest();
        let quote = if rest.starts_with("\"\"\"") { "\"\"\"" } else { "\"" };
        let mut at = quote.len();
        while let Some(left) = rest.get(at..) {
            if left.starts_with(quote) {
                at += quote.len();
                break;
            }
            let Some(next) = left.chars().next() else { break };
            at += next.len_utf8();
            if next == '\\' {
                at += rest.get(at..).and_then(|left| left.chars().next()).map_or(0, char::len_utf8);
            }
        }
        self.at += at;
    }

    fn raw_string(&mut self) {
        let rest = self.rest();
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let quote = if rest.trim_start_matches('#').starts_with("\"\"\"") { "\"\"\"" } else { "\"" };
        let close = format!("{quote}{}", "#".repeat(hashes));
        let open = hashes + quote.len();
        let inside = rest.get(open..).and_then(|left| left.find(&close));
        self.at += inside.map_or(rest.len(), |inside| open + inside + close.len());
    }

    fn block_comment(&mut self) {
        let (start, mut depth) = (self.at, 0);
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
                self.check_depth(depth, start, "comments");
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
            } else {
                self.at += rest.chars().next().map_or(0, char::len_utf8);
            }
            if depth == 0 || self.too_deep || self.at >= self.text.len() {
                return;
            }
        }
    }

    /// A run of characters without quotes: a name, a number, a keyword, or a slip.
    fn token(&mut self) {
        let rest = self.rest();
        let word = rest.get(..rest.find(delimits).unwrap_or(rest.len())).unwrap_or(rest);
        let after = rest.get(word.len()..).unwrap_or_default();
        let whole = rest.get(..rest.find(ends_bare_text).unwrap_or(rest.len())).unwrap_or(rest);
        if word.ends_with(':') && after.starts_with("//") {
            let message = "this URL is not quoted: what follows // is a comment".to_owned();
            self.slip(whole, "not quoted", message);
        } else if after.starts_with('/') && !["//", "/*", "/-"].iter().any(|open| after.starts_with(open)) {
            self.slip(whole, "not quoted", "this text has a slash and is not quoted".into());
        } else if after.starts_with('=') {
            self.at += word.len(); // the name of a property: the parser judges it
        } else if matches!(word, "true" | "false" | "null") {
            let help = format!("write #{word}");
            self.push(word, "a string or a keyword?", format!("`{word}` is not a value"), help);
        } else if begins_as_number(word) && !is_number(word) {
            self.slip(word, "not quoted", "this is neither a number nor a quoted text".into());
        } else {
            self.at += word.len().max(1);
        }
    }

    fn slip(&mut self, text: &str, label: &'static str, message: String) {
        self.push(text, label, message, format!("quote it: \"{text}\""));
    }

    fn push(&mut self, text: &str, label: &'static str, message: String, help: String) {
        let span = self.at..self.at + text.len();
        self.at += text.len();
        self.slips.push(Slip { code: Code::Syntax, span, label, message, help });
    }
}

fn delimits(one: char) -> bool {
    one.is_whitespace()
        || matches!(one, '{' | '}' | '(' | ')' | '[' | ']' | ';' | '=' | '"' | '#' | '\\' | '/' | '\u{feff}')
}

fn ends_bare_text(one: char) -> bool {
    one.is_whitespace() || matches!(one, ';' | '"' | '{' | '}')
}

fn begins_as_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    unsigned.starts_with(|first: char| first.is_ascii_digit())
}

fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            return digits.chars().all(|one| one == '_' || one.is_digit(radix));
        }
    }
    unsigned.replace('_', "").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slips(text: &str) -> Vec<String> {
        scan(text).slips.into_iter().map(|slip| slip.help).collect()
    }

    #[test]
    fn unquoted_texts_are_told_apart_from_names_numbers_and_comments() {
        assert_eq!(slips("source hls http://x/y {\n}"), ["quote it: \"http://x/y\""]);
        assert_eq!(slips("timeout 5ms connect=5s"), ["quote it: \"5ms\"", "quote it: \"5s\""]);
        assert_eq!(
            slips("listen 0.0.0.0:8080; tls cert=/etc/x.pem"),
            ["quote it: \"0.0.0.0:8080\"", "quote it: \"/etc/x.pem\""]
        );
        assert_eq!(slips("loop true"), ["write #true"]);
        assert!(
            slips("a 0x1F 1_000 -2.5e-3 x=#true // http://x 5ms\n/* 5ms */ b \"5ms\" #\"5ms\"#").is_empty()
        );
        assert!(slips("a /-5 b /-{ c }").is_empty());
    }

    #[test]
    fn a_mended_text_keeps_every_position() {
        let text = "a 5ms\nb http://x {\n}";
        assert_eq!(scan(text).mended, "a \"x\"\nb \"xxxxxx\" {\n}");
    }

    #[test]
    fn braces_count_only_where_they_are_braces() {
        assert!(scan(&"a {".repeat(65)).too_deep);
        assert!(!scan(&"a {".repeat(64)).too_deep);
        assert!(!scan(&"a \"{\" #\"{\"# // {\n/* { */".repeat(65)).too_deep);
        assert!(!scan(&"a { }\n".repeat(65)).too_deep);
        assert!(scan(&"/*".repeat(65)).too_deep);
    }
}
