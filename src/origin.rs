//! Which web pages may open a socket.
//!
//! A browser says in `Origin` which page opens a socket, and sends the user's cookies and its network position along.
//! Programs that are no browsers send no `Origin`, and could write anything there: they are not what this guards against.

use std::collections::HashSet;

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
    /// Those in the list, in lower case and without a default port.
    Listed(HashSet<String>),
    /// Any.
    Any,
}

impl OriginPolicy {
    /// Reads `socket.allowed_origins`: empty means the same host, `*` any.
    ///
    /// # Errors
    /// The first entry that is no origin.
    pub fn new(allowed: &[String]) -> Result<Self, BadOrigin> {
        if allowed.is_empty() {
            return Ok(Self::SameHost);
        }
        if allowed.iter().any(|entry| entry == "*") {
            return Ok(Self::Any);
        }
        let normal =
            allowed.iter().map(|entry| Origin::parse(entry).map(|origin| origin.to_string()).ok_or_else(|| BadOrigin(entry.clone())));
        Ok(Self::Listed(normal.collect::<Result<_, _>>()?))
    }

    /// Whether a page of `origin` may open a socket to `host`; both are the headers' values.
    ///
    /// A request without an `Origin` does not come from a browser, and is let in.
    pub fn allows(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        match self {
            Self::Any => true,
            Self::Listed(allowed) => Origin::parse(origin).is_some_and(|origin| allowed.contains(&origin.to_string())),
            Self::SameHost => match (Origin::parse(origin), host) {
                (Some(origin), Some(host)) => origin.is_host(host),
                _ => false,
            },
        }
    }
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
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let scheme = scheme.to_ascii_lowercase();
        let authority = normal_authority(&scheme, authority)?;
        is_scheme.then_some(Self { scheme, authority })
    }

    /// Whether a page of this origin came from `host`. A proxy may have ended TLS, so the scheme cannot be compared.
    fn is_host(&self, host: &str) -> bool {
        matches!(self.scheme.as_str(), "http" | "https") && normal_authority(&self.scheme, host).as_deref() == Some(&self.authority)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// `HOST[:PORT]` in lower case, less the scheme's default port; `None` when it is something else.
fn normal_authority(scheme: &str, text: &str) -> Option<String> {
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
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    if host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    let port = port
        .map(|port| port.parse::<u16>().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit())))
        .map_or(Some(None), |port| port.map(Some))?;
    let default = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    let host = host.to_ascii_lowercase();
    Some(match port {
        Some(port) if Some(port) != default => format!("{host}:{port}"),
        _ => host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(entries: &[&str]) -> OriginPolicy {
        OriginPolicy::new(&entries.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn without_a_list_a_page_reaches_the_host_that_served_it() {
        let policy = OriginPolicy::new(&[]).unwrap();
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
            assert_eq!(policy.allows(Some(origin), Some(host)), allowed, "{origin} at {host}");
        }
        assert!(!policy.allows(Some("http://localhost"), None));
    }

    #[test]
    fn what_is_no_browser_is_let_in() {
        for policy in [OriginPolicy::new(&[]).unwrap(), listed(&["https://a.test"]), listed(&["*"])] {
            assert!(policy.allows(None, Some("example.org")));
        }
    }

    #[test]
    fn a_list_is_exact() {
        let policy = listed(&["https://App.example.org:443", "http://localhost:3000", "capacitor://localhost"]);
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
            assert_eq!(policy.allows(Some(origin), Some("localhost")), allowed, "{origin}");
        }
    }

    #[test]
    fn a_star_lets_all_in() {
        assert!(listed(&["*"]).allows(Some("null"), None));
        assert!(listed(&["https://a.test", "*"]).allows(Some("https://b.test"), None));
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
            assert_eq!(OriginPolicy::new(&[bad.to_owned()]), Err(BadOrigin(bad.to_owned())));
        }
    }
}
