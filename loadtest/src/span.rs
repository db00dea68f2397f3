//! Durations on the command line: `500ms`, `10s`, `2m`, or a plain number of seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// A duration as people type it. In JSON it is a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Microseconds, the unit of everything that is measured here.
    pub fn micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: f64 = number
            .parse()
            .map_err(|_| format!("`{text}` is no duration; write `500ms`, `10s` or `2m`"))?;
        let seconds = match unit {
            "ms" => number / 1000.0,
            "" | "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            _ => {
                return Err(format!(
                    "`{unit}` is no unit of time; the units are `ms`, `s`, `m` and `h`"
                ));
            }
        };
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|e| format!("`{text}`: {e}"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_nanos() == 0 {
            write!(f, "{}s", self.0.as_secs())
        } else {
            write!(f, "{}ms", self.0.as_millis())
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let table = [
            ("500ms", 500),
            ("10s", 10_000),
            ("10", 10_000),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ];
        for (text, ms) in table {
            assert_eq!(text.parse::<Span>(), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
        for text in ["", "s", "10d", "1..5s", "-3s", "1e99h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn shown_as_typed() {
        for text in ["500ms", "10s"] {
            assert_eq!(text.parse::<Span>().expect("it is valid").to_string(), text);
        }
    }
}
