//! What an operator wrote for a use, read as the plugin describes its keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kdl::KdlValue;
use sluice_core::conf::{ByteSize, Code, Place, Problem, Scalar, Setting, SettingValue, nearest};
use sluice_core::plugin::Use;

/// More keys than this are not described.
const MOST_KEYS: usize = 64;

/// The longest name of a key, and the longest text that a plugin says of itself.
const NAME_BYTES: usize = 64;
const WORDS_BYTES: usize = 1 << 10;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Text,
    Integer,
    Number,
    Toggle,
    Duration,
    Size,
    Texts,
}

impl ValueKind {
    /// What a problem says was expected.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Toggle => "#true or #false",
            Self::Duration => Duration::EXPECTED,
            Self::Size => ByteSize::EXPECTED,
            Self::Texts => "one string or more",
        }
    }
}

/// A key that a plugin reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) kind: ValueKind,
    pub(crate) required: bool,
    /// What holds without it, as an operator would write it.
    pub(crate) usual: Option<String>,
    pub(crate) secret: bool,
    pub(crate) about: String,
}

/// What a plugin says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) about: String,
    pub(crate) version: String,
    pub(crate) keys: Vec<Key>,
}

/// A value as the plugin gets it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Toggle(bool),
    Milliseconds(u64),
    Bytes(u64),
    Texts(Vec<String>),
}

/// The values of one use, usual ones filled in, and its secrets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Configured {
    values: BTreeMap<String, Value>,
    secrets: Vec<String>,
}

impl Configured {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The text with every secret struck from it.
    pub(crate) fn strike(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

impl Description {
    /// Whether it can be used.
    ///
    /// # Errors
    /// In words, where names are none, or values are not what they are said to be.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.keys.len() > MOST_KEYS {
            return Err(format!("it describes {} keys, and at most {MOST_KEYS} are read", self.keys.len()));
        }
        let texts = self.keys.iter().map(|key| &key.about).chain([&self.about, &self.version]);
        if texts.into_iter().any(|text| text.len() > WORDS_BYTES) {
            return Err(format!("what it says of itself is longer than {WORDS_BYTES} bytes"));
        }
        let mut names = BTreeSet::new();
        for key in &self.keys {
            let name = &key.name;
            if !is_name(name) {
                return Err(format!("{name:?} is no name of a key: lowercase letters, digits and `-`"));
            }
            if !names.insert(name) {
                return Err(format!("it describes the key `{name}` twice"));
            }
            if let Some(usual) = &key.usual {
                let written = KdlValue::String(usual.clone());
                read(key.kind, &written).map_err(|_| {
                    format!("the usual value {usual:?} of its key `{name}` is not {}", key.kind.expected())
                })?;
            }
        }
        Ok(())
    }

    /// Reads the settings of a use.
    ///
    /// # Errors
    /// Every problem at its place: unknown keys, missing ones, values of another kind.
    pub(crate) fn configure(&self, of: &Use) -> Result<Configured, Vec<Problem>> {
        let (mut configured, mut problems) = (Configured::default(), Vec::new());
        let unknown = of.settings.iter().filter(|(name, _)| self.keys.iter().all(|key| key.name != *name));
        problems.extend(unknown.map(|(name, setting)| self.unknown(&of.plugin, name, setting)));
        for key in &self.keys {
            let value = match (of.settings.get(&key.name), &key.usual) {
                (Some(setting), _) => match read_setting(key.kind, &setting.value) {
                    Ok(value) => Some(value),
                    Err(help) => {
                        problems.push(wrong(key, &of.plugin, &setting.place, help));
                        None
                    }
                },
                (None, Some(usual)) => read(key.kind, &KdlValue::String(usual.clone())).ok(),
                (None, None) if key.required => {
                    problems.push(missing(key, of));
                    None
                }
                (None, None) => None,
            };
            let is_secret =
                of.settings.get(&key.name).is_some_and(|set| matches!(set.value, SettingValue::Secret(_)));
            if let Some(Value::Text(text)) = value.as_ref().filter(|_| key.secret || is_secret)
                && !text.is_empty()
            {
                configured.secrets.push(text.clone());
            }
            configured.values.extend(value.map(|value| (key.name.clone(), value)));
        }
        // the longest first: one secret may be part of another
        configured.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        if problems.is_empty() { Ok(configured) } else { Err(problems) }
    }

    fn unknown(&self, plugin: &str, name: &str, setting: &Setting) -> Problem {
        let place = Place { label: "unknown".to_owned(), ..setting.place.clone() };
        let problem =
            Problem::new(Code::Unknown, place, format!("the plugin `{plugin}` has no key `{name}`"));
        let known = || self.keys.iter().map(|key| key.name.as_str());
        match nearest(name, known()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if self.keys.is_empty() => problem.help("it reads none"),
            None => problem.help(format!("it reads {}", known().collect::<Vec<_>>().join(", "))),
        }
    }
}

fn missing(key: &Key, of: &Use) -> Problem {
    let message = format!("the plugin `{}` needs `{}`", of.plugin, key.name);
    Problem::new(Code::Missing, of.place.clone(), message).help(key.about.clone())
}

fn wrong(key: &Key, plugin: &str, place: &Place, help: Option<String>) -> Problem {
    let message = format!("`{}` of the plugin `{plugin}` must be {}", key.name, key.kind.expected());
    Problem::new(Code::Value, place.clone(), message).help(help.unwrap_or_else(|| key.about.clone()))
}

fn read_setting(kind: ValueKind, value: &SettingValue) -> Result<Value, Option<String>> {
    let written = match (kind, value) {
        (ValueKind::Texts, SettingValue::Texts(texts)) => return Ok(Value::Texts(texts.clone())),
        (_, SettingValue::Texts(_)) => return Err(Some("one value is enough".to_owned())),
        (_, SettingValue::Text(text)) => KdlValue::String(text.clone()),
        (_, SettingValue::Secret(secret)) => KdlValue::String(secret.expose().to_owned()),
        (ValueKind::Number, SettingValue::Number(number)) => return Ok(Value::Number(*number)),
        #[expect(
            clippy::cast_precision_loss,
            reason = "whoever writes so large a number for a fraction means about that"
        )]
        (ValueKind::Number, SettingValue::Integer(number)) => return Ok(Value::Number(*number as f64)),
        (ValueKind::Integer, SettingValue::Integer(number)) => return Ok(Value::Integer(*number)),
        (ValueKind::Toggle, SettingValue::Toggle(toggle)) => return Ok(Value::Toggle(*toggle)),
        // a number where a text, a duration or a size is wanted: their readers say what is missing
        (_, SettingValue::Integer(number)) => KdlValue::Integer((*number).into()),
        (_, SettingValue::Number(number)) => KdlValue::Float(*number),
        (_, SettingValue::Toggle(toggle)) => KdlValue::Bool(*toggle),
    };
    match (kind, value) {
        // what is no string was read above; a secret or a template's variable is always a string
        (
            ValueKind::Text | ValueKind::Texts,
            SettingValue::Integer(_) | SettingValue::Number(_) | SettingValue::Toggle(_),
        ) => String::read(&written).map(Value::Text),
        _ => read(kind, &written),
    }
}

/// Reads a value that is written as a string.
fn read(kind: ValueKind, written: &KdlValue) -> Result<Value, Option<String>> {
    let text = || String::read(written);
    match kind {
        ValueKind::Text => text().map(Value::Text),
        ValueKind::Texts => text().map(|text| Value::Texts(vec![text])),
        ValueKind::Integer => text()?.trim().parse().map(Value::Integer).map_err(|_| None),
        ValueKind::Number => {
            let number: f64 = text()?.trim().parse().map_err(|_| None)?;
            if number.is_finite() { Ok(Value::Number(number)) } else { Err(None) }
        }
        ValueKind::Toggle => match text()?.trim() {
            "true" | "#true" => Ok(Value::Toggle(true)),
            "false" | "#false" => Ok(Value::Toggle(false)),
            _ => Err(None),
        },
        ValueKind::Duration => {
            let duration = Duration::read(written)?;
            Ok(Value::Milliseconds(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
        }
        ValueKind::Size => ByteSize::read(written).map(|size| Value::Bytes(size.0)),
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(plain)
}
