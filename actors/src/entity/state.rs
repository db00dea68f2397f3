//! An entity without its mailbox: input in, effects out.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use greenroom_protocol::codec::Method;
use greenroom_protocol::results::{Empty, Sent, State};
use greenroom_protocol::{EntityId, Epoch, ErrorCode, Seq, notify};

use super::dedupe::Dedupe;
use super::eraser::{Eraser, PagesOut};
use super::nature::Nature;
use super::retention::{Extent, Retention};
use super::ring::Ring;
use super::snapshots::Snapshots;
use crate::behaviour::{Behaviour, Corrupt};
use crate::clock::Millis;
use crate::frames::{Encoder, signal_key};
use crate::ids::SessionKey;
use crate::journal::Progress;
use crate::kind::Kind;
use crate::limits::{Bucket, Rate};
use crate::messages::{Part, Responder, SignalRequest, Subscriptions, ToEntity, unavailable};
use crate::rare::Rare;
use crate::store::{Loaded, SnapshotRow, Trim};

mod effects;
mod erasing;
mod links;
mod ops;
mod outputs;
mod people;
mod presence;
mod readers;
mod reads;
mod shared;

pub use effects::{Effects, Fetch, FetchFor};
pub use ops::JournalSpace;
pub use outputs::UnsettledOp;
use outputs::{InOrder, Output};
use people::People;
use shared::SharedState;

/// A snapshot is due when the events since the last one are this many times larger than it, within
/// bounds, so that snapshots are a bounded share of what is written.
const SNAPSHOT_RATIO: usize = 4;
/// The approximate size of an outcome in a snapshot, in bytes.
const OUTCOME_BYTES: usize = 64;

/// One entity, awake.
pub struct Entity {
    nature: Rc<Nature>,
    epoch: Epoch,
    behaviour: Box<dyn Behaviour>,
    dedupe: Rare<Dedupe>,
    /// The last event decided. Nobody has seen the events after `committed`.
    seq: Seq,
    /// The last event on disk.
    durable: Seq,
    /// The last event on disk and released. It is behind `durable` only during a release: outputs
    /// that leave at that moment belong to this seq.
    released: Seq,
    /// The time of the last event; times never go back.
    last_at: Millis,
    /// Outputs that wait for a commit, in order.
    gate: VecDeque<(Seq, Output)>,
    /// The number of events among them.
    pending_ops: usize,
    ring: Rare<Ring>,
    /// Followers and presence.
    people: Rare<People>,
    bucket: Bucket,
    shared: SharedState,
    /// When the next snapshot is due.
    snapshots: Snapshots,
    /// Which rows of the journal are deleted next.
    retention: Retention,
    /// Deleted bodies that the journal may still contain.
    eraser: Rare<Eraser>,
    /// The pages that are being read.
    out: PagesOut,
    /// How much of what this life has queued is on disk; none before it has queued anything.
    pub(super) progress: Option<Arc<Progress>>,
}

impl std::fmt::Debug for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Entity");
        shown
            .field("id", &self.nature.id)
            .field("seq", &self.seq)
            .field("released", &self.released)
            .field("gate", &self.gate.len());
        let People { audience, joining, presence, .. } = &*self.people;
        shown
            .field("audience", audience)
            .field("joining", joining)
            .field("present", &presence.count());
        shown.field("untold", &presence.is_dirty()).finish_non_exhaustive()
    }
}

impl Entity {
    /// Wakes an entity from its stored data. An entity that the store does not have gets `fresh` as
    /// its epoch.
    ///
    /// # Errors
    /// If the stored data does not fit the kind's behaviour.
    pub fn wake(
        id: EntityId,
        kind: Arc<Kind>,
        encoder: Encoder,
        loaded: Loaded,
        fresh: Epoch,
    ) -> Result<Self, Corrupt> {
        Self::wake_as(Rc::new(Nature::new(id, kind, encoder)), loaded, fresh)
    }

    /// See [`wake`](Self::wake).
    pub(super) fn wake_as(
        nature: Rc<Nature>,
        loaded: Loaded,
        fresh: Epoch,
    ) -> Result<Self, Corrupt> {
        let mut loaded = loaded;
        let kind = &nature.kind;
        let no_outcomes = || Dedupe::new(kind.dedupe_clients, kind.dedupe_ops);
        let tail = std::mem::take(&mut loaded.tail);
        let epoch = loaded.epoch.take();
        let corrupt = |seq, error: serde_json::Error| Corrupt { seq, why: error.to_string() };
        let (mut behaviour, mut dedupe, snapshot_seq) = match &loaded.snapshot {
            Some(row) => {
                let dedupe = Dedupe::unpack(kind.dedupe_clients, kind.dedupe_ops, &row.dedupe)
                    .map_err(|error| corrupt(row.seq, error))?;
                (kind.behaviour().restore(row.seq, &row.state)?, Rare::from(dedupe), row.seq)
            }
            None => (kind.behaviour().create(), Rare::default(), Seq::ZERO),
        };
        let mut ring = Rare::<Ring>::default();
        let mut seq = snapshot_seq;
        let mut bytes = 0;
        for event in tail {
            if event.seq != seq.next() {
                return Err(Corrupt {
                    seq,
                    why: format!("event {} follows event {seq}", event.seq),
                });
            }
            behaviour.apply(&event)?;
            dedupe.change(no_outcomes, |dedupe| dedupe.record(&event));
            seq = event.seq;
            bytes += event.body.len();
            ring.change(Ring::new, |ring| ring.push(Arc::new(event), kind));
        }
        let erasures = std::mem::take(&mut loaded.erasures);
        let mut woken = Self {
            epoch: epoch.unwrap_or(fresh),
            behaviour,
            last_at: dedupe.last_at(),
            dedupe,
            seq,
            durable: seq,
            released: seq,
            gate: VecDeque::new(),
            pending_ops: 0,
            ring,
            people: Rare::default(),
            bucket: Bucket::new(Rate::new(kind.ops_per_second, kind.ops_burst)),
            shared: SharedState::default(),
            snapshots: Snapshots::new(&nature.id, snapshot_seq, bytes),
            retention: Retention::new(&loaded, seq),
            eraser: Rare::default(),
            out: PagesOut::default(),
            progress: None,
            nature,
        };
        woken.still_to_erase(&erasures);
        Ok(woken)
    }

    /// The log's identity.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The last event that is on disk.
    pub fn released(&self) -> Seq {
        self.released
    }

    /// Whether nothing waits for a commit.
    pub fn settled(&self) -> bool {
        self.gate.is_empty() && self.released == self.seq
    }

    /// Whether it may sleep without anybody noticing.
    pub fn idle(&self) -> bool {
        self.settled() && self.people.nobody() && self.eraser.is_done()
    }

    /// The followers with the numbers of their subscriptions, in no particular order.
    pub fn followers(&self) -> impl Iterator<Item = (SessionKey, u32)> + '_ {
        self.people.audience.iter()
    }

    /// The sessions that are present, in no particular order.
    pub fn present_sessions(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.people.presence.sessions()
    }

    /// Takes anything but an op.
    pub fn take(&mut self, message: ToEntity, fx: &mut Effects) {
        match message {
            ToEntity::Op(request) => request.reply.send_error(unavailable()),
            ToEntity::Subscribe(request) => self.subscribe(*request, fx),
            ToEntity::Unsubscribe { through, reply } => {
                let which = Subscriptions::Through(through);
                self.leave(reply.session(), which, Some(reply), fx);
            }
            ToEntity::Unfollow(session, which) => self.leave(session, which, None, fx),
            ToEntity::Signal(request) => self.signal(*request, fx),
            ToEntity::Read(mut reply) => {
                if let Err(refused) = reply.reserve(self.behaviour.size()) {
                    return fx.answer(reply.error(refused));
                }
                let state = State {
                    epoch: self.epoch.clone(),
                    seq: self.seq,
                    state: self.behaviour.snapshot(),
                };
                self.put(Output::Read(reply, Box::new(state)), fx);
            }
            ToEntity::History(params, reply) => self.history(&params, reply, fx),
            ToEntity::Presence { action, meta, user, reply } => {
                self.presence(action, meta, &user, reply, fx);
            }
            ToEntity::CatchUp(request) => self.catch_up(request, fx),
            ToEntity::Adopt(adopt) => {
                self.with_people(|people| {
                    people.presence.adopt(adopt.from, adopt.to, &adopt.user, adopt.meta);
                });
                fx.presence_due |= self.people.presence.is_dirty();
            }
            ToEntity::Leave(session) => fx.presence_due |= self.leave_presence(session),
            ToEntity::Gone(session) => {
                fx.presence_due |= self.leave_presence(session);
                self.leave(session, Subscriptions::All, None, fx);
            }
            ToEntity::LinkReset(node) => self.link_reset(node, fx),
            ToEntity::LinkOver(node) => self.link_over(node, fx),
            ToEntity::Erase => self.erase_on(fx),
            ToEntity::Sleep { .. } => {}
        }
    }

    fn snapshot_if_due(&mut self, fx: &mut Effects) {
        let weight =
            || SNAPSHOT_RATIO * (self.behaviour.size() + OUTCOME_BYTES * self.dedupe.len());
        if self.snapshots.is_due(self.seq, self.nature.kind.snapshot_every, weight) {
            self.snapshot(fx);
        }
    }

    /// Has the state queued in the journal, if it has changed since the last time.
    pub fn snapshot(&mut self, fx: &mut Effects) {
        if self.seq != self.snapshots.latest() {
            self.snapshot_again(fx);
        }
    }

    /// Has the state queued in the journal, even if it was queued before.
    fn snapshot_again(&mut self, fx: &mut Effects) {
        self.snapshots.made(self.seq);
        let pending = self.seq.saturating_since(self.durable);
        let (trimmed, longest_row) = self.retention.for_snapshot(pending);
        fx.snapshot = Some(Box::new(SnapshotRow {
            entity: self.nature.id.clone(),
            epoch: self.epoch.clone(),
            seq: self.seq,
            state: self.behaviour.snapshot(),
            dedupe: self.dedupe.pack(),
            trimmed,
            longest_row,
        }));
    }

    /// The latest snapshot is in the journal's queue.
    pub fn snapshot_queued(&mut self) {
        self.snapshots.latest_is_queued();
    }

    /// Whether this life has written anything.
    pub fn has_written(&self) -> bool {
        self.retention.has_rows()
    }

    /// The rows to delete next, if any; the caller must queue them in the journal.
    pub fn trim(&mut self) -> Option<Trim> {
        let log =
            Extent { decided: self.seq, durable: self.durable, covered: self.snapshots.queued() };
        self.retention.trim(&self.nature.id, log, self.nature.kind.keep_events)
    }

    /// Everything up to `through` is on disk: the outputs that waited for it are released. Returns
    /// whether it is time to delete something.
    pub fn committed_through(&mut self, through: Seq, fx: &mut Effects) -> bool {
        let written = through.saturating_since(self.durable);
        self.durable += written;
        self.release(fx);
        self.erase_on(fx);
        self.retention.row_written(written, self.snapshots.queued(), self.nature.kind.keep_events)
    }

    /// A commit failed: forgets what is not on disk. Returns the ops that waited, to be looked up by
    /// [`reload`](Self::reload).
    pub fn fail(&mut self) -> Vec<UnsettledOp> {
        self.pending_ops = 0;
        let unsettled =
            std::mem::take(&mut self.gate).into_iter().filter_map(|(_, output)| match output {
                Output::Event { record, reply, .. } => Some(UnsettledOp { record, reply }),
                // Dropping a responder answers `unavailable`; followers resubscribe after the
                // reload.
                _ => None,
            });
        unsettled.collect()
    }

    /// Reads the state from the store again, keeps presence, and answers the ops that a failure left
    /// open. Followers are forgotten: the caller must notify the relays, which resubscribe.
    ///
    /// # Errors
    /// As for [`wake`](Self::wake); nothing has changed in that case.
    pub fn reload(
        &mut self,
        loaded: Loaded,
        unsettled: Vec<UnsettledOp>,
        fx: &mut Effects,
    ) -> Result<(), Corrupt> {
        let fresh = Self::wake_as(Rc::clone(&self.nature), loaded, self.epoch.clone())?;
        let mut people = std::mem::take(&mut self.people);
        people.change_if_any(People::forget_followers);
        *self = Self { people, ..fresh };
        fx.presence_due |= self.people.presence.is_dirty();
        for UnsettledOp { record, reply } in unsettled {
            let found = match (&record.client, record.n) {
                (Some(client), Some(n)) => self.dedupe.outcome(&record.from, client, n).cloned(),
                _ => None,
            };
            fx.answer(match found {
                Some(done) => {
                    self.nature.metrics.accepted.increment(1);
                    reply.ok(&Sent {
                        seq: done.seq,
                        epoch: self.epoch.clone(),
                        at: done.at,
                        result: done.result,
                        duplicate: false,
                    })
                }
                None => {
                    self.nature.metrics.refused(ErrorCode::Unavailable);
                    reply.error(unavailable())
                }
            });
        }
        Ok(())
    }

    /// Ends these subscriptions of the session, in order with the other outputs.
    fn leave(
        &mut self,
        session: SessionKey,
        which: Subscriptions,
        reply: Option<Responder>,
        fx: &mut Effects,
    ) {
        self.people.change_if_any(|people| {
            if people.joining.get(&session).is_some_and(|number| which.include(*number)) {
                people.joining.remove(&session);
            }
        });
        self.put(Output::InOrder(InOrder::Left { session, which, reply }), fx);
    }

    /// The number of outputs behind the gate.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.gate.len()
    }

    /// As if the ring had moved past all that it holds.
    #[cfg(test)]
    pub(super) fn forget_ring(&mut self) {
        self.ring = Rare::default();
    }

    fn signal(&mut self, request: SignalRequest, fx: &mut Effects) {
        let SignalRequest { session, user, signal, reply } = request;
        let key = signal_key(
            session,
            self.nature.id.as_str(),
            &signal.r#type,
            signal.key.as_deref().unwrap_or_default(),
        );
        let params = notify::Signal {
            entity: signal.entity,
            from: user.as_ref().into(),
            r#type: signal.r#type,
            body: signal.body,
            key: signal.key,
        };
        let frames =
            self.nature.encoder.notification(self.people.audience.wants(), Method::Signal, &params);
        self.publish(fx, || Part::Signal { frames: frames.clone(), from: session, key });
        fx.answer(reply.ok(&Empty {}));
    }

    fn publish(&self, fx: &mut Effects, part: impl Fn() -> Part) {
        fx.part_for_all(self.people.audience.places(), part);
    }
}
