//! The simulated store: a [`MemoryStore`] in which every call takes two steps, execution and
//! answer, each when the simulation allows it.
//!
//! Each node has its own path to the one disk, which can be cut for longer than any timeout.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use async_trait::async_trait;
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::registry::{MemoryRegistry, Registry};
use greenroom_actors::record::EventRecord;
use greenroom_actors::store::memory::{LostAnswer, MemoryStore};
use greenroom_actors::store::{
    Batch, CommitError, Fence, Loaded, Page, Settled, Store, StoreError,
};
use greenroom_protocol::{EntityId, RawJson};

use super::bugs::Bug;
use super::log::now;
use super::seen::Wait;

mod registry;

pub use registry::{Late, SimRegistry};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Commit,
    Settle,
    Load,
    Page,
    /// Reads the map and the leases of a cluster.
    View,
    /// Enters the map.
    Join,
    /// Changes the map.
    Change,
}

/// What happens to a call when it is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Fine,
    Fails,
    Loses(LostAnswer),
}

/// The path from a node to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    #[default]
    Open,
    /// All calls fail or lose their answers.
    Cut,
    /// Nothing gets through, and no error is reported.
    Held,
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
    /// The entities of the loads among these.
    loading: BTreeMap<u64, EntityId>,
    way: Way,
}

/// What the disk has recorded of all nodes.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// The latest lease.
    term: u64,
    /// Failures that were not injected.
    surprises: Vec<String>,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("there is one thread")
    }

    fn surprise(&self, why: String) {
        self.entries().surprises.push(why);
    }

    pub fn take_surprises(&self) -> Vec<String> {
        std::mem::take(&mut self.entries().surprises)
    }
}

/// See the module's documentation. Clones share the path.
#[derive(Debug, Clone)]
pub struct SimStore {
    disk: MemoryStore,
    ledger: Ledger,
    tickets: Arc<Mutex<Tickets>>,
    bug: Option<Bug>,
    /// In a cluster: the node, and the rows that all nodes share.
    shared: Option<(NodeId, MemoryRegistry)>,
}

/// A call under way. It is dropped if its caller crashes.
struct Ticket<'a> {
    store: &'a SimStore,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut tickets = self.store.tickets();
        tickets.open.remove(&self.number);
        tickets.loading.remove(&self.number);
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
    pub fn new(disk: MemoryStore, ledger: Ledger, bug: Option<Bug>) -> Self {
        Self { disk, ledger, tickets: Arc::default(), bug, shared: None }
    }

    /// The path of a node of a cluster.
    pub fn of_node(self, node: NodeId) -> Self {
        let shared = Some((node, MemoryRegistry::new(self.disk.clone())));
        Self { disk: self.disk.of_node(node.0), shared, ..self }
    }

    /// The disk, as this node reaches it.
    pub const fn disk(&self) -> &MemoryStore {
        &self.disk
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

    pub fn way(&self) -> Way {
        self.tickets().way
    }

    pub fn set_way(&self, way: Way) {
        self.tickets().way = way;
    }

    /// The calls that can make a step, and whether each is not executed yet.
    pub fn calls(&self) -> Vec<(u64, Call, bool)> {
        let tickets = self.tickets();
        if tickets.way == Way::Held {
            return Vec::new();
        }
        let open = tickets
            .open
            .iter()
            .filter(|(_, (_, stage))| matches!(stage, Stage::Asked | Stage::Executed));
        open.map(|(number, (call, stage))| (*number, *call, *stage == Stage::Asked)).collect()
    }

    /// Whether a commit or a settle is under way.
    pub fn is_committing(&self) -> bool {
        let commits = |call: &Call| matches!(call, Call::Commit | Call::Settle | Call::Change);
        self.tickets().open.values().any(|(call, _)| commits(call))
    }

    /// Whether a load of this entity is under way.
    pub fn is_loading(&self, entity: &EntityId) -> bool {
        self.tickets().loading.values().any(|loading| loading == entity)
    }

    /// What the callers wait for.
    pub fn waits(&self) -> Vec<Wait> {
        let wait = |(call, stage): &(Call, Stage)| match (
            call,
            matches!(stage, Stage::Asked | Stage::Execute(_)),
        ) {
            (Call::Commit, true) => Wait::CommitAsked,
            (Call::Commit, false) => Wait::CommitDone,
            (Call::Settle, true) => Wait::SettleAsked,
            (Call::Settle, false) => Wait::SettleDone,
            (Call::Load, true) => Wait::LoadAsked,
            (Call::Load, false) => Wait::LoadDone,
            (Call::Page, true) => Wait::PageAsked,
            (Call::Page, false) => Wait::PageDone,
            (Call::View, true) => Wait::ViewAsked,
            (Call::View, false) => Wait::ViewDone,
            (Call::Join, true) => Wait::JoinAsked,
            (Call::Join, false) => Wait::JoinDone,
            (Call::Change, true) => Wait::ChangeAsked,
            (Call::Change, false) => Wait::ChangeDone,
        };
        self.tickets().open.values().map(wait).collect()
    }

    /// Allows the next step of a call, which happens when its future is polled.
    pub fn advance(&self, number: u64, fate: Fate) {
        if let Some((_, stage)) = self.tickets().open.get_mut(&number) {
            *stage = if *stage == Stage::Asked { Stage::Execute(fate) } else { Stage::Answer };
        }
    }

    /// Planted bugs: snapshots lose outcomes of ops, and nothing is erased.
    fn spoil(&self, batch: &mut Batch) {
        let strip = |dedupe: &RawJson| match self.bug {
            Some(Bug::OutcomesNotStored) => RawJson::from_text("{}").expect("this is JSON"),
            Some(Bug::HorizonNotStored) => {
                let mut packed: serde_json::Value = dedupe.parse().expect("the core packs JSON");
                packed["horizon"] = 0.into();
                RawJson::from_value(&packed).expect("this is JSON")
            }
            _ => dedupe.clone(),
        };
        if self.bug == Some(Bug::ErasedNowhere) {
            for rewrite in &mut batch.rewrites {
                rewrite.events.clear();
            }
        }
        for row in &mut batch.snapshots {
            row.dedupe = strip(&row.dedupe);
        }
    }

    /// A planted bug: a node that has lost the lease takes it back and writes.
    async fn write_all_the_same(&self, batch: &Batch) -> Result<(), CommitError> {
        let term = self.disk.acquire().await.expect("acquiring is not told to fail");
        self.disk
            .commit(&Batch { fence: Fence { term, number: 1, ..batch.fence }, ..batch.clone() })
            .await
    }
}

impl SimStore {
    /// Checks that a transaction that was just written is of the one who may write it.
    fn check_owner(&self, batch: &Batch) {
        let Some((node, registry)) = &self.shared else {
            if batch.fence.term != self.ledger.entries().term {
                self.ledger.surprise(format!(
                    "a transaction of term {} was written after another node had the lease",
                    batch.fence.term
                ));
            }
            return;
        };
        let map = now(registry.view()).expect("reads are not told to fail").map;
        let rows = batch.rows.iter().map(|row| &row.entity);
        let snapshots = batch.snapshots.iter().map(|row| &row.entity);
        for entity in rows.chain(snapshots) {
            let owner = map.owner_of(entity).map(|peer| peer.id);
            if owner != Some(*node) {
                self.ledger.surprise(format!(
                    "`{node}` wrote `{entity}`, which the map gives to {owner:?}"
                ));
            }
        }
    }
}

#[async_trait]
impl Store for SimStore {
    async fn acquire(&self) -> Result<u64, StoreError> {
        let term = self.disk.acquire().await?;
        self.ledger.entries().term = term;
        Ok(term)
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
        self.spoil(&mut batch);
        let written = self.disk.commits();
        let mut done = self.disk.commit(&batch).await;
        if let (Err(CommitError::Fenced(_)), Some(Bug::StaleLeaseWrites)) = (&done, self.bug) {
            done = self.write_all_the_same(&batch).await;
        }
        if self.disk.commits() != written {
            self.check_owner(&batch);
        }
        if let (Err(CommitError::Failed(why)), true) = (&done, fate != Fate::Fails) {
            self.ledger.surprise(format!("the disk refused a transaction: {why}"));
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
            self.ledger.surprise(format!("the disk cannot settle a transaction: {why}"));
        }
        ticket.answer().await;
        done
    }

    async fn load(&self, entity: &EntityId) -> Result<Loaded, StoreError> {
        let ticket = self.open(Call::Load);
        self.tickets().loading.insert(ticket.number, entity.clone());
        if ticket.turn().await == Fate::Fails {
            self.disk.faults().fail_reads(1);
        }
        let mut done = self.disk.load(entity).await;
        if let (Ok(loaded), Some(Bug::ErasuresForgotten)) = (&mut done, self.bug) {
            loaded.erasures.clear();
        }
        ticket.answer().await;
        done
    }

    async fn events(&self, entity: &EntityId, page: Page) -> Result<Vec<EventRecord>, StoreError> {
        let ticket = self.open(Call::Page);
        if ticket.turn().await == Fate::Fails {
            self.disk.faults().fail_reads(1);
        }
        let done = self.disk.events(entity, page).await;
        ticket.answer().await;
        done
    }

    async fn erasing(
        &self,
        after: Option<&EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError> {
        self.disk.erasing(after, limit).await
    }
}
