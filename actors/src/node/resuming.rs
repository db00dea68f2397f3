//! Sessions of this node that ask for the place of a session of another one.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::Node;
use crate::clock::Mono;
use crate::ids::{NodeIndex, Place, SessionKey};
use crate::messages::{Owner, RelayHandle, Resume, Resumed, ToRelay};

/// How long the other node is waited for, in milliseconds. After that the session goes on as if
/// there were no such place. If the answer comes all the same, it takes the place then.
const WAIT: u64 = 300;

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(super) struct Resuming {
    waiting: HashMap<SessionKey, (Owner, RelayHandle), RandomState>,
    due: VecDeque<(Mono, SessionKey)>,
}

impl Resuming {
    fn add(&mut self, to: SessionKey, owner: Owner, reply: RelayHandle, now: Mono) {
        self.waiting.insert(to, (owner, reply));
        self.due.push_back((now.after(WAIT), to));
    }

    /// The other node has answered.
    pub fn answered(&mut self, to: SessionKey) {
        self.waiting.remove(&to);
    }

    /// Tells those who have waited for too long that there is no such place.
    pub fn tick(&mut self, now: Mono) {
        while let Some((_, to)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            if let Some((owner, reply)) = self.waiting.remove(&to) {
                refuse(to, owner, &reply);
            }
        }
    }
}

fn refuse(to: SessionKey, owner: Owner, reply: &RelayHandle) {
    let none = Resumed { to, owner, taken: None };
    reply.send_or_spawn(ToRelay::Resumed(Box::new(none)));
}

impl Node {
    /// Asks the node with this id, which a client has named, for the place of one of its sessions.
    pub(super) fn resume(&mut self, id: u64, resume: Resume, now: Mono) {
        let linked = self.known.get(id).filter(|node| self.links.contains_key(node));
        let Resume { from, to, owner, reply } = resume;
        let Some(node) = linked.filter(|node| *node != NodeIndex::HERE) else {
            return refuse(to, owner, &reply);
        };
        self.resuming.add(to, owner.clone(), reply.clone(), now);
        let from = SessionKey { node, ..from };
        let place = Place { node, worker: from.worker };
        let resume = Resume { from, to, owner, reply };
        self.relay_to(place, ToRelay::Resume(Box::new(resume)), now);
    }
}
