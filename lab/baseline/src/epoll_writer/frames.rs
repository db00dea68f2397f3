//! WebSocket frames, as far as this server needs them.

/// The opcode of text.
pub const TEXT: u8 = 1;
/// The opcode of a close.
pub const CLOSE: u8 = 8;
/// The opcode of a ping.
pub const PING: u8 = 9;
/// The opcode of a pong.
pub const PONG: u8 = 10;

/// Appends an unmasked frame.
pub fn push(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ ..126 => out.push(length as u8),
        length @ ..65536 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// One masked frame, unmasked in place.
#[derive(Debug, PartialEq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: u8,
    /// What it carries.
    pub payload: &'a mut [u8],
    /// Its length with its header.
    pub length: usize,
}

/// The frame that `input` begins with, if all of it is there.
pub fn first(input: &mut [u8]) -> Option<Frame<'_>> {
    let opcode = input.first()? & 0x0f;
    let (length, at) = match input.get(1)? & 0x7f {
        126 => (usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let mask: [u8; 4] = input.get(at..at + 4)?.try_into().ok()?;
    let whole = (at + 4).checked_add(length)?;
    let payload = input.get_mut(at + 4..whole)?;
    if mask != [0; 4] {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Some(Frame { opcode, payload, length: whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_frames_are_read() {
        // The example of RFC 6455, section 5.7: a masked "Hello".
        let mut input = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        for cut in 0..input.len() {
            assert_eq!(first(&mut input[..cut].to_vec()), None);
        }
        let frame = first(&mut input).expect("it is whole");
        assert_eq!((frame.opcode, &*frame.payload, frame.length), (TEXT, &b"Hello"[..], 11));
    }

    #[test]
    fn every_length_has_its_header() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)] {
            let mut out = Vec::new();
            push(TEXT, &vec![7; length], &mut out);
            assert_eq!(out.len(), header + length);
        }
    }
}
