//! Follows the frames in a byte stream, and refuses frames that are too long or violate the
//! protocol before they are buffered.
//!
//! The decoder of actix-http checks a frame's length only when the whole frame has arrived.

use greenroom_protocol::close::CloseCode;

/// The longest frame header from a client: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER: usize = 14;

#[derive(Debug)]
pub struct FrameGuard {
    header: [u8; MAX_HEADER],
    have: u8,
    /// The number of bytes of the current frame's payload that have not arrived.
    payload: u64,
    /// The size of the current message before this frame.
    message: u64,
    /// The number of complete frames.
    whole: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct FrameLimits {
    /// The longest payload of one frame.
    pub max_frame: u64,
    /// The longest payload of one message, over all its fragments.
    pub max_message: u64,
}

/// A frame for which the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The number of bytes in the chunk before this frame.
    pub good: usize,
    /// The code to close with.
    pub code: CloseCode,
}

impl FrameGuard {
    pub const fn new() -> Self {
        Self { header: [0; MAX_HEADER], have: 0, payload: 0, message: 0, whole: 0 }
    }

    /// The number of complete frames so far.
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    /// Checks the next bytes.
    ///
    /// # Errors
    /// The code to close with.
    pub fn check(&mut self, chunk: &[u8], limits: FrameLimits) -> Result<(), Violation> {
        let mut bytes = chunk;
        let mut good = 0;
        while !bytes.is_empty() {
            if self.have == 0 && self.payload == 0 {
                good = chunk.len() - bytes.len();
            }
            if self.payload > 0 {
                let skip = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skip as u64;
                self.whole += u64::from(self.payload == 0);
                bytes = &bytes[skip..];
                continue;
            }
            self.header[self.have as usize] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            let wrong = |code| Violation { good, code };
            if let Some(length) = self.length().map_err(wrong)? {
                self.begin_frame(length, limits).map_err(wrong)?;
                self.whole += u64::from(length == 0);
            }
        }
        Ok(())
    }

    /// The payload's length, once the whole header has arrived.
    fn length(&self) -> Result<Option<u64>, CloseCode> {
        let have = self.have as usize;
        if have < 2 {
            return Ok(None);
        }
        // A client must mask every frame (section 5.1), and the reserved bits are not negotiated
        // (5.2).
        if self.header[1] & 0x80 == 0 || self.header[0] & 0x70 != 0 {
            return Err(CloseCode::ProtocolError);
        }
        let short = u64::from(self.header[1] & 0x7f);
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if have < 2 + extended + 4 {
            return Ok(None);
        }
        let length = self.header[2..2 + extended]
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte));
        Ok(Some(if extended == 0 { short } else { length }))
    }

    fn begin_frame(&mut self, length: u64, limits: FrameLimits) -> Result<(), CloseCode> {
        let first = self.header[0];
        let opcode = first & 0x0f;
        self.have = 0;
        self.payload = length;
        let fin = first & 0x80 != 0;
        match opcode {
            0x0..=0x2 => {
                let before = if opcode == 0 { self.message } else { 0 };
                let message = before.saturating_add(length);
                if length > limits.max_frame || message > limits.max_message {
                    return Err(CloseCode::TooBig);
                }
                self.message = if fin { 0 } else { message };
                Ok(())
            }
            // Control frames are short and not fragmented (section 5.5).
            0x8..=0xa if fin && length <= 125 => Ok(()),
            _ => Err(CloseCode::ProtocolError),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FrameLimits = FrameLimits { max_frame: 1000, max_message: 1500 };

    fn verdict(bytes: &[u8]) -> Result<(), CloseCode> {
        FrameGuard::new().check(bytes, LIMITS).map_err(|violation| violation.code)
    }

    /// A name, frames by first byte and length, and the expected result.
    type Case = (&'static str, &'static [(u8, usize)], Result<(), CloseCode>);

    fn client_frame(first: u8, length: usize) -> Vec<u8> {
        let mut out = vec![first];
        match length {
            0..=125 => out.push(0x80 | length as u8),
            126..=65_535 => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&[1, 2, 3, 4]);
        out.resize(out.len() + length.min(2000), 0xff);
        out
    }

    #[test]
    fn table() {
        use CloseCode::{ProtocolError, TooBig};
        let table: &[Case] = &[
            ("text", &[(0x81, 5), (0x81, 1000)], Ok(())),
            ("frame too big", &[(0x82, 1001)], Err(TooBig)),
            ("gigantic frame, header only", &[(0x82, 1 << 40)], Err(TooBig)),
            ("fragments within", &[(0x01, 900), (0x80, 600), (0x81, 1000)], Ok(())),
            ("fragments past the cap", &[(0x01, 900), (0x80, 601)], Err(TooBig)),
            ("endless fragments", &[(0x01, 900), (0x00, 500), (0x00, 101)], Err(TooBig)),
            ("control frame between fragments", &[(0x01, 900), (0x89, 125), (0x80, 600)], Ok(())),
            ("long ping", &[(0x89, 126)], Err(ProtocolError)),
            ("fragmented ping", &[(0x09, 1)], Err(ProtocolError)),
            ("unknown opcode", &[(0x83, 1)], Err(ProtocolError)),
            ("reserved bit", &[(0xc1, 1)], Err(ProtocolError)),
        ];
        for (name, frames, want) in table {
            let bytes: Vec<u8> =
                frames.iter().flat_map(|(first, length)| client_frame(*first, *length)).collect();
            assert_eq!(verdict(&bytes), *want, "{name}");
        }
        assert_eq!(verdict(&[0x81, 0x05]), Err(ProtocolError), "not masked");
        let after = [client_frame(0x81, 5), vec![0x81, 0x05]].concat();
        assert_eq!(
            FrameGuard::new().check(&after, LIMITS),
            Err(Violation { good: 11, code: ProtocolError }),
            "what came before is good"
        );
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            frames in proptest::collection::vec((prop::sample::select(&[0x81u8, 0x01, 0x00, 0x80, 0x89, 0x82, 0xff][..]), 0usize..1200), 0..6),
            cuts in proptest::collection::vec(1usize..50, 1..10),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(first, length)| client_frame(*first, *length)).collect();
            let whole = verdict(&bytes);
            let mut guard = FrameGuard::new();
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            let mut chunked = Ok(());
            while !rest.is_empty() && chunked.is_ok() {
                let (chunk, left) = rest.split_at((*cuts.next().expect("a cycle does not end")).min(rest.len()));
                chunked = guard.check(chunk, LIMITS).map_err(|violation| violation.code);
                rest = left;
            }
            prop_assert_eq!(whole, chunked);
        }
    }
}
