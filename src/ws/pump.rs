//! The pump: one task per connection that drives the session's actor and writes the outbox to the
//! socket.
//!
//! It stands in for actix-http's dispatcher, which stops polling its stream, and with it the actor,
//! when the peer stops reading. Idle it holds the actor, an empty outbox and no buffers; then the
//! relay writes to the socket past it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::Error;
use actix_web_actors::ws::WebsocketContext;
use bytes::{Buf, Bytes};
use futures_util::Stream;
use greenroom_actors::outbox::Sink;
use greenroom_actors::relay::Seat;
use greenroom_actors::session::{Session, SessionEnv};
use greenroom_protocol::close::CloseCode;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Sleep, sleep};

use super::acks::unanswered_ms;
use super::actor::SessionActor;
use super::frame;
use super::guard::FrameLimits;
use super::input::{Input, Turn};
use super::side::Side;

/// Frames in one write.
const WRITE_FRAMES: usize = 64;
/// Bytes taken from the outbox at a time; one frame may exceed it.
const WRITE_BYTES: usize = 128 * 1024;
/// Writes in one turn, before other connections get theirs.
const WRITES: usize = 4;
/// How long a closing connection may take to send what waits and to hear the client's answer.
const LINGER: Duration = Duration::from_secs(2);

type ActorStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>>>>;

/// See the module's head.
pub struct Pump {
    io: Rc<Socket>,
    seat: Rc<Seat>,
    env: Rc<SessionEnv>,
    turn: Rc<Turn>,
    /// The actor; gone when it has ended.
    actor: Option<ActorStream>,
    /// Wakes that are for the actor: most are for the writing half, since something was put into
    /// the outbox.
    actor_side: Side,
    /// What is being written.
    writing: VecDeque<Bytes>,
    closing: Option<Closing>,
}

/// The end of a connection.
struct Closing {
    code: CloseCode,
    /// The close frame is queued in `writing`.
    framed: bool,
    /// All is written and our side is shut: waiting for the client's.
    shut: bool,
    deadline: Pin<Box<Sleep>>,
}

/// The writing half of a socket.
struct Socket(OwnedWriteHalf);

impl Socket {
    fn stream(&self) -> &TcpStream {
        self.0.as_ref()
    }

    fn write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        match frames {
            // Cheaper than a vector of one.
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
    /// A pump for a socket whose handshake is done; `first` came with it.
    pub fn new(
        io: TcpStream,
        session: Session,
        env: Rc<SessionEnv>,
        first: Bytes,
        limits: FrameLimits,
    ) -> Self {
        let (read, write) = io.into_split();
        let (io, seat, turn) =
            (Rc::new(Socket(write)), Rc::clone(session.seat()), Rc::new(Turn::default()));
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

    /// Why the connection closes, once it does.
    pub fn code(&self) -> CloseCode {
        self.closing.as_ref().map_or(CloseCode::Normal, |closing| closing.code)
    }

    /// One turn of the actor: it reads a chunk at most, and what it writes itself goes through the
    /// outbox like the rest.
    fn turn_actor(&mut self, cx: &mut Context<'_>) {
        let meant = self.actor_side.was_meant(cx);
        let Some(actor) = &mut self.actor else { return };
        // Its input ends when the session closes, and goes on when the outbox has drained: nobody
        // wakes it for that.
        if !(meant || self.turn.more.get() || self.seat.outbox.closing().is_some()) {
            return;
        }
        self.turn.begin();
        if !self.seat.is_read() && self.seat.outbox.closing().is_none() {
            // Requests that came with the last chunk wait, as those behind them do, until the
            // client has taken answers.
            self.turn.more.set(true);
            return;
        }
        let mut cx = Context::from_waker(self.actor_side.waker());
        loop {
            // A panic in the session ends this session only.
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
        // The client is gone, or the session has said why it ends; the first reason stands.
        self.seat.outbox.close(CloseCode::Normal);
    }

    /// Writes until the socket or the outbox has enough. Ready only when the socket has failed.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..WRITES {
            if self.writing.is_empty() {
                let _ =
                    self.seat.outbox.poll_take(cx, &mut self.writing, WRITE_FRAMES, WRITE_BYTES);
                self.frame_close();
            }
            if self.writing.is_empty() {
                self.seat.drained();
                self.seat.unwritten.set(0);
                self.writing.shrink_to(0);
                return Poll::Pending;
            }
            ready!(self.write_some(cx))?;
        }
        // The socket takes all there is: let others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.seat.unwritten.set(self.writing.iter().map(Bytes::len).sum());
            ready!(self.io.stream().poll_write_ready(cx))?;
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.writing) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            match self.io.write(&slices[..count]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.consume(written);
                    self.seat.took(written);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn consume(&mut self, mut written: usize) {
        self.seat.outbox.take_aside(written);
        while let Some(front) = self.writing.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.writing.pop_front();
        }
    }

    /// Begins to close when the session has asked for it.
    fn begin_close(&mut self) {
        if self.closing.is_some() {
            return;
        }
        let Some(code) = self.seat.outbox.closing() else { return };
        self.seat.outbox.hold(false);
        if matches!(code, CloseCode::PingTimeout | CloseCode::SlowConsumer) {
            // Nobody seems to be there: the session is lost now, not when the close frame has found
            // nobody either.
            self.actor = None;
        }
        self.closing =
            Some(Closing { code, framed: false, shut: false, deadline: Box::pin(sleep(LINGER)) });
    }

    /// Queues the close frame behind everything else.
    fn frame_close(&mut self) {
        if let Some(closing) =
            self.closing.as_mut().filter(|closing| self.writing.is_empty() && !closing.framed)
        {
            closing.framed = true;
            let reason = match closing.code {
                CloseCode::UnsupportedData => self.seat.codec.frames_only(),
                code => code.reason(),
            };
            self.writing.push_back(frame::close(closing.code.number(), reason));
        }
    }

    /// Shuts our side when all is written, and waits for the client's answer, so that the close
    /// frame is not lost in a reset.
    fn finish_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else { return Poll::Pending };
        if closing.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !closing.framed || !self.writing.is_empty() {
            return Poll::Pending;
        }
        if !closing.shut {
            closing.shut = true;
            if socket2::SockRef::from(self.io.stream()).shutdown(std::net::Shutdown::Write).is_err()
            {
                return Poll::Ready(());
            }
        }
        loop {
            match self.io.stream().poll_read_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let mut rest = [0; 4096];
            match self.io.stream().try_read(&mut rest) {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl Future for Pump {
    type Output = CloseCode;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseCode> {
        let this = self.get_mut();
        this.seat.outbox.attend();
        this.turn_actor(cx);
        this.begin_close();
        if let Poll::Ready(Err(_)) = this.write(cx) {
            // The client is gone; there is nobody to tell why.
            return Poll::Ready(this.code());
        }
        if this.seat.outbox.take_starved() {
            this.env.relay.borrow_mut().drained(&this.seat);
        }
        if this.turn.more.get() && this.seat.is_read() {
            cx.waker().wake_by_ref();
        }
        match this.finish_close(cx) {
            Poll::Ready(()) => Poll::Ready(this.code()),
            Poll::Pending => Poll::Pending,
        }
    }
}
