//! WebSocket frames, without anything that a fast client does not need.

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
/// A close.
pub const CLOSE: u8 = 8;
/// To be answered with a pong.
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// One frame from a server, which does not mask.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is; 0 continues the frame before.
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Its length with its header.
    pub length: usize,
}

/// The frame that `input` begins with, if all of it is there.
pub fn first(input: &[u8]) -> Option<Frame<'_>> {
    let (opcode, short) = (input.first()? & 0x0f, *input.get(1)?);
    let (length, at) = match short {
        126 => (u64::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(input.get(2..10)?.try_into().ok()?), 10),
        length => (u64::from(length), 2),
    };
    let whole = usize::try_from(length).ok()?.checked_add(at)?;
    Some(Frame { opcode, payload: input.get(at..whole)?, length: whole })
}

/// Appends a client's frame. Its mask is zero, so masking costs nothing and unmasking changes
/// nothing.
pub fn push(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ ..126 => out.push(0x80 | length as u8),
        length @ ..65536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same frame as a server sends it: no mask.
    fn unmasked(length: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        push(TEXT, &vec![b'x'; length], &mut frame);
        frame[1] &= 0x7f;
        let mask = frame.len() - length - 4;
        frame.drain(mask..mask + 4);
        frame
    }

    #[test]
    fn frames_of_every_length_are_found() {
        for length in [0, 1, 125, 126, 65535, 65536] {
            let mut bytes = unmasked(length);
            let whole = bytes.len();
            assert_eq!(first(&bytes[..whole - 1]), None, "{length}: the last byte is missing");
            bytes.extend_from_slice(b"next");
            let frame = first(&bytes).expect("it is whole");
            assert_eq!((frame.opcode, frame.payload.len(), frame.length), (TEXT, length, whole));
        }
        assert_eq!(first(&[]), None);
        assert_eq!(
            first(&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255]),
            None,
            "absurd lengths are only not there yet"
        );
    }
}
