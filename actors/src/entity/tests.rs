//! The entity without its mailbox, step by step.

use std::num::NonZeroU64;
use std::sync::Arc;

use greenroom_protocol::params::{self, EventPolicy, PresenceAction};
use greenroom_protocol::{CodecKind, Epoch, Position, RawJson, Seq};

use super::Fetch;
use super::state::{Effects, Entity, JournalSpace, UnsettledOp};
use crate::clock::{Millis, Mono};
use crate::ids::{NodeIndex, SessionKey, WorkerId};
use crate::kind::{Kind, Settings};
use crate::messages::{
    CatchUp, OpRequest, Part, SubSpec, SubscribeRequest, Subscriptions, ToEntity,
};
use crate::record::EventRecord;
use crate::store::{Loaded, SnapshotRow, StoreError};
use crate::testing::{
    Line, client, encoder, entity, kind, kind_of, part, post, session, settings, spec,
};

mod catching_up;
mod charging;
mod corrupt;
mod erasing;
mod failing;
mod gate;
mod links;
mod recovery;
mod reserving;
mod rest;
mod size;
mod subscribing;

/// An entity and what it has queued for the journal.
struct Rig {
    entity: Entity,
    line: Line,
    written: Vec<Arc<EventRecord>>,
    snapshots: Vec<SnapshotRow>,
    fetches: Vec<Fetch>,
    fx: Effects,
    now: Millis,
}

impl Rig {
    fn new() -> Self {
        Self::of(kind(), Loaded::default())
    }

    fn of(kind: Kind, loaded: Loaded) -> Self {
        let entity =
            Entity::wake(entity("room:a"), Arc::new(kind), encoder(), loaded, epoch()).unwrap();
        Self {
            entity,
            line: Line::new(),
            written: Vec::new(),
            snapshots: Vec::new(),
            fetches: Vec::new(),
            fx: Effects::at(Mono::ZERO),
            now: 5000,
        }
    }

    /// An entity with `count` events on disk, of which the ring has the last.
    fn with_events(kind: Kind, count: u64) -> Self {
        let mut rig = Self::of(kind, Loaded::default());
        for n in 1..=count {
            rig.post(0, n);
            rig.commit(n);
        }
        rig
    }

    /// What has come out since the last time, in a few words; what is for the journal and the store
    /// is kept.
    fn out(&mut self) -> Vec<String> {
        let Effects { event, snapshot, parts, fetches, .. } =
            std::mem::replace(&mut self.fx, Effects::at(Mono::ZERO));
        self.written.extend(event);
        self.snapshots.extend(snapshot.map(|row| *row));
        self.fetches.extend(fetches);
        parts.iter().flat_map(|(_, parts)| parts.iter().map(part)).collect()
    }

    fn op(&mut self, request: OpRequest) -> Vec<String> {
        self.entity.op(request, self.now, JournalSpace::Free, &mut self.fx);
        self.out()
    }

    /// A numbered post of alice's from session `slot`; the request's id is its number.
    fn post(&mut self, slot: u32, n: u64) -> Vec<String> {
        let reply = self.line.reply(slot, i64::try_from(n).unwrap());
        self.op(post("alice", Some(n), &format!("op {n}"), reply))
    }

    fn take(&mut self, message: ToEntity) -> Vec<String> {
        self.entity.take(message, &mut self.fx);
        self.out()
    }

    fn subscribe(&mut self, spec: SubSpec, after: Option<(Epoch, u64)>) -> Vec<String> {
        let reply = self.line.reply(spec.session.slot, 100);
        let after = after.map(|(epoch, seq)| Position { epoch, seq: Seq::new(seq) });
        self.take(ToEntity::Subscribe(Box::new(SubscribeRequest { spec, after, reply })))
    }

    fn unsubscribe(&mut self, slot: u32, through: u32) -> Vec<String> {
        let reply = self.line.reply(slot, 101);
        self.take(ToEntity::Unsubscribe { through, reply })
    }

    fn read(&mut self) -> Vec<String> {
        let reply = self.line.reply(0, 102);
        self.take(ToEntity::Read(reply))
    }

    fn history(&mut self, before: Option<u64>, after: Option<u64>, limit: u32) -> Vec<String> {
        let reply = self.line.reply(0, 103);
        let before = before.map(Seq::new);
        let after = after.map(Seq::new);
        self.take(ToEntity::History(
            params::History { entity: entity("room:a"), before, after, limit: Some(limit) },
            reply,
        ))
    }

    fn presence(&mut self, slot: u32, action: PresenceAction, user: &str) -> Vec<String> {
        let reply = self.line.reply(slot, 104);
        self.take(ToEntity::Presence { action, meta: None, user: user.into(), reply })
    }

    fn catch_up(&mut self, spec: SubSpec, after: u64, presence: bool) -> Vec<String> {
        let after = Position { epoch: epoch(), seq: Seq::new(after) };
        self.take(ToEntity::CatchUp(CatchUp { spec, codec: CodecKind::Json, after, presence }))
    }

    fn commit(&mut self, through: u64) -> Vec<String> {
        self.entity.committed_through(Seq::new(through), &mut self.fx);
        self.out()
    }

    /// Answers the oldest read with what is written.
    fn fetch(&mut self) -> Vec<String> {
        let written: Vec<_> = self.written.iter().map(|event| (**event).clone()).collect();
        self.fetch_from(Ok(written))
    }

    /// Answers the oldest read from a log that holds `events`.
    fn fetch_from(&mut self, events: Result<Vec<EventRecord>, StoreError>) -> Vec<String> {
        let Fetch { page, purpose, out: _out } = self.fetches.remove(0);
        let read = events.map(|events| page_of(&events, page));
        self.entity.fetched(purpose, read, &mut self.fx);
        self.out()
    }

    fn reload(&mut self, events: Vec<EventRecord>, unsettled: Vec<UnsettledOp>) -> Vec<String> {
        let epoch = (!events.is_empty()).then(epoch);
        self.entity
            .reload(
                Loaded {
                    snapshot: None,
                    epoch,
                    tail: events,
                    longest_row: 1,
                    erasures: Vec::new(),
                },
                unsettled,
                &mut self.fx,
            )
            .unwrap();
        self.out()
    }
}

fn page_of(events: &[EventRecord], page: crate::store::Page) -> Vec<EventRecord> {
    match page {
        crate::store::Page::After { after, limit } => {
            events.iter().filter(|event| event.seq > after).take(limit).cloned().collect()
        }
        crate::store::Page::Before { before, limit } => {
            let mut page: Vec<_> = events
                .iter()
                .rev()
                .filter(|event| event.seq < before)
                .take(limit)
                .cloned()
                .collect();
            page.reverse();
            page
        }
    }
}

fn epoch() -> Epoch {
    Epoch::from_bits(7)
}

fn nothing() -> Vec<String> {
    Vec::new()
}
