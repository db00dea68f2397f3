//! How addresses and networks are written. Durations and sizes are in the core.

pub use greenroom_actors::settings::units::{Bytes, KIB, MIB, duration, number_or_zero, size};

/// A size in bytes that is written as 0 if something else decides it.
pub mod size_or_zero {
    use std::num::NonZeroUsize;

    use serde::de::Deserializer;
    use serde::ser::Serializer;

    use super::size;

    /// Reads one.
    ///
    /// # Errors
    /// Those of [`size`].
    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<NonZeroUsize>, D::Error> {
        size::deserialize(from).map(NonZeroUsize::new)
    }

    /// Writes one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        bytes: &Option<NonZeroUsize>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        size::serialize(&bytes.map_or(0, NonZeroUsize::get), to)
    }
}

/// An address to listen on; an empty string means none.
pub mod listen {
    use std::net::SocketAddr;

    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    /// Reads one that may be absent.
    ///
    /// # Errors
    /// If it is not an address with a port.
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
    /// If it is not an address with a port.
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
    /// The first string that is not a network.
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
/// anonymous access depends on whether an address is loopback, which must not depend on a name
/// server.
pub fn parse_address(text: &str) -> Option<std::net::SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some((std::net::Ipv4Addr::LOCALHOST, port.parse::<u16>().ok()?).into()),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_never_looked_up() {
        assert_eq!(parse_address("localhost:80"), "127.0.0.1:80".parse().ok());
        assert_eq!(parse_address("[::1]:80"), "[::1]:80".parse().ok());
        for bad in ["example.org:80", "127.0.0.1", ":80", "localhost:http", "127.0.0.1:99999"] {
            assert_eq!(parse_address(bad), None, "{bad}");
        }
    }
}
