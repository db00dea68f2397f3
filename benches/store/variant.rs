//! The variants to compare.

use clap::ValueEnum;
use serde::Serialize;

/// A question and the variants that answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// How many ops there are in a transaction
    Batches,
    /// How often a snapshot is written, and how large it is
    Snapshots,
}

/// When snapshots are written, and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshots {
    /// The number of an entity's events between two snapshots.
    pub every: u64,
    /// Size of the state in bytes.
    pub bytes: usize,
}

/// One thing to measure.
#[derive(Debug, Clone)]
pub struct Variant {
    pub group: Group,
    pub name: String,
    /// The number of entities in one transaction.
    pub entities: usize,
    /// The number of ops per entity in a transaction.
    pub ops_each: usize,
    pub snapshots: Option<Snapshots>,
}

impl Variant {
    /// The number of ops in a transaction.
    pub fn ops(&self) -> usize {
        self.entities * self.ops_each
    }
}

/// The variants of the groups `only`, or all of them.
pub fn all(only: &[Group]) -> Vec<Variant> {
    let wanted = |group: &&Group| only.is_empty() || only.contains(group);
    Group::value_variants().iter().filter(wanted).flat_map(|group| of(*group)).collect()
}

fn of(group: Group) -> Vec<Variant> {
    // A busy server has 64 entities with 16 ops each in a transaction.
    let busy = |name: &str, snapshots| Variant {
        group,
        name: name.to_owned(),
        entities: 64,
        ops_each: 16,
        snapshots,
    };
    match group {
        Group::Batches => [(1, 1), (16, 1), (64, 1), (64, 4), (64, 16), (64, 64)]
            .map(|(entities, ops_each)| {
                let name = format!("{} ops: {entities} x {ops_each}", entities * ops_each);
                Variant { entities, ops_each, ..busy(&name, None) }
            })
            .into(),
        Group::Snapshots => {
            let mut variants = vec![busy("none", None)];
            for (bytes, size) in [(2 << 10, "2 KB"), (64 << 10, "64 KB")] {
                variants.extend([10_000, 1_000, 100].map(|every| {
                    let name = format!("{size} every {every} events");
                    busy(&name, Some(Snapshots { every, bytes }))
                }));
            }
            variants
        }
    }
}
