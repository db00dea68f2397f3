//! Which web pages may open a socket.
//!
//! A browser says in `Origin` which page opens a socket, and sends the user's cookies and its
//! network position along. Programs that are no browsers send no `Origin`, and could write anything
//! there: they are not what this guards against.

use std::collections::HashSet;
use std::net::IpAddr;

/// An entry of the allow-list that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "holds `{0}`, which is no origin; write scheme, host and port without a path, such as \"https://app.example.org\", or \"*\" for all"
)]
pub struct BadOrigin(String);

/// Which web pages may open a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Those that this host served.
    SameHost,
    /// Those that this host served, under a loopback name: a name that points here in somebody
    /// else's DNS is not one.
    Loopback,
    /// Those in the list, in lower case and without a default port.
    Listed(HashSet<String>),
    /// Any.
    Any,
}

/// What a request says about where it comes from and where it wants to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claimed<'a> {
    /// The header `Origin`, if any.
    pub origin: Option<&'a str>,
    /// The header `Host`, if any.
    pub host: Option<&'a str>,
    /// The host in the request's target, where that is a whole URL.
    pub target: Option<&'a str>,
}

/// Why a request is not let in, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// The server is not known by this name.
    #[error(
        "this server listens on a loopback address and answers only to loopback names such as `localhost`, not to `{0}`; \
         behind a proxy, the operator lists the pages that may connect in `socket.allowed_origins`"
    )]
    Host(String),
    /// Pages of this origin may not connect.
    #[error(
        "pages of the origin `{0}` may not connect; the operator lists origins in `socket.allowed_origins`, and while that is empty \
         only pages that this server's own address served may connect"
    )]
    Origin(String),
}

impl OriginPolicy {
    /// Reads `socket.allowed_origins`: empty means the same host, and on `loopback` a loopback name
    /// of it; `*` means any.
    ///
    /// # Errors
    /// The first entry that is no origin.
    pub fn new(allowed: &[String], loopback: bool) -> Result<Self, BadOrigin> {
        if allowed.is_empty() {
            return Ok(if loopback { Self::Loopback } else { Self::SameHost });
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
    /// A request without an `Origin` does not come from a browser, and no origin is asked of it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, claimed: Claimed<'_>) -> Result<(), Stranger> {
        let Claimed { origin, host, target } = claimed;
        if *self == Self::Loopback {
            // A browser sends the name that it resolved. Each that is given counts, and one has to
            // be.
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
/// name below it, an address of 127.0.0.0/8, or `[::1]`. Somebody else's DNS can let any other name
/// point here.
pub fn is_loopback_name(authority: &str) -> bool {
    let Some((host, _)) = split_authority(authority) else { return false };
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    }
    // A name may end with the dot of the root.
    let host = host.strip_suffix('.').unwrap_or(&host);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a foreign string contributes to a message of ours.
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

/// `HOST[:PORT]` in lower case, less the scheme's default port; `None` when it is something else.
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

/// `HOST[:PORT]` taken apart, the host in lower case; `None` when it is something else.
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
        OriginPolicy::new(&entries.iter().map(ToString::to_string).collect::<Vec<_>>(), false)
            .unwrap()
    }

    fn allows(policy: &OriginPolicy, origin: Option<&str>, host: Option<&str>) -> bool {
        policy.check(Claimed { origin, host, target: None }).is_ok()
    }

    #[test]
    fn without_a_list_a_page_reaches_the_host_that_served_it() {
        let policy = OriginPolicy::new(&[], false).unwrap();
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
    fn what_is_no_browser_is_let_in() {
        for policy in
            [OriginPolicy::new(&[], false).unwrap(), listed(&["https://a.test"]), listed(&["*"])]
        {
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
            // The host itself is not in the list, so its own pages are not let in either.
            assert_eq!(allows(&policy, Some(origin), Some("localhost")), allowed, "{origin}");
        }
    }

    #[test]
    fn a_star_lets_all_in() {
        assert!(allows(&listed(&["*"]), Some("null"), None));
        assert!(allows(&listed(&["https://a.test", "*"]), Some("https://b.test"), None));
    }

    #[test]
    fn entries_that_are_no_origins_are_refused() {
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
            assert_eq!(OriginPolicy::new(&[bad.to_owned()], false), Err(BadOrigin(bad.to_owned())));
        }
    }

    #[test]
    fn names_that_can_only_mean_this_machine() {
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
            // Somebody else's DNS says where these point.
            ("evil.test", false),
            ("evil.test:8080", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test", false),
            ("notlocalhost", false),
            ("localhost..", false),
            (".localhost.evil", false),
            // Every address of this machine, and ways to write one that not everybody reads alike.
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("127.1", false),
            ("2130706433", false),
            ("0x7f.0.0.1", false),
            ("[::1%25lo]", false),
            ("::1", false),
            ("[::1", false),
            ("[localhost]", false),
            // The host is what stands behind the userinfo.
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
    fn on_loopback_only_loopback_names_are_answered() {
        let policy = OriginPolicy::new(&[], true).unwrap();
        let (here, evil) = ("localhost:8080", "evil.test:8080");
        for (origin, host, target, allowed) in [
            (Some("http://localhost:8080"), Some(here), None, true),
            (Some("http://[::1]:8080"), Some("[::1]:8080"), None, true),
            (None, Some(here), None, true),
            (None, Some("127.0.0.1:8080"), Some("localhost:8080"), true),
            // A name that its owner lets point to 127.0.0.1.
            (Some("http://evil.test:8080"), Some(evil), None, false),
            (None, Some(evil), None, false),
            // The target counts, not only the header, and both have to be right.
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
        let listed = OriginPolicy::new(&["https://app.example.org".to_owned()], true).unwrap();
        assert!(
            allows(&listed, Some("https://app.example.org"), Some("app.example.org")),
            "with a list the operator has decided"
        );
    }

    #[test]
    fn a_refusal_says_what_is_wrong_in_one_short_line() {
        let policy = OriginPolicy::new(&[], true).unwrap();
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
