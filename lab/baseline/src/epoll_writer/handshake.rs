//! The smallest answer to a WebSocket handshake.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to the request that `input` begins with, and the length of that request; nothing
/// before it is complete.
///
/// # Errors
/// A request without a key.
pub fn answer(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&input[..end]).map_err(|_| "the request is not UTF-8")?;
    let key = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
        })
        .ok_or("the request has no `Sec-WebSocket-Key`")?;
    let accept = STANDARD.encode(sha1_smol::Sha1::from(format!("{key}{GUID}")).digest().bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Ok(Some((answer.into_bytes(), end + 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let request = b"GET /chat HTTP/1.1\r\nHost: x\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nrest";
        let (answer, length) = answer(request).expect("it has a key").expect("it is complete");
        assert!(
            String::from_utf8(answer)
                .expect("it is ASCII")
                .contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
        );
        assert_eq!(&request[length..], b"rest");
    }

    #[test]
    fn half_a_request_and_one_without_a_key() {
        assert_eq!(answer(b"GET / HTTP/1.1\r\nHost: x\r\n"), Ok(None));
        assert!(answer(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").is_err());
    }
}
