//! What is deleted is shown to nobody any more, whatever else happens, and is gone from the disk in
//! the end.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::behaviour::BehaviourConfig;
use crate::behaviour::room::RoomConfig;
use crate::clock::Mono;
use crate::entity::{FetchFor, PagesOut};
use crate::journal::{Gathered, Journal, Progress, ToJournal};
use crate::messages::{Answer, Body, Part};
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Erasure, Fence, Page, Store};

/// What may happen. A message is named by its distance from the latest event.
#[derive(Debug, Clone)]
enum Step {
    Post,
    Edit(u64),
    Delete(u64),
    Purge(u64),
    React(u64),
    /// Some of what is queued commits.
    Commit(usize),
    History {
        before: Option<u64>,
        after: Option<u64>,
        limit: u32,
    },
    Resume(u64),
    CatchUp(u64),
    State,
    /// The store reads one of the pages that are asked for.
    Read(usize),
    /// One of those that were read arrives.
    Arrive(usize),
    Snapshot,
    Trim,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let back = 0..12u64;
    let some = 0..8usize;
    prop_oneof![
        6 => Just(Step::Post),
        3 => back.clone().prop_map(Step::Edit),
        3 => back.clone().prop_map(Step::Delete),
        2 => (0..40u64).prop_map(Step::Purge),
        1 => back.clone().prop_map(Step::React),
        8 => (1..6usize).prop_map(Step::Commit),
        2 => (proptest::option::of(0..40u64), any::<bool>(), 1..20u32).prop_map(|(at, after, limit)| {
            if after { Step::History { before: None, after: at, limit } } else { Step::History { before: at, after: None, limit } }
        }),
        2 => back.clone().prop_map(Step::Resume),
        2 => back.prop_map(Step::CatchUp),
        1 => Just(Step::State),
        6 => some.clone().prop_map(Step::Read),
        6 => some.prop_map(Step::Arrive),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Trim),
        1 => Just(Step::Crash),
    ]
}

/// A page that was asked for.
enum Reading {
    Asked(Page, FetchFor, PagesOut),
    Read(Result<Vec<EventRecord>, StoreError>, FetchFor, PagesOut),
}

/// An entity over a store, with a queue and reads under way.
struct Stage {
    entity: Entity,
    kind: Kind,
    store: MemoryStore,
    line: Line,
    queue: Vec<ToJournal>,
    rewriting: Option<oneshot::Receiver<()>>,
    reads: Vec<Reading>,
    progress: Arc<Progress>,
    term: u64,
    number: u64,
    /// Readers so far.
    slots: u32,
    /// What was ever said in a message.
    said: BTreeMap<Seq, Vec<String>>,
    /// Messages whose deletion is on disk.
    deleted: Vec<Seq>,
    /// Deletions that are queued, by event, and whether they purge.
    deleting: BTreeMap<Seq, (Seq, bool)>,
    purged: Vec<Seq>,
    fx: Effects,
}

impl Stage {
    fn new(kind: Kind) -> Self {
        let store = MemoryStore::new();
        let (entity, term) = Self::wake(&store, &kind);
        Self {
            entity,
            kind,
            store,
            line: Line::new(),
            queue: Vec::new(),
            rewriting: None,
            reads: Vec::new(),
            progress: Progress::new(Seq::ZERO).0,
            term,
            number: 0,
            slots: 0,
            said: BTreeMap::new(),
            deleted: Vec::new(),
            deleting: BTreeMap::new(),
            purged: Vec::new(),
            fx: Effects::at(Mono::ZERO),
        }
    }

    fn wake(store: &MemoryStore, kind: &Kind) -> (Entity, u64) {
        let term = store.acquire().now_or_never().unwrap().unwrap();
        let loaded = store.load(&entity("room:a")).now_or_never().unwrap().unwrap();
        (
            Entity::wake(entity("room:a"), Arc::new(kind.clone()), encoder(), loaded, epoch())
                .unwrap(),
            term,
        )
    }

    fn crash(&mut self) {
        (self.entity, self.term) = Self::wake(&self.store, &self.kind);
        self.number = 0;
        self.rewriting = None;
        self.queue.clear();
        self.reads.clear();
        let durable = self.entity.released();
        self.deleting.clear();
        self.said.retain(|message, _| *message <= durable);
        self.entity.erase_on(&mut self.fx);
    }

    fn seq_back(&self, back: u64) -> Seq {
        self.said.keys().max().copied().unwrap_or_default().saturating_sub(back)
    }

    fn send(&mut self, r#type: &str, message: Option<Seq>, body: &str) {
        let mut request = post("mod", None, "", self.line.reply(0, 1));
        request.r#type = r#type.into();
        request.body = RawJson::from_text(body).unwrap();
        request.sender.moderator = true;
        self.entity.op(request, 5000, JournalSpace::Free, &mut self.fx);
        let Some(event) = &self.fx.event else { return };
        let seq = event.seq;
        match r#type {
            "post" | "edit" => self
                .said
                .entry(message.unwrap_or(seq))
                .or_default()
                .push(body.rsplit("secret").next().unwrap().to_owned()),
            "delete" | "purge" => {
                self.deleting.insert(seq, (message.unwrap(), r#type == "purge"));
            }
            _ => {}
        }
    }

    /// Queues what the entity wants queued, and checks what it says: nothing of what is deleted.
    /// States that were asked for before a deletion may go out with its commit.
    fn out(&mut self, states_aside: bool) -> Result<(), TestCaseError> {
        let Effects {
            event, erasure, snapshot, rewrite, parts, fetches, retries, erase_later, ..
        } = std::mem::replace(&mut self.fx, Effects::at(Mono::ZERO));
        assert!(retries.is_empty() && !erase_later, "nothing fails here");
        let id = entity("room:a");
        let progress = || Arc::clone(&self.progress);
        let epoch = self.entity.epoch().clone();
        self.queue.extend(event.map(|event| ToJournal::Event {
            entity: id.clone(),
            epoch,
            seq: event.seq,
            text: event.to_text().into(),
            erasure,
            progress: progress(),
        }));
        if let Some(row) = snapshot {
            self.queue.push(ToJournal::Snapshot { row, progress: progress() });
            self.entity.snapshot_queued();
        }
        if let Some(rewrite) = rewrite {
            let (written, decided) = oneshot::channel();
            let share = Journal::channel(1).0.may_trim().unwrap();
            self.queue.push(ToJournal::Rewrite {
                rewrite: *rewrite,
                share,
                progress: progress(),
                written,
            });
            self.rewriting = Some(decided);
        }
        self.reads.extend(
            fetches
                .into_iter()
                .map(|Fetch { page, purpose, out }| Reading::Asked(page, purpose, out)),
        );
        let secrets: Vec<_> =
            self.deleted.iter().filter_map(|message| self.said.get(message)).flatten().collect();
        for text in parts.iter().flat_map(|(_, parts)| parts.iter().map(text)) {
            let state = text.contains(r#""snapshot":"#) || text.contains(r#""state":"#);
            for secret in &secrets {
                prop_assert!(
                    !text.contains(secret.as_str()) || (state && states_aside),
                    "{secret} is deleted: {text}"
                );
            }
        }
        Ok(())
    }

    fn commit(&mut self, most: usize) -> Result<(), TestCaseError> {
        let mut gathered = Gathered::default();
        let most = most.min(self.queue.len());
        for message in self.queue.drain(..most) {
            gathered.add(message);
        }
        if gathered.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let fence = Fence { term: self.term, number: self.number, nonce: self.number };
        let Gathered { rows, snapshots, trims, erasures, rewrites, tell, written, .. } = gathered;
        let batch = Batch { fence, rows, snapshots, trims, erasures, rewrites };
        self.store.commit(&batch).now_or_never().unwrap().unwrap();
        for (_, through) in tell {
            let later = self.deleting.split_off(&through.next());
            let now = std::mem::replace(&mut self.deleting, later);
            for (message, purge) in now.into_values() {
                self.deleted.push(message);
                self.purged.extend(purge.then_some(message));
            }
            self.entity.committed_through(through, &mut self.fx);
            self.out(true)?;
        }
        for written in written {
            written.send(()).unwrap();
        }
        if self.rewriting.as_mut().is_some_and(|rewriting| rewriting.try_recv().is_ok()) {
            self.rewriting = None;
            self.entity.rewritten(&mut self.fx);
        }
        self.out(false)
    }

    fn read(&mut self, index: usize) {
        let asked: Vec<_> = (0..self.reads.len())
            .filter(|index| matches!(self.reads[*index], Reading::Asked(..)))
            .collect();
        let Some(index) = asked.get(index % asked.len().max(1)) else { return };
        let Reading::Asked(page, purpose, out) = self.reads.remove(*index) else { return };
        let read = self.store.events(&entity("room:a"), page).now_or_never().unwrap();
        self.reads.push(Reading::Read(read, purpose, out));
    }

    fn arrive(&mut self, index: usize) {
        let read: Vec<_> = (0..self.reads.len())
            .filter(|index| matches!(self.reads[*index], Reading::Read(..)))
            .collect();
        let Some(index) = read.get(index % read.len().max(1)) else { return };
        let Reading::Read(read, purpose, _out) = self.reads.remove(*index) else { return };
        self.entity.fetched(purpose, read, &mut self.fx);
    }

    fn next_slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots
    }

    fn happens(&mut self, step: &Step, number: usize) -> Result<(), TestCaseError> {
        let body = format!(r#"{{"text":"secret{number:04}"}}"#);
        match *step {
            Step::Post => self.send("post", None, &body),
            Step::Edit(back) => {
                let seq = self.seq_back(back);
                self.send("edit", Some(seq), &format!(r#"{{"seq":{seq},"body":{body}}}"#));
            }
            Step::React(back) => {
                let seq = self.seq_back(back);
                self.send("react", Some(seq), &format!(r#"{{"seq":{seq},"emoji":"+"}}"#));
            }
            Step::Delete(back) => {
                let seq = self.seq_back(back);
                self.send("delete", Some(seq), &format!(r#"{{"seq":{seq}}}"#));
            }
            Step::Purge(back) => {
                let seq = self.seq_back(back);
                self.send("purge", Some(seq), &format!(r#"{{"seq":{seq}}}"#));
            }
            Step::Commit(most) => return self.commit(most),
            Step::History { before, after, limit } => {
                let params = params::History {
                    entity: entity("room:a"),
                    before: before.map(Seq::new),
                    after: after.map(Seq::new),
                    limit: Some(limit),
                };
                self.entity.take(ToEntity::History(params, self.line.reply(0, 2)), &mut self.fx);
            }
            Step::Resume(back) => {
                let slot = self.next_slot();
                let seq = self.seq_back(back);
                let after = Some(Position { epoch: epoch(), seq });
                let request = SubscribeRequest {
                    spec: spec(slot, 1),
                    after,
                    reply: self.line.reply(slot, 3),
                };
                self.entity.take(ToEntity::Subscribe(Box::new(request)), &mut self.fx);
            }
            Step::CatchUp(back) => {
                let slot = self.next_slot();
                let seq = self.seq_back(back);
                let after = Position { epoch: epoch(), seq };
                let request =
                    CatchUp { spec: spec(slot, 1), codec: CodecKind::Json, after, presence: false };
                self.entity.take(ToEntity::CatchUp(request), &mut self.fx);
            }
            Step::State => self.entity.take(ToEntity::Read(self.line.reply(0, 4)), &mut self.fx),
            Step::Read(index) => self.read(index),
            Step::Arrive(index) => self.arrive(index),
            Step::Snapshot => self.entity.snapshot(&mut self.fx),
            Step::Trim => {
                let progress = Arc::clone(&self.progress);
                let share = Journal::channel(1).0.may_trim().unwrap();
                self.queue.extend(self.entity.trim().map(|trim| ToJournal::Trim {
                    trim,
                    share,
                    progress,
                }));
            }
            Step::Crash => self.crash(),
        }
        self.out(false)
    }

    /// Nothing of what is deleted is left on the disk, and nothing of what is purged in the
    /// snapshot.
    fn ends(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..1000 {
            self.commit(usize::MAX)?;
            self.read(0);
            self.arrive(0);
            self.out(false)?;
        }
        prop_assert!(self.reads.is_empty() && self.queue.is_empty(), "it comes to rest");
        let loaded = self.store.load(&entity("room:a")).now_or_never().unwrap().unwrap();
        prop_assert_eq!(loaded.erasures, [], "all is done");
        let all = Page::After { after: Seq::ZERO, limit: 1000 };
        let events = self.store.events(&entity("room:a"), all).now_or_never().unwrap().unwrap();
        let state = loaded.snapshot.map(|row| row.state.as_str().to_owned()).unwrap_or_default();
        for message in &self.deleted {
            for secret in self.said.get(message).into_iter().flatten() {
                let shows =
                    events.iter().find(|event| event.body.as_str().contains(secret.as_str()));
                prop_assert!(shows.is_none(), "{secret} of {message}: {shows:?}");
                prop_assert!(
                    !self.purged.contains(message) || !state.contains(secret.as_str()),
                    "{secret} of {message}: {state}"
                );
            }
        }
        Ok(())
    }
}

fn text(part: &Part) -> String {
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match part {
        Part::Events { frames, .. } => {
            frames.json.as_ref().map(|frame| utf8(frame)).unwrap_or_default()
        }
        Part::CaughtUp { frame, .. } => frame.as_ref().map(|frame| utf8(frame)).unwrap_or_default(),
        Part::Joined { answer: Answer { body: Body::Frame(Some(frame)), .. }, .. }
        | Part::Answer(Answer { body: Body::Frame(Some(frame)), .. }) => utf8(frame),
        _ => String::new(),
    }
}

proptest! {
    #[test]
    fn nothing_shows_what_is_deleted(
        steps in proptest::collection::vec(step(), 0..120), ring_events in 0usize..12, keep_events in 0u64..20, snapshot_every in 1u64..40,
    ) {
        let resume_events = if keep_events == 0 { 10 } else { keep_events };
        let kind = kind_of(Settings { ring_events, keep_events: NonZeroU64::new(keep_events), snapshot_every, resume_events, max_pending_ops: 100, ..settings() });
        let mut stage = Stage::new(kind);
        for (number, step) in steps.iter().enumerate() {
            stage.happens(step, number)?;
        }
        stage.ends()?;
    }
}

/// An entity with events on disk that nobody has asked for yet.
fn with_messages(count: u64, kind: Kind) -> Stage {
    let mut stage = Stage::new(kind);
    for number in 0..count {
        stage.happens(&Step::Post, number as usize).unwrap();
    }
    stage.commit(usize::MAX).unwrap();
    stage
}

#[test]
fn a_purge_goes_through_a_long_journal_page_by_page() {
    let mut stage = with_messages(300, kind_of(Settings { max_pending_ops: 1000, ..settings() }));
    stage.happens(&Step::Purge(299), 1).unwrap();
    stage.commit(usize::MAX).unwrap();
    let mut pages = 0;
    while stage
        .reads
        .iter()
        .any(|read| matches!(read, Reading::Asked(Page::After { .. }, FetchFor::Erase, _)))
    {
        pages += 1;
        stage.read(0);
        stage.arrive(0);
        stage.out(false).unwrap();
        stage.commit(usize::MAX).unwrap();
    }
    assert_eq!(pages, 5, "301 events in pages of 64");
    assert!(stage.entity.idle(), "then it may sleep");
    stage.ends().unwrap();
}

#[test]
fn an_entity_with_something_to_erase_does_not_sleep() {
    let mut stage = with_messages(2, kind());
    assert!(stage.entity.idle());
    stage.happens(&Step::Delete(0), 1).unwrap();
    stage.commit(usize::MAX).unwrap();
    assert!(stage.entity.settled() && !stage.entity.idle());
}

#[test]
fn a_page_from_before_that_comes_after_is_hidden_still() {
    let mut stage = with_messages(3, kind_of(Settings { ring_events: 0, ..settings() }));
    stage.happens(&Step::History { before: None, after: None, limit: 10 }, 0).unwrap();
    stage.read(0);
    stage.happens(&Step::Delete(0), 1).unwrap();
    stage.commit(usize::MAX).unwrap();
    // The erasing is read, written and told while that page is still on its way.
    stage.read(0);
    stage.arrive(1);
    stage.out(false).unwrap();
    stage.commit(usize::MAX).unwrap();
    let loaded = stage.store.load(&entity("room:a")).now_or_never().unwrap().unwrap();
    assert_eq!(loaded.erasures, [], "it is erased");
    stage.arrive(0);
    let told =
        stage.fx.parts.iter().flat_map(|(_, parts)| parts.iter().map(text)).collect::<String>();
    assert!(told.contains(r#""deleted":true"#), "{told}");
    stage.out(false).unwrap();
}

#[test]
fn what_is_deleted_twice_is_hidden_from_the_first_time_on() {
    let mut stage = with_messages(2, kind());
    stage.happens(&Step::Delete(1), 2).unwrap();
    stage.happens(&Step::Purge(1), 3).unwrap();
    // The delete is on disk, and the purge is not.
    stage.commit(1).unwrap();
    assert_eq!(stage.deleted, [Seq::FIRST]);
    stage.happens(&Step::History { before: None, after: None, limit: 4 }, 4).unwrap();
}

#[test]
fn only_so_much_is_erased_at_once() {
    let messages = 300;
    let room = RoomConfig { messages: 1000, ..RoomConfig::default() };
    let settings = Settings { max_pending_ops: 1000, ..settings() };
    let kind = Kind::new("room", BehaviourConfig::Room(room.into()), settings).unwrap();
    let mut stage = with_messages(messages, kind);
    let mut refused = 0;
    for back in 0..messages {
        let before = stage.deleting.len();
        stage.happens(&Step::Delete(back), 1).unwrap();
        refused += u64::from(stage.deleting.len() == before);
    }
    assert_eq!(refused, messages - 256, "the others are asked to wait");
    stage.ends().unwrap();
    stage.happens(&Step::Delete(messages - 1), 1).unwrap();
    assert_eq!(stage.deleting.len(), 1, "then there is room again");
    stage.ends().unwrap();
}

#[test]
fn erasures_of_a_life_before_are_taken_up() {
    let mut stage = with_messages(3, kind());
    stage.happens(&Step::Purge(1), 1).unwrap();
    stage.commit(usize::MAX).unwrap();
    let loaded = stage.store.load(&entity("room:a")).now_or_never().unwrap().unwrap();
    assert_eq!(
        loaded.erasures,
        [Erasure { message: Seq::new(2), by: Seq::new(4), purge: true }],
        "it is on disk with the event"
    );
    stage.crash();
    stage.out(false).unwrap();
    stage.happens(&Step::History { before: None, after: None, limit: 10 }, 2).unwrap();
    stage.ends().unwrap();
}

#[test]
fn a_repeat_of_what_is_erased_has_its_first_outcome() {
    let mut stage = Stage::new(kind());
    let ask = |stage: &mut Stage| {
        let request = post("alice", Some(1), "secret", stage.line.reply(0, 9));
        stage.entity.op(request, 5000, JournalSpace::Free, &mut stage.fx);
    };
    ask(&mut stage);
    stage.said.insert(Seq::FIRST, vec!["secret".into()]);
    stage.out(false).unwrap();
    stage.happens(&Step::Delete(0), 1).unwrap();
    for crash in [false, true] {
        stage.ends().unwrap();
        if crash {
            stage.crash();
        }
        ask(&mut stage);
        let told: Vec<_> =
            stage.fx.parts.iter().flat_map(|(_, parts)| parts.iter().map(part)).collect();
        assert_eq!(told, ["#9 seq 1 duplicate"], "after a crash: {crash}");
        stage.out(false).unwrap();
    }
}
