//! The gate: outputs wait until the state they saw is on disk, and go out in order.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::params::EventPolicy;
use greenroom_protocol::results::{Empty, Sent, SnapshotReason, State, Subscribed};
use greenroom_protocol::{CodecKind, RawJson, Seq, WireError, notify};

use super::presence::weight;
use super::{Effects, Entity};
use crate::clock::Mono;
use crate::entity::ring::Ring;
use crate::frames::{EVENT_BYTES, Frames, Wants};
use crate::ids::{NodeIndex, SessionKey};
use crate::messages::{
    Answer, CatchUp, Part, Responder, SubscribeRequest, Subscriptions, unavailable,
};
use crate::record::EventRecord;
use crate::trail;

/// Something that goes out when everything before it is on disk.
#[derive(Debug)]
pub(in crate::entity) enum Output {
    /// An accepted op: the event for all, the answer for its sender.
    Event { record: Arc<EventRecord>, reply: Responder, since: Mono },
    /// The first outcome of a repeated op.
    Repeat(Responder, Box<Sent>),
    /// An op that was refused because of the state.
    Refusal(Responder, Box<WireError>),
    /// A state that was read.
    Read(Responder, Box<State>),
    /// Something that events must not overtake, nor it them.
    InOrder(InOrder),
}

/// What goes to the relays in its place among the events.
#[derive(Debug)]
pub(in crate::entity) enum InOrder {
    /// A subscription begins.
    Join(Box<Join>),
    /// A session has unsubscribed.
    Left { session: SessionKey, which: Subscriptions, reply: Option<Responder> },
    /// Nobody follows over this link any more.
    LinkReset(NodeIndex),
    /// A paused subscription gets what is in memory, and is live again.
    Live(CatchUp),
    /// A paused subscription gets a snapshot, and is live again.
    Reset(CatchUp, RawJson, SnapshotReason),
}

/// A subscription about to begin.
#[derive(Debug)]
pub(in crate::entity) struct Join {
    pub request: SubscribeRequest,
    pub begin: Begin,
}

/// What a subscriber begins with.
#[derive(Debug)]
pub(in crate::entity) enum Begin {
    /// The events read from the store, if any, and then those in memory.
    Events { read: Vec<EventRecord>, after: Seq },
    /// The state.
    Snapshot(RawJson, SnapshotReason),
}

/// An op whose commit failed.
#[derive(Debug)]
pub struct UnsettledOp {
    pub(super) record: Arc<EventRecord>,
    pub(super) reply: Responder,
}

impl Entity {
    /// Queues an output behind everything decided so far; it goes out at once when all of that is
    /// on disk.
    pub(super) fn put(&mut self, output: Output, fx: &mut Effects) {
        self.gate.push_back((self.seq, output));
        if self.gate.len() == 1 && self.seq <= self.durable {
            self.release(fx);
        }
    }

    /// Releases what need not wait any longer. Consecutive events go out together.
    pub(super) fn release(&mut self, fx: &mut Effects) {
        let mut run = Vec::new();
        let mut answers = Vec::new();
        let waited = self.gate.len();
        while self.gate.front().is_some_and(|(need, _)| *need <= self.durable) {
            let Some((_, output)) = self.gate.pop_front() else { break };
            match output {
                Output::Event { record, reply, since } => {
                    self.pending_ops -= 1;
                    self.released = record.seq;
                    self.nature.metrics.acknowledged(fx.now.elapsed_since(since));
                    let ids = || {
                        let session = Some(reply.session());
                        let user = Some(&*record.from);
                        trail::Ids { session, user, n: record.n, seq: Some(record.seq) }
                    };
                    trail::at("released to its sender and the subscribers", &self.nature.id, ids);
                    let sent = Sent {
                        seq: record.seq,
                        epoch: self.epoch.clone(),
                        at: record.at,
                        result: record.result.clone(),
                        duplicate: false,
                    };
                    answers.push(reply.ok(&sent));
                    run.push(record);
                }
                Output::Repeat(reply, sent) => answers.push(reply.ok(&*sent)),
                Output::Refusal(reply, error) => answers.push(reply.error(*error)),
                Output::Read(reply, state) => {
                    answers.push(reply.state(&state, |codec, state| self.shared.get(codec, state)));
                }
                Output::InOrder(in_order) => {
                    self.flush(&mut run, &mut answers, fx);
                    self.release_in_order(in_order, fx);
                }
            }
        }
        self.flush(&mut run, &mut answers, fx);
        let let_out = waited.saturating_sub(self.gate.len());
        // A busy entity will need the capacity again; a quiet one gives it back.
        if self.gate.is_empty() && self.gate.capacity() > 2 * let_out {
            self.gate.shrink_to(0);
        }
    }

    fn release_in_order(&mut self, output: InOrder, fx: &mut Effects) {
        match output {
            InOrder::Join(join) => self.join(*join, fx),
            InOrder::Left { session, which, reply } => {
                self.people.change_if_any(|people| people.audience.remove(session, which));
                // Without an answer to give, the relay has ended the subscription already.
                if let Some(reply) = reply {
                    fx.part(session.place(), Part::Left { session, which });
                    fx.answer(reply.ok(&Empty {}));
                }
            }
            InOrder::LinkReset(node) => {
                self.people.change_if_any(|people| people.audience.remove_node(node));
            }
            InOrder::Live(request) => self.live(request, fx),
            InOrder::Reset(request, snapshot, reason) => {
                let params = notify::Reset {
                    entity: self.nature.id.clone(),
                    epoch: self.epoch.clone(),
                    seq: self.released,
                    snapshot,
                    reason,
                };
                let mut frame = Vec::new();
                self.nature.encoder.append(
                    request.codec,
                    &Message::Notification { method: Method::Reset, params: &params },
                    &mut frame,
                );
                self.caught_up(&request, (frame.into(), 0), self.released, true, fx);
            }
        }
    }

    /// Sends a run of events to everybody, and the answers after it.
    fn flush(
        &mut self,
        run: &mut Vec<Arc<EventRecord>>,
        answers: &mut Vec<Answer>,
        fx: &mut Effects,
    ) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            let first = first.seq;
            let last = last.seq;
            self.hide_in_run(run);
            let wants = self.people.audience.wants();
            if !wants.none() {
                let frames = self.event_frames(wants, run.iter());
                self.publish(fx, || Part::Events { frames: frames.clone(), first, last });
            }
            self.ring.change(Ring::new, |ring| {
                for event in run.drain(..) {
                    ring.push(event, &self.nature.kind);
                }
            });
            self.hide_what_was_deleted(first, last);
        }
        for answer in answers.drain(..) {
            fx.answer(answer);
        }
    }

    fn event_frames<'a>(
        &self,
        wants: Wants,
        events: impl Iterator<Item = &'a Arc<EventRecord>> + Clone,
    ) -> Frames {
        let encode = |codec| {
            let mut out = Vec::new();
            for event in events.clone() {
                self.append_event(codec, event, &mut out);
            }
            out.into()
        };
        Frames {
            json: wants.json.then(|| encode(CodecKind::Json)),
            msgpack: wants.msgpack.then(|| encode(CodecKind::MsgPack)),
        }
    }

    pub(super) fn append_event(&self, codec: CodecKind, event: &EventRecord, out: &mut Vec<u8>) {
        let mut params = event.to_wire();
        params.entity = Some(self.nature.id.clone());
        self.nature.encoder.append(
            codec,
            &Message::Notification { method: Method::Event, params: &params },
            out,
        );
    }

    fn join(&mut self, join: Join, fx: &mut Effects) {
        let Join { mut request, begin } = join;
        let (events, snapshot, reason) = match begin {
            Begin::Snapshot(state, reason) => (None, Some(state), Some(reason)),
            Begin::Events { mut read, after } => {
                self.hide(&mut read);
                let after = read.last().map_or(after, |event| event.seq);
                let Some(rest) = self.ring.after(after, self.released) else {
                    // The ring has moved past what was read: a snapshot is cheaper now, unless the
                    // session has unsubscribed or subscribed again since.
                    if self.is_overtaken(request.spec.session) {
                        return fx.answer(request.reply.error(unavailable()));
                    }
                    return self.subscribe_with_snapshot(request, SnapshotReason::TooOld, fx);
                };
                let events: Vec<_> = read
                    .iter()
                    .map(EventRecord::to_wire)
                    .chain(rest.map(|event| self.shown(event).to_wire()))
                    .collect();
                (Some(events), None, None)
            }
        };
        let presence = request.spec.presence.then(|| self.present());
        let members = presence
            .iter()
            .flat_map(|list| list.members.iter().flatten())
            .map(weight)
            .sum::<usize>();
        let missed =
            events.iter().flatten().map(|event| event.body.len() + EVENT_BYTES).sum::<usize>();
        if let Err(refused) =
            request.reply.reserve(snapshot.as_ref().map_or(0, RawJson::len) + missed + members)
        {
            return fx.answer(request.reply.error(refused));
        }
        let epoch = self.epoch.clone();
        let seq = self.released;
        self.with_people(|people| {
            people.audience.add(request.spec.session, request.spec.number, request.reply.codec());
        });
        let subscribed = Subscribed {
            entity: self.nature.id.clone(),
            epoch: epoch.clone(),
            seq,
            events,
            reason,
            presence,
            snapshot,
        };
        let answer = request
            .reply
            .subscribed_sharing(subscribed, |codec, state| self.shared.get(codec, state));
        fx.part(
            request.spec.session.place(),
            Part::Joined { spec: request.spec, epoch, seq, answer },
        );
    }

    /// Whether a later request of this session about its subscription waits behind the gate, or the
    /// end of its link.
    fn is_overtaken(&self, session: SessionKey) -> bool {
        self.gate.iter().any(|(_, output)| match output {
            Output::InOrder(InOrder::Left { session: other, .. }) => *other == session,
            Output::InOrder(InOrder::LinkReset(node)) => *node == session.node,
            Output::InOrder(InOrder::Join(join)) => join.request.spec.session == session,
            _ => false,
        })
    }

    fn live(&mut self, request: CatchUp, fx: &mut Effects) {
        let mut frame = Vec::new();
        let mut count = 0;
        if request.spec.events != EventPolicy::None {
            let Some(events) = self.ring.after(request.after.seq.min(self.released), self.released)
            else {
                // The ring has moved on since this was queued: start over.
                return self.catch_up_again(request, fx);
            };
            let mut events: Vec<_> = events.cloned().collect();
            count = events.len() as u64;
            self.hide_in_run(&mut events);
            for event in &events {
                self.append_event(request.codec, event, &mut frame);
            }
        }
        self.caught_up(&request, (frame.into(), count), self.released, true, fx);
    }

    /// Since it asked to continue, a paused subscription has ended, or the session has subscribed
    /// again. Its relay knows that, or will when a failed commit is reported. If the relay still
    /// believes in the old subscription, it must not wait for ever.
    pub(super) fn forgo(&self, request: &CatchUp, fx: &mut Effects) {
        let spec = request.spec;
        if self.people.audience.has_later(spec.session, spec.number) {
            fx.part(spec.session.place(), Part::Replaced(spec));
        }
    }

    /// Gives a paused subscription what it missed, including the presence list. `missed` is a frame
    /// and the number of events in it.
    pub(super) fn caught_up(
        &mut self,
        request: &CatchUp,
        missed: (Bytes, u64),
        seq: Seq,
        live: bool,
        fx: &mut Effects,
    ) {
        let (mut frame, events) = missed;
        if request.presence {
            let params = self.who_is_here(self.present());
            let mut both = Vec::from(frame);
            self.nature.encoder.append(
                request.codec,
                &Message::Notification { method: Method::Presence, params: &params },
                &mut both,
            );
            frame = both.into();
        }
        let spec = request.spec;
        if !self.people.audience.contains(spec.session, spec.number) {
            return self.forgo(request, fx);
        }
        let frame = (!frame.is_empty()).then_some(frame);
        let epoch = self.epoch.clone();
        let after = request.after.seq;
        fx.part(
            spec.session.place(),
            Part::CaughtUp {
                spec,
                frame,
                events,
                epoch,
                after,
                seq,
                live,
                presence: request.presence,
            },
        );
    }
}
