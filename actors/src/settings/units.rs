//! Durations and sizes as people write them.

/// A duration as a string with its unit: `"25s"`, `"200ms"`, `"1m 30s"`.
pub mod duration {
    use std::fmt;
    use std::time::Duration;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    struct Written;

    impl Visitor<'_> for Written {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration with its unit, such as \"25s\", \"200ms\" or \"2m\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            humantime::parse_duration(text)
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is not a string, or has no unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_any(Written)
    }

    /// Writes one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*duration))
    }
}

/// A size in bytes: an integer, or a string with its unit such as `"64KiB"`.
pub mod size {
    use std::fmt;

    use bytesize::ByteSize;
    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;

    struct Written;

    impl Visitor<'_> for Written {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size in bytes, such as 65536 or \"64KiB\"")
        }

        fn visit_u64<E: Error>(self, bytes: u64) -> Result<usize, E> {
            usize::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Unsigned(bytes), &self))
        }

        fn visit_i64<E: Error>(self, bytes: i64) -> Result<usize, E> {
            usize::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            let bytes: ByteSize =
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
            self.visit_u64(bytes.as_u64())
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is neither a whole number nor a string with a unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        from.deserialize_any(Written)
    }

    /// Writes one, with a unit where it is a whole number of it.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&super::Bytes(*bytes))
    }
}

/// A number that is written as 0 for none: no limit, or something else decides it.
pub mod number_or_zero {
    use std::num::NonZeroU64;

    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    /// Reads one.
    ///
    /// # Errors
    /// If it is not a whole number, or too large.
    pub fn deserialize<'de, D, N>(from: D) -> Result<Option<N>, D::Error>
    where
        D: Deserializer<'de>,
        N: TryFrom<NonZeroU64>,
    {
        let too_large = |number: NonZeroU64| {
            D::Error::invalid_value(Unexpected::Unsigned(number.get()), &"a smaller number")
        };
        NonZeroU64::new(u64::deserialize(from)?)
            .map(|number| N::try_from(number).map_err(|_| too_large(number)))
            .transpose()
    }

    /// Writes one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S, N>(number: &Option<N>, to: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        N: Copy + TryInto<NonZeroU64>,
    {
        let number = number.and_then(|number| number.try_into().ok());
        to.serialize_u64(number.map_or(0, NonZeroU64::get))
    }
}

/// A number of bytes, shown with the largest unit that divides it.
#[derive(Debug, Clone, Copy)]
pub struct Bytes(pub usize);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("0B"),
            bytes if bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

/// A kibibyte.
pub const KIB: usize = 1 << 10;
/// A mebibyte.
pub const MIB: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "duration")]
        wait: Duration,
        #[serde(with = "size")]
        room: usize,
    }

    fn read(wait: &str, room: &str) -> Result<Both, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"wait":{wait},"room":{room}}}"#))
    }

    #[test]
    fn a_size_is_a_number_or_has_a_unit() {
        for (room, bytes) in [
            ("65536", 65536),
            ("\"64KiB\"", 65536),
            ("\"64 KiB\"", 65536),
            ("\"1MB\"", 1_000_000),
            ("\"12\"", 12),
        ] {
            let both = read("\"1m 30s\"", room).unwrap();
            assert_eq!(both, Both { wait: Duration::from_secs(90), room: bytes }, "{room}");
            let written = serde_json::to_string(&both).unwrap();
            assert_eq!(serde_json::from_str::<Both>(&written).unwrap(), both, "{room}");
        }
    }

    #[test]
    fn a_value_without_a_unit_or_without_sense_is_refused() {
        for (wait, room, hint) in [
            ("25", "1", "such as \"25s\""),
            ("\"25\"", "1", "such as \"25s\""),
            ("\"soon\"", "1", "such as \"25s\""),
            ("\"1s\"", "-1", "\"64KiB\""),
            ("\"1s\"", "\"64 apples\"", "\"64KiB\""),
            ("\"1s\"", "1.5", "\"64KiB\""),
        ] {
            let error = read(wait, room).unwrap_err().to_string();
            assert!(error.contains(hint), "{wait} {room}: {error}");
        }
    }
}
