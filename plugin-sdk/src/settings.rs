//! What an operator writes in the node of a use, as a typed struct.
//!
//! [`settings!`](crate::settings!) makes the struct, its defaults and the table that the daemon checks configurations
//! against from one declaration, so that none of them can drift from the others.

mod setting;

pub use setting::{Setting, Usual};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, parse_duration};

/// How an operator writes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `#true` or `#false`.
    Toggle,
    /// A duration, as `"250ms"`.
    Duration,
    /// A size, as `"64KiB"`.
    Size,
    /// One string or more.
    Texts,
}

impl Kind {
    /// Reads a value as it is written in [`Key::usual`].
    ///
    /// # Errors
    /// When the text is no such thing; in words.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let wrong = |what: &str| format!("`{text}` is no {what}");
        Ok(match self {
            Self::Text => Value::Text(text.to_owned()),
            Self::Integer => Value::Integer(text.parse().map_err(|_| wrong("whole number"))?),
            Self::Number => Value::Number(text.parse().map_err(|_| wrong("number"))?),
            Self::Toggle => match text {
                "#true" => Value::Toggle(true),
                "#false" => Value::Toggle(false),
                _ => return Err(wrong("#true or #false")),
            },
            Self::Duration => {
                Value::Milliseconds(u64::try_from(parse_duration(text)?.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Size => Value::Bytes(text.parse::<ByteSize>()?.0),
            Self::Texts => Value::Texts(text.split_whitespace().map(str::to_owned).collect()),
        })
    }
}

/// A value of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// `#true` or `#false`.
    Toggle(bool),
    /// A duration in milliseconds.
    Milliseconds(u64),
    /// A size in bytes.
    Bytes(u64),
    /// Strings.
    Texts(Vec<String>),
}

impl Value {
    /// The kind of the key that has such a value.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Integer(_) => Kind::Integer,
            Self::Number(_) => Kind::Number,
            Self::Toggle(_) => Kind::Toggle,
            Self::Milliseconds(_) => Kind::Duration,
            Self::Bytes(_) => Kind::Size,
            Self::Texts(_) => Kind::Texts,
        }
    }
}

/// A key that a plugin reads: a row of what `describe` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in KDL, with `-` where the field has `_`.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether a configuration without it is a problem.
    pub required: bool,
    /// What holds without it: the text of a string, `5`, `2.5`, `#true`, `30s`, `64KiB`; of several strings, the
    /// strings apart by spaces.
    pub usual: Option<String>,
    /// Whether it is struck from logs and never shown.
    pub secret: bool,
    /// The doc comment of the field, for the operator.
    pub about: String,
}

/// Settings that can be read from a configuration. [`settings!`](crate::settings!) implements it; `()` has none.
pub trait Settings: Sized {
    /// Every key that is read.
    fn keys() -> Vec<Key>;

    /// Reads them; `get` gives the value of a key by its name in KDL.
    ///
    /// # Errors
    /// When one is missing or of another kind; in words for the operator.
    fn read(get: &dyn Fn(&str) -> Option<Value>) -> Result<Self, String>;

    /// What holds where the operator writes nothing.
    ///
    /// # Errors
    /// When a key is required.
    fn usual() -> Result<Self, String> {
        Self::read(&|_| None)
    }
}

impl Settings for () {
    fn keys() -> Vec<Key> {
        Vec::new()
    }

    fn read(_: &dyn Fn(&str) -> Option<Value>) -> Result<Self, String> {
        Ok(())
    }
}

/// Two sets of settings in one node, as those of a shared crate beside a plugin's own. Their keys must differ.
impl<A: Settings, B: Settings> Settings for (A, B) {
    fn keys() -> Vec<Key> {
        let mut keys = A::keys();
        keys.extend(B::keys());
        keys
    }

    fn read(get: &dyn Fn(&str) -> Option<Value>) -> Result<Self, String> {
        Ok((A::read(get)?, B::read(get)?))
    }
}

/// A string that is never shown: `Debug` prints `***`, and the daemon strikes it from the plugin's log. An operator
/// writes `(env)"NAME"` or `(file)"PATH"`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The string itself. Call it only where it is sent.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Declares the settings of a plugin: a struct, what holds without a key, and the keys that `describe` names.
///
/// The doc comment of a field is what the operator reads. A field with `= …` has a usual value; without one it is
/// required, unless its type is an `Option` or a `Vec`. `_` in a name becomes `-` in KDL.
///
/// | type | in KDL |
/// |---|---|
/// | `String`, [`Secret`] | `"text"` |
/// | `i64`, `u64`, `u32`, `u16`, `usize` | `5` |
/// | `f64` | `2.5` |
/// | `bool` | `#true` |
/// | [`Duration`](std::time::Duration) | `"30s"` |
/// | [`ByteSize`] | `"64KiB"` |
/// | `Vec<String>` | `"one" "two"` |
///
/// Names that the node reads itself are not for plugins: `run`, `warn-below`, `fail-below`, `every`.
///
/// ```
/// use std::time::Duration;
/// use sluice_plugin_sdk::{Settings as _, prelude::*};
///
/// settings! {
///     /// What an operator writes.
///     #[derive(Debug)]
///     pub struct Settings {
///         /// Where to POST; https.
///         pub url: String,
///         /// Sent as a bearer token.
///         pub token: Option<Secret>,
///         /// How long an answer may take; 100 ms to 30 s.
///         pub patience: Duration = "5s",
///         /// Attempts after the first.
///         pub retries: u32 = 5,
///     }
/// }
///
/// let keys = Settings::keys();
/// assert!(keys[0].required && !keys[1].required && keys[1].secret);
/// assert_eq!(keys[2].usual.as_deref(), Some("5s"));
/// assert_eq!(keys[3].about, "Attempts after the first.");
/// assert!(Settings::usual().unwrap_err().contains("`url` is missing"));
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $about:literal])+
                $field_visibility:vis $field:ident : $kind:ty $(= $usual:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[doc = $about])+ $field_visibility $field: $kind,)*
        }

        impl $crate::settings::Settings for $name {
            fn keys() -> ::std::vec::Vec<$crate::settings::Key> {
                ::std::vec![$(
                    $crate::settings::Key::of::<$kind>(
                        ::core::stringify!($field),
                        ::core::concat!($($about, "\n"),+),
                        $crate::settings!(@usual $($usual)?),
                    )
                ),*]
            }

            fn read(
                get: &dyn ::core::ops::Fn(&str) -> ::core::option::Option<$crate::settings::Value>,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(Self {
                    $($field: $crate::settings::Key::read::<$kind>(
                        ::core::stringify!($field),
                        $crate::settings!(@usual $($usual)?),
                        get,
                    )?,)*
                })
            }
        }
    };
    (@usual) => { ::core::option::Option::None };
    (@usual $usual:expr) => { ::core::option::Option::Some($crate::settings::Usual::written(&$usual)) };
}

impl Key {
    /// The key of a field.
    #[doc(hidden)]
    pub fn of<T: Setting>(field: &str, about: &str, usual: Option<String>) -> Self {
        Self {
            name: kdl_name(field),
            kind: T::KIND,
            required: T::REQUIRED && usual.is_none(),
            usual,
            secret: T::SECRET,
            about: about.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    /// The value of a field.
    #[doc(hidden)]
    pub fn read<T: Setting>(
        field: &str,
        usual: Option<String>,
        get: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<T, String> {
        let name = kdl_name(field);
        let value = match (get(&name), usual) {
            (Some(value), _) => Ok(value),
            (None, Some(usual)) => T::KIND.parse(&usual),
            (None, None) => return T::absent().ok_or_else(|| format!("`{name}` is missing")),
        };
        value.and_then(T::from_value).map_err(|error| format!("`{name}`: {error}"))
    }
}

fn kdl_name(field: &str) -> String {
    field.trim_start_matches("r#").replace('_', "-")
}
