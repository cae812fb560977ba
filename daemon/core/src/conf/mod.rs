//! Reading configuration: a cursor over KDL that reports every problem at once.

mod document;
mod host_rule;
mod lexer;
mod node;
mod origin;
mod problem;
mod scalar;
mod scan;
mod scope;
mod settings;
mod show;
mod unit;
mod unread;
mod value;

pub use document::{Document, LARGEST_FILE_BYTES, decode};
pub use host_rule::{HostRule, literal, same_host};
pub use node::Node;
pub use origin::HttpOrigin;
pub use problem::{Code, Collector, File, Place, Position, Problem, Problems, Severity};
pub use scalar::{HttpUrl, Scalar};
pub use scope::{Lookup, NoSecrets, Scope, Variable, escape_variables, variables_in};
pub use settings::{Setting, SettingValue, Settings};
pub use show::{Reveal, Show, Shown, print, show_http_url, show_secret, show_url};
pub use unit::{Backoff, ByteSize, Secret, parse_duration, show_duration};
pub use unread::nearest;

#[cfg(test)]
mod tests;
