//! A node that owns slots: it takes, commits and answers, or bounces.

use std::collections::VecDeque;

use super::super::{AskId, Refusals};
use super::world::Message;
use crate::cluster::slot::{SlotId, SlotSet};

/// What is on its way to a node. A control message has no id.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub slot: SlotId,
    pub round: u32,
    pub id: Option<AskId>,
    pub message: Message,
}

/// What is on its way back.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    Answer(AskId),
    Bounce(AskId, SlotId, u64),
}

/// Something that was taken and is not answered.
#[derive(Debug, Clone, Copy)]
pub struct Pending {
    /// None for what came before the link was reset: nobody is answered.
    pub id: Option<AskId>,
    pub slot: SlotId,
    pub message: Message,
    pub committed: bool,
}

/// A node, with both directions of its link to this one.
#[derive(Debug, Default)]
pub struct Node {
    pub alive: bool,
    /// Whether this node hears it.
    pub heard: bool,
    pub open: SlotSet,
    pub map: u64,
    pub refusals: Refusals,
    pub inbox: VecDeque<Sent>,
    pub outbox: VecDeque<Reply>,
    pub pending: Vec<Pending>,
}

impl Node {
    /// Both ends of the link start over.
    pub fn reset(&mut self, here: crate::ids::NodeIndex) {
        self.refusals.forget(here);
        self.inbox.clear();
        self.outbox.clear();
        self.pending.retain(|pending| !pending.committed);
        for pending in &mut self.pending {
            pending.id = None;
        }
    }

    /// Answers one of those that are committed, if there are any.
    pub fn answer(&mut self, which: u8) {
        let committed = self.pending.iter().filter(|pending| pending.committed).count();
        if committed == 0 {
            return;
        }
        let nth = usize::from(which) % committed;
        let at = (0..self.pending.len()).filter(|at| self.pending[*at].committed).nth(nth).unwrap();
        if let Some(id) = self.pending.remove(at).id {
            self.outbox.push_back(Reply::Answer(id));
        }
    }
}
