//! Reading from many sockets: all connections of a thread share one buffer.

use std::cell::RefCell;
use std::io::ErrorKind;

use tokio::net::TcpStream;

use super::frame;
use super::upgrade::broken;
use crate::client::Failure;

/// One read takes at most so much.
const BUFFER: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into());
}

/// Reads once, answers pings, and hands each whole message over. `rest` is the beginning of a frame
/// whose end comes later.
///
/// # Errors
/// Where the connection has ended; what came before that has been handed over.
pub fn read_once(
    stream: &TcpStream,
    rest: &mut Vec<u8>,
    hear: &mut impl FnMut(&[u8]),
) -> Result<(), Failure> {
    SCRATCH.with_borrow_mut(|buffer| {
        let before = rest.len();
        buffer[..before].copy_from_slice(rest);
        let read = match stream.try_read(&mut buffer[before..]) {
            Ok(0) => return Err(Failure::Closed(None)),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(broken(error)),
        };
        let input = &buffer[..before + read];
        let (mut at, mut ended) = (0, None);
        while let Some(frame) = frame::first(&input[at..]) {
            at += frame.length;
            match frame.opcode {
                frame::CLOSE => {
                    ended = Some(Failure::Closed(
                        frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code)),
                    ));
                }
                frame::PING => {
                    let mut pong = Vec::new();
                    frame::push(frame::PONG, frame.payload, &mut pong);
                    if let Err(error) = stream.try_write(&pong) {
                        ended.get_or_insert(broken(error));
                    }
                }
                frame::PONG => {}
                _ => hear(frame.payload),
            }
        }
        rest.clear();
        rest.extend_from_slice(&input[at..]);
        if rest.len() == BUFFER {
            return Err(Failure::NotUnderstood(
                "a frame is larger than this client's buffer".into(),
            ));
        }
        ended.map_or(Ok(()), Err)
    })
}
