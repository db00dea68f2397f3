//! The session actor: ties a [`Session`] to its socket's messages.
//!
//! * Owns: the session, and the fragments of a message that is not complete.
//! * Receives: WebSocket messages from its own socket; nobody else sends to it, so its mailbox
//!   stays empty. What is for the client goes straight into the outbox.
//! * A panic ends this session only: its socket closes with 1011, its entities are told that it has
//!   gone.

use std::rc::Rc;

use actix::{Actor, ActorContext, StreamHandler};
use actix_http::ws::{Item, Message, ProtocolError};
use actix_web_actors::ws::WebsocketContext;
use greenroom_actors::clock;
use greenroom_actors::session::Session;
use greenroom_protocol::close::CloseCode;

use super::frame;
use super::input::Turn;

/// See the module's head.
pub struct SessionActor {
    session: Session,
    /// The fragments so far, and whether they are text. The input has bounded their sum.
    fragments: Option<(bool, Vec<u8>)>,
    turn: Rc<Turn>,
}

impl SessionActor {
    /// An actor for a session that has just begun.
    pub fn new(session: Session, turn: Rc<Turn>) -> Self {
        Self { session, fragments: None, turn }
    }

    fn message(&mut self, text: bool, payload: &[u8]) {
        let codec = self.session.seat().codec;
        if text && std::str::from_utf8(payload).is_err() {
            self.close(CloseCode::InvalidUtf8);
        } else if text == codec.is_text() {
            self.session.receive(payload, clock::now());
        } else {
            self.close(CloseCode::UnsupportedData);
        }
    }

    fn fragment(&mut self, item: Item) {
        // A fragment costs as much as a request, or empty ones would cost nothing. One over the
        // limit is still taken, since the message needs it; too many of them end the session.
        self.session.control(clock::mono());
        match item {
            Item::FirstText(part) => self.fragments = Some((true, part.to_vec())),
            Item::FirstBinary(part) => self.fragments = Some((false, part.to_vec())),
            Item::Continue(part) => {
                if let Some((_, whole)) = &mut self.fragments {
                    whole.extend_from_slice(&part);
                }
            }
            Item::Last(part) => {
                if let Some((text, mut whole)) = self.fragments.take() {
                    whole.extend_from_slice(&part);
                    self.message(text, &whole);
                }
            }
        }
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
            Ok(Message::Text(text)) => self.message(true, text.as_bytes()),
            Ok(Message::Binary(payload)) => self.message(false, &payload),
            Ok(Message::Continuation(item)) => self.fragment(item),
            Ok(Message::Ping(payload)) => {
                if self.session.control(clock::mono()) {
                    // Not by way of the context, which would put it behind the answers to what came
                    // in the same chunk.
                    self.session.seat().outbox.push(frame::pong(&payload));
                }
            }
            Ok(Message::Pong(payload)) => {
                self.session.probed(frame::number(&payload), clock::mono());
            }
            Ok(Message::Close(reason)) => {
                // Whoever says goodbye does not come back; any other code is a connection that its
                // client gives up.
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

/// The code for what the decoder refused. It reports text that is not UTF-8 as an i/o error of the
/// kind `Other`.
fn violation(error: &ProtocolError) -> CloseCode {
    match error {
        ProtocolError::Overflow => CloseCode::TooBig,
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::Other => {
            CloseCode::InvalidUtf8
        }
        _ => CloseCode::ProtocolError,
    }
}
