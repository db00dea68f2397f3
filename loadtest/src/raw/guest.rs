//! A session of Greenroom that costs this process as little as it can, in either codec: tens of
//! thousands of them are to come in faster than the server lets them.

use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::results::Connected;
use greenroom_protocol::{Call, CodecKind, RawJson, RequestId};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame::{BINARY, TEXT, push};
use super::reader::read_once;
use super::upgrade::{broken, upgrade};
use crate::client::{Failure, Target};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The id of every request: only one is ever unanswered.
const ID: RequestId = RequestId::Number(1);

/// A session that `connect` has admitted.
pub struct Guest {
    stream: Arc<TcpStream>,
    codec: CodecKind,
    rest: Vec<u8>,
}

/// A call as a frame, ready to be sent; with `answered` to be answered.
pub fn frame(codec: CodecKind, call: &Call, answered: bool) -> Vec<u8> {
    let (mut payload, mut frame) = (Vec::with_capacity(256), Vec::new());
    codec.encode_request(answered.then_some(&ID), call, &mut payload);
    push(if codec.is_text() { TEXT } else { BINARY }, &payload, &mut frame);
    frame
}

/// Sends frames, waiting for the socket.
///
/// # Errors
/// Where the connection is gone.
pub async fn send(stream: &TcpStream, mut frames: &[u8]) -> Result<(), Failure> {
    while !frames.is_empty() {
        stream.writable().await.map_err(broken)?;
        match stream.try_write(frames) {
            Ok(written) => frames = &frames[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(broken(error)),
        }
    }
    Ok(())
}

impl Guest {
    /// Opens connection number `n` and says `hello`, a framed `connect`. One whose subscriptions
    /// were not all made is not let in.
    ///
    /// # Errors
    /// Any step that failed, a refused subscription among them.
    pub async fn open(target: &Target, n: usize, hello: &[u8]) -> Result<Self, Failure> {
        timeout(target.connect_within, Self::come_in(target, n, hello))
            .await
            .map_err(|_| Failure::Timeout("connect"))?
    }

    async fn come_in(target: &Target, n: usize, hello: &[u8]) -> Result<Self, Failure> {
        let mut stream = target.dial_nth(n).await.map_err(Failure::Tcp)?;
        let rest =
            upgrade(&mut stream, target.host(), target.path(), Some(target.codec.subprotocol()))
                .await?;
        let mut guest = Self { stream: Arc::new(stream), codec: target.codec, rest };
        let connected: Connected = guest.ask(hello).await?;
        match connected.subscriptions.into_iter().find_map(|outcome| outcome.error) {
            Some(error) => Err(Failure::Refused(error)),
            None => Ok(guest),
        }
    }

    /// Sends a framed request and waits for its answer; notifications that come first are dropped.
    ///
    /// # Errors
    /// Any step that failed; the server's error as [`Failure::Refused`].
    pub async fn ask<T: DeserializeOwned>(&mut self, request: &[u8]) -> Result<T, Failure> {
        let answer = timeout(ANSWER_WITHIN, self.answer(request))
            .await
            .map_err(|_| Failure::Timeout("answer"))??;
        answer.parse().map_err(|error| Failure::NotUnderstood(error.to_string()))
    }

    async fn answer(&mut self, request: &[u8]) -> Result<RawJson, Failure> {
        send(&self.stream, request).await?;
        let (codec, mut answer) = (self.codec, None);
        loop {
            self.stream.readable().await.map_err(broken)?;
            let read = read_once(&self.stream, &mut self.rest, &mut |payload| {
                answer = answer.take().or_else(|| answer_in(codec, payload));
            });
            if let Some(answer) = answer.take() {
                return answer;
            }
            read?;
        }
    }

    /// The socket, to send through while it listens.
    pub fn stream(&self) -> Arc<TcpStream> {
        self.stream.clone()
    }

    /// Hands every message over until the connection ends; returns how it did.
    pub async fn listen(mut self, mut hear: impl FnMut(&[u8])) -> Failure {
        self.rest.shrink_to_fit();
        loop {
            let read = self.stream.readable().await.map_err(broken);
            if let Err(failure) =
                read.and_then(|()| read_once(&self.stream, &mut self.rest, &mut hear))
            {
                return failure;
            }
        }
    }
}

/// What a message answers, unless it is a notification.
fn answer_in(codec: CodecKind, payload: &[u8]) -> Option<Result<RawJson, Failure>> {
    match codec.decode_server(payload) {
        Ok(ServerMessage::Result { result, .. }) => Some(Ok(result)),
        Ok(ServerMessage::Error { error, .. }) => Some(Err(Failure::Refused(error))),
        Ok(ServerMessage::Notification { .. }) => None,
        Err(error) => Some(Err(error.into())),
    }
}
