//! The checker's copy of the disk: every event ever written, and the state after each.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use greenroom_actors::behaviour::Behaviour;
use greenroom_actors::kind::Kinds;
use greenroom_actors::record::EventRecord;
use greenroom_actors::store::memory::MemoryStore;
use greenroom_actors::store::{Page, Store};
use greenroom_protocol::{EntityId, Epoch, RawJson, Seq};

/// Returns the value of a future that is ready at once.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the memory store answers at once unless it is told to stall"),
    }
}

/// The log of one entity.
#[derive(Debug)]
pub struct Log {
    pub epoch: Option<Epoch>,
    pub events: Vec<EventRecord>,
    /// The state after each number of events.
    states: Vec<RawJson>,
    behaviour: Box<dyn Behaviour>,
    /// The deleted messages, each with the first event that deleted it.
    deleted: BTreeMap<Seq, Seq>,
}

/// The logs of all entities.
#[derive(Debug)]
pub struct Logs(pub BTreeMap<EntityId, Log>);

impl Logs {
    pub fn new(entities: &[EntityId], kinds: &Kinds) -> Self {
        let log = |entity: &EntityId| {
            let behaviour =
                kinds.get(entity.kind()).expect("the kind is configured").behaviour().create();
            Log {
                epoch: None,
                events: Vec::new(),
                states: vec![behaviour.snapshot()],
                behaviour,
                deleted: BTreeMap::new(),
            }
        };
        Self(entities.iter().map(|entity| (entity.clone(), log(entity))).collect())
    }

    /// Reads new events from the disk. Returns the logs that have grown, with their lengths before.
    pub fn read(&mut self, disk: &MemoryStore) -> Result<Vec<(EntityId, usize)>, String> {
        let mut grown = Vec::new();
        for (entity, log) in &mut self.0 {
            let known = log.events.len();
            let after = log.last_seq();
            let more = now(disk.events(entity, Page::After { after, limit: usize::MAX }))
                .map_err(|error| error.to_string())?;
            for event in more {
                if event.seq != log.last_seq().next() {
                    return Err(format!(
                        "`{entity}`: event {} is written behind {}",
                        event.seq,
                        log.last_seq()
                    ));
                }
                if log.events.last().is_some_and(|last| last.at > event.at) {
                    return Err(format!(
                        "`{entity}`: event {} is dated {}, before the one in front of it",
                        event.seq, event.at
                    ));
                }
                log.behaviour.apply(&event).map_err(|error| error.to_string())?;
                log.states.push(log.behaviour.snapshot());
                if let ("delete" | "purge", Some(message)) = (&*event.r#type, target(&event)) {
                    log.deleted.entry(message).or_insert(event.seq);
                }
                log.events.push(event);
            }
            if log.events.len() > known {
                grown.push((entity.clone(), known));
            }
            let epoch = now(disk.load(entity)).map_err(|error| error.to_string())?.epoch;
            if log.epoch.is_some() && log.epoch != epoch {
                return Err(format!(
                    "`{entity}` changed its epoch from {:?} to {epoch:?}",
                    log.epoch
                ));
            }
            log.epoch = epoch;
        }
        Ok(grown)
    }
}

impl Log {
    /// The seq of the last event on disk.
    pub fn last_seq(&self) -> Seq {
        Seq::new(self.events.len() as u64)
    }

    /// The event that deleted the body of `event`.
    pub fn deleted_by(&self, event: &EventRecord) -> Option<Seq> {
        self.deleted.get(&self.behaviour.carries(event)?.message).copied()
    }

    /// Checks that nothing on disk shows what was deleted.
    pub fn is_erased(&self, entity: &EntityId, disk: &MemoryStore) -> Result<(), String> {
        let kept = now(disk.events(entity, Page::After { after: Seq::ZERO, limit: usize::MAX }))
            .map_err(|error| error.to_string())?;
        if let Some(event) =
            kept.iter().find(|event| event.deleted.is_none() && self.deleted_by(event).is_some())
        {
            return Err(format!(
                "`{entity}`: event {} is on disk and shows what is deleted",
                event.seq
            ));
        }
        let snapshot = now(disk.load(entity)).map_err(|error| error.to_string())?.snapshot;
        let state = snapshot.as_ref().map_or("", |row| row.state.as_str());
        for purge in self.events.iter().filter(|event| &*event.r#type == "purge") {
            let purged = target(purge)
                .and_then(|message| self.event(message))
                .filter(|event| &*event.r#type == "post");
            if purged.is_some_and(|event| state.contains(event.body.as_str())) {
                return Err(format!(
                    "`{entity}`: what event {} has purged is in the snapshot and shows what is deleted",
                    purge.seq
                ));
            }
        }
        Ok(())
    }

    /// The event at `seq`, if it is on disk.
    pub fn event(&self, seq: Seq) -> Option<&EventRecord> {
        self.events.get(usize::try_from(seq.checked_since(Seq::FIRST)?).ok()?)
    }

    /// The state after `seq`, if that is on disk.
    pub fn state(&self, seq: Seq) -> Option<&RawJson> {
        self.states.get(usize::try_from(seq.get()).ok()?)
    }
}

/// The message that an event is about.
fn target(event: &EventRecord) -> Option<Seq> {
    #[derive(serde::Deserialize)]
    struct Target {
        seq: Seq,
    }
    event.body.parse::<Target>().ok().map(|target| target.seq)
}
