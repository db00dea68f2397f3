//! The answer to a `connect` in the making, and what waits for its turn until then.

use std::collections::VecDeque;

use greenroom_protocol::results::{Connected, PresenceOutcome, SubscriptionOutcome};
use greenroom_protocol::{EntityId, RawJson, RequestId, params};

use crate::frames::EVENT_BYTES;
use crate::messages::Responder;

/// Entries of one `connect` that are asked for at once, so that few answers are in the making.
const AT_ONCE: usize = 8;
/// Bytes that the answer to one `connect` gathers, before the rest of its subscriptions is refused.
const CONNECT_BYTES: usize = 4 * 1024 * 1024;

/// What a session asks that must stay in order with what its `connect` asks.
#[derive(Debug)]
pub enum Ask {
    /// Follow.
    Subscribe(params::Subscribe),
    /// Follow no more.
    Unsubscribe(EntityId),
    /// List, enter or leave.
    Presence(params::Presence),
}

/// See the module's head.
#[derive(Debug)]
pub struct Connecting {
    /// What to answer to.
    id: Option<RequestId>,
    /// The answer, all but the outcomes.
    connected: Connected,
    subscriptions: Vec<Option<SubscriptionOutcome>>,
    presence: Vec<Option<PresenceOutcome>>,
    /// The entries of the `connect` that are still to be asked for, and requests that came behind
    /// them.
    ahead: VecDeque<(Ask, Responder)>,
    /// Entries that are asked for and not answered yet.
    asked: usize,
    /// Entries that are not answered yet.
    open: usize,
    /// Bytes of the outcomes so far, roughly.
    bytes: usize,
    /// Another thread is asked for the session whose place this one takes.
    resuming: bool,
}

impl Connecting {
    /// Nothing is asked for yet. `ahead` has an entry for each of the answer's `subscriptions` and
    /// `presence`.
    pub fn new(
        id: Option<RequestId>,
        connected: Connected,
        ahead: VecDeque<(Ask, Responder)>,
        resuming: bool,
    ) -> Self {
        let presence = ahead.iter().filter(|(ask, _)| matches!(ask, Ask::Presence(_))).count();
        let open = ahead.len();
        let subscriptions = open - presence;
        Self {
            id,
            connected,
            subscriptions: (0..subscriptions).map(|_| None).collect(),
            presence: (0..presence).map(|_| None).collect(),
            ahead,
            asked: 0,
            open,
            bytes: 0,
            resuming,
        }
    }

    /// Lets `ask` wait if something is before it; otherwise it is given back.
    pub(super) fn behind(&mut self, ask: Ask, reply: Responder) -> Option<(Ask, Responder)> {
        if self.ahead.is_empty() && !self.waits_for_place(&ask) {
            return Some((ask, reply));
        }
        self.ahead.push_back((ask, reply));
        None
    }

    /// What is to be asked for now, if anything. True: the answer has become too large, so that it
    /// is refused.
    pub(super) fn next(&mut self) -> Option<(Ask, Responder, bool)> {
        let (ask, reply) = self.ahead.front()?;
        if self.waits_for_place(ask) || (reply.is_entry() && self.asked >= AT_ONCE) {
            return None;
        }
        let (ask, reply) = self.ahead.pop_front()?;
        self.asked += usize::from(reply.is_entry());
        let too_large =
            reply.is_entry() && self.bytes >= CONNECT_BYTES && matches!(ask, Ask::Subscribe(_));
        Some((ask, reply, too_large))
    }

    /// Where it is present is known only when it has the other session's place, or has not.
    fn waits_for_place(&self, ask: &Ask) -> bool {
        self.resuming && matches!(ask, Ask::Presence(_))
    }

    /// Bytes of the outcomes so far, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One of the subscriptions is answered.
    pub(super) fn subscribed(&mut self, index: u16, outcome: SubscriptionOutcome) {
        self.asked = self.asked.saturating_sub(1);
        self.bytes += weight(&outcome);
        if let Some(place) = self.subscriptions.get_mut(usize::from(index)) {
            self.open -= usize::from(place.replace(outcome).is_none());
        }
    }

    /// One of the presence entries is answered.
    pub(super) fn entered(&mut self, index: u16, outcome: PresenceOutcome) {
        self.asked = self.asked.saturating_sub(1);
        if let Some(place) = self.presence.get_mut(usize::from(index)) {
            self.open -= usize::from(place.replace(outcome).is_none());
        }
    }

    /// It has the other session's place, or there is none to take.
    pub(super) fn resumed(&mut self, found: bool) {
        self.resuming = false;
        self.connected.resumed = found;
    }

    /// Whether everything is answered that the `connect` asked for.
    pub(super) fn is_complete(&self) -> bool {
        !self.resuming && self.open == 0
    }

    /// What to answer to, and the answer.
    pub(super) fn finish(self) -> (Option<RequestId>, Connected) {
        let Self { id, mut connected, subscriptions, presence, .. } = self;
        connected.subscriptions = subscriptions.into_iter().flatten().collect();
        connected.presence = presence.into_iter().flatten().collect();
        (id, connected)
    }

    /// The session has ended: nobody waits for what it asked.
    pub(super) fn discard(self) {
        for (_, reply) in self.ahead {
            reply.discard();
        }
    }
}

/// Bytes of bodies and states in an outcome, with something for each event.
fn weight(outcome: &SubscriptionOutcome) -> usize {
    let Some(result) = &outcome.result else { return EVENT_BYTES };
    let events: usize =
        result.events.iter().flatten().map(|event| event.body.len() + EVENT_BYTES).sum();
    events + result.snapshot.as_ref().map_or(0, RawJson::len) + EVENT_BYTES
}
