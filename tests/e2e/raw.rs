//! A socket without manners: bytes as they are, for what no client library would send.

use std::net::SocketAddr;

use greenroom_protocol::CodecKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::within;

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

/// A plain TCP connection.
pub struct Raw {
    stream: TcpStream,
}

/// An HTTP answer, as far as it matters.
#[derive(Debug)]
pub struct Http {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Raw {
    /// Connects, and says nothing.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = within("the connection", TcpStream::connect(address)).await.expect("it listens");
        Self { stream }
    }

    /// A WebSocket whose handshake is done.
    pub async fn websocket(address: SocketAddr, codec: CodecKind) -> Self {
        let mut raw = Self::connect(address).await;
        raw.write(upgrade(&[("Sec-WebSocket-Protocol", codec.subprotocol())]).as_bytes()).await;
        let answer = raw.http_head().await;
        assert_eq!(answer.status, 101, "{answer:?}");
        raw
    }

    /// Sends bytes. Where the server has closed already that is for the next read to find.
    pub async fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = within("bytes are taken", self.stream.write_all(bytes)).await {
            use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
            assert!(matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted), "{error}");
        }
    }

    /// Sends one masked frame.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        self.write(&frame(first, payload)).await;
    }

    /// The next frame: its first byte and its payload. None at the end of the stream.
    pub async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        within("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        assert_eq!(head[1] & 0x80, 0, "a server's frame is not masked");
        let length = match head[1] {
            126 => usize::from(self.stream.read_u16().await.ok()?),
            127 => usize::try_from(self.stream.read_u64().await.ok()?).expect("a server's frame fits into memory"),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        within("a frame's payload", self.stream.read_exact(&mut payload)).await.ok()?;
        Some((head[0], payload))
    }

    /// Waits for the close frame, past everything else: code and reason. Then the stream must end.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            let (first, payload) = self.read_frame().await.expect("a close frame comes before the end");
            if first == FIN | CLOSE {
                let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8(payload[2..].to_vec()).expect("a reason is text");
                assert_eq!(self.rest().await, b"", "nothing follows a close frame");
                return (code, reason);
            }
        }
    }

    /// Everything up to the end of the stream. A reset is an end.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within("the end of the stream", self.stream.read_to_end(&mut rest)).await;
        rest
    }

    /// The answer to an upgrade request, without what follows it.
    pub async fn http_head(&mut self) -> Http {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within("an HTTP answer", self.stream.read_u8()).await.expect("an answer comes before the end");
            head.push(byte);
        }
        parse_http(head)
    }

    /// The whole answer to a request that is refused, up to the end of the stream.
    pub async fn http(&mut self) -> Http {
        parse_http(self.rest().await)
    }
}

fn parse_http(bytes: Vec<u8>) -> Http {
    let text = String::from_utf8(bytes).expect("an HTTP answer is text here");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {head:?}"));
    Http { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// An upgrade request with these headers in addition, or in place of its own.
pub fn upgrade(extra: &[(&str, &str)]) -> String {
    let usual = [
        ("Host", "localhost"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let usual = usual.iter().filter(|(name, _)| extra.iter().all(|(other, _)| other != name));
    let headers = usual.chain(extra).filter(|(_, value)| !value.is_empty());
    headers.fold("GET /ws HTTP/1.1\r\n".to_owned(), |text, (name, value)| text + name + ": " + value + "\r\n") + "\r\n"
}

/// One masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut out = header(first, payload.len() as u64);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A masked frame's header up to its mask, for a payload of this length.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut out = vec![first];
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out
}
