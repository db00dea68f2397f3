//! The client's address, with or without proxies in between.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// The proxies whose `X-Forwarded-For` is trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub fn new(networks: impl Into<Vec<IpNet>>) -> Self {
        Self(networks.into())
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the right-most one that is not a trusted proxy.
    ///
    /// Each proxy appends the address that it saw, so only what trusted proxies appended, starting
    /// from the right, can be trusted; a client may have invented everything further left.
    /// `forwarded_for` are the values of the headers in their order.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in forwarded_for.rev().flat_map(|value| value.rsplit(',')) {
            if !self.contains(client) {
                break;
            }
            // The chain ends at an entry that cannot be parsed: everything further left is
            // untrusted.
            let Some(address) = parse_hop(hop) else { break };
            client = address;
        }
        client
    }
}

/// Parses an address as proxies write it: bare, in brackets, or with a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(address.to_canonical())
}

/// The address that per-address limits apply to: an IPv4 address, or the /64 of an IPv6 address,
/// since one subscriber has all of it.
pub fn limit_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(
            networks.iter().map(|network| network.parse().unwrap()).collect::<Vec<IpNet>>(),
        )
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let trusted = proxies(&["10.0.0.0/8", "fd00::/8"]);
        for (peer, headers, client, why) in [
            (
                "203.0.113.9",
                &["198.51.100.1"][..],
                "203.0.113.9",
                "an untrusted peer cannot forward",
            ),
            ("10.0.0.1", &[], "10.0.0.1", "no header"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1", "one proxy"),
            (
                "10.0.0.1",
                &["1.1.1.1, 198.51.100.1"],
                "198.51.100.1",
                "whatever the client invented is further left",
            ),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1", "two proxies"),
            (
                "10.0.0.1",
                &["1.1.1.1", "198.51.100.1", "10.0.0.2,10.0.0.3"],
                "198.51.100.1",
                "several headers are one list",
            ),
            (
                "10.0.0.1",
                &["10.0.0.3, 10.0.0.2"],
                "10.0.0.3",
                "all trusted: the far end is the client",
            ),
            (
                "10.0.0.1",
                &["1.1.1.1, unknown"],
                "10.0.0.1",
                "nothing beyond an unreadable entry is trusted",
            ),
            ("10.0.0.1", &["198.51.100.1, garbage, 10.0.0.2"], "10.0.0.2", "the same further on"),
            ("10.0.0.1", &[""], "10.0.0.1", "an empty header"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1", "with a port"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1", "IPv6 with a port"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1", "IPv6 in brackets"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1", "IPv6"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1", "IPv4 in IPv6"),
        ] {
            assert_eq!(trusted.client(ip(peer), headers.iter().copied()), ip(client), "{why}");
        }
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        assert_eq!(
            TrustedProxies::default().client(ip("127.0.0.1"), ["1.1.1.1"].into_iter()),
            ip("127.0.0.1")
        );
    }

    #[test]
    fn an_ipv6_subscriber_counts_as_one_address() {
        assert_eq!(limit_key(ip("2001:db8:1:2:3:4:5:6")), limit_key(ip("2001:db8:1:2::1")));
        assert_ne!(limit_key(ip("2001:db8:1:2::1")), limit_key(ip("2001:db8:1:3::1")));
        assert_eq!(limit_key(ip("::ffff:198.51.100.1")), ip("198.51.100.1"));
    }
}
