//! A use of a plugin: its name, and what the operator wrote for it.

use std::sync::Arc;

use crate::conf::{Place, Settings};

/// The longest name of a plugin, in bytes.
const LONGEST_NAME: usize = 64;

/// A use of a plugin, as a node of the configuration has it. Equal to others of the same plugin with the same settings.
#[derive(Debug, Clone)]
pub struct Use {
    /// The plugin: the name of its file without `.wasm`.
    pub plugin: Arc<str>,
    /// What it reads by `config`.
    pub settings: Settings,
    /// Where it is named. Does not count when uses are compared.
    pub place: Place,
}

impl PartialEq for Use {
    fn eq(&self, other: &Self) -> bool {
        self.plugin == other.plugin && self.settings == other.settings
    }
}

/// Whether a plugin can have this name: lowercase letters, digits, `-` and `_`, at most 64, so that it is the name of a
/// file and nothing else.
pub fn is_plugin_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
}
