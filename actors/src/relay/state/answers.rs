//! Answers on their way to those who asked.

use greenroom_protocol::codec::Message;
use greenroom_protocol::results::SubscriptionOutcome;
use greenroom_protocol::{ErrorCode, RawJson};

use super::{Relay, Seat};
use crate::answer::{Answer, AnswerBody, Noted, overloaded};
use crate::entity::ToEntity;
use crate::metrics::MAILBOX_REFUSALS;
use crate::relay::Gather;

/// Bytes that the answer to one `connect` gathers, before the rest of its subscriptions is refused.
const CONNECT_BYTES: usize = 4 * 1024 * 1024;
/// What an event weighs beside its body, roughly.
const EVENT_BYTES: usize = 100;

impl Relay {
    /// Begins to gather the answer to a `connect`; what else comes waits behind it. `at_once` of its subscriptions are asked
    /// for now, each of the others when one is answered.
    pub fn gather(&self, seat: &Seat, mut gather: Gather, at_once: usize) {
        seat.outbox.hold(true);
        (0..at_once).for_each(|_| self.ask_ahead(seat, &mut gather));
        *seat.gather.borrow_mut() = Some(Box::new(gather));
    }

    pub(super) fn deliver(&self, mut answer: Answer) {
        answer.arrived();
        self.requests.answered(answer.method, answer.error);
        let Some(seat) = self.seats.get(answer.to) else { return };
        if let Some(noted) = answer.refused {
            self.forget(seat, *noted, answer.error);
        }
        match answer.body {
            AnswerBody::Frame(frame) => {
                seat.answered();
                if let Some(frame) = frame {
                    seat.outbox.push(frame);
                }
            }
            AnswerBody::Refused(entity, error) => {
                seat.answered();
                seat.refused(&self.encoder, answer.method, Some(entity), *error);
            }
            AnswerBody::Part(index, outcome) => {
                if let Some(gather) = seat.gather.borrow_mut().as_mut() {
                    gather.bytes += weight(&outcome);
                    if let Some(place) = gather.parts.get_mut(index as usize) {
                        *place = Some(*outcome);
                    }
                    self.ask_ahead(seat, gather);
                }
                self.answer_connect(seat);
            }
        }
    }

    /// What was refused counts no more. A request whose outcome is not known may have been taken up all the same.
    fn forget(&self, seat: &Seat, noted: Noted, error: Option<ErrorCode>) {
        match noted {
            Noted::Follow(entity, number) => {
                // An earlier subscription goes on.
                let earlier = self.followers(&entity).find(|(key, _)| *key == seat.key).map(|(_, number)| number);
                seat.unfollow(&entity, number, earlier);
            }
            Noted::Enter(entity, number) => {
                if error != Some(ErrorCode::Unavailable) && seat.enter_refused(&entity, number) {
                    // Its entity may have begun anew since, and have been told of it.
                    self.directory.route_control(&entity, ToEntity::Leave(seat.key));
                }
            }
        }
    }

    /// One subscription of a `connect` is answered: the next one is asked for, unless the answer has become too large.
    fn ask_ahead(&self, seat: &Seat, gather: &mut Gather) {
        while let Some((entity, request)) = gather.ahead.pop_front() {
            if gather.bytes >= CONNECT_BYTES {
                request.reply.send_error(overloaded("connect"));
                continue;
            }
            seat.follow(&entity, request.spec.number);
            if let Err(message) = self.directory.route(entity, ToEntity::Subscribe(request)) {
                MAILBOX_REFUSALS.counter_with(["directory"]).increment(1);
                message.refuse(overloaded("directory"));
            }
            return;
        }
    }

    /// Answers a `connect` once everything that it asked for is.
    pub(super) fn answer_connect(&self, seat: &Seat) {
        let mut waiting = seat.gather.borrow_mut();
        let Some(gather) = waiting.take_if(|gather| !gather.resuming && gather.parts.iter().all(Option::is_some)) else { return };
        drop(waiting);
        let Gather { id, mut connected, parts, .. } = *gather;
        connected.subscriptions = parts.into_iter().flatten().collect();
        seat.answered();
        self.requests.answered("connect", None);
        if let Some(id) = id {
            seat.outbox.push_first(self.encoder.encode(seat.codec, &Message::Result { id: &id, result: &connected }));
        }
        seat.outbox.hold(false);
    }
}

/// Bytes of bodies and states in an outcome, with something for each event.
fn weight(outcome: &SubscriptionOutcome) -> usize {
    let Some(result) = &outcome.result else { return EVENT_BYTES };
    let events: usize = result.events.iter().flatten().map(|event| event.body.len() + EVENT_BYTES).sum();
    events + result.snapshot.as_ref().map_or(0, RawJson::len) + EVENT_BYTES
}
