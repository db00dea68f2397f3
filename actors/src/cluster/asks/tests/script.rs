//! What happens in a run: drawn from a seed, or by proptest, which makes a failing script smaller.

use proptest::prelude::*;

/// The number of slots in a run.
pub const SLOTS: u8 = 3;
/// The number of nodes besides this one. They are numbered from 1.
pub const NODES: u8 = 3;

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Ask {
        slot: u8,
        session: u8,
        once: bool,
        weight: u8,
    },
    Tell {
        slot: u8,
        session: u8,
    },
    /// A node reads some of what was sent to it.
    Read {
        node: u8,
        count: u8,
    },
    /// It commits some of what it has taken.
    Commit {
        node: u8,
        count: u8,
    },
    /// It sends the answer of something that is committed.
    Answer {
        node: u8,
        which: u8,
    },
    /// This node reads some of what a node has sent.
    Hear {
        node: u8,
        count: u8,
    },
    /// The owner of a slot closes it, and opens it again.
    Close {
        slot: u8,
    },
    Open {
        slot: u8,
    },
    /// A slot is given to a node: 0 is this one, and the highest number nobody.
    Move {
        slot: u8,
        to: u8,
    },
    /// This node reads the map as it was this number of versions ago.
    Map {
        late: u8,
    },
    /// A link is reset; it stays down.
    Reset {
        node: u8,
    },
    /// This node does not hear a node any more, which goes on.
    Silent {
        node: u8,
    },
    /// A node dies with all that it has not committed.
    Die {
        node: u8,
    },
    /// It is back, or its link is.
    Up {
        node: u8,
    },
    Wait {
        ms: u16,
    },
}

/// The step that three numbers stand for.
fn step(kind: u8, a: u8, b: u8) -> Step {
    let (slot, node) = (a % SLOTS, a % NODES + 1);
    match kind {
        0..30 => Step::Ask { slot, session: b % 2, once: b % 8 > 5, weight: b },
        30..38 => Step::Tell { slot, session: b % 2 },
        38..50 => Step::Read { node, count: b % 6 + 1 },
        50..56 => Step::Commit { node, count: b % 6 + 1 },
        56..63 => Step::Answer { node, which: b },
        63..73 => Step::Hear { node, count: b % 6 + 1 },
        73..77 => Step::Close { slot },
        77..81 => Step::Open { slot },
        81..85 => Step::Move { slot, to: b % (NODES + 2) },
        85..89 => Step::Map { late: if b < 200 { 0 } else { b % 4 } },
        89..90 => Step::Reset { node },
        90..91 => Step::Silent { node },
        91..92 => Step::Die { node },
        92..95 => Step::Up { node },
        _ => Step::Wait { ms: if b < 230 { u16::from(b) / 2 } else { u16::from(b) * 20 } },
    }
}

/// The number of kinds, with their weights.
const KINDS: u8 = 100;

/// Any step.
pub fn any_step() -> impl Strategy<Value = Step> {
    (0..KINDS, any::<u8>(), any::<u8>()).prop_map(|(kind, a, b)| step(kind, a, b))
}

/// The script of a seed.
pub fn drawn(seed: u64) -> Vec<Step> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let steps = rng.usize(20..200);
    (0..steps).map(|_| step(rng.u8(..KINDS), rng.u8(..), rng.u8(..))).collect()
}
