//! The pump: one task per connection that drives the session's actor and writes the outbox to the
//! socket.
//!
//! It replaces actix-http's dispatcher, which stops polling its stream, and with it the actor, when
//! the peer stops reading. An idle pump owns the actor, an empty outbox and no buffers.
//!
//! # What it waits for
//!
//! The outbox knows what the writing half waits for ([`Waiting`]), because pushing to it must wake
//! the pump only if necessary:
//!
//! ```text
//!  ┌─────────┐   all is written    ┌────────┐  a frame, in a batch  ┌───────┐
//!  │         │ ──────────────────▶ │ Frames │ ────────────────────▶ │ Batch │
//!  │         │ ◀────────────────── │        │ ◀──────────────────── │       │
//!  │         │       F or T        └────────┘  the relay wrote all  └───┬───┘
//!  │ Nothing │ ◀────────────────────────────────────────────────────────┘
//!  │         │                 T, or the socket did not take all
//!  │         │   the socket is full    ┌────────┐
//!  │         │ ──────────────────────▶ │ Socket │
//!  │         │ ◀────────────────────── │        │
//!  └─────────┘   T, or it has room     └────────┘
//! ```
//!
//! F is a frame outside of a batch. T stands for the reasons to wake a pump even while its socket
//! takes nothing: the connection must close, or requests may be read again.
//!
//! In the state `Nothing` a turn is running, or the pump was woken and a turn will run. A turn
//! checks everything, so a pump in that state is never woken. `Batch` lasts until the end of the
//! relay's batch, when the relay itself writes to the socket, which saves a turn of the pump
//! (docs/adr/0018).
//!
//! The reading half is the actor. Since most turns are for the writing half, a turn runs the actor
//! for only three reasons:
//!
//! * its waker was called, because the socket is readable ([`Side`] distinguishes such a wake from
//!   others);
//! * another turn is due ([`Turn::is_due`]): there may be more to read, or the actor has frames
//!   left to handle. While requests are not read ([`Seat::is_read`]), a due turn is postponed until
//!   the pump is woken by its own writing, the last large answer or the next second;
//! * the outbox is closing, so the actor must end.
//!
//! [`Closing`] has the stages of closing.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web_actors::ws::WebsocketContext;
use bytes::{Buf, Bytes};
use futures_util::Stream;
use greenroom_actors::outbox::{Sink, Waiting};
use greenroom_actors::relay::Seat;
use greenroom_actors::session::{Session, SessionEnv};
use greenroom_protocol::close::CloseCode;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::acks::unanswered_ms;
use super::actor::SessionActor;
use super::closing::Closing;
use super::guard::FrameLimits;
use super::input::{Input, Turn};
use super::side::Side;

/// The number of frames in one write.
const WRITE_FRAMES: usize = 64;
/// The number of bytes taken from the outbox at a time; one frame may exceed it.
const WRITE_BYTES: usize = 128 * 1024;
/// The number of writes in one turn, before other connections run.
const WRITES: usize = 4;

type ActorStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>>>>;

pub struct Pump {
    io: Rc<Socket>,
    seat: Rc<Seat>,
    env: Rc<SessionEnv>,
    turn: Rc<Turn>,
    /// The actor, until it ends.
    actor: Option<ActorStream>,
    /// Distinguishes wakes for the actor.
    actor_side: Side,
    /// Frames that were taken from the outbox and are being written.
    writing: VecDeque<Bytes>,
    closing: Option<Closing>,
}

/// The writing half of a socket.
struct Socket(OwnedWriteHalf);

impl Socket {
    fn stream(&self) -> &TcpStream {
        self.0.as_ref()
    }

    fn write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        match frames {
            // Cheaper than a vectored write.
            [frame] => self.0.try_write(frame),
            frames => self.0.try_write_vectored(frames),
        }
    }
}

impl Sink for Socket {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> Option<usize> {
        self.write(frames).ok()
    }

    fn unanswered_ms(&self) -> u64 {
        unanswered_ms(self.stream())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.seat.outbox.attach(None);
    }
}

impl Pump {
    /// A pump for a socket after its handshake; `first` arrived together with the handshake.
    pub fn new(
        io: TcpStream,
        session: Session,
        env: Rc<SessionEnv>,
        first: Bytes,
        limits: FrameLimits,
    ) -> Self {
        let (read, write) = io.into_split();
        let io = Rc::new(Socket(write));
        let seat = Rc::clone(session.seat());
        let turn = Rc::new(Turn::default());
        seat.outbox.attach(Some(Rc::clone(&io) as Rc<dyn Sink>));
        let input = Input::new(read, Rc::clone(&seat), Rc::clone(&turn), first, limits);
        let codec = actix_http::ws::Codec::new()
            .max_size(usize::try_from(limits.max_frame).unwrap_or(usize::MAX));
        let actor: ActorStream = Box::pin(WebsocketContext::with_codec(
            SessionActor::new(session, Rc::clone(&turn)),
            input,
            codec,
        ));
        Self {
            io,
            seat,
            env,
            turn,
            actor: Some(actor),
            actor_side: Side::new(),
            writing: VecDeque::new(),
            closing: None,
        }
    }

    /// The close code, once the connection closes.
    pub fn code(&self) -> CloseCode {
        self.closing.as_ref().map_or(CloseCode::Normal, Closing::code)
    }

    /// One turn of the actor. It reads at most one chunk, and its own output goes through the
    /// outbox like all other frames.
    fn turn_actor(&mut self, cx: &mut Context<'_>) {
        let meant = self.actor_side.was_meant(cx);
        let Some(actor) = &mut self.actor else { return };
        let closing = self.seat.outbox.closing().is_some();
        if !(meant || self.turn.is_due() || closing) {
            return;
        }
        if !self.seat.is_read() && !closing {
            // Requests from the last chunk wait, like those after them.
            self.turn.put_off();
            return;
        }
        self.turn.begin();
        let mut cx = Context::from_waker(self.actor_side.waker());
        loop {
            // A panic in the session ends only this session.
            let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                actor.as_mut().poll_next(&mut cx)
            }));
            match polled {
                Ok(Poll::Ready(Some(Ok(bytes)))) => self.seat.outbox.push(bytes),
                Ok(Poll::Pending) => return,
                Ok(Poll::Ready(Some(Err(_)) | None)) => break,
                Err(_) => {
                    greenroom_actors::metrics::record_panic("session");
                    self.seat.outbox.close(CloseCode::Internal);
                    break;
                }
            }
        }
        self.actor = None;
        // The client has disconnected, or the session has already set a code; the first one counts.
        self.seat.outbox.close(CloseCode::Normal);
    }

    /// Writes until the socket is full or the outbox is empty. Ready only if the socket has failed.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..WRITES {
            if self.writing.is_empty() {
                self.seat.outbox.take(&mut self.writing, WRITE_FRAMES, WRITE_BYTES);
                if let Some(closing) = &mut self.closing {
                    closing.frame(self.seat.codec, &mut self.writing);
                }
            }
            if self.writing.is_empty() {
                self.seat.liveness.drained();
                self.seat.outbox.wait_for(Waiting::Frames);
                self.writing.shrink_to(0);
                return Poll::Pending;
            }
            ready!(self.write_some(cx))?;
        }
        // The socket takes everything: let other connections run.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.io.stream().poll_write_ready(cx)?.is_pending() {
                self.seat.outbox.wait_for(Waiting::Socket);
                return Poll::Pending;
            }
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.writing) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            match self.io.write(&slices[..count]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.seat.written(written);
                    self.consume(written);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn consume(&mut self, mut written: usize) {
        while let Some(front) = self.writing.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.writing.pop_front();
        }
    }

    /// Begins to close if the session has requested it.
    fn begin_close(&mut self) {
        if self.closing.is_some() {
            return;
        }
        let Some(code) = self.seat.outbox.closing() else { return };
        self.seat.outbox.release();
        if matches!(code, CloseCode::PingTimeout | CloseCode::SlowConsumer) {
            // The client seems to be gone, so the session counts as lost now, not after the attempt
            // to close.
            self.actor = None;
        }
        self.closing = Some(Closing::begin(code));
    }
}

impl Future for Pump {
    type Output = CloseCode;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseCode> {
        let this = self.get_mut();
        this.seat.outbox.attend(cx.waker());
        this.turn_actor(cx);
        this.begin_close();
        if let Poll::Ready(Err(_)) = this.write(cx) {
            // The client has disconnected, so no close frame is needed.
            return Poll::Ready(this.code());
        }
        if this.seat.outbox.take_starved() {
            this.env.relay.borrow_mut().drained(&this.seat);
        }
        if this.turn.is_due() && this.seat.is_read() {
            cx.waker().wake_by_ref();
        }
        let Some(closing) = &mut this.closing else { return Poll::Pending };
        closing.finish(this.io.stream(), &this.writing, cx).map(|()| closing.code())
    }
}
