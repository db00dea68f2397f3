//! The version of the format between nodes in which messages go out: the newest that this node and
//! those who read it speak.

use super::Node;
use crate::cluster::map::{NodeId, Peer};

impl Node {
    /// The newest version that this node speaks.
    pub(super) fn newest(&self) -> u8 {
        narrow(self.membership.me().proto.max)
    }

    /// For messages to one node. One that is not in the map as this node knows it may be of any
    /// release.
    pub(super) fn version_for(&self, id: NodeId) -> u8 {
        self.common(self.membership.map().peer(id).into_iter(), true)
    }

    /// For messages to all nodes.
    pub(super) fn version_for_all(&self) -> u8 {
        self.common(self.membership.map().peers().iter(), false)
    }

    fn common<'a>(&self, peers: impl Iterator<Item = &'a Peer>, must_be_known: bool) -> u8 {
        let own = self.membership.me().proto;
        if own.min == own.max {
            return narrow(own.max);
        }
        let newest = peers.map(|peer| peer.proto.max).min();
        let newest = newest.unwrap_or(if must_be_known { own.min } else { own.max });
        narrow(newest.clamp(own.min, own.max))
    }
}

/// Versions are small. One that is not could not be spoken.
fn narrow(version: u32) -> u8 {
    u8::try_from(version).unwrap_or(u8::MAX)
}
