//! One socket: what was read of it and not understood yet, and what it did not take yet.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// What a socket does not take is kept up to here; what comes then is dropped for it, message by
/// message.
const BACKLOG: usize = 1 << 20;

/// One connection.
pub struct Conn {
    /// The socket.
    pub stream: TcpStream,
    /// Through its handshake.
    pub open: bool,
    /// A request or frame that is not complete yet.
    pub rest: Vec<u8>,
    /// What waits for the socket to take it.
    backlog: Vec<u8>,
}

/// What writing led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrote {
    /// All of it is with the kernel.
    All,
    /// The socket is full: tell when it takes more.
    Full,
    /// The connection is gone.
    Gone,
}

impl Conn {
    /// A fresh connection.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, open: false, rest: Vec::new(), backlog: Vec::new() }
    }

    /// Reads once into `buffer`, behind what is left from before, and returns how much it holds;
    /// nothing at the end of the stream.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let before = self.rest.len();
        buffer[..before].copy_from_slice(&self.rest);
        self.rest = Vec::new();
        match self.stream.read(&mut buffer[before..]) {
            Ok(0) => None,
            Ok(n) => Some(before + n),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Some(before)
            }
            Err(_) => None,
        }
    }

    /// Writes, behind what waits already.
    pub fn write(&mut self, bytes: &[u8]) -> Wrote {
        if !self.backlog.is_empty() {
            if self.backlog.len() + bytes.len() <= BACKLOG {
                self.backlog.extend_from_slice(bytes);
            }
            return Wrote::Full;
        }
        match self.stream.write(bytes) {
            Ok(n) if n == bytes.len() => Wrote::All,
            Ok(n) => {
                self.backlog.extend_from_slice(&bytes[n..]);
                Wrote::Full
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.backlog.extend_from_slice(bytes);
                Wrote::Full
            }
            Err(_) => Wrote::Gone,
        }
    }

    /// The socket takes more.
    pub fn flush(&mut self) -> Wrote {
        let waiting = std::mem::take(&mut self.backlog);
        if waiting.is_empty() { Wrote::All } else { self.write(&waiting) }
    }
}
