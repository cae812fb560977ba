//! The tokens of a KDL text, with usual slips told apart: an unquoted URL or path, a bare `5ms`, `true` for `#true`.

use std::ops::Range;

use super::Code;

/// How deep block comments may nest.
const DEEPEST_COMMENT: usize = 64;

const MANY: &str = "\"\"\"";
const MISPLACED: &str = "this character cannot stand here";

/// What a token is. A text is anything that stands for a value or a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare or quoted string: a name, or a value.
    Text,
    /// A number or keyword: a value only.
    Value,
    /// Spaces, block comments, an escaped line end.
    Space,
    /// A line end, or a comment up to it.
    Newline,
    Semicolon,
    Open,
    Close,
    TypeOpen,
    TypeClose,
    Equals,
    Slashdash,
    /// A block comment, to be blanked: the parser recurses for each asterisk in it.
    Comment,
    /// What can stand nowhere; a slip says why.
    Wrong,
}

/// Something wrong with the text, with its help.
#[derive(Debug)]
pub(super) struct Slip {
    pub(super) code: Code,
    pub(super) span: Range<usize>,
    pub(super) label: &'static str,
    pub(super) message: String,
    pub(super) help: String,
    /// Whether a string of the same length can stand in its stead, so that the rest can be read.
    pub(super) mends: bool,
}

impl Slip {
    pub(super) fn fatal(span: Range<usize>, label: &'static str, message: &str, help: &str) -> Self {
        let (message, help) = (message.to_owned(), help.to_owned());
        Self { code: Code::Syntax, span, label, message, help, mends: false }
    }
}

/// Goes over a text, token by token.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// What is wrong with the tokens so far.
    pub(super) slips: Vec<Slip>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 }, slips: Vec::new() }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Leaves the rest of the line.
    pub(super) fn skip_line(&mut self) {
        let rest = self.rest();
        self.at += rest.find(is_newline).unwrap_or(rest.len());
    }

    /// The next token with its place; none at the end.
    pub(super) fn next(&mut self) -> Option<(Token, Range<usize>)> {
        let start = self.at;
        let rest = self.rest();
        let first = rest.chars().next()?;
        let token = match first {
            '"' => self.string(),
            '#' if rest.trim_start_matches('#').starts_with('"') => self.raw_string(),
            '#' => self.keyword(),
            '\\' => self.escaped_line(),
            _ if rest.starts_with("//") => {
                self.skip_line();
                Token::Newline
            }
            _ if rest.starts_with("/*") => self.block_comment(),
            _ if rest.starts_with("/-") => self.take(2, Token::Slashdash),
            '{' => self.take(1, Token::Open),
            '}' => self.take(1, Token::Close),
            '(' => self.take(1, Token::TypeOpen),
            ')' => self.take(1, Token::TypeClose),
            ';' => self.take(1, Token::Semicolon),
            '=' => self.take(1, Token::Equals),
            _ if is_newline(first) => self.take(first.len_utf8(), Token::Newline),
            _ if first.is_whitespace() => self.take(first.len_utf8(), Token::Space),
            _ => self.word(),
        };
        Some((token, start..self.at))
    }

    fn take(&mut self, length: usize, token: Token) -> Token {
        self.at += length;
        token
    }

    fn wrong(&mut self, length: usize, label: &'static str, message: &str, help: &str) -> Token {
        let span = self.at..self.at + length;
        self.at += length;
        self.slips.push(Slip::fatal(span, label, message, help));
        Token::Wrong
    }

    fn string(&mut self) -> Token {
        let rest = self.rest();
        let (quote, many) = if rest.starts_with(MANY) { (MANY, true) } else { ("\"", false) };
        let mut at = quote.len();
        while let Some(left) = rest.get(at..) {
            let Some(next) = left.chars().next().filter(|next| many || !is_newline(*next)) else { break };
            if left.starts_with(quote) {
                return self.closed(quote.len(), at, quote.len(), many);
            }
            if next == '\\' {
                let Some(length) = escape(left, many) else {
                    self.at += at;
                    let help = "a backslash itself is written \\\\, or the text stands raw: #\"...\"#";
                    return self.wrong(1, "here", "there is no such escape", help);
                };
                at += length;
            } else if cannot_stand(next) {
                self.at += at;
                return self.wrong(next.len_utf8(), "here", MISPLACED, "write it as \\u{...}");
            } else {
                at += next.len_utf8();
            }
        }
        self.not_closed(at)
    }

    /// A string of `open` characters, content up to `end`, and `close` characters.
    fn closed(&mut self, open: usize, end: usize, close: usize, many: bool) -> Token {
        let inside = self.rest().get(open..end).unwrap_or_default();
        if many && !is_indented(inside) {
            let help =
                "begin the text on a line of its own, and indent each line as the closing quotation marks";
            return self.wrong(end + close, "of several lines", "this text is not indented as a whole", help);
        }
        self.take(end + close, Token::Text)
    }

    fn raw_string(&mut self) -> Token {
        let rest = self.rest();
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let many = rest.trim_start_matches('#').starts_with(MANY);
        let quote = if many { MANY } else { "\"" };
        let open = hashes + quote.len();
        let inside = rest.get(open..).unwrap_or_default();
        let close = format!("{quote}{}", "#".repeat(hashes));
        let inside = inside.get(..inside.find(&close).unwrap_or(inside.len())).unwrap_or_default();
        let end = open + inside.len();
        if end == rest.len() || !many && inside.contains(is_newline) {
            return self.not_closed(open);
        }
        if let Some(at) = inside.find(cannot_stand) {
            self.at += open + at;
            let length = inside.get(at..).and_then(|left| left.chars().next()).map_or(1, char::len_utf8);
            return self.wrong(length, "here", MISPLACED, "write the text without #, and this as \\u{...}");
        }
        self.closed(open, end, close.len(), many)
    }

    fn not_closed(&mut self, length: usize) -> Token {
        let help =
            "end it with a quotation mark on its own line; a text of several lines stands between \"\"\"";
        self.wrong(length, "begins here", "this string is not closed", help)
    }

    fn keyword(&mut self) -> Token {
        let rest = self.rest();
        let name = rest.get(1..).unwrap_or_default();
        let name = name.get(..name.find(delimits).unwrap_or(name.len())).unwrap_or_default();
        if matches!(name, "true" | "false" | "null" | "nan" | "inf" | "-inf") {
            return self.take(1 + name.len(), Token::Value);
        }
        self.wrong(1 + name.len(), "no keyword", "there is no such keyword", "#true, #false or #null")
    }

    fn escaped_line(&mut self) -> Token {
        let rest = self.rest();
        let after = rest
            .get(1..)
            .unwrap_or_default()
            .trim_start_matches(|one: char| one.is_whitespace() && !is_newline(one));
        if after.is_empty() || after.starts_with(is_newline) || after.starts_with("//") {
            let line = after.find(is_newline).unwrap_or(after.len());
            let end = after.get(line..).and_then(|left| left.chars().next()).map_or(0, char::len_utf8);
            return self.take(rest.len() - after.len() + line + end, Token::Space);
        }
        self.wrong(
            1,
            "here",
            "a backslash stands here",
            "it escapes a line end, or a character within quotation marks",
        )
    }

    fn block_comment(&mut self) -> Token {
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else { break };
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
            } else {
                self.at += next.len_utf8();
            }
            if depth == 0 {
                return Token::Comment;
            }
            if depth > DEEPEST_COMMENT {
                break;
            }
        }
        self.at = self.text.len();
        let (label, message) = ("begins here", "this comment is not closed");
        self.slips.push(Slip::fatal(start..start + 2, label, message, "end it with */"));
        Token::Wrong
    }

    /// A run of characters without quotes: a name, a number, or a slip.
    fn word(&mut self) -> Token {
        let rest = self.rest();
        let word = rest.get(..rest.find(delimits).unwrap_or(rest.len())).unwrap_or(rest);
        let after = rest.get(word.len()..).unwrap_or_default();
        let whole = rest.get(..rest.find(ends_bare_text).unwrap_or(rest.len())).unwrap_or(rest);
        let opens = ["//", "/*", "/-"].iter().any(|open| after.starts_with(open));
        if word.ends_with(':') && after.starts_with("//") {
            return self.quote(whole, "this URL is not quoted: what follows // is a comment");
        }
        if after.starts_with('/') && !opens && whole.len() > 1 {
            return self.quote(whole, "this text has a slash and is not quoted");
        }
        if let Some(bad) = word.chars().find(|one| cannot_stand(*one)) {
            let at = word.find(bad).unwrap_or(0);
            self.at += at;
            let help = "remove it, or write it in quotation marks as \\u{...}";
            return self.wrong(bad.len_utf8(), "here", MISPLACED, help);
        }
        match word {
            "" => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                self.wrong(
                    length,
                    "here",
                    "this character cannot stand here",
                    "quote the text that it belongs to",
                )
            }
            "true" | "false" | "null" | "inf" | "-inf" | "nan" if !after.starts_with('=') => self.mend(
                word,
                "text or keyword?",
                &format!("`{word}` is not a value"),
                format!("write #{word}"),
            ),
            _ if begins_as_number(word) && is_number(word) => self.take(word.len(), Token::Value),
            _ if begins_as_number(word) => self.quote(word, "this is neither a number nor a quoted text"),
            _ => self.take(word.len(), Token::Text),
        }
    }

    fn quote(&mut self, text: &str, message: &str) -> Token {
        self.mend(text, "not quoted", message, format!("quote it: \"{text}\""))
    }

    fn mend(&mut self, text: &str, label: &'static str, message: &str, help: String) -> Token {
        let span = self.at..self.at + text.len();
        self.at += text.len();
        let message = message.to_owned();
        self.slips.push(Slip { code: Code::Syntax, span, label, message, help, mends: true });
        Token::Text
    }
}

fn is_newline(one: char) -> bool {
    matches!(one, '\n' | '\r' | '\u{0b}' | '\u{0c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn delimits(one: char) -> bool {
    one.is_whitespace()
        || matches!(one, '{' | '}' | '(' | ')' | '[' | ']' | ';' | '=' | '"' | '#' | '\\' | '/')
}

fn ends_bare_text(one: char) -> bool {
    one.is_whitespace() || matches!(one, ';' | '"' | '{' | '}')
}

/// Control characters, direction controls and the byte order mark, which KDL 2.0 forbids as literal characters.
fn cannot_stand(one: char) -> bool {
    one.is_control() && !is_newline(one) && one != '\t'
        || matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The length of the escape that `text` begins with. An escaped line end is for strings of one line.
fn escape(text: &str, many: bool) -> Option<usize> {
    let after = text.strip_prefix('\\')?;
    match after.chars().next()? {
        '"' | '\\' | 'b' | 'f' | 'n' | 'r' | 't' | 's' => Some(2),
        'u' => {
            let digits = after.strip_prefix("u{")?.split_once('}')?.0;
            let sound = (1..=6).contains(&digits.len()) && digits.bytes().all(|one| one.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().filter(|_| sound)?;
            char::from_u32(code).map(|_| digits.len() + 4)
        }
        next if next.is_whitespace() && !many => Some(text.len() - after.trim_start().len()),
        _ => None,
    }
}

/// Whether a text of several lines begins on its second line and has the indentation of its last one throughout.
fn is_indented(inside: &str) -> bool {
    let mut lines = inside.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let (Some(""), Some(last)) = (lines.next(), lines.next_back()) else { return false };
    last.chars().all(char::is_whitespace)
        && lines.all(|line| line.starts_with(last) || line.chars().all(char::is_whitespace))
}

fn begins_as_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let digits = unsigned.strip_prefix('.').unwrap_or(unsigned);
    digits.starts_with(|first: char| first.is_ascii_digit())
}

fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let digits = |text: &str, radix| {
        text.starts_with(|first: char| first.is_digit(radix))
            && text.chars().all(|one| one == '_' || one.is_digit(radix))
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(number) = unsigned.strip_prefix(prefix) {
            return digits(number, radix);
        }
    }
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    digits(whole, 10)
        && fraction.is_none_or(|text| digits(text, 10))
        && exponent.is_none_or(|text| digits(text, 10))
}
