//! Which Rust types a setting may have.

use std::time::Duration;

use super::{Kind, Secret, Value};
use crate::units::ByteSize;

/// A type that a field of [`settings!`](crate::settings!) may have.
pub trait Setting: Sized {
    /// How it is written.
    const KIND: Kind;
    /// Whether it must be written where it has no usual value.
    const REQUIRED: bool = true;
    /// Whether it is never shown.
    const SECRET: bool = false;

    /// Reads it.
    ///
    /// # Errors
    /// When the value is of another kind or out of range; in words.
    fn from_value(value: Value) -> Result<Self, String>;

    /// What holds where nothing is written; none where it must be.
    fn absent() -> Option<Self> {
        None
    }
}

fn wrong<T>(value: &Value, expected: &str) -> Result<T, String> {
    Err(format!("{expected} was expected, not {:?}", value.kind()).to_lowercase())
}

impl Setting for String {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text),
            value => wrong(&value, "a text"),
        }
    }
}

impl Setting for Secret {
    const KIND: Kind = Kind::Text;
    const SECRET: bool = true;

    fn from_value(value: Value) -> Result<Self, String> {
        String::from_value(value).map(Self::from)
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            const KIND: Kind = Kind::Integer;

            fn from_value(value: Value) -> Result<Self, String> {
                match value {
                    Value::Integer(number) => <$type>::try_from(number)
                        .map_err(|_| format!("it goes from {} to {}", <$type>::MIN, <$type>::MAX)),
                    value => wrong(&value, "a whole number"),
                }
            }
        }
    )*};
}
whole_number!(i64, u64, u32, u16, usize);

impl Setting for f64 {
    const KIND: Kind = Kind::Number;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => Ok(number),
            // every number that an operator writes is far below 2^53
            Value::Integer(number) => Ok(number as f64),
            value => wrong(&value, "a number"),
        }
    }
}

impl Setting for bool {
    const KIND: Kind = Kind::Toggle;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Toggle(toggle) => Ok(toggle),
            value => wrong(&value, "#true or #false"),
        }
    }
}

impl Setting for Duration {
    const KIND: Kind = Kind::Duration;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Milliseconds(ms) => Ok(Self::from_millis(ms)),
            value => wrong(&value, "a duration"),
        }
    }
}

impl Setting for ByteSize {
    const KIND: Kind = Kind::Size;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Bytes(bytes) => Ok(Self(bytes)),
            value => wrong(&value, "a size"),
        }
    }
}

impl Setting for Vec<String> {
    const KIND: Kind = Kind::Texts;
    const REQUIRED: bool = false;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Texts(texts) => Ok(texts),
            Value::Text(text) => Ok(vec![text]),
            value => wrong(&value, "one text or more"),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
    const SECRET: bool = T::SECRET;

    fn from_value(value: Value) -> Result<Self, String> {
        T::from_value(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// A usual value, as [`Key::usual`](super::Key::usual) has it.
pub trait Usual {
    /// Writes it.
    fn written(&self) -> String;
}

impl Usual for &str {
    fn written(&self) -> String {
        (*self).to_owned()
    }
}

impl Usual for bool {
    fn written(&self) -> String {
        format!("#{self}")
    }
}

macro_rules! usual_number {
    ($($type:ty),*) => {$(
        impl Usual for $type {
            fn written(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
usual_number!(i32, i64, u64, u32, f64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings as _;

    crate::settings! {
        #[derive(Debug)]
        struct Every {
            /// A text.
            text: String = "json",
            /// Secret.
            api_key: Option<Secret>,
            /// Whole.
            count: u16 = 7,
            /// Real.
            share: f64 = 0.25,
            /// Toggle.
            r#loop: bool = true,
            /// Long,
            /// over lines.
            half_life: Duration = "90s",
            /// Size.
            most: ByteSize = "64KiB",
            /// Several.
            only: Vec<String> = "a b",
            /// None.
            none: Vec<String>,
        }
    }

    #[test]
    fn a_usual_value_reads_back_as_what_was_declared() {
        let usual = Every::usual().unwrap();
        assert_eq!((usual.text.as_str(), usual.count, usual.share, usual.r#loop), ("json", 7, 0.25, true));
        assert_eq!((usual.half_life, usual.most), (Duration::from_secs(90), ByteSize(65_536)));
        assert_eq!((usual.only, usual.none, usual.api_key), (vec!["a".into(), "b".into()], vec![], None));
    }

    #[test]
    fn keys_are_named_and_described_by_the_fields() {
        let keys = Every::keys();
        let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["text", "api-key", "count", "share", "loop", "half-life", "most", "only", "none"]);
        assert_eq!(keys[5].about, "Long, over lines.");
        assert_eq!(keys[4].usual.as_deref(), Some("#true"));
        assert!(keys[1].secret && keys.iter().all(|key| !key.required));
    }

    #[test]
    fn what_cannot_be_read_names_its_key() {
        let read = |key: &'static str, value: Value| {
            Every::read(&|name| (name == key).then(|| value.clone())).unwrap_err()
        };
        assert_eq!(read("count", Value::Integer(70_000)), "`count`: it goes from 0 to 65535");
        assert_eq!(
            read("half-life", Value::Text("x".into())),
            "`half-life`: a duration was expected, not text"
        );
    }

    #[test]
    fn a_secret_does_not_show() {
        let get = |name: &str| (name == "api-key").then(|| Value::Text("hush".into()));
        let read = Every::read(&get).unwrap();
        assert!(!format!("{read:?}").contains("hush"));
        assert_eq!(read.api_key.unwrap().expose(), "hush");
    }
}
