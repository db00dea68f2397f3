//! Delivers answers to the sessions that asked.

use greenroom_protocol::codec::Message;
use greenroom_protocol::{EntityId, ErrorCode, WireError};

use super::{Relay, Seat};
use crate::capability::Permissions;
use crate::messages::{Answer, Body, Noted, ToEntity, unavailable};
use crate::relay::Connecting;

impl Relay {
    /// Begins the answer to a `connect`. Everything else for this session waits behind it.
    pub fn begin_connect(&self, seat: &Seat, mut connecting: Connecting) {
        seat.outbox.hold();
        self.ask_on(seat, &mut connecting);
        *seat.membership.connecting.borrow_mut() = Some(Box::new(connecting));
        self.answer_connect(seat);
    }

    pub(super) fn deliver(&self, mut answer: Answer) {
        let seat = self.seats.get(answer.session());
        if let (Some(seat), Some(noted)) = (seat, answer.noted())
            && let Some(error) = withheld(seat, noted)
        {
            answer.withdraw(error);
        }
        let noted = answer.arrived();
        let method = answer.method();
        self.requests.answered(method, answer.error());
        if let Some(code) = answer.error() {
            tracing::debug!(session = %answer.session(), method, code = code.as_str(), "a request is refused");
        }
        let Some(seat) = seat else { return };
        if let Some(noted) = noted {
            self.settle(seat, *noted, answer.error());
        }
        if answer.is_large() {
            seat.outbox.made();
        }
        match answer.body {
            Body::Frame(frame) => {
                seat.admission.answered();
                if let Some(frame) = frame {
                    seat.outbox.push(frame);
                }
            }
            Body::Around(pieces) => {
                seat.admission.answered();
                for piece in pieces.0.into_iter().filter(|piece| !piece.is_empty()) {
                    seat.outbox.push(piece);
                }
            }
            Body::Refused(entity, error) => {
                seat.admission.answered();
                seat.refused(&self.encoder, method, Some(entity), *error);
            }
            Body::Subscription(index, outcome) => {
                self.entry_answered(seat, |connecting| connecting.subscribed(index, *outcome));
            }
            Body::Presence(index, outcome) => {
                self.entry_answered(seat, |connecting| connecting.entered(index, *outcome));
            }
        }
    }

    /// Records the answer to an entry of a `connect`, and requests the next ones.
    fn entry_answered(&self, seat: &Seat, take: impl FnOnce(&mut Connecting)) {
        if let Some(connecting) = seat.membership.connecting.borrow_mut().as_mut() {
            let before = connecting.bytes();
            take(connecting);
            seat.outbox.set_aside(connecting.bytes() - before);
            self.ask_on(seat, connecting);
        }
        self.answer_connect(seat);
    }

    /// Removes what was refused. A request whose outcome is unknown may have succeeded.
    fn settle(&self, seat: &Seat, noted: Noted, error: Option<ErrorCode>) {
        match noted {
            Noted::Follow(entity, _) => {
                // If this subscription was refused, an earlier one continues.
                let followed = self.is_followed(&entity, seat);
                seat.membership.follow_answered(&entity, followed);
            }
            Noted::Enter(entity, number) => {
                if error.is_some_and(|code| code != ErrorCode::Unavailable)
                    && seat.membership.enter_refused(&entity, number)
                {
                    // The entity may have restarted since, and have been sent this entry by
                    // `present_again`.
                    self.directory.route_control(&entity, ToEntity::Leave(seat.key));
                }
            }
            Noted::Read(_) => {}
        }
    }

    fn is_followed(&self, entity: &EntityId, seat: &Seat) -> bool {
        self.followers(entity).any(|(key, _)| key == seat.key)
    }

    /// Answers a `connect` once all its entries are answered.
    pub(super) fn answer_connect(&self, seat: &Seat) {
        let mut waiting = seat.membership.connecting.borrow_mut();
        let Some(connecting) = waiting.take_if(|connecting| connecting.is_complete()) else {
            return;
        };
        drop(waiting);
        seat.outbox.take_aside(connecting.bytes());
        let (id, connected) = connecting.finish();
        seat.admission.answered();
        self.requests.answered("connect", None);
        if let Some(id) = id {
            seat.outbox.push_first(
                self.encoder.encode(seat.codec, &Message::Result { id: &id, result: &connected }),
            );
        }
        seat.outbox.release();
    }
}

/// Why a result must not reach its session: the permission for it has ended in the meantime.
pub(super) fn withheld(seat: &Seat, noted: &Noted) -> Option<WireError> {
    let rights = seat.membership.rights()?;
    match noted {
        Noted::Read(entity) => rights.check(entity, Permissions::READ).err(),
        Noted::Follow(entity, number) => {
            let ended = || (!seat.membership.follows_by(entity, *number)).then(unavailable);
            rights.check(entity, Permissions::READ).err().or_else(ended)
        }
        Noted::Enter(entity, number) => {
            let ended = || seat.membership.was_taken_out(entity, *number).then(unavailable);
            rights.check(entity, Permissions::PRESENCE).err().or_else(ended)
        }
    }
}
