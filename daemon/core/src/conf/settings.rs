//! What an operator wrote in a node for someone else to read: the settings of a plugin.

use std::collections::BTreeMap;

use kdl::{KdlEntry, KdlNode, KdlValue};
use url::Url;

use super::{Code, Node, Place, Problem, Reveal, Secret, Shown, show_secret, show_url};

/// The properties and children of a node that the node itself does not read, by key. What a key means, and whether
/// there is such a key, only the plugin knows. Equal to others with the same keys and values, wherever they stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(BTreeMap<String, Setting>);

/// The value of one key, with its place.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What was written.
    pub value: SettingValue,
    /// Where: a problem with the value is shown there. Does not count when settings are compared.
    pub place: Place,
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A value as it is written, variables replaced and secrets looked up. Durations and sizes are texts here.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingValue {
    /// A string.
    Text(String),
    /// What was read by `(env)"NAME"` or `(file)"PATH"`.
    Secret(Secret),
    /// A whole number.
    Integer(i64),
    /// Any other number; finite.
    Number(f64),
    /// `#true` or `#false`.
    Toggle(bool),
    /// Two strings or more, of a child.
    Texts(Vec<String>),
}

impl Settings {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// Every key with its value, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(key, setting)| (key.as_str(), setting))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each as a child that reads as the same setting, save that a secret that is shown whole reads as a text. URLs
    /// keep scheme and host only where they are hidden, for services put credentials into the path.
    pub fn show(&self, reveal: Reveal) -> impl Iterator<Item = KdlNode> {
        self.0.iter().map(move |(key, setting)| {
            let shown = Shown::new(key);
            match &setting.value {
                SettingValue::Text(text) => shown.argument(show_text(text, reveal)),
                SettingValue::Secret(secret) => shown.argument(show_secret(secret, reveal)),
                SettingValue::Integer(number) => shown.argument(*number),
                SettingValue::Number(number) => shown.argument(*number),
                SettingValue::Toggle(toggle) => shown.argument(*toggle),
                SettingValue::Texts(texts) => {
                    texts.iter().fold(shown, |shown, text| shown.argument(show_text(text, reveal)))
                }
            }
            .node()
        })
    }
}

fn show_text(text: &str, reveal: Reveal) -> String {
    match Url::parse(text) {
        Ok(url) if reveal == Reveal::Hidden && url.has_host() => show_url(&url, reveal),
        _ => text.to_owned(),
    }
}

impl<'a> Node<'a> {
    /// What nothing read of this node so far: the settings of a plugin. Values that none can be are problems.
    pub fn settings(&self) -> Settings {
        let (properties, children) = self.take_rest();
        let mut settings = Settings::default();
        for entry in properties {
            let Some(name) = entry.name() else { continue };
            let value = self.setting(entry, name.value());
            self.insert(&mut settings, name.value(), value, self.place_of(entry.span(), ""));
        }
        for child in children {
            let name = child.name().value();
            let value = self.setting_of_child(child);
            self.insert(&mut settings, name, value, self.place_of(child.name().span(), ""));
        }
        settings
    }

    fn insert(&self, settings: &mut Settings, key: &str, value: Option<SettingValue>, place: Place) {
        if let Some(first) = settings.0.get(key) {
            let message = format!("`{key}` stands twice on `{}`", self.name());
            let again = Place { label: "again".into(), ..place };
            let first = Place { label: "first".into(), ..first.place.clone() };
            self.add(Problem::new(Code::Repeated, again, message).help("keep one of them").and(first));
            return;
        }
        if let Some(value) = value {
            settings.0.insert(key.to_owned(), Setting { value, place });
        }
    }

    /// A child with one value, or with several strings.
    fn setting_of_child(&self, child: &'a KdlNode) -> Option<SettingValue> {
        let name = child.name().value();
        let wrong = |span, message: String, help: String| {
            self.report(Code::Value, self.place_of(span, ""), message, help);
            None
        };
        if let Some(inner) = child.iter_children().next() {
            let message = format!("`{name}` cannot hold nodes");
            return wrong(
                inner.name().span(),
                message,
                "a plugin's setting is a value, or several strings".into(),
            );
        }
        if let Some(property) = child.entries().iter().find(|entry| entry.name().is_some()) {
            let message = format!("`{name}` takes no property");
            return wrong(property.span(), message, format!("write {name} with its value behind it"));
        }
        match child.entries() {
            [] => wrong(
                child.name().span(),
                format!("`{name}` has no value"),
                "write it behind the name".into(),
            ),
            [entry] => self.setting(entry, name),
            entries => {
                let texts = entries.iter().map(|entry| self.scalar::<String>(entry, name));
                Some(SettingValue::Texts(texts.collect::<Option<_>>()?))
            }
        }
    }

    fn setting(&self, entry: &'a KdlEntry, key: &str) -> Option<SettingValue> {
        let is_secret = entry.ty().is_some_and(|annotation| matches!(annotation.value(), "env" | "file"));
        match entry.value() {
            KdlValue::String(_) if is_secret => self.scalar(entry, key).map(SettingValue::Secret),
            KdlValue::Integer(_) => self.scalar(entry, key).map(SettingValue::Integer),
            KdlValue::Float(_) => self.scalar(entry, key).map(SettingValue::Number),
            KdlValue::Bool(_) => self.scalar(entry, key).map(SettingValue::Toggle),
            KdlValue::String(_) | KdlValue::Null => self.scalar(entry, key).map(SettingValue::Text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{decode, print};

    fn read(text: &str) -> (Settings, Vec<String>) {
        let (settings, problems) = decode(text, |node| {
            drop(node.optional_argument::<String>("name"));
            node.settings()
        });
        let told = problems.iter().map(|one| format!("{one} ({})", one.help)).collect();
        (settings.unwrap_or_default(), told)
    }

    #[test]
    fn properties_and_children_are_settings_alike_and_read_as_shown() {
        let (settings, problems) = read(
            "x \"name\" retries=-3 { url \"https://a.example/T0K\"; share 0.5; loud #true; to \"a\" \"b\"; }",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let value = |key: &str| &settings.get(key).unwrap().value;
        assert_eq!(value("retries"), &SettingValue::Integer(-3));
        assert_eq!(value("share"), &SettingValue::Number(0.5));
        assert_eq!(value("loud"), &SettingValue::Toggle(true));
        assert_eq!(value("to"), &SettingValue::Texts(vec!["a".into(), "b".into()]));
        let shown = |reveal| print([&Shown::new("x").children(settings.show(reveal)).node()]);
        assert_eq!(read(&shown(Reveal::Whole)).0, settings, "{}", shown(Reveal::Whole));
        assert!(
            shown(Reveal::Hidden).contains("https://a.example/…") && !shown(Reveal::Hidden).contains("T0K")
        );
    }

    #[test]
    fn what_is_no_setting_is_a_problem_at_its_place() {
        let (settings, problems) = read("x a=1 {\n a 2\n b\n c x=1\n d { e; }\n f #null\n g \"x\" 5\n}");
        assert_eq!(settings.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a"]);
        let expected = [
            "example.kdl:2:2: `a` stands twice on `x` (first: example.kdl:1:3) (keep one of them)",
            "example.kdl:3:2: `b` has no value (write it behind the name)",
            "example.kdl:4:4: `c` takes no property (write c with its value behind it)",
            "example.kdl:5:6: `d` cannot hold nodes (a plugin's setting is a value, or several strings)",
            "example.kdl:6:4: the f of `x` must be a string (quote it: \"null\")",
            "example.kdl:7:8: the g of `x` must be a string (quote it: \"5\")",
        ];
        assert_eq!(problems, expected);
    }
}
