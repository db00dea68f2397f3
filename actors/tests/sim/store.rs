//! The store of a simulation: a [`MemoryStore`] whose every call takes two steps, execution and answer, when it is told to.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use async_trait::async_trait;
use greenroom_actors::record::EventRecord;
use greenroom_actors::store::memory::{Lost, MemoryStore};
use greenroom_actors::store::{Batch, CommitError, Fence, Loaded, Page, Settled, Store, StoreError};
use greenroom_protocol::{EntityId, RawJson};

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Commit,
    Settle,
    Read,
}

/// What becomes of a call when it is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Fine,
    Fails,
    Loses(Lost),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Execute(Fate),
    Executed,
    Answer,
}

#[derive(Debug, Default)]
struct Tickets {
    next: u64,
    open: BTreeMap<u64, (Call, Stage)>,
    /// Refusals that nobody ordered.
    surprises: Vec<String>,
}

/// See the module's head. Clones are the same store.
#[derive(Debug, Clone)]
pub struct SimStore {
    pub disk: MemoryStore,
    tickets: Arc<Mutex<Tickets>>,
    /// A planted bug: snapshots are stored without the outcomes of ops.
    pub forget_outcomes: bool,
}

/// One call under way; dropping it is its caller's crash.
struct Ticket<'a> {
    store: &'a SimStore,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.store.tickets().open.remove(&self.number);
    }
}

impl Ticket<'_> {
    /// Waits until the call may be executed.
    async fn turn(&self) -> Fate {
        poll_fn(|_| match self.store.tickets().open.get_mut(&self.number) {
            Some((_, stage)) => match *stage {
                Stage::Execute(fate) => {
                    *stage = Stage::Executed;
                    Poll::Ready(fate)
                }
                _ => Poll::Pending,
            },
            None => Poll::Pending,
        })
        .await
    }

    /// Waits until the answer may arrive.
    async fn answer(&self) {
        poll_fn(|_| match self.store.tickets().open.get(&self.number) {
            Some((_, Stage::Answer)) => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }
}

impl SimStore {
    pub fn new(disk: MemoryStore, forget_outcomes: bool) -> Self {
        Self { disk, tickets: Arc::default(), forget_outcomes }
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().expect("there is one thread")
    }

    fn open(&self, call: Call) -> Ticket<'_> {
        let mut tickets = self.tickets();
        tickets.next += 1;
        let number = tickets.next;
        tickets.open.insert(number, (call, Stage::Asked));
        Ticket { store: self, number }
    }

    /// The calls that can make a step, and whether each is still to be executed.
    pub fn calls(&self) -> Vec<(u64, Call, bool)> {
        let tickets = self.tickets();
        let open = tickets.open.iter().filter(|(_, (_, stage))| matches!(stage, Stage::Asked | Stage::Executed));
        open.map(|(number, (call, stage))| (*number, *call, *stage == Stage::Asked)).collect()
    }

    /// Whether a call of this kind is under way.
    pub fn is_busy(&self, with: &[Call]) -> bool {
        self.tickets().open.values().any(|(call, _)| with.contains(call))
    }

    /// Lets a call make its next step when its future is polled.
    pub fn advance(&self, number: u64, fate: Fate) {
        if let Some((_, stage)) = self.tickets().open.get_mut(&number) {
            *stage = if *stage == Stage::Asked { Stage::Execute(fate) } else { Stage::Answer };
        }
    }

    /// What the disk refused without having been told to.
    pub fn take_surprises(&self) -> Vec<String> {
        std::mem::take(&mut self.tickets().surprises)
    }
}

#[async_trait]
impl Store for SimStore {
    async fn acquire(&self) -> Result<u64, StoreError> {
        self.disk.acquire().await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let ticket = self.open(Call::Commit);
        let fate = ticket.turn().await;
        match fate {
            Fate::Fine => {}
            Fate::Fails => self.disk.faults().fail_commits(1),
            Fate::Loses(lost) => self.disk.faults().lose_answers(1, lost),
        }
        let mut batch = batch.clone();
        if self.forget_outcomes {
            let nothing = RawJson::from_text("{}").expect("this is JSON");
            batch.snapshots.iter_mut().for_each(|row| row.dedupe = nothing.clone());
        }
        let done = self.disk.commit(&batch).await;
        if let (Err(CommitError::Failed(why)), true) = (&done, fate != Fate::Fails) {
            self.tickets().surprises.push(why.clone());
        }
        ticket.answer().await;
        done
    }

    async fn settle(&self, fence: Fence) -> Result<Settled, CommitError> {
        let ticket = self.open(Call::Settle);
        if ticket.turn().await == Fate::Fails {
            self.disk.faults().fail_settles(1);
        }
        let done = self.disk.settle(fence).await;
        if let Err(CommitError::Failed(why)) = &done {
            self.tickets().surprises.push(why.clone());
        }
        ticket.answer().await;
        done
    }

    async fn load(&self, entity: &EntityId) -> Result<Loaded, StoreError> {
        let ticket = self.open(Call::Read);
        if ticket.turn().await == Fate::Fails {
            self.disk.faults().fail_reads(1);
        }
        let done = self.disk.load(entity).await;
        ticket.answer().await;
        done
    }

    async fn events(&self, entity: &EntityId, page: Page) -> Result<Vec<EventRecord>, StoreError> {
        let ticket = self.open(Call::Read);
        if ticket.turn().await == Fate::Fails {
            self.disk.faults().fail_reads(1);
        }
        let done = self.disk.events(entity, page).await;
        ticket.answer().await;
        done
    }
}
