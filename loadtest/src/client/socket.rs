//! WebSocket over TCP for a fast client: it reads large pieces and steps from frame header to frame
//! header.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Failure, frame};

/// The most that one read takes.
const BUFFER: usize = 256 * 1024;
/// The largest message that is read.
const LARGEST: usize = 64 * 1024 * 1024;
/// An answer to the upgrade is shorter than this.
const HEAD_BYTES: usize = 16 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";
/// How long a server may take to answer the upgrade.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

thread_local! {
    /// All connections of a thread share one buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into());
}

pub fn broken(error: io::Error) -> Failure {
    Failure::Broken(error)
}

/// Asks for the upgrade of a fresh connection. Returns what came behind the answer.
pub async fn upgrade(
    stream: &mut TcpStream,
    host: &str,
    path: &str,
    subprotocol: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    let upgrading = ask(stream, host, path, subprotocol);
    timeout(ANSWERS_WITHIN, upgrading).await.map_err(|_| Failure::Timeout("connect"))?
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
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocol}\r\n"
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
    // The buffer was for the head; most connections never need one again.
    Ok(rest.split_off(end))
}

/// The failure for an answer that is not an upgrade: its status, and when to try again.
fn refusal(head: &str) -> Failure {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let Some(code) = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok())
    else {
        return Failure::NotUnderstood(format!("`{status}` in answer to the upgrade"));
    };
    let retry_after = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let seconds =
            value.trim().parse().ok().filter(|_| name.eq_ignore_ascii_case("retry-after"));
        seconds.map(Duration::from_secs)
    });
    Failure::Http(code, retry_after)
}

/// Reads once, answers pings and a close, and hands each whole message over. `rest` is the
/// beginning of a frame whose end comes later.
///
/// # Errors
/// Where the connection has ended; what came before that has been handed over.
pub fn read_once(
    stream: &TcpStream,
    rest: &mut Vec<u8>,
    hear: &mut impl FnMut(&[u8]),
) -> Result<(), Failure> {
    if rest.len() >= BUFFER / 2 {
        // A large message grows where it is.
        rest.reserve(BUFFER);
        let read = stream.try_read_buf(rest);
        let (used, ended) = take(stream, read, rest, hear)?;
        rest.drain(..used);
        return ended;
    }
    SCRATCH.with_borrow_mut(|buffer| {
        let before = rest.len();
        buffer[..before].copy_from_slice(rest);
        let read = stream.try_read(&mut buffer[before..]);
        let input = &buffer[..before + read.as_ref().map_or(0, |read| *read)];
        let (used, ended) = take(stream, read, input, hear)?;
        // Most connections have nothing left, and need no memory for it.
        *rest = input[used..].to_vec();
        ended
    })
}

/// Takes the whole frames of what was read; returns how many bytes they were, and how the
/// connection ended if it did.
fn take(
    stream: &TcpStream,
    read: io::Result<usize>,
    input: &[u8],
    hear: &mut impl FnMut(&[u8]),
) -> Result<(usize, Result<(), Failure>), Failure> {
    let mut ended = match read {
        Ok(0) => Err(Failure::Closed(None)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(broken(error)),
    };
    let mut used = 0;
    while let Some(frame) = frame::first(&input[used..]) {
        used += frame.length;
        match frame.opcode {
            frame::CLOSE => {
                let code = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                // The server may be gone already.
                let _ = answer(stream, frame::CLOSE, frame.payload);
                ended = Err(Failure::Closed(code));
                break;
            }
            frame::PING => ended = ended.and(answer(stream, frame::PONG, frame.payload)),
            frame::PONG => {}
            _ => hear(frame.payload),
        }
    }
    if input.len() - used > LARGEST {
        return Err(Failure::NotUnderstood("a message is too large".into()));
    }
    Ok((used, ended))
}

fn answer(stream: &TcpStream, opcode: u8, payload: &[u8]) -> Result<(), Failure> {
    let mut frame = Vec::new();
    frame::push(opcode, payload, &mut frame);
    stream.try_write(&frame).map(drop).map_err(broken)
}

/// Sends all of `out`, waiting for the socket. May be dropped while it waits: what was not sent is
/// still there.
pub async fn send(stream: &TcpStream, out: &mut Vec<u8>) -> Result<(), Failure> {
    while !out.is_empty() {
        stream.writable().await.map_err(broken)?;
        match stream.try_write(out) {
            Ok(written) => drop(out.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(broken(error)),
        }
    }
    Ok(())
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
        tokio::join!(client, server).0
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_kept() {
        let rest =
            answered("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframe").await;
        assert_eq!(rest.expect("it is an upgrade"), b"frame");
    }

    #[tokio::test]
    async fn messages_of_any_size_come_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let sizes = [0, 100, BUFFER / 2, BUFFER, 5 * BUFFER + 1, 3];
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("the client comes");
            for size in sizes {
                // A server's frame has no mask.
                let (mut head, long) = (vec![0x82], size as u64);
                match size {
                    0..126 => head.push(size as u8),
                    126..65536 => head.extend([126, (size >> 8) as u8, size as u8]),
                    _ => head.extend([&[127][..], &long.to_be_bytes()].concat()),
                }
                stream.write_all(&head).await.expect("the client reads");
                stream.write_all(&vec![b'x'; size]).await.expect("the client reads");
            }
        };
        let client = async {
            let stream = TcpStream::connect(address).await.expect("the server listens");
            let (mut rest, mut heard) = (Vec::new(), Vec::new());
            let failure = loop {
                stream.readable().await.expect("it is open");
                let hear = &mut |message: &[u8]| heard.push(message.len());
                if let Err(failure) = read_once(&stream, &mut rest, hear) {
                    break failure;
                }
            };
            assert_eq!((heard.as_slice(), failure.code().as_str()), (&sizes[..], "closed"));
        };
        tokio::join!(server, client);
    }

    #[tokio::test]
    async fn refusals_have_names_and_say_when_to_come_again() {
        let table = [
            ("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n\r\n", "http_429", Some(3)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "http_503", Some(1)),
            ("HTTP/1.1 404 Not Found\r\nRetry-After: 3\r\n\r\n", "http_404", None),
            ("220 smtp.example.org\r\n\r\n", "not_understood", None),
        ];
        for (answer, code, retry_after) in table {
            let failure = answered(answer).await.expect_err("it is not an upgrade");
            let retry_after = retry_after.map(Duration::from_secs);
            assert_eq!((failure.code().as_str(), failure.retry_after()), (code, retry_after));
        }
    }
}
