//! The committer of a node of a cluster.

use super::*;
use crate::cluster::change::{Change, MapChange};
use crate::cluster::map::{ClusterMap, NodeId};
use crate::cluster::membership::Outcome;
use crate::cluster::registry::conformance::attempt;
use crate::cluster::registry::{MemoryRegistry, Note, Registry};
use crate::store::{Batch, Fence};

const NODE: NodeId = NodeId(7);

fn note() -> Note {
    Note { by: NODE, what: "test".into(), at: 5 }
}

fn change(map: &ClusterMap, what: MapChange) -> Change {
    let next = map.changed(&what).unwrap();
    Change { what, expects: map.version(), fences: Vec::new(), map: next }
}

/// A node that joins, and whose committer has a term.
struct Node {
    rig: Rig,
    registry: MemoryRegistry,
    standing: watch::Receiver<Standing>,
}

impl Node {
    async fn new() -> Self {
        let mut rig = Rig::large().await;
        let registry = MemoryRegistry::new(rig.store.clone());
        rig.store = rig.store.of_node(NODE.0);
        let (journal, queue) = Journal::channel(100);
        rig.journal = journal;
        let limits =
            CommitterLimits { batch_ops: 100, batch_bytes: 100_000, linger: Duration::ZERO };
        let store = Arc::new(rig.store.clone());
        let (committer, health) = Committer::new(store, 0, queue, limits, Outside::real());
        let (show, standing) = watch::channel(Standing::default());
        let registered =
            Registered { node: NODE, registry: Arc::new(registry.clone()), standing: show };
        rig.committer = Some(committer.of_node(registered));
        rig.health = health;
        Self { rig, registry, standing }
    }

    /// Joins, or joins again, and gives the term to the committer.
    async fn join(&self) -> u64 {
        let view = self.registry.view().await.unwrap();
        let join = attempt(&view, NODE);
        let term = join.term;
        self.registry.join(NODE, &join, &note()).await.unwrap();
        self.rig.journal.begin_term(term.0).await;
        term.0
    }
}

#[tokio::test]
async fn events_beats_and_changes_are_numbered_transactions() {
    let mut node = Node::new().await;
    let term = node.join().await;
    let reign = node.rig.journal.reign();
    let (progress, seen) = Progress::of_reign(Seq::ZERO, reign);
    node.rig.queue([event("room:a", 1, &progress)]);
    let map = node.registry.view().await.unwrap().map;
    let assign = change(&map, MapChange::Assign);
    let journal = node.rig.journal.clone();
    let changed = tokio::spawn(async move {
        let first = journal.change(assign.clone(), note()).await;
        journal.beat().await;
        (first, journal.change(assign, note()).await)
    });
    node.rig.run().await;
    assert_eq!(changed.await.unwrap(), (Some(Outcome::Done), Some(Outcome::Refused)));
    assert_eq!(shows(&seen), (1, false));
    let view = node.registry.view().await.unwrap();
    assert_eq!(view.map.slots_of(NODE).len(), 1024);
    assert_eq!(view.leases[0].1.number, 3, "the event, the change and the beat, no more");
    assert_eq!(node.standing.borrow().renewed.unwrap().term, term);
}

#[tokio::test]
async fn what_lives_of_an_earlier_reign_queue_is_never_written() {
    let mut node = Node::new().await;
    node.join().await;
    let reign = node.rig.journal.reign();
    let (old, seen_old) = Progress::of_reign(Seq::ZERO, reign);
    // Nothing of this life fails, so only its reign tells that it is over.
    let (late, seen_late) = Progress::of_reign(Seq::ZERO, reign);
    node.rig.queue([event("room:a", 1, &old)]);
    node.join().await;
    let (new, seen_new) = Progress::of_reign(Seq::ZERO, node.rig.journal.reign());
    node.rig.queue([event("room:b", 1, &new), event("room:a", 2, &old)]);
    node.rig.queue([event("room:c", 1, &late)]);
    node.rig.run().await;
    // The first event found its term over; the last one came too late for its reign.
    assert_eq!(shows(&seen_late), (0, true));
    assert_eq!(node.rig.seqs("room:c").await, Vec::<u64>::new());
    assert_eq!((shows(&seen_old), shows(&seen_new)), ((0, true), (1, false)));
    assert_eq!(node.rig.seqs("room:a").await, Vec::<u64>::new());
    assert_eq!(node.rig.seqs("room:b").await, [1]);
    assert_eq!(*node.rig.health.borrow(), Health::Ok, "the new term commits");
}

#[tokio::test]
async fn a_node_whose_lease_was_raised_is_told_so() {
    let mut node = Node::new().await;
    let term = node.join().await;
    let map = node.registry.view().await.unwrap().map;
    // Somebody takes it over: here, by a term of its own that its committer does not know.
    let raised = node.rig.store.acquire().await.unwrap();
    assert_eq!(raised, term + 1);
    let journal = node.rig.journal.clone();
    let assign = change(&map, MapChange::Assign);
    let changed = tokio::spawn(async move { journal.change(assign, note()).await });
    node.rig.run().await;
    assert_eq!(changed.await.unwrap(), Some(Outcome::Fenced));
    assert!(matches!(*node.rig.health.borrow(), Health::Fenced(_)));
    let fence = Fence { term: raised, number: 1, nonce: 1 };
    let (rows, snapshots, trims, erasures, rewrites) = Default::default();
    let batch = Batch { fence, rows, snapshots, trims, erasures, rewrites };
    node.rig.store.commit(&batch).await.unwrap();
}
