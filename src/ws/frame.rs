//! The frames that the server sends (RFC 6455, section 5.2): never masked, never fragmented.

use bytes::Bytes;
use greenroom_protocol::CodecKind;

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
/// The longest payload whose length fits into the second byte.
const SHORT: usize = 125;
/// The longest reason in a close frame: a control frame's 125 bytes without the code.
const MAX_REASON: usize = 123;

/// An empty ping.
static PING: Bytes = Bytes::from_static(&[FIN | 0x9, 0]);

/// Appends `payload` as one data frame of the codec's type. The frame's last `more` bytes are sent
/// separately.
pub fn frame(codec: CodecKind, payload: &[u8], more: usize, out: &mut Vec<u8>) {
    let opcode = if codec.is_text() { TEXT } else { BINARY };
    out.reserve(payload.len() + 10);
    out.push(FIN | opcode);
    let length = payload.len() + more;
    if length <= SHORT {
        out.push(length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// A ping: an empty one, or one with a number.
pub fn ping(number: Option<u32>) -> Bytes {
    match number {
        None => PING.clone(),
        Some(number) => {
            Bytes::copy_from_slice(&[&[FIN | 0x9, 4], &number.to_be_bytes()[..]].concat())
        }
    }
}

/// The number that a pong answers; 0 for none.
pub fn number(payload: &[u8]) -> u32 {
    payload.try_into().map_or(0, u32::from_be_bytes)
}

/// A pong with a ping's payload, cut to the maximum of a control frame.
pub fn pong(payload: &[u8]) -> Bytes {
    let payload = &payload[..payload.len().min(SHORT)];
    let mut out = vec![FIN | 0xa, payload.len() as u8];
    out.extend_from_slice(payload);
    out.into()
}

/// A close frame.
pub fn close(code: u16, reason: &str) -> Bytes {
    let reason = reason.as_bytes();
    let reason = &reason[..reason.len().min(MAX_REASON)];
    let mut out = vec![FIN | CLOSE, (2 + reason.len()) as u8];
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason);
    out.into()
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{Codec, Frame};
    use bytes::BytesMut;
    use tokio_util::codec::Decoder;

    use super::*;

    /// Decodes with an independent implementation.
    fn read(bytes: &[u8]) -> Frame {
        let mut codec = Codec::new().client_mode().max_size(1 << 20);
        codec.decode(&mut BytesMut::from(bytes)).expect("a valid frame").expect("a whole frame")
    }

    #[test]
    fn lengths_at_every_boundary() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let payload = vec![b'x'; length];
            let mut text = Vec::new();
            let mut binary = Vec::new();
            frame(CodecKind::Json, &payload, 0, &mut text);
            let (head, rest) = payload.split_at(length / 3);
            frame(CodecKind::MsgPack, head, rest.len(), &mut binary);
            binary.extend_from_slice(rest);
            assert_eq!(read(&text), Frame::Text(payload.clone().into()), "{length}");
            assert_eq!(read(&binary), Frame::Binary(payload.into()), "{length}");
        }
    }

    #[test]
    fn close_has_code_and_reason() {
        let Frame::Close(Some(reason)) = read(&close(4009, "slow_consumer")) else {
            panic!("no close frame")
        };
        assert_eq!(
            (u16::from(reason.code), reason.description.as_deref()),
            (4009, Some("slow_consumer"))
        );
        assert_eq!(read(&ping(None)), Frame::Ping(Bytes::new()));
        let Frame::Ping(payload) = read(&ping(Some(70_000))) else { panic!("it is a ping") };
        assert_eq!([number(&payload), number(b""), number(b"12345")], [70_000, 0, 0]);
        assert_eq!(read(&pong(b"x")), Frame::Pong(Bytes::from_static(b"x")));
    }
}
