//! The guard in front of the WebSocket decoder: it never panics, its verdict does not depend on how
//! the stream is cut into chunks, and a simple reader of whole frames agrees with it.
#![no_main]

use greenroom_protocol::close::CloseCode;

// The server crate needs SurrealDB; this file of it does not.
#[path = "../../../src/ws/guard.rs"]
mod guard;

use guard::{FrameGuard, FrameLimits, Violation};

const LIMITS: FrameLimits = FrameLimits { max_frame: 300, max_message: 500 };

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((cut, stream)) = data.split_first() else { return };
    let mut whole = FrameGuard::new();
    let verdict = whole.check(stream, LIMITS);
    assert_eq!((verdict, whole.whole()), read(stream), "against the frames one by one");

    let mut guard = FrameGuard::new();
    let mut chunked = Ok(());
    for chunk in stream.chunks(usize::from(*cut).max(1)) {
        chunked = guard.check(chunk, LIMITS);
        if chunked.is_err() {
            break;
        }
    }
    let code = |verdict: Result<(), Violation>| verdict.map_err(|violation| violation.code);
    assert_eq!(code(chunked), code(verdict), "in chunks of {cut}");
    assert_eq!(guard.whole(), whole.whole(), "in chunks of {cut}");
});

/// The verdict over the frames of a stream, and how many of them are whole.
fn read(mut stream: &[u8]) -> (Result<(), Violation>, u64) {
    let length = stream.len();
    let (mut whole, mut message) = (0, 0);
    loop {
        let good = length - stream.len();
        match frame(stream, &mut message) {
            Err(code) => return (Err(Violation { good, code }), whole),
            Ok(None) => return (Ok(()), whole),
            Ok(Some(end)) if end > stream.len() as u128 => return (Ok(()), whole),
            Ok(Some(end)) => {
                whole += 1;
                stream = &stream[end as usize..];
            }
        }
    }
}

/// Where the first frame ends, if its header is there.
fn frame(stream: &[u8], message: &mut u128) -> Result<Option<u128>, CloseCode> {
    let [first, second, rest @ ..] = stream else { return Ok(None) };
    if first & 0b0111_0000 != 0 || second & 0b1000_0000 == 0 {
        return Err(CloseCode::ProtocolError);
    }
    let (header, length) = match second & 0b0111_1111 {
        126 => match rest.first_chunk() {
            Some(bytes) => (8, u128::from(u16::from_be_bytes(*bytes))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(bytes) => (14, u128::from(u64::from_be_bytes(*bytes))),
            None => return Ok(None),
        },
        short => (6, u128::from(short)),
    };
    if stream.len() < header {
        return Ok(None);
    }
    let last = first & 0b1000_0000 != 0;
    match first & 0b0000_1111 {
        opcode @ 0..=2 => {
            let so_far = if opcode == 0 { *message + length } else { length };
            if length > LIMITS.max_frame.into() || so_far > LIMITS.max_message.into() {
                return Err(CloseCode::TooBig);
            }
            *message = if last { 0 } else { so_far };
        }
        8..=10 if last && length < 126 => {}
        _ => return Err(CloseCode::ProtocolError),
    }
    Ok(Some(header as u128 + length))
}
