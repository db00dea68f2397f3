//! A run as a list of steps instead of a seed: what clients send and read, when connections are lost
//! and time passes, and how far the node gets in between.
//!
//! The property test generates scripts, because a script that fails shrinks to a readable one. The
//! fuzz target `session` decodes them from bytes. Only requests, readers and clocks misbehave: the
//! store works, and nothing panics.

use std::fmt;

use greenroom_protocol::params::{EventPolicy, SignalPolicy};

use super::bugs::Bug;
use super::client::Terms;
use super::net::Cut;
use super::world::World;

#[cfg(test)]
mod tests;

/// How many clients a script has.
pub const CLIENTS: u8 = 3;
/// How many entities they use.
pub const ENTITIES: u8 = 3;
/// Steps that are decoded from bytes at most.
const MOST_STEPS: usize = 120;

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub limits: Limits,
    pub steps: Vec<Step>,
}

/// The bounds that matter to pipelined requests. No script reaches the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in an outbox.
    pub outbox: u16,
    /// Frames in a socket's buffer.
    pub link: u8,
    /// Messages in a relay's queue and in an entity's mailbox.
    pub queues: u8,
    /// Subscriptions, and presence entries, of a session.
    pub subscriptions: u8,
    /// Unanswered requests of a session.
    pub in_flight: u8,
    /// Requests per second of a connection, if they are limited.
    pub requests: Option<u8>,
    /// Events that an entity keeps in memory.
    pub ring: u8,
    /// The lifetime of tokens in ms, if they expire.
    pub token: Option<u16>,
}

/// One step. Clients and entities are numbers below [`CLIENTS`] and [`ENTITIES`]. A step that is not
/// possible at the moment does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Opens a connection and sends `connect`; resumes the session if there was one.
    Connect { client: u8 },
    /// Loses the connection.
    Lose { client: u8, cut: Cut },
    /// Subscribes, or changes the terms of a subscription.
    Subscribe { client: u8, entity: u8, terms: Terms },
    /// Unsubscribes, subscribed or not.
    Unsubscribe { client: u8, entity: u8 },
    /// Enters the entity's presence.
    Enter { client: u8, entity: u8 },
    /// Leaves it.
    Leave { client: u8, entity: u8 },
    /// Sends a token that covers the entities whose bit is set in `covers`.
    Refresh { client: u8, covers: u8 },
    /// Posts `count` times to an entity, with `bytes` of padding in each post.
    Post { client: u8, entity: u8, count: u8, bytes: u16 },
    /// Sends a signal.
    Signal { client: u8, entity: u8 },
    /// Reads the state.
    Read { client: u8, entity: u8 },
    /// Sends the next requests of a well-behaved client: subscriptions, presence, repeated ops.
    CatchUp { client: u8 },
    /// The client stops reading.
    Stall { client: u8 },
    /// It reads again.
    ReadOn { client: u8 },
    /// Time passes.
    Pass { ms: u16 },
    /// The node's clock is set forward, or back.
    SetClock { ms: i32 },
    /// The node sweeps its connections and entities.
    Sweep,
    /// The node and the wires take up to `steps` steps, in the order that the seed `order` chooses.
    Work { steps: u8, order: u8 },
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.limits)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "  {step:?}"))
    }
}

impl Script {
    /// Runs the steps, then continues without faults until nothing is left to do.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(crate) fn run(&self, bug: Option<Bug>) -> Result<(), String> {
        World::scripted(self.limits, bug).perform(&self.steps)
    }

    /// Runs the script without a planted bug.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn holds(&self) -> Result<(), String> {
        self.run(None)
    }

    /// Decodes a script from any bytes: eight for the limits, then four for each step.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (head, rest) = bytes.split_at(bytes.len().min(8));
        let mut limits = [0xff; 8];
        limits[..head.len()].copy_from_slice(head);
        let steps =
            rest.as_chunks().0.iter().take(MOST_STEPS).map(|bytes| Step::from_bytes(*bytes));
        Self { limits: Limits::from_bytes(limits), steps: steps.collect() }
    }
}

impl Limits {
    fn from_bytes(bytes: [u8; 8]) -> Self {
        let [outbox, link, queues, subscriptions, in_flight, requests, ring, token] = bytes;
        Self {
            outbox: 200 + 12 * u16::from(outbox),
            link: 1 + link % 8,
            queues: 1 + queues % 20,
            subscriptions: 1 + subscriptions % 4,
            in_flight: 4 + in_flight % 13,
            requests: (requests < 64).then(|| 3 + requests),
            ring: ring % 8,
            token: (token < 64).then(|| 200 + 20 * u16::from(token)),
        }
    }
}

impl Step {
    fn from_bytes([kind, who, a, b]: [u8; 4]) -> Self {
        let client = who % CLIENTS;
        let entity = (who / CLIENTS) % ENTITIES;
        match kind % 24 {
            0 | 1 => Self::Connect { client },
            2 => {
                Self::Lose { client, cut: [Cut::Clean, Cut::Lossy, Cut::HalfOpen][a as usize % 3] }
            }
            3..6 => Self::Subscribe { client, entity, terms: terms(a) },
            6 => Self::Unsubscribe { client, entity },
            7 => Self::Enter { client, entity },
            8 => Self::Leave { client, entity },
            9 | 10 => Self::Refresh { client, covers: a % (1 << ENTITIES) },
            11..14 => Self::Post { client, entity, count: 1 + a % 4, bytes: 2 * u16::from(b) },
            14 => Self::Signal { client, entity },
            15 => Self::Read { client, entity },
            16 => Self::CatchUp { client },
            17 => Self::Stall { client },
            18 => Self::ReadOn { client },
            19 => Self::Pass { ms: 8 * u16::from(a) },
            20 => Self::SetClock { ms: 4_000 * i32::from(a.cast_signed()) },
            21 => Self::Sweep,
            _ => Self::Work { steps: a, order: b },
        }
    }
}

fn terms(byte: u8) -> Terms {
    Terms {
        events: [
            EventPolicy::Replay,
            EventPolicy::Replay,
            EventPolicy::Disconnect,
            EventPolicy::None,
        ][byte as usize % 4],
        signals: [SignalPolicy::DropOldest, SignalPolicy::Latest, SignalPolicy::None]
            [byte as usize / 4 % 3],
        presence: byte >= 128,
    }
}
