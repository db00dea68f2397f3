//! The end of a connection: sends the remaining frames, then the close frame, and then gives the
//! client a moment to answer.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use greenroom_protocol::CodecKind;
use greenroom_protocol::close::CloseCode;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::frame;

/// The time that a closing connection has to send the remaining frames and to receive the client's
/// answer.
const LINGER: Duration = Duration::from_secs(2);

pub struct Closing {
    code: CloseCode,
    stage: Stage,
    deadline: Pin<Box<Sleep>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The remaining frames are being written.
    Draining,
    /// The close frame is being written.
    Framed,
    /// Everything is written and our side is shut down; waiting for the client's.
    Shut,
}

impl Closing {
    /// Begins to close with `code`.
    pub fn begin(code: CloseCode) -> Self {
        Self { code, stage: Stage::Draining, deadline: Box::pin(sleep(LINGER)) }
    }

    /// Why the connection closes.
    pub const fn code(&self) -> CloseCode {
        self.code
    }

    /// Queues the close frame once nothing else is left in `writing`.
    pub fn frame(&mut self, codec: CodecKind, writing: &mut VecDeque<Bytes>) {
        if self.stage != Stage::Draining || !writing.is_empty() {
            return;
        }
        self.stage = Stage::Framed;
        let reason = match self.code {
            CloseCode::UnsupportedData => codec.frames_only(),
            code => code.reason(),
        };
        writing.push_back(frame::close(self.code.number(), reason));
    }

    /// Shuts down our side once all of `writing` is written, and waits for the client's answer, so
    /// that a reset does not destroy the close frame. Ready when the connection can be dropped.
    pub fn finish(
        &mut self,
        socket: &TcpStream,
        writing: &VecDeque<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.stage == Stage::Draining || !writing.is_empty() {
            return Poll::Pending;
        }
        if self.stage == Stage::Framed {
            self.stage = Stage::Shut;
            if socket2::SockRef::from(socket).shutdown(std::net::Shutdown::Write).is_err() {
                return Poll::Ready(());
            }
        }
        loop {
            match socket.poll_read_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let mut rest = [0; 4096];
            match socket.try_read(&mut rest) {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}
