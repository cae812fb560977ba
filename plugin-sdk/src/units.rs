//! Durations and sizes as operators write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    /// Reads digits and one of B, KB, MB, GB, KiB, MiB, GiB.
    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text, SIZES).map(Self).ok_or_else(|| format!("`{text}` is no size, as \"64KiB\""))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = SIZES
            .iter()
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// Reads `"250ms"`, `"5s"`, `"10m"`, `"24h"`.
///
/// # Errors
/// When it is written in another way; in words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let ms = with_unit(text, DURATIONS).ok_or_else(|| format!("`{text}` is no duration, as \"5s\""))?;
    Ok(Duration::from_millis(ms))
}

/// A duration for people, with one decimal below ten: `250 ms`, `4.2 s`, `12 min`.
pub fn show_ms(ms: f64) -> String {
    match ms {
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 10_000.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms < 120_000.0 => format!("{:.0} s", ms / 1000.0),
        ms => format!("{:.0} min", ms / 60_000.0),
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_the_daemon_reads_them() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
        for wrong in ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "99999999999999999999s", "9999999999999999h"]
        {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_shows_in_the_largest_unit_that_fits() {
        for text in ["0B", "64KiB", "1MiB", "1MB", "1001B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }
}
