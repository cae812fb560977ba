//! Reading one value of a node: its variables replaced, its secret looked up, its problems told.

use std::ops::RangeInclusive;

use kdl::{KdlEntry, KdlValue};

use super::scope::{Variable, substitute};
use super::unread::nearest;
use super::{ByteSize, Code, Node, Problem, Scalar, Show};

/// A value with its place, after substitution and lookup.
struct Found<'a> {
    value: KdlValue,
    entry: &'a KdlEntry,
    variable: Option<&'a Variable>,
}

impl<'a> Node<'a> {
    pub(super) fn scalar<T: Scalar>(&self, entry: &'a KdlEntry, what: &str) -> Option<T> {
        let found = self.resolve(entry)?;
        match T::read(&found.value) {
            Ok(value) => Some(value),
            Err(hint) => {
                let message = format!("{} must be {}", subject(entry, what, self.name()), T::EXPECTED);
                self.wrong(&found, message, hint.unwrap_or_default());
                None
            }
        }
    }

    pub(super) fn scalar_within<T: Scalar + PartialOrd + Show>(
        &self,
        entry: &'a KdlEntry,
        what: &str,
        bounds: &RangeInclusive<T>,
    ) -> Option<T> {
        let found = self.resolve(entry)?;
        let [least, most] = [bounds.start(), bounds.end()].map(Show::value);
        // a whole number that its type cannot hold is beyond the bounds too
        let is_beyond = match T::read(&found.value) {
            Ok(value) if bounds.contains(&value) => return Some(value),
            Ok(_) => true,
            Err(_) => least.as_integer().is_some() && found.value.as_integer().is_some(),
        };
        if !is_beyond {
            return self.scalar(entry, what);
        }
        let message = format!("{} is out of bounds", subject(entry, what, self.name()));
        let bare = |bound: KdlValue| bound.as_string().map_or_else(|| bound.to_string(), str::to_owned);
        let help = if most == ByteSize(u64::MAX).value() {
            format!("it is at least {}", bare(least))
        } else {
            format!("it goes from {} to {}", bare(least), bare(most))
        };
        self.wrong(&found, message, help);
        None
    }

    pub(super) fn among<T: Clone>(
        &self,
        text: &str,
        entry: &'a KdlEntry,
        what: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(value.clone());
        }
        let found = self.resolve(entry)?;
        let message = format!("{} cannot be \"{text}\"", subject(entry, what, self.name()));
        let names: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.wrong(&found, message, format!("it is one of {}", names.join(", ")));
        None
    }

    /// A problem with a value: shown where the value was written, which may be far from where it is read.
    fn wrong(&self, found: &Found<'a>, message: String, help: String) {
        let here = self.place_of(found.entry.span(), kind_of(&found.value));
        let problem = match found.variable {
            Some(variable) => {
                let (mut written, mut here) = (variable.place.clone(), here);
                written.label = format!("the value of {{{}}}", variable.name);
                here.label = "read here".into();
                Problem::new(Code::Value, written, message).and(here)
            }
            None => Problem::new(Code::Value, here, message),
        };
        self.fail(problem.help(help));
    }

    /// The value of an entry: variables replaced, secrets looked up.
    fn resolve(&self, entry: &'a KdlEntry) -> Option<Found<'a>> {
        let KdlValue::String(text) = entry.value() else {
            return match entry.ty() {
                Some(_) => self.unfit_annotation(entry),
                None => Some(Found { value: entry.value().clone(), entry, variable: None }),
            };
        };
        let (text, variable) = match substitute(text, self.scope().variables) {
            Ok(found) => found,
            Err(name) => return self.unknown_variable(entry, name),
        };
        let looked_up = match entry.ty().map(|annotation| annotation.value()) {
            None => Ok(text),
            Some("env") => self.scope().lookup.env(&text).map_err(|why| (format!("variable `{text}`"), why)),
            Some("file") => self.scope().lookup.file(&text).map_err(|why| (format!("file `{text}`"), why)),
            Some(_) => return self.unfit_annotation(entry),
        };
        match looked_up {
            Ok(text) => Some(Found { value: text.into(), entry, variable }),
            Err((what, why)) => {
                let place = self.place_of(entry.span(), &why);
                self.report(Code::Secret, place, format!("the {what} cannot be read"), String::new());
                None
            }
        }
    }

    fn unfit_annotation<T>(&self, entry: &KdlEntry) -> Option<T> {
        let place = self.place_of(entry.span(), "annotation");
        let message = "this annotation means nothing here".into();
        self.report(
            Code::Value,
            place,
            message,
            "strings can be read by (env)\"NAME\" and (file)\"PATH\"".into(),
        );
        None
    }

    fn unknown_variable<T>(&self, entry: &KdlEntry, name: &str) -> Option<T> {
        let known = self.scope().variables.iter().map(|variable| variable.name.as_str());
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean `{{{near}}}`?"),
            None => {
                format!("give it on the pipeline as {name}=, or write {{{{{name}}}}} for the text itself")
            }
        };
        let place = self.place_of(entry.span(), "used here");
        self.report(Code::Unknown, place, format!("the variable `{{{name}}}` has no value"), help);
        None
    }
}

fn subject(entry: &KdlEntry, what: &str, node: &str) -> String {
    if entry.name().is_some() { format!("`{what}` of `{node}`") } else { format!("the {what} of `{node}`") }
}

fn kind_of(value: &KdlValue) -> &'static str {
    match value {
        KdlValue::String(_) => "a string",
        KdlValue::Integer(_) | KdlValue::Float(_) => "a number",
        KdlValue::Bool(_) => "a boolean",
        KdlValue::Null => "null",
    }
}
