//! A node that does not hear the others, although the database answers it.
//!
//! It says so in the map, which all read. If others still hear, it gives its slots to them, since
//! only its own sessions reach them here. If all are deaf, the wire itself is gone, and each keeps
//! what it has for its own sessions.

use super::super::map::{Peer, PeerState};
use super::hand_off::Transfer;
use super::{Action, Membership, Phase, Reason, Scope};
use crate::clock::Mono;

/// How long a node must be deaf before it says so, in milliseconds. One that was stopped for a while
/// hears itself at once.
const SURE: u64 = 250;
/// How long the peers must have said the same before it gives away its slots and its clients, in
/// milliseconds.
///
/// If the wire itself is gone, others are about to say that they are deaf as well. The next one may
/// notice it a beat (250 ms) later, read the map once more because its change is refused (250 ms),
/// and be read by this node 250 ms after that; the rest is for the database. When the wire is back,
/// nodes pause for up to a second between two attempts to connect.
const OTHERS: u64 = 1000;

impl Membership {
    /// Whether the node hears at least itself over the wire.
    pub fn hears(&mut self, now: Mono, hears: bool) {
        if hears {
            self.deaf_since = None;
            if self.me.state == PeerState::Deaf {
                self.me.state = PeerState::Up;
            }
            return;
        }
        let since = *self.deaf_since.get_or_insert(now);
        if now.since(since) >= SURE && self.me.state == PeerState::Up {
            self.me.state = PeerState::Deaf;
        }
    }

    /// Whether this node is deaf and the map says so, and that others hear who can own slots; all of
    /// it for long enough.
    pub fn is_cut_off(&self, now: Mono) -> bool {
        let me = self.me.id;
        let hears = |peer: &&Peer| peer.id != me && peer.state == PeerState::Up && peer.weight > 0;
        self.me.state == PeerState::Deaf
            && now.since(self.peers_changed) >= OTHERS
            && self.map.peer(me).is_some_and(|own| own.state == PeerState::Deaf)
            && self.map.peers().iter().any(|peer| hears(&peer))
    }

    /// Gives all slots to those who hear, if there are any. Nothing else is handed over while the
    /// node is deaf, since nobody could accept it.
    pub(super) fn yield_if_alone(&mut self, now: Mono, out: &mut Vec<Action>) {
        let all = Scope::owned_by(&self.map, self.me.id);
        if self.phase == Phase::Member && self.is_cut_off(now) && !all.is_empty() {
            self.start(now, Transfer::Yield, all, Reason::Deaf, out);
        }
    }
}
