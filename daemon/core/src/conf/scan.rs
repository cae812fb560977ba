//! A look at the text before the parser sees it. The parser recurses for each brace, for each asterisk in a comment
//! and for each thing that stands where it cannot, so that a hostile or broken file would overflow its stack: only a
//! text of sound structure and bounded nesting is handed on. Slips that can be told apart, as a bare `5ms`, are
//! mended by a string of the same length, so that the rest of the file is read with true positions.

use std::ops::Range;

use super::Code;
use super::lexer::{Lexer, Slip, Token};

/// How deep braces may nest.
const DEEPEST: usize = 64;
/// How many places of bad structure are reported for one file.
const MOST_SLIPS: usize = 20;

const CLOSES_NOTHING: &str = "this brace closes nothing";

/// What the look found.
pub(super) struct Scanned {
    /// The text with slips replaced and block comments blanked; none where its structure is not sound.
    pub(super) mended: Option<String>,
    /// The slips, in order.
    pub(super) slips: Vec<Slip>,
}

/// Looks through `text`.
pub(super) fn scan(text: &str) -> Scanned {
    let mut lexer = Lexer::new(text);
    let mut grammar = Grammar::default();
    let mut comments = Vec::new();
    let mut wrong = Vec::new();
    while let Some((token, span)) = lexer.next() {
        if token == Token::Comment {
            comments.push(span.clone());
        }
        let slip = grammar.step(token, span).filter(|slip| !grammar.upset || slip.message != CLOSES_NOTHING);
        if token == Token::Wrong || slip.is_some() {
            lexer.skip_line();
            (grammar.place, grammar.upset) = (Where::Node, true);
        }
        wrong.extend(slip);
        let enough = wrong.len() + lexer.slips.iter().filter(|slip| !slip.mends).count() >= MOST_SLIPS;
        if grammar.open.len() > DEEPEST || enough {
            break;
        }
    }
    let sound = wrong.is_empty() && lexer.slips.iter().all(|slip| slip.mends);
    let mut slips = std::mem::take(&mut lexer.slips);
    slips.extend(wrong);
    let unfinished = if sound { grammar.unfinished(text) } else { None };
    let sound = sound && unfinished.is_none();
    slips.extend(unfinished);
    let mended = sound.then(|| mend(text, &slips, &comments));
    Scanned { mended, slips }
}

fn mend(text: &str, slips: &[Slip], comments: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for slip in slips.iter().filter(|slip| slip.span.len() >= 2) {
        bytes[slip.span.clone()].fill(b'x');
        bytes[slip.span.start] = b'"';
        bytes[slip.span.end - 1] = b'"';
    }
    comments.iter().for_each(|comment| bytes[comment.clone()].fill(b' '));
    // whole tokens were replaced, so that this is UTF-8 still
    String::from_utf8(bytes).unwrap_or_default()
}

/// Where the look is within a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Where {
    /// Where a node can begin.
    #[default]
    Node,
    /// In an annotation before its text, and after it; of a node, or of a value.
    Type { of_node: bool, named: bool },
    /// After an annotation: its name or value must follow.
    Typed { of_node: bool },
    /// Right after a name or value; whether it can be the key of a property.
    Item { key: bool },
    /// After spaces in a node; whether what came before can be the key of a property.
    Gap { key: bool },
    /// After an equals sign.
    Equals,
    /// After the children of a node.
    End,
    /// After a slashdash: what it comments out must follow.
    Slashed(Slashed),
}

/// Where a slashdash stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slashed {
    /// Before a node.
    Node,
    /// Before an argument, a property or children.
    Entry,
    /// After the children of a node: before further ones.
    End,
}

/// An acceptor of KDL's structure.
#[derive(Default)]
struct Grammar {
    place: Where,
    open: Vec<Range<usize>>,
    /// Whether a line was left in the middle, so that braces on it may be missing.
    upset: bool,
}

impl Grammar {
    fn step(&mut self, token: Token, span: Range<usize>) -> Option<Slip> {
        match (self.next(token), token) {
            (None, Token::Wrong) => None, // the lexer said what is wrong
            (None, _) => Some(misplaced(self.place, token, span)),
            (Some(_), Token::Close) if self.open.is_empty() => {
                let help = "remove it, or look for an opening brace that is missing";
                Some(Slip::fatal(span, "closes nothing", CLOSES_NOTHING, help))
            }
            (Some(next), _) => {
                self.place = next;
                match token {
                    Token::Open => self.open.push(span.clone()),
                    Token::Close => drop(self.open.pop()),
                    _ => {}
                }
                (self.open.len() > DEEPEST).then(|| too_deep(span))
            }
        }
    }

    /// What is missing at the end of the text.
    fn unfinished(&self, text: &str) -> Option<Slip> {
        if matches!(self.place, Where::Type { .. } | Where::Typed { .. } | Where::Equals | Where::Slashed(_))
        {
            return Some(misplaced(self.place, Token::Newline, text.len()..text.len()));
        }
        let open = self.open.last()?;
        Some(Slip::fatal(open.clone(), "begins here", "this brace is not closed", "end it with a }"))
    }

    fn next(&self, token: Token) -> Option<Where> {
        use Token::{
            Close, Comment, Equals, Newline, Open, Semicolon, Slashdash, Space, Text, TypeClose, TypeOpen,
            Value,
        };
        use Where::{End, Gap, Item, Node, Type, Typed};
        Some(match (self.place, token) {
            (Node, Space | Comment | Newline) => Node,
            (Node, Slashdash) => Where::Slashed(Slashed::Node),
            (End, Slashdash) => Where::Slashed(Slashed::End),
            (place @ Where::Slashed(_), Space | Comment | Newline) => place,
            (Where::Slashed(Slashed::Entry | Slashed::End), Open) => Node,
            (Where::Slashed(Slashed::Entry), Text) => Item { key: true },
            (Where::Slashed(Slashed::Entry), Value) => Item { key: false },
            (Where::Slashed(Slashed::Entry), TypeOpen) => Type { of_node: false, named: false },
            (Where::Slashed(Slashed::Node), TypeOpen) => Type { of_node: true, named: false },
            (Node | Where::Slashed(Slashed::Node) | Typed { of_node: true }, Text) => Item { key: false },
            (Node, TypeOpen) => Type { of_node: true, named: false },
            (Node | Item { .. } | Gap { .. } | End, Close) => End,
            (Type { of_node, named: false }, Text) => Type { of_node, named: true },
            (Type { of_node, named: true }, TypeClose) => Typed { of_node },
            (place @ (Type { .. } | Typed { .. } | Where::Equals | Gap { .. } | End), Space | Comment) => {
                place
            }
            (Typed { of_node: false } | Where::Equals, Text | Value) => Item { key: false },
            (Item { key }, Space | Comment) => Gap { key },
            (Item { .. } | Gap { .. } | End, Newline | Semicolon) => Node,
            (Item { .. } | Gap { .. }, Open) => Node,
            (Item { key: true } | Gap { key: true }, Equals) => Where::Equals,
            (Gap { .. }, Text) => Item { key: true },
            (Gap { .. }, Value) => Item { key: false },
            (Gap { .. }, TypeOpen) | (Where::Equals, TypeOpen) => Type { of_node: false, named: false },
            (Gap { .. }, Slashdash) => Where::Slashed(Slashed::Entry),
            _ => return None,
        })
    }
}

fn too_deep(span: Range<usize>) -> Slip {
    Slip {
        code: Code::Limit,
        span,
        label: "too deep",
        message: format!("braces nest deeper than {DEEPEST}"),
        help: "nothing in a configuration nests so deep: look for a brace that is not closed".into(),
        mends: false,
    }
}

fn misplaced(place: Where, token: Token, span: Range<usize>) -> Slip {
    let (message, help) = match (place, token) {
        (Where::Equals, _) => ("the value of the property is missing", "write it right after the ="),
        (Where::Item { .. }, Token::Text | Token::Value | Token::TypeOpen | Token::Slashdash) => {
            ("a space is missing here", "separate values by spaces, and quote a text with special characters")
        }
        (_, Token::Equals) => (
            "this = does not belong to a property",
            "a property is key=\"value\"; quote a text that holds a =",
        ),
        (Where::Node, Token::Open) => ("these braces belong to no node", "write { on the line of its node"),
        (Where::Node, Token::Value) => ("a node cannot begin with this", "the name of a node comes first"),
        (Where::Type { .. } | Where::Typed { .. }, _) => {
            ("this annotation is not complete", "write it as (env)\"NAME\"")
        }
        (Where::Slashed(_), _) => ("this /- comments nothing out", "write it right before a node or a value"),
        (Where::End, _) => ("something follows the closing brace", "begin a new line after it"),
        _ => ("this cannot stand here", "quote the text that it belongs to"),
    };
    Slip::fatal(span, "here", message, help)
}

#[cfg(test)]
mod tests {
    use kdl::KdlDocument;
    use proptest::prelude::*;

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
        let text = "a 5ms\n/* ** */b http://x {\n}";
        assert_eq!(scan(text).mended.as_deref(), Some("a \"x\"\n        b \"xxxxxx\" {\n}"));
    }

    #[test]
    fn braces_count_only_where_they_are_braces() {
        let deep = |text: &str| scan(text).slips.iter().any(|slip| slip.code == Code::Limit);
        assert!(deep(&"a {".repeat(65)));
        assert!(!deep(&"a {".repeat(64)));
        assert!(!deep(&"a \"{\" #\"{\"# // {\n/* { */".repeat(65)));
        assert!(!deep(&"a { }\n".repeat(65)));
    }

    #[test]
    fn structure_that_the_parser_would_recurse_on_never_reaches_it() {
        for text in [
            "a=b=c",
            "x a=b=c",
            "a }",
            "a \"b\"\"c\"",
            "a [",
            "a )",
            "a \"b",
            "(a",
            "a =",
            "{ }",
            "a { } b",
            ".5x",
            "a;;",
            "\u{1}",
        ] {
            let scanned = scan(text);
            assert!(scanned.mended.is_none() || !scanned.slips.is_empty(), "{text}");
        }
    }

    #[test]
    fn exotic_but_sound_texts_pass() {
        for text in [
            "a b = c",
            "(t)a (u)\"b\" k=(v)1 { c; d 5 }; e",
            "/-a b\n/- c { d }\ne /-f=1 g",
            "a \\\n  b \\ // why\n  c",
            "a \"\"\"\n  many \" lines\n  \"\"\" b",
            "a #\"raw \" text\"# #\"\"\"\n x\n \"\"\"#",
            "a{b}",
            "\u{feff}a \"\\\"\\u{41}\"",
            "a /* x */ b/* y */",
        ] {
            let scanned = scan(text);
            assert!(scanned.slips.is_empty(), "{text}: {:?}", scanned.slips);
            assert!(KdlDocument::parse_v2(&scanned.mended.unwrap()).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_gives_the_parser_little_to_complain_of(
            text in "[ab1{}()=;\"#/*\\\\\n .-]{0,30}|(a|b |\"c\"|=|[{]|[}]|;|\n|[(]t[)]|/-|5| ){0,20}|(a |\"|\"\"\"|#|\\\\|n|\n| |u[{]4[}]){0,16}",
        ) {
            if let Some(mended) = scan(&text).mended
                && let Err(error) = KdlDocument::parse_v2(&mended)
            {
                let stray = |one: &kdl::KdlDiagnostic| one.message.as_deref() == Some("Expected end of document");
                prop_assert!(!error.diagnostics.iter().any(stray), "{text:?}: {:?}", error.diagnostics);
            }
        }

        #[test]
        fn what_the_parser_takes_passes(text in "(a|b |\"c\"|k=|[{]|[}]|;|\n|[(]t[)]|5| |#true ){0,12}") {
            if KdlDocument::parse_v2(&text).is_ok() {
                let scanned = scan(&text);
                prop_assert!(scanned.mended.is_some(), "{text:?}: {:?}", scanned.slips);
            }
        }
    }
}
