//! What every [`Registry`] must do, together with the [`Store`] whose leases it shares, as a suite.
//!
//! It is part of the library so that the server's tests, and `greenroom check --cluster`, can run
//! it over theirs. The store must be empty, and nobody else may use it meanwhile.

use futures_util::future::join;
use greenroom_protocol::{EntityId, Epoch, Seq};

use super::{ChangeError, Note, Registry};
use crate::cluster::change::{self, Change, MapChange, Newcomer, Rejoin};
use crate::cluster::map::{ClusterMap, Common, LeaseRow, NodeId, Peer, PeerState, Term, Versions};
use crate::cluster::membership::{ChangeId, Join, View};
use crate::cluster::slot::{SLOTS, SlotSet};
use crate::store::{Batch, CommitError, Fence, JournalRow, Settled, Store};

/// Opens the store as one node writes it.
pub type OpenStore<'a> = &'a (dyn Fn(NodeId) -> Box<dyn Store> + Send + Sync);

/// Runs all rules.
///
/// # Panics
/// With the rule that is broken.
pub async fn run(registry: &dyn Registry, open: OpenStore<'_>) {
    let mut nodes = Nodes { registry, open, next: 1, founder: None };
    nothing_is_an_empty_map(&nodes).await;
    joining_is_done_once(&mut nodes).await;
    slots_without_an_owner_are_assigned(&mut nodes).await;
    of_two_who_join_from_one_view_one_does(&mut nodes).await;
    every_commit_shows_in_the_next_view(&mut nodes).await;
    of_two_takers_one_takes_over(&mut nodes).await;
    a_takeover_shuts_the_dead_one_out(&mut nodes).await;
    a_commit_that_comes_first_stops_a_takeover(&mut nodes).await;
    a_hand_over_from_an_old_version_is_refused(&mut nodes).await;
    a_hand_over_is_a_numbered_transaction(&mut nodes).await;
    an_unknown_change_is_settled(&mut nodes).await;
    a_node_that_was_taken_over_joins_again(&mut nodes).await;
}

struct Nodes<'a> {
    registry: &'a dyn Registry,
    open: OpenStore<'a>,
    next: u64,
    /// The node that every other one gets its first slots from.
    founder: Option<Node>,
}

/// A node that has joined.
struct Node {
    id: NodeId,
    store: Box<dyn Store>,
    term: Term,
    number: u64,
}

impl Nodes<'_> {
    async fn view(&self) -> View {
        self.registry.view().await.expect("a view is answered")
    }

    async fn row(&self, node: NodeId) -> Option<LeaseRow> {
        let view = self.view().await;
        view.leases.into_iter().find(|(id, _)| *id == node).map(|(_, row)| row)
    }

    fn new_id(&mut self) -> NodeId {
        self.next += 1;
        NodeId(0xc0f0_0000_0000_0000 + self.next)
    }

    /// A new node, with two slots once there is a founder to give them.
    async fn join(&mut self) -> Node {
        let id = self.new_id();
        let join = attempt(&self.view().await, id);
        self.registry.join(id, &join, &note(id)).await.expect("it joins");
        let node = Node { id, store: (self.open)(id), term: join.term, number: 0 };
        if let Some(mut founder) = self.founder.take() {
            let change = hand_over(&self.view().await.map, founder.id, id);
            self.change(&mut founder, &change).await.expect("the founder hands slots over");
            self.founder = Some(founder);
        }
        node
    }

    async fn change(&self, node: &mut Node, change: &Change) -> Result<(), ChangeError> {
        let changed = self.registry.change(node.id, node.fence(), change, &note(node.id)).await;
        if changed.is_ok() {
            node.number += 1;
        }
        changed
    }
}

impl Node {
    fn fence(&self) -> Fence {
        let number = self.number + 1;
        Fence { term: self.term.0, number, nonce: self.id.0 % 1_000_003 + number }
    }

    fn batch(&self, row: Option<JournalRow>) -> Batch {
        Batch {
            fence: self.fence(),
            rows: row.into_iter().collect(),
            snapshots: Vec::new(),
            trims: Vec::new(),
            erasures: Vec::new(),
            rewrites: Vec::new(),
        }
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        self.store.commit(&self.batch(None)).await?;
        self.number += 1;
        Ok(())
    }
}

fn note(by: NodeId) -> Note {
    Note { by, what: "conformance".into(), at: 1_700_000_000_000 }
}

/// An attempt to join, as a node makes it that has this view.
///
/// # Panics
/// If the node may not join this map.
pub fn attempt(view: &View, id: NodeId) -> Join {
    let lease = view.leases.iter().find(|(node, _)| *node == id).map(|(_, row)| *row);
    let term = lease.map_or(Term(0), |row| row.term).next();
    let rejoin = match view.map.peer(id) {
        Some(peer) => Rejoin::From(peer.term),
        None => Rejoin::Never,
    };
    let what = MapChange::Join(Newcomer { peer: peer(id, term) }, rejoin);
    let change = make(&view.map, what, Vec::new());
    Join { id: ChangeId(1), lease, term, change }
}

/// What a node of tests and measurements says of itself.
pub fn peer(id: NodeId, term: Term) -> Peer {
    Peer {
        number: 0,
        id,
        term,
        name: format!("conformance-{id}"),
        state: PeerState::Up,
        proto: Versions { min: 1, max: 1 },
        schema: Versions { min: 1, max: 1 },
        version: "0.0.0".into(),
        weight: 1,
        joined: 1_700_000_000_000,
        common: Common::default(),
    }
}

fn make(map: &ClusterMap, what: MapChange, fences: Vec<(NodeId, change::Fence)>) -> Change {
    let next = map.changed(&what).expect("the change can be made");
    Change { what, expects: map.version(), fences, map: next }
}

/// Two slots go from one node to another.
fn hand_over(map: &ClusterMap, from: NodeId, to: NodeId) -> Change {
    let slots: SlotSet = map.slots_of(from).iter().take(2).collect();
    let what = MapChange::HandOver { slots, from, to };
    make(map, what, vec![(from, change::Fence::OwnNumber)])
}

/// The takeover of `dead`, as a node decides on it that has this view.
fn takeover(view: &View, dead: NodeId) -> Change {
    let row = view.leases.iter().find(|(node, _)| *node == dead).expect("it has a lease").1;
    let what = MapChange::TakeOver { dead, avoid: Vec::new() };
    make(&view.map, what, vec![(dead, change::Fence::Raise(row))])
}

fn assert_refused(result: Result<(), ChangeError>, rule: &str) {
    assert!(matches!(result, Err(ChangeError::Refused(_))), "{rule}: {result:?}");
}

fn assert_fenced(result: Result<(), CommitError>, rule: &str) {
    assert!(matches!(result, Err(CommitError::Fenced(_))), "{rule}: {result:?}");
}

async fn nothing_is_an_empty_map(nodes: &Nodes<'_>) {
    let view = nodes.view().await;
    assert_eq!(view.map, ClusterMap::empty(), "without a row the map is empty");
    assert!(view.leases.is_empty(), "without nodes there are no leases");
}

async fn joining_is_done_once(nodes: &mut Nodes<'_>) {
    let id = nodes.new_id();
    let join = attempt(&nodes.view().await, id);
    nodes.registry.join(id, &join, &note(id)).await.expect("it joins");
    let view = nodes.view().await;
    assert_eq!(view.map, join.change.map, "the view shows the map that was written, all of it");
    assert_eq!(view.leases, [(id, LeaseRow { term: join.term, number: 0 })]);
    let again = nodes.registry.join(id, &join, &note(id)).await;
    assert_refused(again, "an attempt that arrives twice is refused the second time");
}

async fn slots_without_an_owner_are_assigned(nodes: &mut Nodes<'_>) {
    let mut founder = nodes.join().await;
    let view = nodes.view().await;
    // Whoever joined before is gone.
    let own = founder.id;
    for (id, _) in view.leases.iter().filter(|(id, _)| *id != own) {
        let change = takeover(&nodes.view().await, *id);
        nodes.change(&mut founder, &change).await.expect("it is taken over");
    }
    let map = nodes.view().await.map;
    if !map.unowned().is_empty() {
        let change = make(&map, MapChange::Assign, Vec::new());
        nodes.change(&mut founder, &change).await.expect("slots are assigned");
    }
    assert_eq!(nodes.view().await.map.slots_of(founder.id).len(), usize::from(SLOTS));
    nodes.founder = Some(founder);
}

async fn of_two_who_join_from_one_view_one_does(nodes: &mut Nodes<'_>) {
    let view = nodes.view().await;
    let ids = [nodes.new_id(), nodes.new_id()];
    let [first, second] = ids.map(|id| attempt(&view, id));
    nodes.registry.join(ids[0], &first, &note(ids[0])).await.expect("the first joins");
    let late = nodes.registry.join(ids[1], &second, &note(ids[1])).await;
    assert_refused(late, "the map has changed");
    assert!(nodes.row(ids[1]).await.is_none(), "a refused attempt writes no lease either");
}

async fn every_commit_shows_in_the_next_view(nodes: &mut Nodes<'_>) {
    let mut node = nodes.join().await;
    for number in 1..=3 {
        node.commit().await.expect("an empty transaction commits");
        let row = nodes.row(node.id).await;
        assert_eq!(row, Some(LeaseRow { term: node.term, number }), "beats move the number");
    }
}

async fn of_two_takers_one_takes_over(nodes: &mut Nodes<'_>) {
    let dead = nodes.join().await;
    let mut takers = [nodes.join().await, nodes.join().await];
    let change = takeover(&nodes.view().await, dead.id);
    // Both at the same time.
    let [first, second] = &mut takers;
    let both = join(nodes.change(first, &change), nodes.change(second, &change));
    let (one, other) = both.await;
    assert!(one.is_ok() != other.is_ok(), "exactly one takes it over: {one:?}, {other:?}");
    let (mut loser, refused) = if one.is_ok() {
        let [_, loser] = takers;
        (loser, other)
    } else {
        let [loser, _] = takers;
        (loser, one)
    };
    assert_refused(refused, "somebody else has taken it over");
    loser.commit().await.expect("a refused change uses no number");
}

async fn a_takeover_shuts_the_dead_one_out(nodes: &mut Nodes<'_>) {
    let mut dead = nodes.join().await;
    let mut taker = nodes.join().await;
    let row = JournalRow {
        entity: EntityId::parse("conformance:takeover").expect("this is an entity id"),
        epoch: Epoch::from_bits(7),
        first_seq: Seq::FIRST,
        last_seq: Seq::FIRST,
        events: r#"[{"seq":1,"at":1,"from":"a","type":"post","body":null}]"#.into(),
    };
    let entity = row.entity.clone();
    let late = dead.batch(Some(row));
    let change = takeover(&nodes.view().await, dead.id);
    nodes.change(&mut taker, &change).await.expect("it is taken over");
    assert_fenced(dead.store.commit(&late).await, "it commits nothing more");
    let settled = dead.store.settle(late.fence).await.map(drop);
    assert_fenced(settled, "and settles nothing");
    assert_fenced(dead.commit().await, "at any number");
    let loaded = taker.store.load(&entity).await.expect("a load is answered");
    assert!(loaded.tail.is_empty(), "nothing of it was written");
}

async fn a_commit_that_comes_first_stops_a_takeover(nodes: &mut Nodes<'_>) {
    let mut alive = nodes.join().await;
    let mut taker = nodes.join().await;
    let change = takeover(&nodes.view().await, alive.id);
    alive.commit().await.expect("it commits after it was looked at");
    assert_refused(nodes.change(&mut taker, &change).await, "it is not silent");
    alive.commit().await.expect("and goes on");
}

async fn a_hand_over_from_an_old_version_is_refused(nodes: &mut Nodes<'_>) {
    let mut from = nodes.join().await;
    let to = nodes.join().await;
    let change = hand_over(&nodes.view().await.map, from.id, to.id);
    let _newcomer = nodes.join().await;
    assert_refused(nodes.change(&mut from, &change).await, "the map has changed");
    from.commit().await.expect("it is still the owner, and its number is not used");
}

async fn a_hand_over_is_a_numbered_transaction(nodes: &mut Nodes<'_>) {
    let mut from = nodes.join().await;
    let to = nodes.join().await;
    let before = nodes.row(from.id).await.expect("it has a lease");
    let change = hand_over(&nodes.view().await.map, from.id, to.id);
    nodes.change(&mut from, &change).await.expect("it is the next version");
    let view = nodes.view().await;
    assert_eq!(view.map, change.map);
    let after = LeaseRow { number: before.number + 1, ..before };
    assert_eq!(nodes.row(from.id).await, Some(after));
    assert_eq!(view.map.slots_of(to.id).len(), 4, "its own two, and the two that it was given");
    let mut gap = from.fence();
    gap.number += 1;
    let change = make(&view.map, MapChange::SetState(to.id, PeerState::Cordoned), Vec::new());
    let skipped = nodes.registry.change(from.id, gap, &change, &note(from.id)).await;
    assert!(skipped.is_err(), "a number cannot be left out");
    assert_eq!(nodes.view().await.map, view.map, "and nothing of it was written");
}

async fn an_unknown_change_is_settled(nodes: &mut Nodes<'_>) {
    let mut node = nodes.join().await;
    let other = nodes.join().await;
    let map = nodes.view().await.map;
    let change = make(&map, MapChange::SetState(other.id, PeerState::Cordoned), Vec::new());
    let written = node.fence();
    nodes.change(&mut node, &change).await.expect("it is written");
    let settled = node.store.settle(written).await.expect("it is settled");
    assert_eq!(settled, Settled::Committed, "a change is found by its number and nonce");
    let lost = node.fence();
    let settled = node.store.settle(lost).await.expect("it is settled");
    assert_eq!(settled, Settled::NotCommitted);
    let map = nodes.view().await.map;
    let change = make(&map, MapChange::SetState(other.id, PeerState::Up), Vec::new());
    let late = nodes.registry.change(node.id, lost, &change, &note(node.id)).await;
    assert!(late.is_err(), "a straggler finds its number used up");
    assert_eq!(nodes.view().await.map, map, "and writes nothing");
}

async fn a_node_that_was_taken_over_joins_again(nodes: &mut Nodes<'_>) {
    let mut node = nodes.join().await;
    let mut taker = nodes.join().await;
    let change = takeover(&nodes.view().await, node.id);
    nodes.change(&mut taker, &change).await.expect("it is taken over");
    let join = attempt(&nodes.view().await, node.id);
    nodes.registry.join(node.id, &join, &note(node.id)).await.expect("it joins again");
    assert!(join.term > node.term, "under a later term");
    assert_fenced(node.commit().await, "its old term is over");
    node.term = join.term;
    node.number = 0;
    node.commit().await.expect("its new one is not");
}
