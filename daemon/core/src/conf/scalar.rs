//! Scalars: what a KDL value can be read as.

use kdl::KdlValue;
use std::fmt;

/// A size in bytes, written `"64KiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A value that never shows: `Debug` and `Display` print `***`. Written `(env)"NAME"` or `(file)"PATH"`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself. Call it only where it is sent.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A type that one KDL value can be read as.
pub trait Scalar: Sized {
    /// What a problem says was expected: `a duration, as "5s"`.
    const EXPECTED: &'static str;

    /// Reads it. The error is help for the operator where there is some beyond [`Self::EXPECTED`].
    ///
    /// # Errors
    /// When the value is no such thing.
    fn read(value: &KdlValue) -> Result<Self, Option<String>>;
}
