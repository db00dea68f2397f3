//! What happens to the nodes of a drill, and what that may cost.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::way::Cut;

/// The faults by their names on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A node is killed (SIGKILL), and another one started
    Kill,
    /// A node is stopped for up to 10 s (SIGSTOP, SIGCONT)
    Stop,
    /// A node's way to NATS is cut for some seconds, in one direction or both
    CutNats,
    /// The same with its way to the database
    CutStore,
    /// The NATS server is restarted
    Nats,
    /// The database is killed and restarted
    Database,
    /// Each node is replaced: a new one is started, and the old one asked to stop (SIGTERM)
    Rolling,
    /// The wall clock of a node is set up to ten minutes off, or a node is replaced by one whose
    /// clocks run 1 % fast
    Skew,
}

/// What a fault may cost, by the table in docs/loadtest.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// How long any entity may have no op acknowledged, beyond the time for which what all nodes
    /// need is away.
    pub pause: Duration,
    /// Whether ops with a number may be refused for the moment.
    pub errors: bool,
    /// Whether clients may be said to have left.
    pub leaves: bool,
    /// How often each client may lose its connection, with `nodes` nodes.
    pub losses: u64,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::CutNats => "cut-nats",
            Self::CutStore => "cut-store",
            Self::Nats => "nats",
            Self::Database => "database",
            Self::Rolling => "rolling",
            Self::Skew => "skew",
        }
    }

    pub fn cost(self, nodes: u64) -> Cost {
        let cost = |pause, errors, leaves, losses| Cost {
            pause: Duration::from_millis(pause),
            errors,
            leaves,
            losses,
        };
        match self {
            Self::Kill => cost(3000, true, true, 1),
            // A client may be led to the node again before it is known to be stopped.
            Self::Stop | Self::CutStore => cost(3000, true, true, 2),
            // It sends its clients to the others, and a balancer may lead them back to it.
            Self::CutNats => cost(4000, true, true, 2),
            Self::Nats => cost(2000, true, false, 0),
            Self::Database => cost(1000, true, false, 0),
            // Clients may be led to a node that is replaced next.
            Self::Rolling => cost(1000, false, false, nodes),
            Self::Skew => cost(1000, false, false, 1),
        }
    }
}

/// How a fault was applied.
pub struct Applied {
    /// For how long something that all nodes need was away.
    pub away: Duration,
    pub how: String,
}

/// Cuts in one direction and in both, at random.
pub fn any_cut() -> (Cut, &'static str) {
    let cuts = [(true, true, "both ways"), (true, false, "there"), (false, true, "back")];
    let (there, back, way) = cuts[fastrand::usize(..cuts.len())];
    (Cut { there, back }, way)
}

/// A time between these, in milliseconds.
pub fn between(shortest: u64, longest: u64) -> Duration {
    Duration::from_millis(fastrand::u64(shortest..=longest))
}
