//! Durations, sizes and addresses as people write them.

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
    /// When it is no string, or has no unit.
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
    /// When it is neither a whole number nor a string with a unit.
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

/// A size that may be absent.
pub mod optional_size {
    use serde::Deserialize;
    use serde::de::Deserializer;
    use serde::ser::Serializer;

    /// Reads one.
    ///
    /// # Errors
    /// Those of [`size`](super::size).
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Size(#[serde(with = "super::size")] usize);
        Ok(Option::<Size>::deserialize(from)?.map(|size| size.0))
    }

    /// Writes one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(size: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
        match size {
            Some(bytes) => super::size::serialize(bytes, to),
            None => to.serialize_none(),
        }
    }
}

/// An address to listen on; an empty string is none.
pub mod listen {
    use std::net::SocketAddr;

    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    /// Reads one that may be absent.
    ///
    /// # Errors
    /// When it is no address with a port.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        super::parse_address(&text).map(Some).ok_or_else(|| {
            D::Error::invalid_value(
                Unexpected::Str(&text),
                &"an IP address with a port, such as \"127.0.0.1:9464\", or \"\"",
            )
        })
    }

    /// Writes one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }
}

/// An address to listen on, which cannot be left out.
pub mod required_listen {
    use std::net::SocketAddr;

    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    /// Reads one.
    ///
    /// # Errors
    /// When it is no address with a port.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_address(&text).ok_or_else(|| {
            D::Error::invalid_value(
                Unexpected::Str(&text),
                &"an IP address with a port, such as \"127.0.0.1:8080\" or \"0.0.0.0:8080\"",
            )
        })
    }

    /// Writes one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(address: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(address)
    }
}

/// Networks, each as a string such as `"10.0.0.0/8"`; a bare address is a network of one.
pub mod networks {
    use std::net::IpAddr;

    use ipnet::IpNet;
    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    /// Reads them.
    ///
    /// # Errors
    /// The first that is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let wrong = |text: &str| {
            D::Error::invalid_value(
                Unexpected::Str(text),
                &"a list of networks such as \"10.0.0.0/8\"",
            )
        };
        let parse =
            |text: &str| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|text| parse(text).ok_or_else(|| wrong(text)))
            .collect()
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(networks: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(networks.iter().map(ToString::to_string))
    }
}

/// An IP address with a port; `localhost` stands for 127.0.0.1. Other names are not looked up:
/// whether an address is loopback decides over anonymous access, and must not hang on a name
/// server.
pub fn parse_address(text: &str) -> Option<std::net::SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some((std::net::Ipv4Addr::LOCALHOST, port.parse::<u16>().ok()?).into()),
        None => text.parse().ok(),
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

    #[test]
    fn people_may_write_sizes_either_way() {
        for (text, bytes) in [
            ("65536", 65536),
            ("\"64KiB\"", 65536),
            ("\"64 KiB\"", 65536),
            ("\"1MB\"", 1_000_000),
            ("\"12\"", 12),
        ] {
            let both: Both = toml::from_str(&format!("wait = \"1m 30s\"\nroom = {text}")).unwrap();
            assert_eq!(both, Both { wait: Duration::from_secs(90), room: bytes }, "{text}");
            assert_eq!(
                toml::from_str::<Both>(&toml::to_string(&both).unwrap()).unwrap(),
                both,
                "{text}"
            );
        }
    }

    #[test]
    fn what_has_no_unit_or_makes_no_sense_is_refused() {
        for (wait, room, hint) in [
            ("25", "1", "such as \"25s\""),
            ("\"25\"", "1", "such as \"25s\""),
            ("\"soon\"", "1", "such as \"25s\""),
            ("\"1s\"", "-1", "\"64KiB\""),
            ("\"1s\"", "\"64 apples\"", "\"64KiB\""),
            ("\"1s\"", "1.5", "\"64KiB\""),
        ] {
            let error = toml::from_str::<Both>(&format!("wait = {wait}\nroom = {room}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(hint), "{wait} {room}: {error}");
        }
    }

    #[test]
    fn addresses_are_never_looked_up() {
        assert_eq!(parse_address("localhost:80"), "127.0.0.1:80".parse().ok());
        assert_eq!(parse_address("[::1]:80"), "[::1]:80".parse().ok());
        for bad in ["example.org:80", "127.0.0.1", ":80", "localhost:http", "127.0.0.1:99999"] {
            assert_eq!(parse_address(bad), None, "{bad}");
        }
    }
}
