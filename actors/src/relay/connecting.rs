//! A `connect` that is being answered: its outcomes so far, its remaining entries, and the requests
//! behind them.

use std::collections::VecDeque;

use greenroom_protocol::results::{Connected, PresenceOutcome, SubscriptionOutcome};
use greenroom_protocol::{EntityId, RawJson, RequestId, WireError, params};

use crate::frames::EVENT_BYTES;
use crate::messages::{Responder, overloaded};

/// The number of entries of one `connect` that are requested at a time, which bounds the answers
/// being made.
const AT_ONCE: usize = 8;
/// The size of the answer to one `connect` at which the rest of its subscriptions is refused.
const CONNECT_BYTES: usize = 4 * 1024 * 1024;

/// A request that must stay in order with the entries of a `connect`.
#[derive(Debug)]
pub enum Ask {
    Subscribe(params::Subscribe),
    Unsubscribe(EntityId),
    Presence(params::Presence),
}

/// What to do with the next request.
pub(super) enum Next {
    Ask(Ask, Responder),
    Refuse(Responder, WireError),
}

impl Ask {
    /// The entity that it is for.
    pub const fn entity(&self) -> &EntityId {
        match self {
            Self::Subscribe(params) => &params.entity,
            Self::Unsubscribe(entity) => entity,
            Self::Presence(params) => &params.entity,
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Connecting {
    /// `None` if the request expects no answer.
    id: Option<RequestId>,
    /// The answer without the outcomes.
    connected: Connected,
    subscriptions: Vec<Option<SubscriptionOutcome>>,
    presence: Vec<Option<PresenceOutcome>>,
    /// The remaining entries of the `connect`, and the requests that arrived after it.
    ahead: VecDeque<(Ask, Responder)>,
    /// The number of entries that are requested and not answered yet.
    asked: usize,
    /// The number of entries that are not answered yet.
    open: usize,
    /// The approximate size of the outcomes so far.
    bytes: usize,
    /// Whether the answer from the thread of the session to resume is outstanding.
    resuming: bool,
    /// Why all entries are refused, if the session's user cannot pay for them.
    unpaid: Option<WireError>,
}

impl Connecting {
    /// Nothing is requested yet. `ahead` has one element for each entry of the answer's
    /// `subscriptions` and `presence`.
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
            unpaid: None,
        }
    }

    /// The same, with all entries refused for this reason.
    #[must_use]
    pub fn unpaid(self, error: WireError) -> Self {
        Self { unpaid: Some(error), ..self }
    }

    /// Queues `ask` if it has to wait; otherwise returns it.
    pub(super) fn behind(&mut self, ask: Ask, reply: Responder) -> Option<(Ask, Responder)> {
        if self.ahead.is_empty() && !self.waits_for_place(&ask) {
            return Some((ask, reply));
        }
        self.ahead.push_back((ask, reply));
        None
    }

    /// What can be requested now, if anything.
    pub(super) fn next(&mut self) -> Option<Next> {
        let (ask, reply) = self.ahead.front()?;
        if self.waits_for_place(ask) || (reply.is_entry() && self.asked >= AT_ONCE) {
            return None;
        }
        let (ask, reply) = self.ahead.pop_front()?;
        self.asked += usize::from(reply.is_entry());
        if !reply.is_entry() {
            return Some(Next::Ask(ask, reply));
        }
        if let Some(error) = &self.unpaid {
            return Some(Next::Refuse(reply, error.clone()));
        }
        let is_too_large = self.bytes >= CONNECT_BYTES && matches!(ask, Ask::Subscribe(_));
        Some(if is_too_large {
            Next::Refuse(reply, overloaded("connect"))
        } else {
            Next::Ask(ask, reply)
        })
    }

    /// Where the session is present is only known once the other session's place has been taken or
    /// not found.
    fn waits_for_place(&self, ask: &Ask) -> bool {
        self.resuming && matches!(ask, Ask::Presence(_))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn subscribed(&mut self, index: u16, outcome: SubscriptionOutcome) {
        self.asked = self.asked.saturating_sub(1);
        self.bytes += weight(&outcome);
        if let Some(place) = self.subscriptions.get_mut(usize::from(index)) {
            self.open -= usize::from(place.replace(outcome).is_none());
        }
    }

    pub(super) fn entered(&mut self, index: u16, outcome: PresenceOutcome) {
        self.asked = self.asked.saturating_sub(1);
        if let Some(place) = self.presence.get_mut(usize::from(index)) {
            self.open -= usize::from(place.replace(outcome).is_none());
        }
    }

    /// Whether the other session's place was taken is now known.
    pub(super) fn resumed(&mut self, found: bool) {
        self.resuming = false;
        self.connected.resumed = found;
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.resuming && self.open == 0
    }

    /// The id to answer to, and the answer.
    pub(super) fn finish(self) -> (Option<RequestId>, Connected) {
        let Self { id, mut connected, subscriptions, presence, .. } = self;
        connected.subscriptions = subscriptions.into_iter().flatten().collect();
        connected.presence = presence.into_iter().flatten().collect();
        (id, connected)
    }

    /// The session has ended: nobody waits for these answers.
    pub(super) fn discard(self) {
        for (_, reply) in self.ahead {
            reply.discard();
        }
    }
}

/// The size of the bodies and states in an outcome, plus a fixed amount for each event.
fn weight(outcome: &SubscriptionOutcome) -> usize {
    let Some(result) = &outcome.result else { return EVENT_BYTES };
    let events: usize =
        result.events.iter().flatten().map(|event| event.body.len() + EVENT_BYTES).sum();
    events + result.snapshot.as_ref().map_or(0, RawJson::len) + EVENT_BYTES
}
