//! A test client with a method for each thing a test does, built on a third-party WebSocket
//! implementation.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::server::within;

/// The answer to a request: its result, or its error object.
pub type Answer = Result<Value, Value>;

pub struct Client {
    socket: WebSocketStream<TcpStream>,
    codec: CodecKind,
    next_id: u64,
    /// Notifications that arrived while waiting for an answer.
    inbox: VecDeque<(String, Value)>,
    /// Answers that arrived while waiting for another one.
    answers: HashMap<u64, Answer>,
    /// All messages in the order they arrived, by type: `event`, `answer 3` and so on.
    pub order: Vec<String>,
}

/// What arrives on a connection.
enum Incoming {
    Notification(String, Value),
    Answer(u64, Answer),
    /// An error for a message that the server could not read.
    Unread(Value),
    Closed(Option<(u16, String)>),
}

impl Client {
    /// Opens a WebSocket and sends nothing.
    pub async fn open(address: SocketAddr, codec: CodecKind) -> Self {
        let stream =
            within("the connection", TcpStream::connect(address)).await.expect("it listens");
        Self::over(stream, codec).await
    }

    /// Like [`open`](Self::open), with a small receive buffer.
    pub async fn open_narrow(address: SocketAddr, codec: CodecKind) -> Self {
        Self::open_with_room_for(4096, address, codec).await
    }

    /// Like [`open`](Self::open), with a receive buffer of `bytes` bytes. If that is less than two
    /// segments of the loopback interface (64 KiB each), the kernel sends only a little at a time
    /// once the client reads again.
    pub async fn open_with_room_for(bytes: u32, address: SocketAddr, codec: CodecKind) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be created");
        socket.set_recv_buffer_size(bytes).expect("a buffer can be small");
        let stream = within("the connection", socket.connect(address)).await.expect("it listens");
        Self::over(stream, codec).await
    }

    /// Like [`open`](Self::open), through a proxy that states the client's address.
    pub async fn open_from(address: SocketAddr, codec: CodecKind, client: &'static str) -> Self {
        let stream =
            within("the connection", TcpStream::connect(address)).await.expect("it listens");
        Self::over_for(stream, codec, Some(client)).await
    }

    async fn over(stream: TcpStream, codec: CodecKind) -> Self {
        Self::over_for(stream, codec, None).await
    }

    async fn over_for(stream: TcpStream, codec: CodecKind, client: Option<&'static str>) -> Self {
        let address = stream.peer_addr().expect("it is connected");
        stream.set_nodelay(true).expect("an option can be set");
        let mut request =
            format!("ws://{address}/ws").into_client_request().expect("the address makes a URL");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_static(codec.subprotocol()));
        if let Some(client) = client {
            request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static(client));
        }
        let (socket, response) = within("the handshake", client_async(request, stream))
            .await
            .expect("the server lets it in");
        let agreed =
            response.headers().get("sec-websocket-protocol").expect("a subprotocol was offered");
        assert_eq!(agreed, codec.subprotocol());
        Self {
            socket,
            codec,
            next_id: 1,
            inbox: VecDeque::new(),
            answers: HashMap::new(),
            order: Vec::new(),
        }
    }

    /// Sends a message as it is: any JSON value, in this client's codec.
    pub async fn say(&mut self, message: &Value) {
        self.say_frame(encode(self.codec, message)).await;
    }

    /// Sends a WebSocket message as it is.
    pub async fn say_frame(&mut self, message: Message) {
        within("sending a message", self.socket.send(message))
            .await
            .expect("the connection is open");
    }

    /// Sends a request without waiting for the answer: see [`answer`](Self::answer).
    pub async fn ask(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.try_ask(method, params).await.expect("the connection is open");
        id
    }

    /// Like [`ask`](Self::ask), on a connection that may already be closed.
    pub async fn try_ask(&mut self, method: &str, params: Value) -> Result<u64, Error> {
        let id = self.next_id;
        self.next_id += 1;
        let message = encode(
            self.codec,
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}),
        );
        within("sending a request", self.socket.send(message)).await?;
        Ok(id)
    }

    /// Sends several requests in one write, without waiting for answers. Returns their ids.
    pub async fn ask_together(&mut self, requests: Vec<(&str, Value)>) -> Vec<u64> {
        let mut ids = Vec::new();
        for (method, params) in requests {
            let message = encode(
                self.codec,
                &json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params}),
            );
            within("buffering a request", self.socket.feed(message))
                .await
                .expect("the connection is open");
            ids.push(self.next_id);
            self.next_id += 1;
        }
        within("sending requests", self.socket.flush()).await.expect("the connection is open");
        ids
    }

    /// Sends a request that wants no answer.
    pub async fn tell(&mut self, method: &str, params: Value) {
        self.say(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    /// Waits for the answer to the request `id`.
    pub async fn answer(&mut self, id: u64) -> Answer {
        self.try_answer(id).await.unwrap_or_else(|close| {
            panic!("closed with {close:?} before request {id} was answered")
        })
    }

    /// Like [`answer`](Self::answer), on a connection that may be closed first.
    pub async fn try_answer(&mut self, id: u64) -> Result<Answer, Option<(u16, String)>> {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return Ok(answer);
            }
            match self.incoming(&format!("the answer to request {id}")).await {
                Incoming::Answer(other, answer) => drop(self.answers.insert(other, answer)),
                Incoming::Notification(method, params) => self.inbox.push_back((method, params)),
                Incoming::Unread(error) => panic!("the server could not read a message: {error}"),
                Incoming::Closed(close) => return Err(close),
            }
        }
    }

    /// Waits for the next answer to any request, on a connection that may be closed first.
    pub async fn try_any_answer(&mut self) -> Result<(u64, Answer), Option<(u16, String)>> {
        if let Some(id) = self.answers.keys().next().copied() {
            return Ok((id, self.answers.remove(&id).expect("it was just seen")));
        }
        loop {
            match self.incoming("any answer").await {
                Incoming::Answer(id, answer) => return Ok((id, answer)),
                Incoming::Notification(method, params) => self.inbox.push_back((method, params)),
                Incoming::Unread(error) => panic!("the server could not read a message: {error}"),
                Incoming::Closed(close) => return Err(close),
            }
        }
    }

    /// Sends a request and waits for its answer.
    pub async fn call(&mut self, method: &str, params: Value) -> Answer {
        let id = self.ask(method, params).await;
        self.answer(id).await
    }

    /// Sends a request that must succeed.
    pub async fn ok(&mut self, method: &str, params: Value) -> Value {
        let asked = params.to_string();
        self.call(method, params)
            .await
            .unwrap_or_else(|error| panic!("{method} {asked:.300} was refused: {error}"))
    }

    /// Sends a request that must fail with the stable string `code`. Returns the error.
    pub async fn fails(&mut self, method: &str, params: Value, code: &str) -> Value {
        let asked = params.to_string();
        match self.call(method, params).await {
            Err(error) if error["data"]["code"] == code => error,
            other => panic!("{method} {asked:.300} should fail with `{code}`, not give {other:?}"),
        }
    }

    /// Sends an op that must be accepted.
    pub async fn send(&mut self, entity: &str, n: u64, r#type: &str, body: Value) -> Value {
        self.ok("send", json!({"entity": entity, "n": n, "type": r#type, "body": body})).await
    }

    /// Sends an op that the behaviour must reject for this reason.
    pub async fn rejected(
        &mut self,
        entity: &str,
        n: u64,
        r#type: &str,
        body: Value,
        reason: &str,
    ) {
        let error = self
            .fails(
                "send",
                json!({"entity": entity, "n": n, "type": r#type, "body": body}),
                "rejected",
            )
            .await;
        assert_eq!(error["data"]["reason"], reason, "{error}");
    }

    /// Subscribes, which must succeed.
    pub async fn subscribe(&mut self, entity: &str) -> Value {
        self.ok("subscribe", json!({"entity": entity})).await
    }

    /// Reads the committed state.
    pub async fn read(&mut self, entity: &str) -> Value {
        self.ok("read", json!({"entity": entity})).await["state"].clone()
    }

    /// Reads the whole log page by page from the beginning.
    pub async fn log(&mut self, entity: &str) -> Vec<Value> {
        let mut log: Vec<Value> = Vec::new();
        loop {
            let page = self
                .ok("history", json!({"entity": entity, "after": log.len(), "limit": 1000}))
                .await;
            log.extend(page["events"].as_array().expect("a page has events").iter().cloned());
            if page["more"] != true {
                return log;
            }
        }
    }

    /// Waits for the next notification.
    pub async fn notification(&mut self) -> (String, Value) {
        self.try_notification()
            .await
            .unwrap_or_else(|close| panic!("closed with {close:?} before a notification came"))
    }

    /// Like [`notification`](Self::notification), on a connection that may be closed first.
    pub async fn try_notification(&mut self) -> Result<(String, Value), Option<(u16, String)>> {
        loop {
            if let Some(next) = self.inbox.pop_front() {
                return Ok(next);
            }
            match self.incoming("a notification").await {
                Incoming::Answer(id, answer) => drop(self.answers.insert(id, answer)),
                Incoming::Notification(method, params) => return Ok((method, params)),
                Incoming::Unread(error) => panic!("the server could not read a message: {error}"),
                Incoming::Closed(close) => return Err(close),
            }
        }
    }

    /// Waits for the next notification, which must be a `wanted`.
    pub async fn expect(&mut self, wanted: &str) -> Value {
        let (method, params) = self.notification().await;
        assert_eq!(method, wanted, "{params}");
        params
    }

    /// Waits for the next notification, which must be an event.
    pub async fn event(&mut self) -> Value {
        self.expect("event").await
    }

    /// Waits for the error to a message whose id the server could not read.
    pub async fn unread(&mut self) -> Value {
        match self.incoming("an error without an id").await {
            Incoming::Unread(error) => error,
            Incoming::Notification(method, params) => {
                panic!("`{method}` {params} instead of an error without an id")
            }
            Incoming::Answer(id, answer) => {
                panic!("an answer to {id} instead of an error without an id: {answer:?}")
            }
            Incoming::Closed(close) => {
                panic!("closed with {close:?} instead of an error without an id")
            }
        }
    }

    /// Waits for the answer to the request `id`, or for the error to a message whose id could not
    /// be read.
    pub async fn try_either(&mut self, id: u64) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            match self.incoming("an answer or an error without an id").await {
                Incoming::Answer(other, answer) => drop(self.answers.insert(other, answer)),
                Incoming::Notification(method, params) => self.inbox.push_back((method, params)),
                Incoming::Unread(error) => return Err(error),
                Incoming::Closed(close) => {
                    panic!("closed with {close:?} before request {id} was answered")
                }
            }
        }
    }

    /// All notifications that have arrived by the time a `ping` is answered: proof that this
    /// connection's earlier requests will cause no more.
    pub async fn settled(&mut self) -> Vec<(String, Value)> {
        self.ok("ping", json!({})).await;
        self.inbox.drain(..).collect()
    }

    /// Waits for the server's close frame and returns its code and reason. Messages that arrive
    /// first are kept.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.incoming("a close frame").await {
                Incoming::Closed(close) => return close.expect("a close frame, not just an end"),
                Incoming::Answer(id, answer) => drop(self.answers.insert(id, answer)),
                Incoming::Notification(method, params) => self.inbox.push_back((method, params)),
                Incoming::Unread(_) => {}
            }
        }
    }

    /// Closes the connection properly and returns the server's code.
    pub async fn close(mut self) -> u16 {
        within("sending a close frame", self.socket.close(None))
            .await
            .expect("the connection is open");
        self.closed().await.0
    }

    /// Closes the connection with the given code and reason, and waits for the server's response.
    pub async fn close_with(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        within("sending a close frame", self.socket.close(Some(frame)))
            .await
            .expect("the connection is open");
        self.closed().await;
    }

    async fn incoming(&mut self, what: &str) -> Incoming {
        // The deadline is for the whole wait: the server's pings keep coming.
        let message = match within(what, next_message(&mut self.socket)).await {
            Some(Ok(Message::Close(frame))) => {
                return Incoming::Closed(
                    frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned())),
                );
            }
            Some(Ok(message)) => decode(self.codec, message),
            Some(Err(_)) | None => return Incoming::Closed(None),
        };
        let incoming = sort(message);
        self.order.push(match &incoming {
            Incoming::Answer(id, _) => format!("answer {id}"),
            Incoming::Notification(method, _) => method.clone(),
            _ => "error".into(),
        });
        incoming
    }
}

/// The next message other than WebSocket control frames. The library answers pings.
async fn next_message(socket: &mut WebSocketStream<TcpStream>) -> Option<Result<Message, Error>> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            other => return other,
        }
    }
}

/// Encodes any JSON value as a message of this codec.
pub fn encode(codec: CodecKind, message: &Value) -> Message {
    match codec {
        CodecKind::Json => Message::text(message.to_string()),
        CodecKind::MsgPack => {
            Message::binary(rmp_serde::to_vec_named(message).expect("JSON is MessagePack too"))
        }
    }
}

fn decode(codec: CodecKind, message: Message) -> Value {
    match (codec, message) {
        (CodecKind::Json, Message::Text(text)) => serde_json::from_str(text.as_str())
            .unwrap_or_else(|error| panic!("not JSON: {error}: {text}")),
        (CodecKind::MsgPack, Message::Binary(bytes)) => rmp_serde::from_slice(&bytes)
            .unwrap_or_else(|error| panic!("not MessagePack: {error}: {bytes:?}")),
        (codec, message) => panic!("the wrong type of frame for {codec:?}: {message:?}"),
    }
}

/// Classifies a message and checks that it has no other members.
fn sort(mut message: Value) -> Incoming {
    let members = message.as_object_mut().expect("a message is an object");
    assert_eq!(members.remove("jsonrpc"), Some(json!("2.0")));
    let taken = ["id", "result", "error", "method", "params"].map(|name| members.remove(name));
    assert!(members.is_empty(), "unknown members {members:?}");
    match taken {
        [Some(id), Some(result), None, None, None] => Incoming::Answer(number(&id), Ok(result)),
        [Some(Value::Null), None, Some(error), None, None] => Incoming::Unread(checked(error)),
        [Some(id), None, Some(error), None, None] => {
            Incoming::Answer(number(&id), Err(checked(error)))
        }
        [None, None, None, Some(Value::String(method)), Some(params)] => {
            Incoming::Notification(method, params)
        }
        other => panic!("neither an answer nor a notification: {other:?}"),
    }
}

fn number(id: &Value) -> u64 {
    id.as_u64().unwrap_or_else(|| panic!("an answer to a request that was never sent: {id}"))
}

/// Checks that an error has the documented shape: the number that belongs to its string, and a
/// message.
fn checked(error: Value) -> Value {
    let table = greenroom_protocol::ErrorCode::ALL;
    let code = table
        .iter()
        .find(|code| error["data"]["code"] == code.as_str())
        .unwrap_or_else(|| panic!("an error that is not in the table: {error}"));
    assert_eq!(error["code"], code.number(), "{error}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    error
}
