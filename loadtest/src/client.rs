//! One connection to a Greenroom server.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{Connect, Subscribe};
use greenroom_protocol::results::{Connected, Subscribed};
use greenroom_protocol::{Call, CodecKind, RequestId};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub mod failure;
pub mod target;

pub use failure::Failure;
pub use target::{Target, Tokens};

/// Reading buffers are small, since there are tens of thousands of connections.
const READ_BUFFER: usize = 4 * 1024;
/// How long a request whose answer is waited for may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection that has been through `connect`.
pub struct Conn {
    socket: WebSocketStream<TcpStream>,
    codec: CodecKind,
    next_id: i64,
    /// What `connect` answered, without its subscriptions.
    pub hello: Connected,
}

impl Conn {
    /// Opens a connection as `user` (which counts only where tokens are minted) and subscribes
    /// within `connect`. Returns what each subscription answered, in the order asked for.
    ///
    /// # Errors
    /// Any step that failed, a refused subscription among them.
    pub async fn open(
        target: &Target,
        user: &str,
        subscriptions: Vec<Subscribe>,
    ) -> Result<(Self, Vec<Subscribed>), Failure> {
        Self::open_as(target, user, None, subscriptions).await
    }

    /// The same for an installation that has a client id, and presents it each time that it comes
    /// back.
    ///
    /// # Errors
    /// Any step that failed, a refused subscription among them.
    pub async fn open_as(
        target: &Target,
        user: &str,
        client: Option<String>,
        subscriptions: Vec<Subscribe>,
    ) -> Result<(Self, Vec<Subscribed>), Failure> {
        Self::resume(target, user, (client, None), subscriptions).await
    }

    /// The same for one that asks for the place of a session it lost as well: client id and
    /// session, where there are any.
    ///
    /// # Errors
    /// Any step that failed; not that the session is unknown, which [`hello`](Self::hello) tells.
    pub async fn resume(
        target: &Target,
        user: &str,
        (client, session): (Option<String>, Option<String>),
        subscriptions: Vec<Subscribe>,
    ) -> Result<(Self, Vec<Subscribed>), Failure> {
        let opening = Self::establish(target, user, client, session, subscriptions);
        timeout(target.connect_within, opening).await.map_err(|_| Failure::Timeout("connect"))?
    }

    async fn establish(
        target: &Target,
        user: &str,
        client: Option<String>,
        session: Option<String>,
        subscriptions: Vec<Subscribe>,
    ) -> Result<(Self, Vec<Subscribed>), Failure> {
        let stream = target.dial().await.map_err(Failure::Tcp)?;
        let config =
            WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(16 * 1024);
        let (socket, _) = client_async_with_config(target.request()?, stream, Some(config))
            .await
            .map_err(Failure::from)?;
        let token = target.tokens.token(user).map_err(|e| Failure::NotUnderstood(e.to_string()))?;
        let version = Some(concat!("greenroom-loadtest/", env!("CARGO_PKG_VERSION")).to_owned());
        let mut conn = Self { socket, codec: target.codec, next_id: 1, hello: nobody() };
        let call = Call::Connect(Connect {
            token,
            client,
            session,
            subscriptions,
            version,
            ..Connect::default()
        });
        let mut hello: Connected = conn.ask(&call).await?;
        let outcomes = std::mem::take(&mut hello.subscriptions);
        conn.hello = hello;
        let subscribed =
            outcomes.into_iter().map(|outcome| match (outcome.result, outcome.error) {
                (Some(result), None) => Ok(result),
                (_, Some(error)) => Err(Failure::Refused(error)),
                (None, None) => Err(Failure::NotUnderstood(
                    "a subscription has neither result nor error".into(),
                )),
            });
        let subscribed = subscribed.collect::<Result<_, _>>()?;
        Ok((conn, subscribed))
    }

    /// The codec in use.
    pub fn codec(&self) -> CodecKind {
        self.codec
    }

    /// Queues a request and returns its id; `flush` sends it.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn feed(&mut self, call: &Call) -> Result<i64, Failure> {
        let id = self.next_id;
        self.next_id += 1;
        let mut frame = Vec::with_capacity(192);
        self.codec.encode_request(Some(&RequestId::Number(id)), call, &mut frame);
        let message = if self.codec.is_text() {
            Message::Text(Utf8Bytes::try_from(frame).expect("JSON is UTF-8"))
        } else {
            Message::Binary(frame.into())
        };
        self.socket.feed(message).await?;
        Ok(id)
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.socket.flush().await?)
    }

    /// The next message, still encoded. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// Where the connection ends, and how it does.
    pub async fn next(&mut self) -> Result<Bytes, Failure> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.into()),
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Close(frame))) => {
                    return Err(Failure::Closed(frame.map(|f| f.code.into())));
                }
                // tungstenite answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Failure::Closed(None)),
            }
        }
    }

    /// Sends a request and waits for its answer. Notifications that come first are dropped: for
    /// connections without subscriptions, or whose events do not matter.
    ///
    /// # Errors
    /// Any step that failed; the server's error as [`Failure::Refused`].
    pub async fn ask<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, Failure> {
        let asked = self.feed(call).await?;
        self.flush().await?;
        let answer = async {
            loop {
                let frame = self.next().await?;
                match self.codec.decode_server(&frame)? {
                    ServerMessage::Result { id, result } if id == RequestId::Number(asked) => {
                        return result.parse().map_err(|e| Failure::NotUnderstood(e.to_string()));
                    }
                    ServerMessage::Error { id, error }
                        if id.is_none() || id == Some(RequestId::Number(asked)) =>
                    {
                        return Err(Failure::Refused(error));
                    }
                    _ => {}
                }
            }
        };
        timeout(ANSWER_WITHIN, answer).await.map_err(|_| Failure::Timeout("answer"))?
    }

    /// Closes the connection in an orderly way.
    ///
    /// # Errors
    /// Where the server does not close its side within the time of an answer, or closes it with a
    /// code of its own.
    pub async fn close(mut self) -> Result<(), Failure> {
        self.socket.close(None).await?;
        let closing = async {
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

/// A placeholder until `connect` has answered.
fn nobody() -> Connected {
    let limits = greenroom_protocol::results::SessionLimits {
        max_message_bytes: 0,
        max_body_bytes: 0,
        max_subscriptions: 0,
        max_in_flight: 0,
        ping_interval_ms: 0,
        rates: greenroom_protocol::results::Rates::default(),
    };
    let (session, client, user, server) = Default::default();
    let (subscriptions, presence) = (Vec::new(), Vec::new());
    Connected {
        session,
        resumed: false,
        client,
        user,
        expires_at: None,
        now: 0,
        server,
        limits,
        subscriptions,
        presence,
    }
}

#[cfg(test)]
mod tests;
