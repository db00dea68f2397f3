//! Beats: what each node tells all others every 250 ms, and who has been heard.
//!
//! ```text
//! magic u8 | proto u8 | kind u8 (16) | node u64 | term u64 | map u64
//!          | load u32 | spare u32 | hears: count u16, hash u64
//! ```
//!
//! Numbers are little-endian; magic and proto are those of [frames](super::frame). A node hears its
//! own beats, since they come back from the wire: a node that does not is *deaf*.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::{Fields, FrameError, MAGIC, NodeId, PROTO, preamble};
use crate::clock::Mono;

#[cfg(test)]
mod tests;

/// The byte that says that a message is a beat. Frames have smaller ones.
pub const BEAT: u8 = 16;
/// Bytes of a beat.
const LENGTH: usize = 3 + 3 * 8 + 2 * 4 + 2 + 8;
/// Nodes that are remembered, at most. Those that have been silent make way for others.
pub const MAX_NODES: usize = 1_024;

/// What a node says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    pub node: NodeId,
    /// The term of its lease.
    pub term: u64,
    /// The version of the map that it knows.
    pub map: u64,
    /// Thousandths of a core that it has used in the last second.
    pub load: u32,
    /// How many more entities it can load at once.
    pub spare: u32,
    /// Whom it hears.
    pub hears: Digest,
}

/// A set of nodes, as short as possible. Sets with the same digest are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// How many nodes it has.
    pub count: u16,
    /// XXH3 (64 bit) of their ids in ascending order, each as 8 little-endian bytes.
    pub hash: u64,
}

/// Why a message is not a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeatError {
    /// Not a message between nodes, or of a newer version.
    #[error(transparent)]
    Message(#[from] FrameError),
    /// Another kind of message to all nodes, to be skipped.
    #[error("not a beat: a message of kind `{0}`")]
    Kind(u8),
    #[error("a beat of {0} bytes: it has {LENGTH}")]
    Length(usize),
}

impl Beat {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// If it is not a beat, byte for byte.
    pub fn decode(message: &[u8]) -> Result<Self, BeatError> {
        Self::decode_up_to(PROTO, message)
    }

    /// The same on a node that speaks another version of the format.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn decode_up_to(newest: u8, message: &[u8]) -> Result<Self, BeatError> {
        let fields = preamble(message, newest)?;
        if message[2] != BEAT {
            return Err(BeatError::Kind(message[2]));
        }
        if message.len() != LENGTH {
            return Err(BeatError::Length(message.len()));
        }
        let mut fields = Fields(fields);
        Ok(Self {
            node: fields.u64(),
            term: fields.u64(),
            map: fields.u64(),
            load: fields.u32(),
            spare: fields.u32(),
            hears: Digest { count: fields.u16(), hash: fields.u64() },
        })
    }

    /// The message of this beat.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(LENGTH);
        bytes.put_slice(&[MAGIC, PROTO, BEAT]);
        bytes.put_u64_le(self.node);
        bytes.put_u64_le(self.term);
        bytes.put_u64_le(self.map);
        bytes.put_u32_le(self.load);
        bytes.put_u32_le(self.spare);
        bytes.put_u16_le(self.hears.count);
        bytes.put_u64_le(self.hears.hash);
        bytes.freeze()
    }
}

impl Digest {
    /// Of these nodes, in ascending order.
    fn of(nodes: &[NodeId]) -> Self {
        let bytes: Vec<u8> = nodes.iter().flat_map(|node| node.to_le_bytes()).collect();
        let count = u16::try_from(nodes.len()).unwrap_or(u16::MAX);
        Self { count, hash: xxh3_64(&bytes) }
    }
}

/// Who has been heard lately.
#[derive(Debug)]
pub struct Hearing {
    me: NodeId,
    /// Milliseconds without a beat after which a node is not heard any more.
    silence: u64,
    /// When this node last heard itself.
    own: Mono,
    others: BTreeMap<NodeId, Mono>,
}

impl Hearing {
    /// Nobody has been heard yet; this node counts as having heard itself when it starts. `silence`
    /// is in milliseconds.
    pub const fn new(me: NodeId, silence: u64, now: Mono) -> Self {
        Self { me, silence, own: now, others: BTreeMap::new() }
    }

    /// A beat of this node has arrived.
    pub fn heard(&mut self, node: NodeId, now: Mono) {
        if node == self.me {
            self.own = now;
            return;
        }
        if self.others.len() >= MAX_NODES && !self.others.contains_key(&node) {
            let silence = self.silence;
            self.others.retain(|_, at| now < at.after(silence));
            if self.others.len() >= MAX_NODES {
                return;
            }
        }
        self.others.insert(node, now);
    }

    /// Forgets all nodes that are not members.
    pub fn keep(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.others.retain(|node, _| is_member(*node));
    }

    /// Whether a node has been heard within the last `silence`.
    pub fn hears(&self, node: NodeId, now: Mono) -> bool {
        let at = if node == self.me { Some(&self.own) } else { self.others.get(&node) };
        at.is_some_and(|at| now < at.after(self.silence))
    }

    /// Whether this node does not even hear itself.
    pub fn is_deaf(&self, now: Mono) -> bool {
        !self.hears(self.me, now)
    }

    /// All nodes that are heard, with this one unless it is deaf, in ascending order.
    pub fn nodes(&self, now: Mono) -> Vec<NodeId> {
        let mut nodes: Vec<_> =
            self.others.keys().copied().filter(|node| self.hears(*node, now)).collect();
        if !self.is_deaf(now) {
            nodes.push(self.me);
            nodes.sort_unstable();
        }
        nodes
    }

    /// The digest of [`nodes`](Self::nodes). Nodes that all hear each other have the same one.
    pub fn digest(&self, now: Mono) -> Digest {
        Digest::of(&self.nodes(now))
    }
}
