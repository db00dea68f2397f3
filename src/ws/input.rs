//! Reads the socket for the session's actor, into a buffer that the thread shares, one chunk in
//! each turn of the pump.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use greenroom_actors::relay::Seat;
use greenroom_protocol::close::CloseCode;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use super::guard::{FrameGuard, FrameLimits};

/// The maximum number of bytes read from one socket in one turn.
const CHUNK: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
}

/// What the reading half of a connection waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    /// The client: the socket was empty when it was last read.
    #[default]
    Client,
    /// The session: it has not handled all frames, or its requests are not being read.
    Session,
    /// The next turn: this turn's chunk filled the buffer, so there may be more.
    NextTurn,
}

/// State that the pump, its input and its actor share.
#[derive(Debug, Default)]
pub struct Turn {
    reading: Cell<Reading>,
    /// The number of frames that the session has handled.
    handled: Cell<u64>,
}

impl Turn {
    /// Begins a turn, in which the input may read a chunk.
    pub fn begin(&self) {
        self.reading.set(Reading::Client);
    }

    /// Postpones the requests that have arrived, and with them reading more.
    pub fn put_off(&self) {
        self.reading.set(Reading::Session);
    }

    /// Whether the actor must run again although its input does not wake it.
    pub fn is_due(&self) -> bool {
        self.reading.get() != Reading::Client
    }

    /// Counts a frame that the session has handled.
    pub fn handled(&self) {
        self.handled.set(self.handled.get() + 1);
    }
}

/// The bytes of a socket, until the session closes or the client disconnects.
pub struct Input {
    io: OwnedReadHalf,
    seat: Rc<Seat>,
    turn: Rc<Turn>,
    /// Bytes that arrived together with the handshake.
    first: Bytes,
    guard: FrameGuard,
    /// Set if a frame was wrong and the frames before it are still being handled.
    failed: Option<CloseCode>,
    limits: FrameLimits,
}

impl Input {
    /// Reads `io` after `first`.
    pub fn new(
        io: OwnedReadHalf,
        seat: Rc<Seat>,
        turn: Rc<Turn>,
        first: Bytes,
        limits: FrameLimits,
    ) -> Self {
        Self { io, seat, turn, first, guard: FrameGuard::new(), failed: None, limits }
    }

    /// The next chunk; empty at the end. A chunk that does not fill the buffer has emptied the
    /// socket. tokio notices that, so the next poll is pending without a system call.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if buffer.remaining() == 0 {
                self.turn.reading.set(Reading::NextTurn);
            }
            Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
        })
    }
}

impl Stream for Input {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.seat.outbox.closing().is_some() {
            return Poll::Ready(None);
        }
        if self.turn.reading.get() == Reading::NextTurn {
            return Poll::Pending;
        }
        // Nothing is read from a client that takes no answers until it does, and from one far over
        // its limits until the next second. The actor handles only a few frames per turn, and
        // unhandled ones must not accumulate in its buffer.
        if !self.seat.is_read() || self.turn.handled.get() < self.guard.whole() {
            self.turn.reading.set(Reading::Session);
            return Poll::Pending;
        }
        self.turn.reading.set(Reading::Client);
        if let Some(code) = self.failed {
            self.seat.outbox.close(code);
            return Poll::Ready(None);
        }
        let chunk = if self.first.is_empty() {
            match ready!(self.read(cx)) {
                Ok(chunk) => chunk,
                Err(_) => return Poll::Ready(None),
            }
        } else {
            self.turn.reading.set(Reading::NextTurn);
            std::mem::take(&mut self.first)
        };
        if chunk.is_empty() {
            return Poll::Ready(None);
        }
        let limits = self.limits;
        match self.guard.check(&chunk, limits) {
            Ok(()) => Poll::Ready(Some(Ok(chunk))),
            Err(violation) if violation.good > 0 => {
                self.failed = Some(violation.code);
                Poll::Ready(Some(Ok(chunk.slice(..violation.good))))
            }
            Err(violation) => {
                self.seat.outbox.close(violation.code);
                Poll::Ready(None)
            }
        }
    }
}
