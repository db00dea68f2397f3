//! What actors of one node send those of another: requests to the node that owns an entity, and
//! what comes back.
//!
//! Each message is the body of one item of a link: a head, and behind it the bytes whose lengths
//! the head names ([`packed`]). The head is JSON, because bodies are JSON already and are copied
//! unchanged. A node ignores what it does not know in a head, and what is absent has a default, so
//! two versions understand each other.
//!
//! Sessions are named by the node's id, which all nodes know, and by their place in it;
//! [`Nodes`] translates that to the number that this process gave the node.

use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use serde::{Deserialize, Serialize};

use super::SubSpec;
use crate::ids::{NodeIndex, SessionKey, WorkerId};

mod answer;
mod ask;
mod packed;
mod parts;
mod tell;
#[cfg(test)]
mod tests;

pub use answer::{Unclaimed, answer_from_item, answer_to_item};
pub use ask::{Ask, AskFor};
pub use packed::BadItem;
pub use parts::{Arrived, ArrivedPart, parts_from_item, parts_to_item};
pub use tell::{Tell, control_to_item, tell_from_item, tell_to_item};

/// The nodes that this process has heard of.
pub trait Nodes {
    /// The id that every node knows it by. [`NodeIndex::HERE`] has one as well.
    fn id(&self, node: NodeIndex) -> u64;
    /// The number that this process knows it by, which it gets now if it has none.
    fn index(&mut self, id: u64) -> NodeIndex;
}

/// A session on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SessionName {
    /// The node's id; absent for sessions of the sender's own.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    node: Option<u64>,
    #[serde(rename = "w")]
    worker: u16,
    #[serde(rename = "s")]
    slot: u32,
    #[serde(rename = "g")]
    generation: u32,
}

impl SessionName {
    fn of(key: SessionKey, nodes: &impl Nodes) -> Self {
        let SessionKey { node, worker, slot, generation } = key;
        let node = (node != NodeIndex::HERE).then(|| nodes.id(node));
        Self { node, worker: worker.0, slot, generation }
    }

    fn key(self, sender: NodeIndex, nodes: &mut impl Nodes) -> SessionKey {
        let Self { node, worker, slot, generation } = self;
        let node = node.map_or(sender, |id| nodes.index(id));
        SessionKey { node, worker: WorkerId(worker), slot, generation }
    }
}

/// A subscription on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SpecName {
    #[serde(rename = "s")]
    session: SessionName,
    #[serde(rename = "n")]
    number: u32,
    #[serde(rename = "e", default)]
    events: EventPolicy,
    #[serde(rename = "g", default)]
    signals: SignalPolicy,
    #[serde(rename = "p", default)]
    presence: bool,
}

impl SpecName {
    fn of(spec: SubSpec, nodes: &impl Nodes) -> Self {
        let SubSpec { session, number, events, signals, presence } = spec;
        Self { session: SessionName::of(session, nodes), number, events, signals, presence }
    }

    fn spec(self, sender: NodeIndex, nodes: &mut impl Nodes) -> SubSpec {
        let Self { session, number, events, signals, presence } = self;
        SubSpec { session: session.key(sender, nodes), number, events, signals, presence }
    }
}
