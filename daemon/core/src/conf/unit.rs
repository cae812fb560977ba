//! Scalars with a unit: durations, sizes, and secrets that never show.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kdl::KdlValue;

use super::Scalar;
use super::scalar::read_text;

const DURATIONS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// A size in bytes, written `"64KiB"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    /// Reads digits and one of B, KB, MB, GB, KiB, MiB, GiB.
    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text, SIZES, "a size has a unit: \"64KiB\", \"256MiB\", \"1GB\"").map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_unit(self.0, SIZES, "0B", f)
    }
}

impl Scalar for ByteSize {
    const EXPECTED: &'static str = "a size, as \"64KiB\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        if let Some(number) = value.as_integer() {
            return Err(Some(format!("give it a unit: \"{number}B\", \"{number}MiB\"")));
        }
        read_text(value)
    }
}

/// Reads `"250ms"`, `"5s"`, `"10m"`, `"24h"`.
///
/// # Errors
/// When it is written in another way; the error says how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    with_unit(text, DURATIONS, "a duration has a unit: \"250ms\", \"5s\", \"10m\", \"24h\"")
        .map(Duration::from_millis)
}

/// Shows a duration in whole milliseconds or the largest unit that fits, so that [`parse_duration`] reads it.
pub fn show_duration(duration: Duration) -> String {
    struct Shown(u64);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            show_unit(self.0, DURATIONS, "0s", f)
        }
    }
    Shown(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).to_string()
}

impl Scalar for Duration {
    const EXPECTED: &'static str = "a duration, as \"5s\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        if let Some(number) = value.as_integer() {
            return Err(Some(format!("give it a unit: \"{number}s\", \"{number}ms\"")));
        }
        parse_duration(value.as_string().ok_or(None)?).map_err(Some)
    }
}

/// Waits that grow from the first to the most, written `"200ms..5s"`; one duration is both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, above zero.
    pub first: Duration,
    /// The longest wait, at least the first.
    pub most: Duration,
}

impl FromStr for Backoff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, most) = text.split_once("..").unwrap_or((text, text));
        let (first, most) = (parse_duration(first)?, parse_duration(most)?);
        if first.is_zero() {
            return Err("the first wait is above zero".into());
        }
        if most < first {
            return Err("the first wait is the shorter one".into());
        }
        Ok(Self { first, most })
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", show_duration(self.first), show_duration(self.most))
    }
}

impl Scalar for Backoff {
    const EXPECTED: &'static str = "a range of durations, as \"200ms..5s\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        read_text(value)
    }
}

/// A value that never shows: `Debug` prints `***`. Written `(env)"NAME"` or `(file)"PATH"`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself. Call it only where it is sent.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Scalar for Secret {
    const EXPECTED: &'static str = "a secret, as (env)\"NAME\" or (file)\"/run/secrets/x\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        match value.as_string() {
            Some("") => Err(Some("it is empty".into())),
            Some(text) => Ok(Self(text.into())),
            None => Err(None),
        }
    }
}

fn with_unit(text: &str, units: &[(&str, u64)], help: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
        return Err(help.into());
    };
    number.checked_mul(factor).ok_or_else(|| "it is too large".into())
}

fn show_unit(amount: u64, units: &[(&str, u64)], zero: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if amount == 0 {
        return f.write_str(zero);
    }
    match units.iter().find(|(_, factor)| amount.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => write!(f, "{amount}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_read_and_shown() {
        assert_eq!("64KiB".parse(), Ok(ByteSize(65536)));
        assert_eq!(ByteSize(2_000_000).to_string(), "2MB");
        assert_eq!(parse_duration("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(show_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!("200ms..5s".parse::<Backoff>().unwrap().to_string(), "200ms..5s");
    }

    #[test]
    fn what_has_no_unit_or_is_upside_down_is_refused_with_help() {
        for text in
            ["5", "", "s", "-5s", "5.5s", "5 parsecs", "99999999999999999999s", "9999999999999999999h"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(Duration::read(&5_i128.into()), Err(Some("give it a unit: \"5s\", \"5ms\"".into())));
        assert_eq!("5s..1s".parse::<Backoff>(), Err("the first wait is the shorter one".into()));
    }

    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Secret::from("hunter2".to_owned())), "***");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(number in any::<u64>(), millis in 0..u64::MAX) {
            prop_assert_eq!(ByteSize(number).to_string().parse(), Ok(ByteSize(number)));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
    }
}
