//! What is compared with what.

use clap::ValueEnum;
use serde::Serialize;

use super::sending::Sending;
use super::shape::Shape;

/// A question, and the variants that answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// What a row holds
    Shapes,
    /// Ops in a transaction
    Batches,
    /// Transactions at once, each with a fence row of its own
    Concurrent,
    /// How a transaction is sent
    Sending,
    /// How often a snapshot is written, and how large it is
    Snapshots,
    /// With and without the flush to the disk, which the server never leaves out
    Flush,
}

/// When snapshots are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshots {
    /// Events of an entity between two.
    pub every: u64,
    /// Size of the state.
    pub bytes: usize,
}

/// One thing to measure.
#[derive(Debug, Clone)]
pub struct Variant {
    pub group: Group,
    pub name: String,
    /// Entities that one transaction writes for.
    pub entities: usize,
    /// Ops of each of them in a transaction.
    pub ops_each: usize,
    /// Transactions that run at once.
    pub at_once: usize,
    pub shape: Shape,
    pub sending: Sending,
    pub snapshots: Option<Snapshots>,
    /// Whether each commit is flushed to the disk.
    pub flush: bool,
}

impl Variant {
    /// What the server does with 64 entities that have 16 ops each.
    fn usual(group: Group, name: impl Into<String>) -> Self {
        Self {
            group,
            name: name.into(),
            entities: 64,
            ops_each: 16,
            at_once: 1,
            shape: Shape::Text,
            sending: Sending::Block,
            snapshots: None,
            flush: true,
        }
    }

    /// Ops in a transaction.
    pub fn ops(&self) -> usize {
        self.entities * self.ops_each
    }
}

/// The variants of `only`, or all.
pub fn all(only: &[Group]) -> Vec<Variant> {
    let wanted = |group: &&Group| only.is_empty() || only.contains(group);
    Group::value_variants().iter().filter(wanted).flat_map(|group| of(*group)).collect()
}

fn of(group: Group) -> Vec<Variant> {
    let usual = |name: String| Variant::usual(group, name);
    match group {
        Group::Shapes => shapes(),
        Group::Batches => [(1, 1), (16, 1), (64, 1), (64, 4), (64, 16), (64, 64)]
            .map(|(entities, ops_each)| Variant {
                entities,
                ops_each,
                ..usual(format!("{} ops: {entities} x {ops_each}", entities * ops_each))
            })
            .into(),
        Group::Concurrent => concurrent(),
        Group::Sending => [
            (Sending::Block, "one block (the server)"),
            (Sending::BeginCommit, "BEGIN to COMMIT"),
            (Sending::SdkTransaction, "SDK begin, query, insert, commit"),
            (Sending::Insert, "no fence: INSERT as a query"),
            (Sending::SdkInsert, "no fence: SDK insert"),
        ]
        .map(|(sending, name)| Variant { sending, ..usual(name.into()) })
        .into(),
        Group::Snapshots => {
            let mut variants = vec![usual("none".into())];
            for (bytes, size) in [(2 << 10, "2 KB"), (64 << 10, "64 KB")] {
                let with = |every| Variant {
                    snapshots: Some(Snapshots { every, bytes }),
                    ..usual(format!("{size} every {every} events"))
                };
                variants.extend([10_000, 1_000, 100].map(with));
            }
            variants
        }
        Group::Flush => {
            let lone = |flush, name: &str| Variant {
                flush,
                entities: 1,
                ops_each: 1,
                ..usual(name.into())
            };
            let many = |flush, name: &str| Variant { flush, ..usual(name.into()) };
            vec![
                many(true, "64 x 16, sync=every"),
                many(false, "64 x 16, no flush"),
                lone(true, "1 op, sync=every"),
                lone(false, "1 op, no flush"),
            ]
        }
    }
}

fn shapes() -> Vec<Variant> {
    let shapes = [
        (Shape::Text, "JSON text (the server)"),
        (Shape::Unchecked, "JSON text, no schema"),
        (Shape::Bytes, "bytes"),
        (Shape::Texts, "array of texts"),
        (Shape::Objects, "array of objects"),
        (Shape::Rows, "a row per event"),
    ];
    let with = |(entities, ops_each): (usize, usize)| {
        shapes.map(|(shape, name)| Variant {
            entities,
            ops_each,
            shape,
            ..Variant::usual(Group::Shapes, format!("{entities} x {ops_each}: {name}"))
        })
    };
    [(64, 16), (1, 1024)].into_iter().flat_map(with).collect()
}

/// With as much in flight each, with as much in flight all together, and for lone ops.
fn concurrent() -> Vec<Variant> {
    let usual =
        |name: String, at_once| Variant { at_once, ..Variant::usual(Group::Concurrent, name) };
    let mut variants: Vec<_> = [1, 2, 4, 8]
        .map(|at_once| usual(format!("{at_once} at once of 1,024 ops"), at_once))
        .into();
    variants.extend([2, 4, 8].map(|at_once| {
        let entities = 64 / at_once;
        Variant {
            entities,
            ..usual(format!("{at_once} at once of {} ops", entities * 16), at_once)
        }
    }));
    variants.extend([1, 8, 64].map(|at_once| Variant {
        entities: 1,
        ops_each: 1,
        ..usual(format!("{at_once} at once of 1 op"), at_once)
    }));
    variants
}
