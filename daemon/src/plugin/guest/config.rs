//! What the operator wrote.

use super::Guest;
use super::interfaces::config::{Host, Value};

impl Host for Guest {
    fn get(&mut self, key: String) -> Option<Value> {
        self.configured.get(&key).map(Value::from)
    }
}

impl From<&crate::plugin::settings::Value> for Value {
    fn from(value: &crate::plugin::settings::Value) -> Self {
        use crate::plugin::settings::Value as Known;
        match value {
            Known::Text(text) => Self::Text(text.clone()),
            Known::Integer(number) => Self::Integer(*number),
            Known::Number(number) => Self::Number(*number),
            Known::Toggle(toggle) => Self::Toggle(*toggle),
            Known::Milliseconds(duration_ms) => Self::Milliseconds(*duration_ms),
            Known::Bytes(bytes) => Self::Bytes(*bytes),
            Known::Texts(texts) => Self::Texts(texts.clone()),
        }
    }
}
