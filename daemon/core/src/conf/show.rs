//! Showing a configuration: nodes that parse again, with or without what is private in them.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use kdl::{KdlEntry, KdlNode, KdlValue};
use url::Url;

use super::{Backoff, ByteSize, HttpUrl, Secret, escape_variables, show_duration};

/// Whether secrets and whole URLs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// Secrets as `***`, URLs as scheme and host.
    Hidden,
    /// As written.
    Whole,
}

/// A value that can stand in a shown node.
pub trait Show {
    /// The value as KDL.
    fn value(&self) -> KdlValue;
}

/// A node that is being put together: `Shown::new("timeout").argument("10s").property("connect", "5s").node()`.
#[derive(Debug, Clone)]
pub struct Shown(KdlNode);

impl Shown {
    /// A node without anything.
    pub fn new(name: &str) -> Self {
        Self(KdlNode::new(name))
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, value: impl Show) -> Self {
        self.0.push(KdlEntry::new(value.value()));
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, key: &str, value: impl Show) -> Self {
        self.0.push(KdlEntry::new_prop(key, value.value()));
        self
    }

    /// Adds a property where there is a value.
    #[must_use]
    pub fn optional(self, key: &str, value: Option<impl Show>) -> Self {
        match value {
            Some(value) => self.property(key, value),
            None => self,
        }
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, child: impl Into<KdlNode>) -> Self {
        self.0.ensure_children().nodes_mut().push(child.into());
        self
    }

    /// Adds children.
    #[must_use]
    pub fn children(self, children: impl IntoIterator<Item = KdlNode>) -> Self {
        children.into_iter().fold(self, Self::child)
    }

    /// The finished node.
    pub fn node(self) -> KdlNode {
        self.0
    }
}

impl From<KdlNode> for Shown {
    fn from(node: KdlNode) -> Self {
        Self(node)
    }
}

impl From<Shown> for KdlNode {
    fn from(shown: Shown) -> Self {
        shown.0
    }
}

/// A URL: whole, or as `https://host/…`, because providers put credentials into the path.
pub fn show_url(url: &Url, reveal: Reveal) -> String {
    match (reveal, url.host_str()) {
        (Reveal::Whole, _) => url.to_string(),
        (Reveal::Hidden, Some(host)) => match url.port() {
            Some(port) => format!("{}://{host}:{port}/…", url.scheme()),
            None => format!("{}://{host}/…", url.scheme()),
        },
        (Reveal::Hidden, None) => format!("{}:…", url.scheme()),
    }
}

/// A URL of a source, like [`show_url`].
pub fn show_http_url(url: &HttpUrl, reveal: Reveal) -> String {
    show_url(&url.0, reveal)
}

/// A secret: whole, or as `***`.
pub fn show_secret(secret: &Secret, reveal: Reveal) -> String {
    match reveal {
        Reveal::Whole => secret.expose().to_owned(),
        Reveal::Hidden => "***".to_owned(),
    }
}

/// Nodes as text that parses again: strings always quoted, as operators write them.
pub fn print<'n>(nodes: impl IntoIterator<Item = &'n KdlNode>) -> String {
    let mut text = String::new();
    for node in nodes {
        print_node(node, 0, &mut text);
    }
    text
}

fn print_node(node: &KdlNode, indent: usize, text: &mut String) {
    let margin = "    ".repeat(indent);
    text.push_str(&margin);
    text.push_str(&node.name().to_string());
    for entry in node.entries() {
        text.push(' ');
        if let Some(key) = entry.name() {
            text.push_str(&format!("{key}="));
        }
        match entry.value() {
            KdlValue::String(value) => text.push_str(&quoted(value)),
            other => text.push_str(&other.to_string()),
        }
    }
    let children: Vec<_> = node.iter_children().collect();
    if !children.is_empty() {
        text.push_str(" {\n");
        children.into_iter().for_each(|child| print_node(child, indent + 1, text));
        text.push_str(&format!("{margin}}}"));
    }
    text.push('\n');
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for one in text.chars() {
        match one {
            '"' | '\\' => quoted.extend(['\\', one]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ if one.is_control() || matches!(one, '\u{2028}' | '\u{2029}') || forbidden(one) => {
                quoted.push_str(&format!("\\u{{{:x}}}", u32::from(one)));
            }
            _ => quoted.push(one),
        }
    }
    quoted.push('"');
    quoted
}

/// Direction controls, which KDL 2.0 forbids as literal characters, and what stands for bytes that are not UTF-8.
fn forbidden(one: char) -> bool {
    matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | char::REPLACEMENT_CHARACTER)
}

impl Show for &str {
    fn value(&self) -> KdlValue {
        escape_variables(self).into()
    }
}

impl Show for String {
    fn value(&self) -> KdlValue {
        self.as_str().value()
    }
}

impl Show for &Path {
    fn value(&self) -> KdlValue {
        self.to_string_lossy().as_ref().value()
    }
}

impl Show for bool {
    fn value(&self) -> KdlValue {
        (*self).into()
    }
}

impl Show for f64 {
    fn value(&self) -> KdlValue {
        (*self).into()
    }
}

impl Show for usize {
    fn value(&self) -> KdlValue {
        KdlValue::Integer(i128::try_from(*self).unwrap_or(i128::MAX))
    }
}

macro_rules! show_number {
    ($($kind:ty),*) => {$(
        impl Show for $kind {
            fn value(&self) -> KdlValue {
                KdlValue::Integer((*self).into())
            }
        }
    )*};
}
show_number!(u16, u32, u64, i64);

macro_rules! show_text {
    ($($kind:ty),*) => {$(
        impl Show for $kind {
            fn value(&self) -> KdlValue {
                self.to_string().into()
            }
        }
    )*};
}
show_text!(ByteSize, Backoff, IpNet, IpAddr, SocketAddr);

impl Show for Duration {
    fn value(&self) -> KdlValue {
        show_duration(*self).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conf::decode;

    #[test]
    fn a_shown_node_reads_as_an_operator_would_write_it() {
        let shown = Shown::new("timeout")
            .argument(Duration::from_secs(10))
            .property("connect", Duration::from_millis(1500))
            .optional("read", None::<Duration>)
            .child(Shown::new("max").argument(ByteSize(1 << 20)).argument(3_u64).argument(true));
        let text = "timeout \"10s\" connect=\"1500ms\" {\n    max \"1MiB\" 3 #true\n}";
        assert_eq!(print([&shown.node()]).trim_end(), text);
    }

    #[test]
    fn a_hidden_url_keeps_scheme_and_host_only() {
        let url = Url::parse("https://me:pw@cdn.example:8443/live/token/x.m3u8?key=1").unwrap();
        assert_eq!(show_url(&url, Reveal::Hidden), "https://cdn.example:8443/…");
        assert_eq!(show_url(&url, Reveal::Whole), url.as_str());
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_as_it_was(text in "\\PC{0,20}|[\\x00-\\x7f{}\u{2028}\u{202e}]{0,20}") {
            let shown = print([&Shown::new("a").argument(text.as_str()).node()]);
            let (back, problems) = decode(&shown, |node| node.argument::<String>("text"));
            prop_assert!(problems.is_empty(), "{shown}: {problems:?}");
            prop_assert_eq!(back.flatten(), Some(text));
        }
    }
}
