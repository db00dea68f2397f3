//! Reads the socket for the session's actor: into a buffer of the thread, one chunk for each turn of the pump.

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
use tokio::net::TcpStream;

use super::guard::{FrameGuard, FrameLimits};

/// Most bytes taken from one socket in one turn.
const CHUNK: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
}

/// What the pump and its input share.
#[derive(Debug, Default)]
pub struct Turn {
    /// This turn's chunk has been taken.
    taken: Cell<bool>,
    /// There may be more: another turn is due.
    pub more: Cell<bool>,
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
    io: Rc<TcpStream>,
    seat: Rc<Seat>,
    turn: Rc<Turn>,
    /// What came together with the handshake.
    first: Bytes,
    guard: FrameGuard,
    limits: FrameLimits,
}

impl Input {
    /// Reads `io` after `first`.
    pub fn new(io: Rc<TcpStream>, seat: Rc<Seat>, turn: Rc<Turn>, first: Bytes, limits: FrameLimits) -> Self {
        Self { io, seat, turn, first, guard: FrameGuard::new(), limits }
    }

    fn read(&self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            ready!(self.io.poll_read_ready(cx))?;
            let read = BUFFER.with_borrow_mut(|buffer| {
                let count = self.io.try_read(buffer)?;
                Ok::<_, io::Error>(Bytes::copy_from_slice(&buffer[..count]))
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Stream for Input {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.seat.outbox.closing().is_some() {
            return Poll::Ready(None);
        }
        // A client that does not take answers gets no more of them: the pump wakes us when it has.
        if self.turn.taken.get() || self.seat.outbox.is_full() {
            self.turn.more.set(true);
            return Poll::Pending;
        }
        let chunk = if self.first.is_empty() {
            match ready!(self.read(cx)) {
                Ok(chunk) => chunk,
                Err(_) => return Poll::Ready(None),
            }
        } else {
            std::mem::take(&mut self.first)
        };
        if chunk.is_empty() {
            return Poll::Ready(None);
        }
        self.turn.taken.set(true);
        let limits = self.limits;
        match self.guard.check(&chunk, limits) {
            Ok(()) => Poll::Ready(Some(Ok(chunk))),
            Err(code) => {
                self.close(code);
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
