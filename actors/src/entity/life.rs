//! The phases of an entity's life, without its mailbox: it loads, is awake, loads again after a
//! failed commit, and ends.
//!
//! Input in, [`Todo`] out; nothing here waits, and nothing reads a clock. The [`shell`](super::shell)
//! does what it says.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::params::PresenceAction;
use greenroom_protocol::results::{Empty, PresenceList};
use greenroom_protocol::{EntityId, Epoch, ErrorCode, WireError};
use tokio::sync::oneshot;

use super::nature::Nature;
use super::state::{Entity, FetchFor, JournalSpace, UnsettledOp};
use super::todo::{Rewriting, Todo};
use crate::clock::{Millis, Mono};
use crate::frames::Encoder;
use crate::journal::{Committed, Journal, Progress, Reign, ToJournal};
use crate::kind::Kind;
use crate::messages::{CatchUp, Part, Subscriptions, ToEntity, corrupt, overloaded, unavailable};
use crate::metrics::{KindMetrics, MAILBOX_REFUSALS};
use crate::record::EventRecord;
use crate::store::{Loaded, StoreError};
use crate::trail;

/// The first pause before loading again after a failed commit; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before loading again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One life of an entity, from its load to its sleep or end.
pub struct Life {
    nature: Rc<Nature>,
    phase: Phase,
    /// The journal's reign that it began in.
    reign: Reign,
    /// It was last asked to sleep as soon as everything is on disk, even if somebody follows.
    drain: bool,
    /// What it was last asked to sleep with.
    mark: u64,
}

#[derive(Debug)]
enum Phase {
    /// Waits for its turn to load, and for the store.
    Loading(Box<Loading>),
    /// Serves requests.
    Awake(Box<Entity>),
    /// A commit failed: its state is being read again. The ops whose commit failed wait.
    Reloading(Box<Reloading>),
    /// Its stored data cannot be read: it refuses everything, and does not ask the store again until
    /// it has slept.
    Corrupt,
    /// It has ended.
    Ended,
}

/// A life before it is awake.
#[derive(Debug)]
struct Loading {
    waiting: Vec<ToEntity>,
    /// The most messages that may wait.
    inbox: usize,
    since: Mono,
}

#[derive(Debug)]
struct Reloading {
    entity: Box<Entity>,
    unsettled: Vec<UnsettledOp>,
    pause: Duration,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life")
            .field("id", &self.nature.id)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Life {
    /// A life that begins with a load, which its shell carries out.
    pub fn new(id: EntityId, kind: Arc<Kind>, encoder: Encoder, inbox: usize, now: Mono) -> Self {
        Self::of_reign(0, id, kind, encoder, inbox, now)
    }

    /// The same in another reign than the first.
    pub fn of_reign(
        reign: Reign,
        id: EntityId,
        kind: Arc<Kind>,
        encoder: Encoder,
        inbox: usize,
        now: Mono,
    ) -> Self {
        let loading = Loading { waiting: Vec::new(), inbox, since: now };
        let phase = Phase::Loading(Box::new(loading));
        Self {
            nature: Rc::new(Nature::new(id, kind, encoder)),
            reign,
            phase,
            drain: false,
            mark: 0,
        }
    }

    /// Whose life it is.
    pub fn id(&self) -> &EntityId {
        &self.nature.id
    }

    pub(super) fn metrics(&self) -> &KindMetrics {
        &self.nature.metrics
    }

    /// The entity, while it is awake.
    pub fn awake(&self) -> Option<&Entity> {
        match &self.phase {
            Phase::Awake(entity) => Some(entity),
            _ => None,
        }
    }

    /// It ends without warning: whatever it has queued is skipped.
    pub fn abandon(&self) {
        let entity = match &self.phase {
            Phase::Awake(entity) => entity,
            Phase::Reloading(reloading) => &reloading.entity,
            Phase::Loading(_) | Phase::Corrupt | Phase::Ended => return,
        };
        if let Some(progress) = &entity.progress {
            progress.end();
        }
    }

    /// The load has ended. A log that the store does not have gets the epoch `fresh`.
    pub fn loaded(
        &mut self,
        loaded: Result<Loaded, StoreError>,
        fresh: Epoch,
        journal: &Journal,
        todo: &mut Todo,
    ) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Loading(loading) => {
                let Loading { waiting, since, .. } = *loading;
                let woken =
                    loaded.map(|loaded| Entity::wake_as(Rc::clone(&self.nature), loaded, fresh));
                match woken {
                    Ok(Ok(entity)) => {
                        let took = todo.effects.now.elapsed_since(since);
                        self.nature.metrics.woken(took);
                        tracing::debug!(
                            seq = entity.released().get(),
                            ?took,
                            waiting = waiting.len(),
                            "woken"
                        );
                        self.begin(Box::new(entity), todo);
                        todo.waiting = waiting;
                    }
                    Ok(Err(why)) => self.corrupt(why.to_string(), waiting, todo),
                    Err(why @ StoreError::Corrupt(_)) => {
                        self.corrupt(why.to_string(), waiting, todo);
                    }
                    Err(why @ StoreError::Unavailable(_)) => self.unloadable(&why, waiting, todo),
                }
            }
            Phase::Reloading(reloading) => self.reloaded(loaded, *reloading, journal, todo),
            other => self.phase = other,
        }
    }

    fn begin(&mut self, mut entity: Box<Entity>, todo: &mut Todo) {
        entity.erase_on(&mut todo.effects);
        self.phase = Phase::Awake(entity);
    }

    fn unloadable(&mut self, why: &StoreError, waiting: Vec<ToEntity>, todo: &mut Todo) {
        self.nature.metrics.wake_failed();
        tracing::error!(entity = %self.nature.id, %why, "an entity cannot be loaded");
        let error = WireError::new(ErrorCode::Unavailable, "the entity cannot be loaded now")
            .retry_after_ms(1000);
        for message in waiting {
            // Followers resubscribe once the directory has notified the relays.
            let _ = message.refuse(error.clone());
        }
        todo.end = true;
    }

    /// Reading it again would give the same result.
    fn corrupt(&mut self, why: String, waiting: Vec<ToEntity>, todo: &mut Todo) {
        self.nature.metrics.corrupt();
        todo.effects.corrupt = Some(why);
        self.phase = Phase::Corrupt;
        for message in waiting {
            self.take_corrupt(message, todo);
        }
    }

    fn take_corrupt(&mut self, message: ToEntity, todo: &mut Todo) {
        let fx = &mut todo.effects;
        match message {
            // An entity that cannot be read has no followers and nobody present.
            ToEntity::Unsubscribe { through, reply } => {
                let session = reply.session();
                fx.part(
                    session.place(),
                    Part::Left { session, which: Subscriptions::Through(through) },
                );
                fx.answer(reply.ok(&Empty {}));
            }
            ToEntity::Presence { action: PresenceAction::Leave, reply, .. } => {
                fx.answer(reply.ok(&PresenceList { count: 0, members: None }));
            }
            ToEntity::CatchUp(request) => {
                fx.part(request.spec.session.place(), Part::Replaced(request.spec));
            }
            ToEntity::Sleep { mark, .. } => todo.idle = Some(mark),
            other => drop(other.refuse(corrupt())),
        }
    }

    fn reloaded(
        &mut self,
        loaded: Result<Loaded, StoreError>,
        reloading: Reloading,
        journal: &Journal,
        todo: &mut Todo,
    ) {
        let Reloading { mut entity, unsettled, pause } = reloading;
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(why @ StoreError::Corrupt(_)) => return self.corrupt_again(why.to_string(), todo),
            Err(why) => {
                tracing::warn!(entity = %self.nature.id, %why, "an entity cannot be read again yet");
                self.phase = Phase::Reloading(Box::new(Reloading {
                    entity,
                    unsettled,
                    pause: (pause * 2).min(LONGEST_PAUSE),
                }));
                todo.load = Some(pause);
                return;
            }
        };
        if let Err(why) = entity.reload(loaded, unsettled, &mut todo.effects) {
            return self.corrupt_again(why.to_string(), todo);
        }
        self.begin(entity, todo);
        // Followers may have missed what a commit of unknown outcome stored: they continue from
        // their own positions.
        todo.audience_forgotten = true;
        self.sleep_if_drained(journal, todo);
    }

    /// It was awake: its followers are notified.
    fn corrupt_again(&mut self, why: String, todo: &mut Todo) {
        self.corrupt(why, Vec::new(), todo);
        todo.audience_forgotten = true;
        if self.drain {
            todo.idle = Some(self.mark);
        }
    }

    /// Takes a message, whatever the phase.
    pub fn take(&mut self, message: ToEntity, now: Millis, journal: &Journal, todo: &mut Todo) {
        match &mut self.phase {
            Phase::Loading(loading)
                if loading.waiting.len() < loading.inbox || message.is_control() =>
            {
                loading.waiting.push(message);
            }
            // A leave is not dropped: the enter that it undoes may be waiting ahead of it.
            Phase::Loading(loading) => loading.waiting.extend(message.refuse(overloaded("entity"))),
            Phase::Awake(_) => self.take_awake(message, now, journal, todo),
            Phase::Reloading(reloading) => match message.refuse(unavailable()) {
                Some(ToEntity::Sleep { drain, mark }) => self.asked(drain, mark),
                // The relays are told to resubscribe after the reload.
                Some(ToEntity::CatchUp(_)) | None => {}
                Some(control) => reloading.entity.take(control, &mut todo.effects),
            },
            Phase::Corrupt => self.take_corrupt(message, todo),
            Phase::Ended => drop(message.refuse(unavailable())),
        }
    }

    fn take_awake(&mut self, message: ToEntity, now: Millis, journal: &Journal, todo: &mut Todo) {
        let Phase::Awake(entity) = &mut self.phase else { return };
        match message {
            ToEntity::Op(request) => {
                let permit = journal.reserve();
                let space = if permit.is_some() { JournalSpace::Free } else { JournalSpace::Full };
                entity.op(*request, now, space, &mut todo.effects);
                if let (Some(permit), Some(event)) = (permit, todo.effects.event.take()) {
                    let ids = || trail::Ids {
                        session: None,
                        user: Some(&event.from),
                        n: event.n,
                        seq: Some(event.seq),
                    };
                    trail::at("from its entity to the journal", &self.nature.id, ids);
                    let text = event.to_text();
                    permit.send(ToJournal::Event {
                        entity: self.nature.id.clone(),
                        epoch: entity.epoch().clone(),
                        seq: event.seq,
                        text: text.into(),
                        erasure: todo.effects.erasure.take(),
                        progress: progress(self.reign, entity, todo),
                    });
                }
                self.queue_snapshot(journal, todo);
            }
            ToEntity::Sleep { drain, mark } => {
                let idle = entity.idle();
                self.asked(drain, mark);
                if self.drain {
                    self.sleep_if_drained(journal, todo);
                } else if idle {
                    self.sleep(journal, todo);
                }
            }
            other => entity.take(other, &mut todo.effects),
        }
    }

    /// A snapshot that finds no room in the queue is skipped; the next one comes at its usual time.
    fn queue_snapshot(&mut self, journal: &Journal, todo: &mut Todo) -> bool {
        let Some(row) = todo.effects.snapshot.take() else { return true };
        match (journal.reserve(), &mut self.phase) {
            (Some(permit), Phase::Awake(entity)) => {
                permit.send(ToJournal::Snapshot {
                    row,
                    progress: progress(self.reign, entity, todo),
                });
                entity.snapshot_queued();
                true
            }
            _ => {
                MAILBOX_REFUSALS.counter_with(["journal"]).increment(1);
                false
            }
        }
    }

    /// A rewrite is queued behind the snapshot that it needs. If the journal has no room for both,
    /// it is tried again later.
    fn queue_rewrite(&mut self, journal: &Journal, todo: &mut Todo) {
        let covered = self.queue_snapshot(journal, todo);
        let Some(rewrite) = todo.effects.rewrite.take() else { return };
        let Phase::Awake(entity) = &mut self.phase else { return };
        let (true, Some(permit), Some(share)) = (covered, journal.reserve(), journal.may_trim())
        else {
            return entity.erase_later(&mut todo.effects);
        };
        let share = share.of(u32::try_from(rewrite.events.len()).unwrap_or(u32::MAX));
        let (written, decided) = oneshot::channel();
        let progress = progress(self.reign, entity, todo);
        todo.rewriting = Some(Rewriting::new(decided, Arc::clone(&progress)));
        permit.send(ToJournal::Rewrite { rewrite: *rewrite, share, progress, written });
    }

    /// A rewrite that was queued for the life with this progress is on disk.
    pub fn rewritten(&mut self, progress: &Arc<Progress>, todo: &mut Todo) {
        if let Phase::Awake(entity) = &mut self.phase
            && entity.progress.as_ref().is_some_and(|own| Arc::ptr_eq(own, progress))
        {
            entity.rewritten(&mut todo.effects);
        }
    }

    /// If the journal has no room, or enough to delete already, it is tried again later.
    fn queue_trim(&mut self, journal: &Journal, todo: &mut Todo) {
        let Phase::Awake(entity) = &mut self.phase else { return };
        let (Some(permit), Some(share)) = (journal.reserve(), journal.may_trim()) else { return };
        if let Some(trim) = entity.trim() {
            let share = share.of(trim.rows);
            permit.send(ToJournal::Trim {
                trim,
                share,
                progress: progress(self.reign, entity, todo),
            });
        }
    }

    /// The progress of this life has changed.
    pub fn committed(&mut self, committed: Committed, journal: &Journal, todo: &mut Todo) {
        if committed.ended {
            return self.fail(todo);
        }
        if let Phase::Awake(entity) = &mut self.phase
            && entity.committed_through(committed.through, &mut todo.effects)
        {
            self.queue_trim(journal, todo);
        }
        self.sleep_if_drained(journal, todo);
    }

    fn fail(&mut self, todo: &mut Todo) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Awake(mut entity) => {
                let unsettled = entity.fail();
                self.phase =
                    Phase::Reloading(Box::new(Reloading { entity, unsettled, pause: FIRST_PAUSE }));
                todo.load = Some(Duration::ZERO);
            }
            other => self.phase = other,
        }
    }

    /// A page has been read.
    pub fn fetched(
        &mut self,
        purpose: FetchFor,
        read: Result<Vec<EventRecord>, StoreError>,
        journal: &Journal,
        todo: &mut Todo,
    ) {
        // In other phases whatever waited for it is answered `unavailable`, and followers
        // resubscribe.
        if let Phase::Awake(entity) = &mut self.phase {
            entity.fetched(purpose, read, &mut todo.effects);
            self.queue_rewrite(journal, todo);
        }
    }

    /// The page of this request could not be read, and is tried again.
    pub fn catch_up_again(&mut self, request: CatchUp, todo: &mut Todo) {
        // In other phases followers are forgotten, and resubscribe.
        if let Phase::Awake(entity) = &mut self.phase {
            entity.catch_up_again(request, &mut todo.effects);
        }
    }

    /// How long presence changes are collected before they are sent.
    pub fn presence_interval(&self) -> Duration {
        self.awake().map_or(self.nature.kind.presence_interval, Entity::presence_interval)
    }

    /// The presence interval is over.
    pub fn flush_presence(&mut self, todo: &mut Todo) {
        // After a reload the entity asks for it again.
        if let Phase::Awake(entity) = &mut self.phase {
            entity.flush_presence(&mut todo.effects);
        }
    }

    fn asked(&mut self, drain: bool, mark: u64) {
        self.drain = drain;
        self.mark = mark;
    }

    fn sleep_if_drained(&mut self, journal: &Journal, todo: &mut Todo) {
        if self.drain && self.awake().is_some_and(Entity::settled) {
            self.sleep(journal, todo);
        }
    }

    /// Saves what should be saved and asks the directory to let it go; until then it continues as
    /// before.
    fn sleep(&mut self, journal: &Journal, todo: &mut Todo) {
        let Phase::Awake(entity) = &self.phase else { return };
        if entity.has_written() {
            // A short life may have no other occasion. It comes before the snapshot, which records
            // how far trimming has come.
            self.queue_trim(journal, todo);
        }
        let Phase::Awake(entity) = &mut self.phase else { return };
        entity.snapshot(&mut todo.effects);
        self.queue_snapshot(journal, todo);
        tracing::debug!(drain = self.drain, "may sleep");
        todo.idle = Some(self.mark);
    }
}

/// How much of what this life of `entity` has queued is on disk. Created on first use: most entities
/// that are awake never write anything.
fn progress(reign: Reign, entity: &mut Entity, todo: &mut Todo) -> Arc<Progress> {
    let committed = entity.released();
    let begun = entity.progress.get_or_insert_with(|| {
        let (progress, watch) = Progress::of_reign(committed, reign);
        todo.watch = Some(watch);
        progress
    });
    Arc::clone(begun)
}
