//! A raw socket that sends any bytes, including what no client library would send.

use std::net::SocketAddr;

use greenroom_protocol::CodecKind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use crate::server::within;

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

pub struct Raw {
    stream: TcpStream,
}

/// The relevant parts of an HTTP response.
#[derive(Debug)]
pub struct Http {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Raw {
    /// Connects and sends nothing.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream =
            within("the connection", TcpStream::connect(address)).await.expect("it listens");
        // Separate writes are sent separately.
        stream.set_nodelay(true).expect("an option can be set");
        Self { stream }
    }

    /// Like [`connect`](Self::connect), with a small receive buffer.
    pub async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be created");
        socket.set_recv_buffer_size(4096).expect("a buffer can be small");
        Self {
            stream: within("the connection", socket.connect(address)).await.expect("it listens"),
        }
    }

    /// Opens a WebSocket and completes its handshake.
    pub async fn websocket(address: SocketAddr, codec: CodecKind) -> Self {
        Self::connect(address).await.upgraded(codec).await
    }

    /// Upgrades this connection to a WebSocket.
    pub async fn upgraded(self, codec: CodecKind) -> Self {
        let mut raw = self;
        raw.write(upgrade(&[("Sec-WebSocket-Protocol", codec.subprotocol())]).as_bytes()).await;
        let answer = raw.http_head().await;
        assert_eq!(answer.status, 101, "{answer:?}");
        raw
    }

    /// Sends bytes. If the server has already closed the connection, the next read will show it.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).await;
    }

    /// Like [`write`](Self::write), and returns whether the connection is still open.
    pub async fn try_write(&mut self, bytes: &[u8]) -> bool {
        let written = within("sending bytes", self.stream.write_all(bytes)).await;
        if let Err(error) = &written {
            use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
            assert!(
                matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted),
                "{error}"
            );
        }
        written.is_ok()
    }

    /// Sends one masked frame.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        self.write(&frame(first, payload)).await;
    }

    /// The first byte and the payload of the next frame. `None` at the end of the stream.
    pub async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        read_frame(&mut self.stream).await
    }

    /// Skips everything up to the close frame and returns its code and reason. Then the stream must
    /// end.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            let (first, payload) =
                self.read_frame().await.expect("a close frame comes before the end");
            if first == FIN | CLOSE {
                let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8(payload[2..].to_vec()).expect("a reason is text");
                assert_eq!(self.rest().await, b"", "nothing follows a close frame");
                return (code, reason);
            }
        }
    }

    /// Reads to the end of the stream. A reset counts as an end.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within("the end of the stream", self.stream.read_to_end(&mut rest)).await;
        rest
    }

    /// Ends the connection as a broken line would: with a reset and no goodbye.
    pub fn cut(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("a socket can be reset");
    }

    /// Both halves, for a client that writes regardless of what it receives.
    pub fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.stream.into_split()
    }

    /// Reunites the halves of a connection.
    pub fn from_halves(read: OwnedReadHalf, write: OwnedWriteHalf) -> Self {
        Self { stream: read.reunite(write).expect("they are of one connection") }
    }

    /// The response to an upgrade request, without what follows it.
    pub async fn http_head(&mut self) -> Http {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within("an HTTP answer", self.stream.read_u8())
                .await
                .expect("an answer comes before the end");
            head.push(byte);
        }
        parse_http(head)
    }

    /// The full response to a refused request, up to the end of the stream.
    pub async fn http(&mut self) -> Http {
        parse_http(self.rest().await)
    }
}

/// The first byte and the payload of the next frame of `stream`, which must follow RFC 6455 as
/// servers have to. `None` at the end.
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    within("a frame", stream.read_exact(&mut head)).await.ok()?;
    assert_eq!(head[1] & 0x80, 0, "a server's frame is not masked");
    assert_eq!(head[0] & 0x70, 0, "the reserved bits have not been negotiated");
    let length = match head[1] {
        126 => u64::from(stream.read_u16().await.ok()?),
        127 => stream.read_u64().await.ok()?,
        short => u64::from(short),
    };
    assert_eq!(
        2 + extended(head[1]),
        header(head[0], length).len(),
        "a length of {length} has a shorter form (5.2)"
    );
    let mut payload = vec![0; usize::try_from(length).expect("a server's frame fits into memory")];
    within("a frame's payload", stream.read_exact(&mut payload)).await.ok()?;
    Some((head[0], payload))
}

fn parse_http(bytes: Vec<u8>) -> Http {
    let text = String::from_utf8(bytes).expect("the HTTP response is text");
    let (head, body) =
        text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an HTTP response: {text:?}"));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status: {head:?}"));
    Http { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// An upgrade request with these headers added, or replacing its own.
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
    headers.fold("GET /ws HTTP/1.1\r\n".to_owned(), |text, (name, value)| {
        text + name + ": " + value + "\r\n"
    }) + "\r\n"
}

/// Encodes one masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut out = header(first, payload.len() as u64);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// The number of length bytes that follow a header's second byte.
fn extended(second: u8) -> usize {
    match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// The header of a masked frame, up to its mask, for a payload of this length.
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
