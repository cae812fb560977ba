//! What a cursor knows besides its node: the file, the template's variables, and where secrets are looked up.

use std::sync::Arc;

use super::{Collector, File, Place};

/// Where the values of `(env)"NAME"` and `(file)"PATH"` come from.
pub trait Lookup {
    /// The environment variable `name`.
    ///
    /// # Errors
    /// Why it cannot be had, in a few words: `it is not set`.
    fn env(&self, name: &str) -> Result<String, String>;

    /// The text of the file at `path`, without the line end at its end.
    ///
    /// # Errors
    /// Why it cannot be had, in a few words.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// A lookup that knows no secret.
#[derive(Debug, Clone, Copy)]
pub struct NoSecrets;

impl Lookup for NoSecrets {
    fn env(&self, _: &str) -> Result<String, String> {
        Err("no environment is read here".into())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no file is read here".into())
    }
}

/// A variable of a template with the value that a pipeline gives it.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name, as in `{name}`.
    pub name: String,
    /// What stands in its stead.
    pub value: String,
    /// Where the value was written: a problem with it is shown there.
    pub place: Place,
}

/// What a cursor and all its children know.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The file that is read.
    pub file: &'a Arc<File>,
    /// Where problems go.
    pub problems: &'a Collector,
    /// Where secrets come from.
    pub lookup: &'a dyn Lookup,
    /// What `{x}` in a string may name.
    pub variables: &'a [Variable],
    /// Names that a later version understands: they are answered with "not yet" where nothing reads them.
    pub later: &'static [&'static str],
}

/// A piece of a string.
enum Piece<'t> {
    Text(&'t str),
    Variable(&'t str),
}

/// The names of the variables in `text`, in order, with repetitions.
pub fn variables_in(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Variable(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// Writes `text` so that substitution gives it back: `{x}` becomes `{{x}}`.
pub fn escape_variables(text: &str) -> String {
    let (mut escaped, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let taken = match name_in_braces(rest) {
            Some((name, after)) => {
                escaped.push_str(&format!("{{{{{name}}}}}"));
                rest.len() - after.len()
            }
            None => {
                escaped.push(first);
                first.len_utf8()
            }
        };
        rest = rest.split_at(taken).1;
    }
    escaped
}

/// What substitution makes of a string: the text with the first variable that went into it, or the name of
/// one that is not known.
pub(super) fn substitute<'a, 't>(
    text: &'t str,
    variables: &'a [Variable],
) -> Result<(String, Option<&'a Variable>), &'t str> {
    let (mut whole, mut first) = (String::new(), None);
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Variable(name) => {
                let variable = variables.iter().find(|known| known.name == name).ok_or(name)?;
                whole.push_str(&variable.value);
                first = first.or(Some(variable));
            }
        }
    }
    Ok((whole, first))
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = match rest.find('{') {
            Some(0) => at_brace(rest),
            Some(at) => {
                let (text, after) = rest.split_at(at);
                (Piece::Text(text), after)
            }
            None => (Piece::Text(rest), ""),
        };
        rest = after;
        Some(piece)
    })
}

/// `{{x}}` is the text `{x}`, `{x}` a variable; any other brace is a brace.
fn at_brace(text: &str) -> (Piece<'_>, &str) {
    if let Some(inner) = text.strip_prefix('{').filter(|inner| inner.starts_with('{'))
        && let Some((name, _)) = name_in_braces(inner)
        && let (escaped, after) = inner.split_at(name.len() + 2)
        && let Some(after) = after.strip_prefix('}')
    {
        return (Piece::Text(escaped), after);
    }
    if let Some((name, after)) = name_in_braces(text) {
        return (Piece::Variable(name), after);
    }
    let (brace, after) = text.split_at(1);
    (Piece::Text(brace), after)
}

fn name_in_braces(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let letters =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let named = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(letters);
    named.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        let file = Arc::new(File { name: "a.kdl".into(), text: "".into() });
        Variable { name: name.into(), value: value.into(), place: Place::new(file, 0..0, "") }
    }

    #[test]
    fn variables_are_replaced_and_other_braces_stay() {
        let known = [variable("url", "http://x"), variable("name", "news")];
        let text = |text: &'static str| substitute(text, &known).map(|(text, _)| text);
        assert_eq!(text("{url}/{name}.ts"), Ok("http://x/news.ts".into()));
        assert_eq!(text("[a-z]{1,64} {} {{name}} {"), Ok("[a-z]{1,64} {} {name} {".into()));
        assert_eq!(text("{nmae}"), Err("nmae"));
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_read_back(text in "[{}ab,]{0,12}") {
            let (back, used) = substitute(&escape_variables(&text), &[]).unwrap();
            prop_assert_eq!(back, text);
            prop_assert!(used.is_none());
        }
    }
}
