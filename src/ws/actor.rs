//! The session actor: passes a socket's messages to its [`Session`].
//!
//! * Owns: the session, and the fragments of an incomplete message.
//! * Receives: WebSocket messages from its own socket. Nobody else sends to it, so its mailbox
//!   stays empty; frames for the client go directly into the outbox.
//! * A panic ends only this session: its socket closes with 1011, and its entities are notified.

use std::rc::Rc;

use actix::{Actor, ActorContext, StreamHandler};
use actix_http::ws::{Item, Message, ProtocolError};
use actix_web_actors::ws::WebsocketContext;
use greenroom_actors::clock;
use greenroom_actors::session::Session;
use greenroom_protocol::close::CloseCode;

use super::frame;
use super::input::Turn;

pub struct SessionActor {
    session: Session,
    /// The type of the message and its fragments so far. The input limits their total size.
    fragments: Option<(DataType, Vec<u8>)>,
    turn: Rc<Turn>,
}

/// The type of a message's payload, from the opcode of its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DataType {
    Text,
    Binary,
}

impl SessionActor {
    pub fn new(session: Session, turn: Rc<Turn>) -> Self {
        Self { session, fragments: None, turn }
    }

    fn message(&mut self, r#type: DataType, payload: &[u8]) {
        let codec = self.session.seat().codec;
        let wanted = if codec.is_text() { DataType::Text } else { DataType::Binary };
        if r#type == DataType::Text && std::str::from_utf8(payload).is_err() {
            self.close(CloseCode::InvalidUtf8);
        } else if r#type == wanted {
            self.session.receive(payload, clock::now());
        } else {
            self.close(CloseCode::UnsupportedData);
        }
    }

    fn fragment(&mut self, item: Item) {
        // A fragment costs as much as a request, since empty ones would otherwise be free. One over
        // the limit is still accepted because the message needs it, but too many end the session.
        self.session.control(clock::mono());
        match item {
            Item::FirstText(part) => self.begin(DataType::Text, &part),
            Item::FirstBinary(part) => self.begin(DataType::Binary, &part),
            Item::Continue(part) => {
                if let Some((_, whole)) = &mut self.fragments {
                    whole.extend_from_slice(&part);
                }
            }
            Item::Last(part) => {
                if let Some((r#type, mut whole)) = self.fragments.take() {
                    whole.extend_from_slice(&part);
                    self.message(r#type, &whole);
                }
            }
        }
    }

    fn begin(&mut self, r#type: DataType, part: &[u8]) {
        self.fragments = Some((r#type, part.to_vec()));
    }

    fn close(&self, code: CloseCode) {
        self.session.seat().outbox.close(code);
    }
}

impl Actor for SessionActor {
    type Context = WebsocketContext<Self>;
}

impl StreamHandler<Result<Message, ProtocolError>> for SessionActor {
    fn handle(&mut self, message: Result<Message, ProtocolError>, _ctx: &mut Self::Context) {
        self.turn.handled();
        if self.session.seat().outbox.closing().is_some() {
            return;
        }
        match message {
            Ok(Message::Text(text)) => self.message(DataType::Text, text.as_bytes()),
            Ok(Message::Binary(payload)) => self.message(DataType::Binary, &payload),
            Ok(Message::Continuation(item)) => self.fragment(item),
            Ok(Message::Ping(payload)) => {
                if self.session.control(clock::mono()) {
                    // Not through the context, which would queue it behind the answers to messages
                    // in the same chunk.
                    self.session.seat().outbox.push(frame::pong(&payload));
                }
            }
            Ok(Message::Pong(payload)) => {
                self.session.probed(frame::number(&payload), clock::mono());
            }
            Ok(Message::Close(reason)) => {
                // A client that closes normally does not come back. With any other code it only
                // gives up this connection.
                let leaves =
                    reason.is_none_or(|reason| matches!(u16::from(reason.code), 1000 | 1001));
                if leaves {
                    self.session.seat().membership.leave_for_good();
                }
                self.close(CloseCode::Normal);
            }
            Ok(Message::Nop) => {}
            Err(error) => self.close(violation(&error)),
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// The close code for an error of the decoder, which reports text that is not UTF-8 as an I/O error
/// of the kind `Other`.
fn violation(error: &ProtocolError) -> CloseCode {
    match error {
        ProtocolError::Overflow => CloseCode::TooBig,
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::Other => {
            CloseCode::InvalidUtf8
        }
        _ => CloseCode::ProtocolError,
    }
}
