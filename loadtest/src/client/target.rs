//! Where to connect, as whom, and how.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use greenroom_protocol::{CodecKind, EntityId};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use tokio::net::{TcpSocket, TcpStream};

use super::Failure;

/// How long a minted token is valid.
const TOKEN_LASTS: Duration = Duration::from_secs(24 * 3600);
/// Connections to a server on loopback that come from one address. It has 28,000 ports on Linux,
/// half of which are found in no time; the search for each of the others goes through all of the
/// first half.
const EACH_ADDRESS: usize = 10_000;

/// What identity connections present.
pub enum Tokens {
    /// None: anonymous access.
    Anonymous,
    /// The same token for all.
    Fixed(String),
    /// A token for each user, signed with this HS256 secret, that may do everything.
    Minted(EncodingKey),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
    capabilities: serde_json::Value,
}

impl Tokens {
    /// Reads an HS256 secret from a file; white space at its end does not belong to it.
    pub fn from_secret(path: &Path) -> Result<Self> {
        let mut secret =
            std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        secret.truncate(secret.trim_ascii_end().len());
        if secret.is_empty() {
            bail!("`{}` holds no secret", path.display());
        }
        Ok(Self::Minted(EncodingKey::from_secret(&secret)))
    }

    /// The token to present as `user`.
    pub fn token(&self, user: &str) -> Result<Option<String>> {
        self.token_for(user, None)
    }

    /// The same; if it is minted, it lets `user` read only these entities, if there is a list.
    pub fn token_for(&self, user: &str, reads: Option<&[EntityId]>) -> Result<Option<String>> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Fixed(token) => Ok(Some(token.clone())),
            Self::Minted(key) => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .context("the clock stands before 1970")?;
                let mut capabilities = serde_json::json!({ "*": ["send", "moderate"] });
                for pattern in
                    reads.map_or(vec!["*"], |ids| ids.iter().map(EntityId::as_str).collect())
                {
                    capabilities[pattern] = serde_json::json!(["read", "send", "moderate"]);
                }
                let claims = Claims { sub: user, exp: (now + TOKEN_LASTS).as_secs(), capabilities };
                Ok(Some(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)?))
            }
        }
    }
}

pub struct Target {
    host: String,
    path: String,
    addresses: Vec<SocketAddr>,
    pub codec: CodecKind,
    pub tokens: Tokens,
    /// How long TCP, handshake and `connect` may take together.
    pub connect_within: Duration,
    /// The receive buffer of the socket in bytes, where it is not to be the system's default.
    pub receive_buffer: Option<u32>,
}

impl Target {
    /// Checks `url` and looks its host up, once for all connections.
    pub async fn new(url: &str, codec: CodecKind, tokens: Tokens) -> Result<Self> {
        let Some(rest) = url.strip_prefix("ws://") else {
            bail!("`{url}` does not begin with `ws://`: this harness measures without TLS");
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let place = if has_port { host.to_owned() } else { format!("{host}:80") };
        let addresses: Vec<_> = tokio::net::lookup_host(&place)
            .await
            .with_context(|| format!("`{place}` cannot be resolved"))?
            .collect();
        Ok(Self {
            host: host.to_owned(),
            path: format!("/{path}"),
            addresses,
            codec,
            tokens,
            connect_within: Duration::from_secs(30),
            receive_buffer: None,
        })
    }

    /// The token to present, as [`Tokens::token_for`] has it.
    pub fn token(&self, user: &str, reads: Option<&[EntityId]>) -> Result<Option<String>, Failure> {
        let token = self.tokens.token_for(user, reads);
        token.map_err(|error| Failure::NotUnderstood(error.to_string()))
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Opens connection number `n` of many: one source address of this machine does not have
    /// enough ports for all.
    pub async fn dial(&self, n: usize) -> std::io::Result<TcpStream> {
        let mut last = std::io::ErrorKind::AddrNotAvailable.into();
        for address in &self.addresses {
            let socket =
                if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(bytes) = self.receive_buffer {
                socket.set_recv_buffer_size(bytes)?;
            }
            if let Some(source) = source(address.ip(), n) {
                socket.bind(source)?;
            }
            match socket.connect(*address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The source address of connection number `n`, if the system's choice will not do. On Linux all of
/// 127.0.0.0/8 is this machine.
fn source(to: IpAddr, n: usize) -> Option<SocketAddr> {
    let beyond = u8::try_from(n / EACH_ADDRESS)
        .ok()
        .filter(|beyond| cfg!(target_os = "linux") && *beyond > 0)?;
    let own = Ipv4Addr::new(127, 0, 0, beyond.checked_add(1)?);
    (to.is_ipv4() && to.is_loopback()).then_some(SocketAddr::new(own.into(), 0))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn urls() {
        for (url, ok) in [
            ("ws://127.0.0.1:1/ws", true),
            ("ws://127.0.0.1", true),
            ("ws://[::1]:1/ws", true),
            ("wss://127.0.0.1/ws", false),
            ("http://x", false),
            ("", false),
        ] {
            assert_eq!(
                Target::new(url, CodecKind::Json, Tokens::Anonymous).await.is_ok(),
                ok,
                "{url}"
            );
        }
    }

    #[test]
    fn minted_tokens_name_their_user() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"0123456789abcdef0123456789abcdef\n").expect("it can be written");
        let tokens = Tokens::from_secret(file.path()).expect("it is a secret");
        let token = tokens.token("alice").expect("it can be signed").expect("there is one");
        let key = jsonwebtoken::DecodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
        let claims: jsonwebtoken::TokenData<serde_json::Value> =
            jsonwebtoken::decode(&token, &key, &jsonwebtoken::Validation::new(Algorithm::HS256))
                .expect("the key fits");
        assert_eq!(claims.claims["sub"], "alice");
        assert_eq!(claims.claims["capabilities"]["*"][0], "read");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn ten_thousand_connections_come_from_each_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}/ws", listener.local_addr().expect("it is bound"));
        let target =
            Target::new(&url, CodecKind::Json, Tokens::Anonymous).await.expect("it is a URL");
        for (n, from) in
            [(0, "127.0.0.1"), (9_999, "127.0.0.1"), (10_000, "127.0.0.2"), (19_999, "127.0.0.2")]
        {
            let dialled = target.dial(n).await.expect("somebody listens");
            assert_eq!(
                dialled.local_addr().expect("it is connected").ip().to_string(),
                from,
                "{n}"
            );
        }
        assert_eq!(
            source("192.0.2.1".parse().expect("it is an address"), 10_000),
            None,
            "another machine is reached from anywhere"
        );
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        assert!(Tokens::from_secret(file.path()).is_err());
    }
}
