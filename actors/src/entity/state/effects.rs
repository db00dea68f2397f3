//! What an entity wants done.

use std::sync::Arc;

use greenroom_protocol::Seq;
use greenroom_protocol::params;

use crate::clock::Mono;
use crate::entity::eraser::PagesOut;
use crate::ids::{NodeIndex, Place};
use crate::messages::{Answer, CatchUp, Part, Responder, SubscribeRequest, Workers};
use crate::record::EventRecord;
use crate::store::{Erasure, Page, Rewrite, SnapshotRow};

/// Bytes of bodies that a subscriber may have missed; beyond that a snapshot is cheaper.
pub(super) const RESUME_BYTES: usize = 1024 * 1024;
/// Bytes of bodies in a `history` page; one event may exceed it.
pub(super) const PAGE_BYTES: usize = 256 * 1024;
/// Bytes of bodies that a paused subscription gets at once; one event may exceed it. It is small
/// because the thread serves nobody else while it encodes them.
pub(super) const CATCH_UP_BYTES: usize = 64 * 1024;

/// What an entity wants done. Only the parts for one relay have an order.
#[derive(Debug)]
pub struct Effects {
    /// When this was decided.
    pub(in crate::entity) now: Mono,
    /// Queue this event in the journal.
    pub event: Option<Arc<EventRecord>>,
    /// What the event has erased.
    pub erasure: Option<Box<Erasure>>,
    /// Queue this snapshot in the journal, after the event.
    pub snapshot: Option<Box<SnapshotRow>>,
    /// Queue this in the journal, after the snapshot.
    pub rewrite: Option<Box<Rewrite>>,
    /// Take `ToEntity::Erase` after a while.
    pub erase_later: bool,
    /// Send these to this node's relays in these places, in order.
    pub parts: Vec<(Place, Vec<Part>)>,
    /// Send these to the relays of these other nodes, in order.
    pub elsewhere: Vec<(NodeIndex, Vec<(Workers, Part)>)>,
    /// Read these pages.
    pub fetches: Vec<Fetch>,
    /// Take these again after a while, because their pages could not be read.
    pub retries: Vec<CatchUp>,
    /// Call `flush_presence` after the entity's `presence_interval`.
    pub presence_due: bool,
    /// Its stored data cannot be read: tell the operator why, once.
    pub corrupt: Option<String>,
}

/// A page that is not in memory.
#[derive(Debug)]
pub struct Fetch {
    /// Which one.
    pub page: Page,
    /// What it is for.
    pub purpose: FetchFor,
    /// Kept until the entity has received the page.
    pub out: PagesOut,
}

/// What a page is for.
#[derive(Debug)]
pub enum FetchFor {
    /// What a subscriber has missed: the events after this position.
    Subscribe(Box<SubscribeRequest>, Seq),
    /// A paused subscription.
    CatchUp(CatchUp),
    /// A `history` request, with the number of events asked for.
    History(params::History, Responder),
    /// Bodies that are to be erased.
    Erase,
}

impl FetchFor {
    /// The rest of a page is useless after this many bytes of bodies.
    pub fn most_bytes(&self) -> usize {
        match self {
            Self::Subscribe(..) => RESUME_BYTES + 1,
            Self::CatchUp(_) | Self::Erase => CATCH_UP_BYTES,
            Self::History(..) => PAGE_BYTES,
        }
    }
}

impl Effects {
    /// Nothing yet, decided now.
    pub fn at(now: Mono) -> Self {
        Self {
            now,
            event: None,
            erasure: None,
            snapshot: None,
            rewrite: None,
            erase_later: false,
            parts: Vec::new(),
            elsewhere: Vec::new(),
            fetches: Vec::new(),
            retries: Vec::new(),
            presence_due: false,
            corrupt: None,
        }
    }

    /// Adds a part for one relay.
    pub fn part(&mut self, to: Place, part: Part) {
        if to.node != NodeIndex::HERE {
            return self.of_node(to.node).push((Workers::only(to.worker), part));
        }
        match self.parts.iter_mut().find(|(other, _)| *other == to) {
            Some((_, parts)) => parts.push(part),
            None => self.parts.push((to, vec![part])),
        }
    }

    /// Adds a part for several relays. Those of one other node get it together.
    pub fn part_for_all(&mut self, all: impl Iterator<Item = Place>, part: impl Fn() -> Part) {
        let mut nodes = Vec::new();
        for to in all {
            if to.node == NodeIndex::HERE || !nodes.contains(&to.node) {
                self.part(to, part());
                if to.node != NodeIndex::HERE {
                    nodes.push(to.node);
                }
            } else if let Some((workers, _)) = self.of_node(to.node).last_mut() {
                workers.add(to.worker);
            }
        }
    }

    fn of_node(&mut self, node: NodeIndex) -> &mut Vec<(Workers, Part)> {
        let at = self.elsewhere.iter().position(|(other, _)| *other == node);
        let at = at.unwrap_or_else(|| {
            self.elsewhere.push((node, Vec::new()));
            self.elsewhere.len() - 1
        });
        &mut self.elsewhere[at].1
    }

    /// Adds an answer, for the relay of its session.
    pub fn answer(&mut self, answer: Answer) {
        self.part(answer.session().place(), Part::Answer(answer));
    }
}
