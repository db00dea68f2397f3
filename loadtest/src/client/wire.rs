//! Requests and answers on a socket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::{Call, CodecKind, RequestId};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::frame::{BINARY, CLOSE, TEXT, push};
use super::socket::{self, broken};
use super::{Failure, Target};

/// How long a request whose answer is waited for may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection that speaks a codec. It is small: a load test has tens of thousands of them.
pub struct Wire {
    stream: Arc<TcpStream>,
    codec: CodecKind,
    next_id: i64,
    /// Frames that were not sent yet.
    out: Vec<u8>,
    /// The beginning of a frame whose end comes later.
    rest: Vec<u8>,
    /// Messages that were read and not taken yet; and then how the connection ended.
    ready: VecDeque<Vec<u8>>,
    ended: Option<Failure>,
}

impl Wire {
    /// Dials and upgrades; `number` as in [`Target::dial`].
    pub async fn open(target: &Target, number: usize) -> Result<Self, Failure> {
        let mut stream = target.dial(number).await.map_err(Failure::Tcp)?;
        let subprotocol = Some(target.codec.subprotocol());
        let rest = socket::upgrade(&mut stream, target.host(), target.path(), subprotocol).await?;
        Ok(Self {
            stream: Arc::new(stream),
            codec: target.codec,
            next_id: 1,
            out: Vec::new(),
            rest,
            ready: VecDeque::new(),
            ended: None,
        })
    }

    pub fn codec(&self) -> CodecKind {
        self.codec
    }

    /// The socket, for whoever sends while somebody else listens.
    pub fn stream(&self) -> Arc<TcpStream> {
        Arc::clone(&self.stream)
    }

    /// Queues a request and returns its id; `flush` sends it.
    pub fn feed(&mut self, call: &Call) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        encode(self.codec, Some(&RequestId::Number(id)), call, &mut self.out);
        id
    }

    /// Queues a request that is not answered.
    pub fn tell(&mut self, call: &Call) {
        encode(self.codec, None, call, &mut self.out);
    }

    /// Sends what is queued. May be dropped while it waits without losing anything.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        socket::send(&self.stream, &mut self.out).await
    }

    /// Reads once, when there is something, and hands each message over. May be dropped while it
    /// waits without losing anything.
    ///
    /// # Errors
    /// How the connection ended; what came before that has been handed over.
    pub async fn read(&mut self, mut hear: impl FnMut(&[u8])) -> Result<(), Failure> {
        self.ready.drain(..).for_each(|message| hear(&message));
        if let Some(failure) = self.ended.take() {
            return Err(failure);
        }
        self.stream.readable().await.map_err(broken)?;
        socket::read_once(&self.stream, &mut self.rest, &mut hear)
    }

    /// The next message, still encoded. May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            if let Some(failure) = self.ended.take() {
                return Err(failure);
            }
            self.stream.readable().await.map_err(broken)?;
            let ready = &mut self.ready;
            let read = socket::read_once(&self.stream, &mut self.rest, &mut |message| {
                ready.push_back(message.to_vec());
            });
            self.ended = read.err();
        }
    }

    /// Sends a request and waits for its answer. Notifications that come first are dropped: for
    /// connections without subscriptions, or whose events do not matter.
    ///
    /// # Errors
    /// Any step that failed; the server's error as [`Failure::Refused`].
    pub async fn ask<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, Failure> {
        let asked = self.feed(call);
        self.answer(asked, |_| {}).await
    }

    /// The same; asks again, after the time that it is told to wait, where the server is only busy.
    pub async fn ask_patiently<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, Failure> {
        loop {
            match self.ask(call).await {
                Err(failure) if let Some(wait) = failure.retry_after() => sleep(wait).await,
                outcome => return outcome,
            }
        }
    }

    /// Sends what is queued and waits for the answer to this request of it, as `ask` does; other
    /// messages that come first go to `others`.
    pub async fn answer<T: DeserializeOwned>(
        &mut self,
        asked: i64,
        mut others: impl FnMut(Vec<u8>),
    ) -> Result<T, Failure> {
        let asked = RequestId::Number(asked);
        let answer = async {
            self.flush().await?;
            loop {
                let frame = self.next().await?;
                match self.codec.decode_server(&frame)? {
                    ServerMessage::Result { id, result } if id == asked => {
                        return result.parse().map_err(|e| Failure::NotUnderstood(e.to_string()));
                    }
                    ServerMessage::Error { id, error }
                        if id.as_ref().is_none_or(|id| *id == asked) =>
                    {
                        return Err(Failure::Refused(error));
                    }
                    _ => others(frame),
                }
            }
        };
        timeout(ANSWER_WITHIN, answer).await.map_err(|_| Failure::Timeout("answer"))?
    }

    /// Has these messages, which were read already, come before all others.
    pub fn put_back(&mut self, messages: Vec<Vec<u8>>) {
        for message in messages.into_iter().rev() {
            self.ready.push_front(message);
        }
    }

    /// Closes the connection in an orderly way.
    ///
    /// # Errors
    /// Where the server does not close its side within the time of an answer, or closes it with a
    /// code of its own.
    pub async fn close(&mut self) -> Result<(), Failure> {
        push(CLOSE, &1000_u16.to_be_bytes(), &mut self.out);
        let closing = async {
            self.flush().await?;
            loop {
                match self.next().await {
                    Ok(_) => {}
                    Err(Failure::Closed(None | Some(1000 | 1005))) => return Ok(()),
                    Err(failure) => return Err(failure),
                }
            }
        };
        timeout(ANSWER_WITHIN, closing).await.map_err(|_| Failure::Timeout("close"))?
    }
}

/// Appends a call as a frame; one without an id is not answered.
pub fn encode(codec: CodecKind, id: Option<&RequestId>, call: &Call, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(256);
    codec.encode_request(id, call, &mut payload);
    push(if codec.is_text() { TEXT } else { BINARY }, &payload, out);
}
