//! Which web pages may open a socket.
//!
//! Browsers state in `Origin` which page opens a socket, and send along the user's cookies from the
//! user's place in the network. Other programs send no `Origin`, or could send any: this check does
//! not guard against them.

use std::collections::HashSet;
use std::net::IpAddr;

/// An entry of `socket.allowed_origins` that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "contains `{0}`, which is not an origin; write a scheme, host and port without a path, such as \"https://app.example.org\", or \"*\" for all"
)]
pub struct BadOrigin(String);

/// Which web pages may open a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Pages that this host served.
    SameHost,
    /// Pages that this host served under a loopback name. A name that somebody else's DNS points
    /// here does not count.
    Loopback,
    /// Pages of the listed origins, which are in lower case and without a default port.
    Listed(HashSet<String>),
    /// All pages.
    Any,
}

/// Who can reach an address that the server listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only this machine.
    Loopback,
    /// Other machines as well.
    Network,
}

impl Reach {
    /// Who can reach `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_loopback() { Self::Loopback } else { Self::Network }
    }
}

/// What a request claims about its origin and its destination.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claimed<'a> {
    /// The header `Origin`.
    pub origin: Option<&'a str>,
    /// The header `Host`.
    pub host: Option<&'a str>,
    /// The host in the request's target, if that is a full URL.
    pub target: Option<&'a str>,
}

/// Why a request is refused, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// The server does not answer to this name.
    #[error(
        "this server listens on a loopback address and answers only to loopback names such as `localhost`, not to `{0}`; \
         behind a proxy, list the origins whose pages may connect in `socket.allowed_origins`"
    )]
    Host(String),
    /// Pages of this origin may not connect.
    #[error(
        "pages of the origin `{0}` may not connect; the operator can allow origins in `socket.allowed_origins`; while that is empty, \
         only pages that this server's own address served may connect"
    )]
    Origin(String),
}

impl OriginPolicy {
    /// Parses `socket.allowed_origins`: an empty list means the same host, and on a loopback
    /// address only under a loopback name; `*` means all.
    ///
    /// # Errors
    /// The first entry that is not an origin.
    pub fn new(allowed: &[String], reach: Reach) -> Result<Self, BadOrigin> {
        if allowed.is_empty() {
            return Ok(match reach {
                Reach::Loopback => Self::Loopback,
                Reach::Network => Self::SameHost,
            });
        }
        if allowed.iter().any(|entry| entry == "*") {
            return Ok(Self::Any);
        }
        let normal = allowed.iter().map(|entry| {
            Origin::parse(entry)
                .map(|origin| origin.to_string())
                .ok_or_else(|| BadOrigin(entry.clone()))
        });
        Ok(Self::Listed(normal.collect::<Result<_, _>>()?))
    }

    /// Whether a request that claims this may open a socket.
    ///
    /// A request without an `Origin` does not come from a browser and needs none.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, claimed: Claimed<'_>) -> Result<(), Stranger> {
        let Claimed { origin, host, target } = claimed;
        if *self == Self::Loopback {
            // A browser sends the name that it resolved. At least one name must be given, and all
            // of them must be loopback names.
            let foreign = [host, target].into_iter().flatten().find(|name| !is_loopback_name(name));
            if foreign.is_some() || (host.is_none() && target.is_none()) {
                return Err(Stranger::Host(shown(foreign.unwrap_or(""))));
            }
        }
        let Some(text) = origin else { return Ok(()) };
        let allowed = match (self, Origin::parse(text)) {
            (Self::Any, _) => true,
            (_, None) => false,
            (Self::Listed(allowed), Some(origin)) => allowed.contains(&origin.to_string()),
            (Self::SameHost | Self::Loopback, Some(origin)) => {
                (host.is_some() || target.is_some())
                    && [host, target].into_iter().flatten().all(|name| origin.is_host(name))
            }
        };
        if allowed { Ok(()) } else { Err(Stranger::Origin(shown(text))) }
    }
}

/// Whether `authority`, a host with or without a port, can only mean this machine: `localhost`, a
/// name below it, an address in 127.0.0.0/8, or `[::1]`. Somebody else's DNS can point any other
/// name here.
pub fn is_loopback_name(authority: &str) -> bool {
    let Some((host, _)) = split_authority(authority) else { return false };
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse().is_ok_and(|address| Reach::of(address) == Reach::Loopback);
    }
    // A name may end with the root's dot.
    let host = host.strip_suffix('.').unwrap_or(&host);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An untrusted string, shortened and escaped for a message.
fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

/// A scheme, a host and a port, as a browser sends them.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    /// Without a default port.
    authority: String,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let scheme = scheme.to_ascii_lowercase();
        let authority = normal_authority(&scheme, authority)?;
        is_scheme.then_some(Self { scheme, authority })
    }

    /// Whether a page of this origin came from `host`. A proxy may have ended TLS, so the scheme
    /// cannot be compared.
    fn is_host(&self, host: &str) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
            && normal_authority(&self.scheme, host).as_deref() == Some(&self.authority)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// Normalizes `HOST[:PORT]`: in lower case, without the scheme's default port. `None` if it is
/// something else.
fn normal_authority(scheme: &str, text: &str) -> Option<String> {
    let (host, port) = split_authority(text)?;
    let default = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    Some(match port {
        Some(port) if Some(port) != default => format!("{host}:{port}"),
        _ => host,
    })
}

/// Splits `HOST[:PORT]`, with the host in lower case. `None` if it is something else.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (text.get(..address.len() + 2)?, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':')
    };
    if host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    let port = port
        .map(|port| {
            port.parse::<u16>().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .map_or(Some(None), |port| port.map(Some))?;
    Some((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(entries: &[&str]) -> OriginPolicy {
        OriginPolicy::new(
            &entries.iter().map(ToString::to_string).collect::<Vec<_>>(),
            Reach::Network,
        )
        .unwrap()
    }

    fn allows(policy: &OriginPolicy, origin: Option<&str>, host: Option<&str>) -> bool {
        policy.check(Claimed { origin, host, target: None }).is_ok()
    }

    #[test]
    fn without_a_list_pages_may_connect_to_the_host_that_served_them() {
        let policy = OriginPolicy::new(&[], Reach::Network).unwrap();
        for (origin, host, allowed) in [
            ("http://localhost:8080", "localhost:8080", true),
            ("https://Example.org", "example.org", true),
            ("https://example.org", "example.org:443", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://localhost:8080", "localhost:8081", false),
            ("http://localhost:8080", "127.0.0.1:8080", false),
            ("https://example.org", "example.org:80", false),
            ("https://example.org.evil.test", "example.org", false),
            ("https://evil.test", "example.org", false),
            ("https://example.org@evil.test", "example.org", false),
            ("https://example.org/", "example.org", false),
            ("chrome-extension://example.org", "example.org", false),
            ("null", "example.org", false),
            ("", "example.org", false),
        ] {
            assert_eq!(allows(&policy, Some(origin), Some(host)), allowed, "{origin} at {host}");
        }
        assert!(!allows(&policy, Some("http://localhost"), None));
    }

    #[test]
    fn programs_other_than_browsers_are_admitted() {
        for policy in [
            OriginPolicy::new(&[], Reach::Network).unwrap(),
            listed(&["https://a.test"]),
            listed(&["*"]),
        ] {
            assert!(allows(&policy, None, Some("example.org")));
        }
    }

    #[test]
    fn a_list_is_exact() {
        let policy = listed(&[
            "https://App.example.org:443",
            "http://localhost:3000",
            "capacitor://localhost",
        ]);
        for (origin, allowed) in [
            ("https://app.example.org", true),
            ("HTTPS://app.example.org", true),
            ("http://localhost:3000", true),
            ("capacitor://localhost", true),
            ("http://app.example.org", false),
            ("https://example.org", false),
            ("https://sub.app.example.org", false),
            ("http://localhost", false),
            ("null", false),
        ] {
            // The host itself is not in the list, so its own pages are refused too.
            assert_eq!(allows(&policy, Some(origin), Some("localhost")), allowed, "{origin}");
        }
    }

    #[test]
    fn a_star_admits_all_origins() {
        assert!(allows(&listed(&["*"]), Some("null"), None));
        assert!(allows(&listed(&["https://a.test", "*"]), Some("https://b.test"), None));
    }

    #[test]
    fn entries_that_are_not_origins_are_refused() {
        for bad in [
            "example.org",
            "https://",
            "https://example.org/app",
            "https://*.example.org",
            "https://a b",
            "://a",
            "https://a:+80",
            "https://a:port",
            "https://[::1",
        ] {
            assert_eq!(
                OriginPolicy::new(&[bad.to_owned()], Reach::Network),
                Err(BadOrigin(bad.to_owned()))
            );
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback_names() {
        for (authority, loopback) in [
            ("localhost", true),
            ("LocalHost:8080", true),
            ("localhost.", true),
            ("localhost.:8080", true),
            ("app.localhost:8080", true),
            ("127.0.0.1", true),
            ("127.0.0.1:8080", true),
            ("127.255.255.254", true),
            ("[::1]", true),
            ("[::1]:8080", true),
            ("[0:0:0:0:0:0:0:1]", true),
            ("[::ffff:127.0.0.1]:8080", true),
            // Somebody else's DNS decides where these point.
            ("evil.test", false),
            ("evil.test:8080", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test", false),
            ("notlocalhost", false),
            ("localhost..", false),
            (".localhost.evil", false),
            // Wildcard addresses, and notations that not every parser reads in the same way.
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("127.1", false),
            ("2130706433", false),
            ("0x7f.0.0.1", false),
            ("[::1%25lo]", false),
            ("::1", false),
            ("[::1", false),
            ("[localhost]", false),
            // The host is what comes after the userinfo.
            ("localhost@evil.test", false),
            ("localhost:8080@evil.test", false),
            ("localhost:8080:80", false),
            ("localhost:", false),
            ("localhost:+80", false),
            ("localhost/", false),
            ("localhost evil.test", false),
            ("lo\u{131}calhost", false),
            ("", false),
            (":8080", false),
        ] {
            assert_eq!(is_loopback_name(authority), loopback, "{authority:?}");
        }
    }

    #[test]
    fn on_loopback_only_loopback_names_are_accepted() {
        let policy = OriginPolicy::new(&[], Reach::Loopback).unwrap();
        let here = "localhost:8080";
        let evil = "evil.test:8080";
        for (origin, host, target, allowed) in [
            (Some("http://localhost:8080"), Some(here), None, true),
            (Some("http://[::1]:8080"), Some("[::1]:8080"), None, true),
            (None, Some(here), None, true),
            (None, Some("127.0.0.1:8080"), Some("localhost:8080"), true),
            // A name whose owner points it to 127.0.0.1.
            (Some("http://evil.test:8080"), Some(evil), None, false),
            (None, Some(evil), None, false),
            // The target counts too, not only the header: both must be right.
            (Some("http://evil.test:8080"), Some(here), Some(evil), false),
            (Some("http://localhost:8080"), Some(evil), Some(here), false),
            (None, Some(here), Some(evil), false),
            // Other pages of this machine are other origins.
            (Some("http://localhost:3000"), Some(here), None, false),
            (Some("http://127.0.0.1:8080"), Some(here), None, false),
            (Some("http://user@localhost:8080"), Some(here), None, false),
            (Some("http://localhost:8080.evil.test"), Some(here), None, false),
            (Some("null"), Some(here), None, false),
            (None, None, None, false),
        ] {
            let got = policy.check(Claimed { origin, host, target });
            assert_eq!(got.is_ok(), allowed, "{origin:?} at {host:?}, {target:?}: {got:?}");
        }
        let listed =
            OriginPolicy::new(&["https://app.example.org".to_owned()], Reach::Loopback).unwrap();
        assert!(
            allows(&listed, Some("https://app.example.org"), Some("app.example.org")),
            "the operator has decided by setting the list"
        );
    }

    #[test]
    fn a_refusal_says_what_is_wrong_in_one_short_line() {
        let policy = OriginPolicy::new(&[], Reach::Loopback).unwrap();
        let long = format!("evil.test\r\n\u{1b}[31m{}", "x".repeat(1000));
        for claimed in [
            Claimed { origin: None, host: Some(&long), target: None },
            Claimed { origin: Some(&long), host: Some("localhost"), target: None },
        ] {
            let message = policy.check(claimed).unwrap_err().to_string();
            assert!(
                message.contains("evil.test") && message.contains("socket.allowed_origins"),
                "{message}"
            );
            assert!(message.len() < 500 && !message.contains(char::is_control), "{message}");
        }
    }
}
