//! What a node of a cluster does beside its own entities and sessions: it routes what is for others,
//! takes what they send, and carries out what its [`Membership`] decides.
//!
//! Pure like the parts it is made of: its owner passes in what arrives, with the time, and carries
//! out what it returns, in order ([`Do`]).
//!
//! ```text
//!  session ── shard ──┬── entity                                            (a slot that is open)
//!                     └── exchange ── asks ── link ~~~ link ── directory ── shard ── entity
//!                                       ▲                                              │
//!  session ── relay ◄───────────────────┴──── link ~~~ link ◄── exchange ◄─────────────┘
//! ```
//!
//! A [`NodeIndex`] stands for a link between two resets. When a link is reset its index is never
//! used again for as long as anybody may hold it: entities drop the sessions that go by it, and
//! answers for them are dropped here, so nothing from before a reset is taken for something after
//! it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use greenroom_protocol::EntityId;

use crate::clock::Mono;
use crate::cluster::asks::{self, Asks, Refusals};
use crate::cluster::change::Change;
use crate::cluster::lease::Validity;
use crate::cluster::link::beat::{Beat, Hearing};
use crate::cluster::link::frame::in_version;
use crate::cluster::link::{self, Link};
use crate::cluster::map::{NodeId, Peer};
use crate::cluster::membership::{
    self, ChangeId, Ended, HandOffId, Join, Membership, PollNumber, Reason, Scope,
};
use crate::cluster::slot::{SlotId, SlotSet};
use crate::frames::Encoder;
use crate::ids::{NodeIndex, WorkerId};
use crate::limits::Accounts;
use crate::messages::{Exchange, Own, ToEntity, ToRelay};

mod deferred;
mod incoming;
mod items;
mod known;
mod moving;
mod outgoing;
mod publish;
mod resuming;
mod status;
#[cfg(test)]
mod tests;
mod versions;

use deferred::Deferred;
use known::Known;
use publish::Published;
use resuming::Resuming;
pub use status::{LinkStatus, Member, Quarantined, SlotCounts, Status};

/// A message for an entity, while it is asked of its owner.
type Held = (EntityId, ToEntity);

/// The settings of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Of its membership.
    pub membership: membership::Settings,
    /// Of its links.
    pub link: link::Settings,
    /// Of what it asks others.
    pub asks: asks::Settings,
    /// Milliseconds between two beats to the other nodes.
    pub beat: u64,
    /// Milliseconds for which sessions of a lost link stay present.
    pub grace: u64,
}

/// What a node is made of.
pub struct Setup {
    /// What it says of itself when it joins.
    pub me: Peer,
    /// Its settings.
    pub settings: Settings,
    /// Until when it may serve what it owns; the shards look at it.
    pub validity: Arc<Validity>,
    /// How messages are encoded.
    pub encoder: Encoder,
    /// Who pays for what sessions of other nodes ask here.
    pub accounts: Arc<Accounts>,
    /// The way to this very node's queue.
    pub exchange: Exchange,
    /// Seeds the links.
    pub rng: fastrand::Rng,
}

/// Something to be carried out, in order.
#[derive(Debug)]
pub enum Do {
    /// Read the map and the leases: [`Node::viewed`].
    Poll(PollNumber),
    /// Take the node's lease and enter the map: [`Node::joined`].
    Join(Join),
    /// Commit under this term from now on.
    BeginTerm(u64),
    /// Change the map: [`Node::decided`].
    Change(ChangeId, Change, Reason),
    /// Commit something.
    Commit,
    /// Tell every shard what it serves.
    Own(Own),
    /// Put the entities of a scope to sleep, wait until the journal has decided all that they
    /// queued, then [`Node::flushed`].
    Flush(HandOffId, Scope),
    /// End all lives, then [`Node::lives_ended`].
    Abandon,
    /// Give a message to this node's own directory.
    Local(EntityId, ToEntity),
    /// Answer a mark: [`ToDirectory::Marked`](crate::messages::ToDirectory::Marked).
    Marked(EntityId, bool),
    /// Send a message to one of this node's relays.
    Relay(WorkerId, ToRelay),
    /// Tell all of this node's relays which owners have changed.
    OwnerChanged(Scope),
    /// Tell all of this node's relays that an entity forgot its audience, and whether it ended.
    AudienceForgotten(EntityId, bool),
    /// Publish a frame for one node.
    Publish(NodeId, Bytes),
    /// Publish a message for all nodes.
    Broadcast(Bytes),
    /// The node is not in the cluster any more.
    Ended(Ended),
}

/// One node. See the module's head.
pub struct Node {
    me: NodeId,
    settings: Settings,
    encoder: Encoder,
    accounts: Arc<Accounts>,
    exchange: Exchange,
    validity: Arc<Validity>,
    rng: fastrand::Rng,
    membership: Membership,
    known: Known,
    links: BTreeMap<NodeIndex, Link>,
    asks: Asks<Held>,
    refusals: Refusals,
    deferred: Deferred,
    resuming: Resuming,
    /// Slots for which control messages of a node came before they were served here.
    missed: BTreeSet<(NodeIndex, SlotId)>,
    /// What was closed for a hand-off that is not decided.
    closed: Scope,
    hearing: Hearing,
    /// What the shards were told to serve.
    open: Scope,
    /// The lease is over, for now: what is open waits, and nothing of it is served.
    lapsed: bool,
    /// The version of the map that the asks go by.
    map: u64,
    /// The owner of each slot, and under which term, by that version.
    owners: Vec<Option<(NodeId, u64)>>,
    /// The slots in quarantine, by that version.
    quarantined: SlotSet,
    /// When the sessions of lost links are not present any more.
    leaving: VecDeque<(Mono, NodeIndex)>,
    next_beat: Mono,
    published: Published,
    out: Vec<Do>,
}

impl Node {
    /// A node that is going to join.
    pub fn new(setup: Setup, now: Mono) -> Self {
        let Setup { me: peer, settings, validity, encoder, accounts, exchange, rng } = setup;
        let me = peer.id;
        let silence = settings.link.silence;
        Self {
            me,
            settings,
            encoder,
            accounts,
            exchange,
            rng,
            membership: Membership::new(peer, settings.membership, Arc::clone(&validity), now),
            validity,
            known: Known::new(me.0),
            links: BTreeMap::new(),
            asks: Asks::new(settings.asks),
            refusals: Refusals::default(),
            deferred: Deferred::default(),
            resuming: Resuming::default(),
            missed: BTreeSet::new(),
            closed: Scope::EMPTY,
            hearing: Hearing::new(me.0, silence, now),
            open: Scope::EMPTY,
            lapsed: false,
            map: 0,
            owners: Vec::new(),
            quarantined: SlotSet::EMPTY,
            leaving: VecDeque::new(),
            next_beat: now,
            published: Published::new(now),
            out: Vec::new(),
        }
    }

    /// What is to be done now, in order.
    pub fn take_out(&mut self) -> Vec<Do> {
        std::mem::take(&mut self.out)
    }

    /// Whether this node does not even hear itself: it is cut off from the wire.
    pub fn is_deaf(&self, now: Mono) -> bool {
        self.hearing.is_deaf(now)
    }

    /// The membership, to be looked at.
    pub const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Time has passed. To be called every few milliseconds.
    pub fn tick(&mut self, now: Mono) {
        self.membership.hears(now, !self.hearing.is_deaf(now));
        let actions = self.membership.tick(now);
        self.act(actions, now);
        self.look_at_lease(now);
        self.routed(now, |asks, out| asks.tick(now, out));
        self.resuming.tick(now);
        while let Some((_, node)) = self.leaving.pop_front_if(|(due, _)| *due <= now) {
            self.out.push(Do::Own(Own::LinkOver(node)));
            self.known.release(node);
        }
        for index in self.links.keys().copied().collect::<Vec<_>>() {
            if let Some(link) = self.links.get_mut(&index) {
                link.tick(now);
            }
            self.attend(index, now);
        }
        if now >= self.next_beat {
            self.beat(now);
        }
        self.publish(now);
        self.flush_links(now);
    }

    /// What this node owns waits while its lease is over: shards would pass it back.
    pub(super) fn look_at_lease(&mut self, now: Mono) {
        let lapsed = !self.validity.holds(now);
        if std::mem::replace(&mut self.lapsed, lapsed) == lapsed {
            return;
        }
        let slots = self.open.slots.clone();
        if lapsed {
            self.asks.closed(&slots);
        } else {
            self.routed(now, |asks, out| asks.opened(&slots, out));
        }
    }

    fn beat(&mut self, now: Mono) {
        self.next_beat = now.after(self.settings.beat);
        let beat = Beat {
            node: self.me.0,
            term: self.membership.term().map_or(0, |term| term.0),
            map: self.membership.map().version(),
            load: 0,
            spare: 0,
            hears: self.hearing.digest(now),
        };
        self.out.push(Do::Broadcast(in_version(self.version_for_all(), beat.encode())));
    }

    /// What gathered for the links goes out. To be called after messages were taken.
    pub fn flush_links(&mut self, now: Mono) {
        self.take_deferred(now);
        let mut links = std::mem::take(&mut self.links);
        for (index, link) in &mut links {
            let to = NodeId(self.known.id_of(*index));
            while let Some(frame) = link.poll_outgoing(now) {
                self.out.push(Do::Publish(to, in_version(self.version_for(to), frame)));
            }
        }
        self.links = links;
    }
}
