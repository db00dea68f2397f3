//! Reads the socket for the session's actor: into a buffer of the thread, one chunk for each turn
//! of the pump.

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

/// Most bytes taken from one socket in one turn.
const CHUNK: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
}

/// What the pump and its input share.
#[derive(Debug, Default)]
pub struct Turn {
    /// This turn's chunk has been taken, and there may be more behind it.
    taken: Cell<bool>,
    /// There may be more: another turn is due.
    pub more: Cell<bool>,
    /// Frames that the session has looked at.
    pub handled: Cell<u64>,
}

impl Turn {
    /// Begins a turn.
    pub fn begin(&self) {
        self.taken.set(false);
        self.more.set(false);
    }
}

/// The bytes of a socket, until the session closes or the client is gone.
pub struct Input {
    io: OwnedReadHalf,
    seat: Rc<Seat>,
    turn: Rc<Turn>,
    /// What came together with the handshake.
    first: Bytes,
    guard: FrameGuard,
    /// A frame was wrong, and what came before it is still being looked at.
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

    /// The next chunk; empty at the end. One that does not fill the buffer has emptied the socket,
    /// which tokio knows then: the next poll is pending without asking the system.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            self.turn.taken.set(buffer.remaining() == 0);
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
        // A client that does not take answers gets no more of them: the pump wakes us when it has.
        // One that sends far more than it may waits for the next second, which wakes the pump. And
        // the actor handles a few frames a turn only: what it has not yet handled must not pile up
        // in its buffer.
        if self.turn.taken.get()
            || !self.seat.is_read()
            || self.turn.handled.get() < self.guard.whole()
        {
            self.turn.more.set(true);
            return Poll::Pending;
        }
        if let Some(code) = self.failed {
            self.close(code);
            return Poll::Ready(None);
        }
        let chunk = if self.first.is_empty() {
            match ready!(self.read(cx)) {
                Ok(chunk) => chunk,
                Err(_) => return Poll::Ready(None),
            }
        } else {
            self.turn.taken.set(true);
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
                self.close(violation.code);
                Poll::Ready(None)
            }
        }
    }
}

impl Input {
    fn close(&self, code: CloseCode) {
        self.seat.outbox.close(code);
    }
}
