//! The way in: HTTP's upgrade to WebSocket, by hand.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::http::Response;

use crate::client::Failure;

/// An answer to the upgrade is shorter than this.
const HEAD_BYTES: usize = 16 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";
/// How long a server may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Asks for the upgrade of a fresh connection. Returns what came behind the answer.
///
/// # Errors
/// Where the connection breaks, or the server answers anything but 101.
pub async fn upgrade(
    stream: &mut TcpStream,
    host: &str,
    path: &str,
    subprotocol: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    timeout(ANSWERS_WITHIN, ask(stream, host, path, subprotocol))
        .await
        .map_err(|_| Failure::Timeout("connect"))?
}

async fn ask(
    stream: &mut TcpStream,
    host: &str,
    path: &str,
    subprotocol: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    let subprotocol =
        subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocol}\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut rest = Vec::with_capacity(1024);
    let end = loop {
        if let Some(at) = rest.windows(HEAD_END.len()).position(|window| window == HEAD_END) {
            break at + HEAD_END.len();
        }
        if rest.len() > HEAD_BYTES {
            return Err(Failure::NotUnderstood("the answer to the upgrade has no end".into()));
        }
        if stream.read_buf(&mut rest).await.map_err(broken)? == 0 {
            return Err(Failure::Closed(None));
        }
    };
    if !rest.starts_with(b"HTTP/1.1 101") {
        return Err(refusal(&String::from_utf8_lossy(&rest[..end])));
    }
    rest.drain(..end);
    Ok(rest)
}

/// A connection that broke.
pub fn broken(error: io::Error) -> Failure {
    Failure::Broken(tungstenite::Error::Io(error))
}

/// The server's answer where it is no upgrade: its status, and when to come again.
fn refusal(head: &str) -> Failure {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let code: u16 = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("retry-after").then(|| value.trim().to_owned())
    };
    let response = Response::builder().status(code);
    let response = lines
        .find_map(header)
        .into_iter()
        .fold(response, |response, after| response.header("retry-after", after));
    match response.body(None) {
        Ok(response) => Failure::Handshake(tungstenite::Error::Http(Box::new(response))),
        Err(_) => Failure::NotUnderstood(format!("`{status}` in answer to the upgrade")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What a client makes of an answer.
    async fn answered(answer: &'static str) -> Result<Vec<u8>, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("the client comes");
            stream.write_all(answer.as_bytes()).await.expect("the client reads");
            stream
        };
        let client = async {
            let mut stream = TcpStream::connect(address).await.expect("the server listens");
            upgrade(&mut stream, "localhost", "/ws", Some("greenroom.v1.json")).await
        };
        let (client, _server) = tokio::join!(client, server);
        client
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_kept() {
        let rest =
            answered("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframe").await;
        assert_eq!(rest.expect("it is an upgrade"), b"frame");
    }

    #[tokio::test]
    async fn refusals_have_names_and_say_when_to_come_again() {
        let busy = answered("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n\r\n")
            .await
            .expect_err("it is none");
        assert_eq!(
            (busy.code().as_str(), busy.retry_after()),
            ("http_429", Some(Duration::from_secs(3)))
        );
        let missing = answered("HTTP/1.1 404 Not Found\r\n\r\n").await.expect_err("it is none");
        assert_eq!((missing.code().as_str(), missing.retry_after()), ("http_404", None));
        assert_eq!(
            answered("220 smtp.example.org\r\n\r\n").await.expect_err("it is no HTTP").code(),
            "not_understood"
        );
    }
}
