//! The subscriptions of one thread, and what each has received.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::RandomState;
use greenroom_protocol::close::CloseCode;
use greenroom_protocol::notify::EndReason;
use greenroom_protocol::params::EventPolicy;
use greenroom_protocol::{EntityId, Epoch, Position, Seq};

use super::parked::{Parked, ParkedLimits};
use super::runs::{QueuedSignal, Run};
use super::seat::{Follow, Seat};
use super::seats::{SeatCounts, Seats};
use crate::clock::Mono;
use crate::cluster::membership::Scope;
use crate::frames::{Encoder, Frames};
use crate::ids::{SessionKey, WorkerId};
use crate::messages::{CatchUp, Directory, Noted, Part, SubSpec, Subscriptions, ToEntity, ToRelay};
use crate::metrics::{DeliveryMetrics, RequestMetrics};
use crate::outbox::Outboxes;

mod answers;
mod asks;
mod places;
mod signals;

pub use places::Leaving;

/// The capacity of `touched` that is kept from one batch to the next.
const KEEP_TOUCHED: usize = 4096;

/// One thread's relay, shared by the relay's actor and the sessions on the same thread.
pub struct Relay {
    seats: Seats,
    parked: Parked,
    /// The time of the last sweep.
    now: Mono,
    /// The last number of parked sessions that was reported to the gauge.
    counted_parked: f64,
    outboxes: Rc<Outboxes>,
    /// A buffer for the sessions that a batch concerns, reused for the next one.
    touched: Vec<SessionKey>,
    audiences: HashMap<EntityId, Audience, RandomState>,
    directory: Directory,
    encoder: Encoder,
    metrics: DeliveryMetrics,
    requests: RequestMetrics,
}

/// This thread's subscriptions to one entity.
#[derive(Debug)]
struct Audience {
    /// The latest epoch that the entity reported.
    epoch: Epoch,
    subs: Vec<Sub>,
}

#[derive(Debug)]
struct Sub {
    spec: SubSpec,
    /// The epoch of `last`. Until the first event is on disk, each life of an entity has a new
    /// epoch.
    epoch: Epoch,
    /// The seq of the last event pushed to the outbox.
    last: Seq,
    flow: Flow,
    /// Whether a presence change was skipped.
    presence_stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Receives events as they arrive.
    Live,
    /// The outbox was full; waits until it drains.
    Paused,
    /// Has asked the entity for what it missed.
    Reading,
}

impl Relay {
    /// A relay without sessions, to be shared on its thread.
    pub fn new(worker: WorkerId, directory: Directory, encoder: Encoder) -> Rc<RefCell<Self>> {
        let limits = ParkedLimits {
            window: Duration::from_secs(120),
            grace: Duration::from_secs(15),
            most: 10_000,
        };
        Self::with_bounds(worker, directory, encoder, limits, usize::MAX)
    }

    /// The same with limits for parked sessions and for the bytes in all outboxes of the thread.
    pub fn with_bounds(
        worker: WorkerId,
        directory: Directory,
        encoder: Encoder,
        parked: ParkedLimits,
        outbox_bytes: usize,
    ) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            seats: Seats::new(worker),
            parked: Parked::new(parked),
            now: Mono::ZERO,
            counted_parked: 0.0,
            outboxes: Outboxes::new(outbox_bytes),
            touched: Vec::new(),
            audiences: HashMap::default(),
            directory,
            encoder,
            metrics: DeliveryMetrics::new(),
            requests: RequestMetrics::new(),
        }))
    }

    /// The state that the outboxes of this thread share.
    pub fn outboxes(&self) -> Rc<Outboxes> {
        Rc::clone(&self.outboxes)
    }

    /// Gives a new session its seat.
    pub fn seat(&mut self, make: impl FnOnce(SessionKey) -> Seat) -> Rc<Seat> {
        self.seats.add(make)
    }

    /// All seats of the thread.
    pub fn seats(&self) -> impl Iterator<Item = &Rc<Seat>> {
        self.seats.iter()
    }

    /// Totals for metrics.
    pub fn counts(&self) -> SeatCounts {
        self.seats.counts()
    }

    /// The sessions of this thread that follow `entity`, with the number of the subscription.
    pub fn followers(&self, entity: &EntityId) -> impl Iterator<Item = (SessionKey, u32)> + '_ {
        self.audiences
            .get(entity)
            .into_iter()
            .flat_map(|audience| &audience.subs)
            .map(|sub| (sub.spec.session, sub.spec.number))
    }

    /// The sessions of this thread that are present in `entity`, lost ones as well.
    pub fn present_sessions(&self, entity: &EntityId) -> Vec<SessionKey> {
        let concerned = |other: &EntityId| other == entity;
        let parked = self.parked.present_in(&concerned).map(|(key, ..)| key);
        let there = |seat: &&Rc<Seat>| {
            seat.membership.present().iter().any(|present| present.entity == *entity)
        };
        self.seats.iter().filter(there).map(|seat| seat.key).chain(parked).collect()
    }

    /// Handles one message.
    pub fn receive(&mut self, message: ToRelay) {
        match message {
            ToRelay::Parts { entity, parts } => {
                for part in parts {
                    self.part(&entity, part);
                }
            }
            // For other nodes' relays, which get their parts of it one by one.
            ToRelay::PartsByWorker { .. } => {}
            ToRelay::Answer(answer) => self.deliver(answer),
            ToRelay::AudienceForgotten { entity, ended } => {
                self.rejoin(&entity);
                if ended {
                    self.present_again(|other| *other == entity);
                }
            }
            ToRelay::OwnerChanged(scope) => self.owner_changed(&scope),
            ToRelay::Resume(resume) => self.resume(*resume),
            ToRelay::Resumed(resumed) => self.resumed(*resumed),
        }
    }

    /// Handles all queued messages. Each socket is written once for all of them, and consecutive
    /// signals of one entity share a buffer.
    pub fn receive_all(&mut self, messages: Vec<ToRelay>) {
        self.outboxes.begin_batch(std::mem::take(&mut self.touched));
        self.distribute(messages);
        let mut touched = self.outboxes.end_batch();
        for key in touched.drain(..) {
            if let Some(seat) = self.seats.get(key) {
                seat.flush();
            }
        }
        touched.shrink_to(KEEP_TOUCHED);
        self.touched = touched;
    }

    fn distribute(&mut self, messages: Vec<ToRelay>) {
        let mut run = Run::default();
        for message in messages {
            let ToRelay::Parts { entity, parts } = message else {
                self.signals(&mut run);
                self.receive(message);
                continue;
            };
            for part in parts {
                match part {
                    Part::Signal { frames, from, key } => {
                        if run.is_over(&entity) {
                            self.signals(&mut run);
                        }
                        run.add(&entity, QueuedSignal { frames, from, key });
                    }
                    // Mostly the answer to a signal's sender, whose order among signals does not
                    // matter.
                    Part::Answer(answer) => self.deliver(answer),
                    other => {
                        self.signals(&mut run);
                        self.part(&entity, other);
                    }
                }
            }
        }
        self.signals(&mut run);
    }

    fn part(&mut self, entity: &EntityId, part: Part) {
        match part {
            Part::Events { frames, first, last } => self.events(entity, &frames, first, last),
            Part::Signal { frames, from, key } => self.signal(entity, &frames, from, key),
            Part::Presence(frames) => self.presence(entity, &frames),
            Part::Joined { spec, epoch, seq, answer } => {
                self.join(entity, spec, epoch, seq);
                self.deliver(answer);
            }
            Part::Left { session, which } => self.left(entity, session, which),
            caught_up @ Part::CaughtUp { .. } => self.caught_up(entity, caught_up),
            Part::Replaced(spec) => self.replaced(entity, spec),
            Part::Answer(answer) => self.deliver(answer),
        }
    }

    fn events(&mut self, entity: &EntityId, frames: &Frames, first: Seq, last: Seq) {
        let Some(audience) = self.audiences.get_mut(entity) else { return };
        let mut delivered = 0;
        for sub in &mut audience.subs {
            if sub.flow != Flow::Live || last <= sub.last {
                continue;
            }
            if sub.spec.events == EventPolicy::None {
                sub.last = last;
                continue;
            }
            let Some(seat) = self.seats.get(sub.spec.session) else { continue };
            if first > sub.last.next() {
                // This only happens after the entity crashed: the missing events come from the
                // journal.
                self.directory.route_control(entity, catch_up(sub, seat));
            } else if !seat.outbox.is_full() {
                if let Some(frame) = frames.get(seat.codec) {
                    seat.outbox.push(frame.clone());
                    delivered += last.since(sub.last);
                    sub.last = last;
                }
            } else if sub.spec.events == EventPolicy::Disconnect {
                self.metrics.disconnected.increment(1);
                seat.outbox.close(CloseCode::SlowConsumer);
            } else {
                self.metrics.paused.increment(1);
                sub.flow = Flow::Paused;
                seat.outbox.starve();
            }
        }
        self.metrics.events.increment(delivered);
    }

    fn presence(&mut self, entity: &EntityId, frames: &Frames) {
        let Some(audience) = self.audiences.get_mut(entity) else { return };
        for sub in audience.subs.iter_mut().filter(|sub| sub.spec.presence) {
            let Some(seat) = self.seats.get(sub.spec.session) else { continue };
            let Some(frame) = frames.get(seat.codec) else { continue };
            if seat.outbox.is_full() {
                self.metrics.paused.increment(1);
                sub.presence_stale = true;
                seat.outbox.starve();
            } else {
                seat.outbox.push(frame.clone());
            }
        }
    }

    fn join(&mut self, entity: &EntityId, spec: SubSpec, epoch: Epoch, seq: Seq) {
        let Some(seat) = self.seats.get(spec.session) else {
            // The session ended before the entity answered.
            return self.directory.route_control(
                entity,
                ToEntity::Unfollow(spec.session, Subscriptions::Through(spec.number)),
            );
        };
        if answers::withheld(seat, &Noted::Follow(entity.clone(), spec.number)).is_some() {
            // It has lost the permission in the meantime, and is answered so.
            return self.directory.route_control(
                entity,
                ToEntity::Unfollow(spec.session, Subscriptions::Through(spec.number)),
            );
        }
        self.take_epoch(entity, &epoch);
        let sub =
            Sub { spec, epoch: epoch.clone(), last: seq, flow: Flow::Live, presence_stale: false };
        let audience = self
            .audiences
            .entry(entity.clone())
            .or_insert_with(|| Audience { epoch, subs: Vec::with_capacity(1) });
        match audience.subs.iter_mut().find(|old| old.spec.session == spec.session) {
            Some(old) => *old = sub,
            None => audience.subs.push(sub),
        }
    }

    /// The entity's epoch is `epoch` now: subscriptions with another one ask where to continue.
    fn take_epoch(&mut self, entity: &EntityId, epoch: &Epoch) {
        let Some(audience) =
            self.audiences.get_mut(entity).filter(|audience| audience.epoch != *epoch)
        else {
            return;
        };
        // Subscriptions that are reading have asked already.
        for sub in audience.subs.iter_mut().filter(|sub| sub.flow != Flow::Reading) {
            let Some(seat) = self.seats.get(sub.spec.session) else { continue };
            self.directory.route_control(entity, catch_up(sub, seat));
        }
        audience.epoch = epoch.clone();
    }

    fn left(&mut self, entity: &EntityId, session: SessionKey, which: Subscriptions) {
        if let Some(seat) = self.seats.get(session) {
            seat.membership.unfollow(entity, which);
        }
        self.drop_sub(entity, session, which);
    }

    /// Removes a session's subscription if it is among these. Returns false if there is none.
    fn drop_sub(&mut self, entity: &EntityId, session: SessionKey, which: Subscriptions) -> bool {
        let Some(audience) = self.audiences.get_mut(entity) else { return false };
        let found = audience
            .subs
            .iter()
            .position(|sub| sub.spec.session == session && which.include(sub.spec.number));
        if let Some(index) = found {
            audience.subs.swap_remove(index);
        }
        if audience.subs.is_empty() {
            self.audiences.remove(entity);
        }
        found.is_some()
    }

    /// Continues the paused subscriptions of a seat whose outbox has drained.
    pub fn drained(&mut self, seat: &Seat) {
        for Follow { entity, .. } in seat.membership.follows().iter() {
            let Some(audience) = self.audiences.get_mut(entity) else { continue };
            let Some(sub) = audience.subs.iter_mut().find(|sub| sub.spec.session == seat.key)
            else {
                continue;
            };
            if sub.flow == Flow::Paused || (sub.presence_stale && sub.flow == Flow::Live) {
                self.directory.route_control(entity, catch_up(sub, seat));
            }
        }
    }

    fn caught_up(&mut self, entity: &EntityId, part: Part) {
        let Part::CaughtUp { spec, frame, events, epoch, after, seq, live, presence } = part else {
            return;
        };
        self.take_epoch(entity, &epoch);
        let SubSpec { session, number, .. } = spec;
        let find = |sub: &&mut Sub| sub.spec.session == session && sub.spec.number == number;
        let sub =
            self.audiences.get_mut(entity).and_then(|audience| audience.subs.iter_mut().find(find));
        let (Some(sub), Some(seat)) = (sub, self.seats.get(session)) else {
            // The subscription ended after it asked, and the entity has recorded it again because
            // of that.
            return self.directory.route_control(
                entity,
                ToEntity::Unfollow(session, Subscriptions::Through(number)),
            );
        };
        if sub.flow != Flow::Reading || sub.last != after {
            // This answer is outdated, and its presence list is requested again, by a request that
            // is under way once that is answered.
            sub.presence_stale |= presence;
            if sub.presence_stale && sub.flow == Flow::Live {
                if seat.outbox.is_full() {
                    seat.outbox.starve();
                } else {
                    self.directory.route_control(entity, catch_up(sub, seat));
                }
            }
            return;
        }
        if let Some(frame) = frame {
            self.metrics.events.increment(events);
            seat.outbox.push(frame);
        }
        sub.epoch = epoch;
        sub.last = seq;
        sub.flow = if live { Flow::Live } else { Flow::Paused };
        // A presence change may have been skipped in the meantime, and the outbox may have drained.
        if live && !sub.presence_stale {
            return;
        }
        if seat.outbox.is_full() {
            seat.outbox.starve();
        } else {
            self.directory.route_control(entity, catch_up(sub, seat));
        }
    }

    /// The entity knows a later subscription than the one that asked to read on. If the relay does
    /// not, they disagree and nothing more would arrive, so the subscription is ended with a
    /// notification.
    fn replaced(&mut self, entity: &EntityId, spec: SubSpec) {
        let waits = |sub: &&Sub| {
            sub.spec.session == spec.session
                && sub.spec.number == spec.number
                && sub.flow == Flow::Reading
        };
        let Some(seat) = self.seats.get(spec.session).cloned() else { return };
        if self
            .audiences
            .get(entity)
            .is_some_and(|audience| audience.subs.iter().any(|sub| waits(&sub)))
        {
            tracing::error!(%entity, number = spec.number, "an entity and a relay disagree about a subscription");
            self.end_subscription(&seat, entity.clone(), spec.number, EndReason::Unavailable);
        }
    }

    /// The entities in `scope` have another owner, which knows nobody yet.
    fn owner_changed(&mut self, scope: &Scope) {
        let concerned = |entity: &&EntityId| scope.contains(entity);
        let followed: Vec<_> = self.audiences.keys().filter(concerned).cloned().collect();
        for entity in &followed {
            self.rejoin(entity);
        }
        self.present_again(|entity| scope.contains(entity));
    }

    fn rejoin(&mut self, entity: &EntityId) {
        let Some(audience) = self.audiences.get_mut(entity) else { return };
        for sub in &mut audience.subs {
            let Some(seat) = self.seats.get(sub.spec.session) else { continue };
            // The presence may have changed without a notification.
            sub.presence_stale = sub.spec.presence;
            self.directory.route_control(entity, catch_up(sub, seat));
        }
    }
}

/// Requests what the subscription missed, and marks it as `Reading`.
fn catch_up(sub: &mut Sub, seat: &Seat) -> ToEntity {
    sub.flow = Flow::Reading;
    let presence = std::mem::take(&mut sub.presence_stale);
    let after = Position { epoch: sub.epoch.clone(), seq: sub.last };
    ToEntity::CatchUp(CatchUp { spec: sub.spec, codec: seat.codec, after, presence })
}
