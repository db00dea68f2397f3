//! The owner of a session, its subscriptions and its presence, and whether it can be resumed.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::rc::Rc;

use greenroom_protocol::{EntityId, RawJson};

use crate::messages::{Owner, Present, Subscriptions};
use crate::relay::Connecting;
use crate::rights::Rights;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Membership {
    /// Set when the session connects.
    owner: OnceCell<Owner>,
    /// Whether the client has left for good, or another session has its place.
    left: Cell<bool>,
    /// The user and permissions of the latest `connect`.
    rights: RefCell<Option<Rc<Rights>>>,
    /// The entities that it has entered or is entering.
    present: RefCell<Vec<Present>>,
    /// The number of enters so far, so that late answers about an earlier one are recognised.
    enters: Cell<u32>,
    /// The number of enters at the time when the server last ended a presence.
    ended_enters: Cell<u32>,
    /// The subscriptions, including those that are being requested. The relay has no others.
    follows: RefCell<Vec<Follow>>,
    /// The number of subscriptions so far; they are numbered in the order in which entities are
    /// asked.
    subscriptions: Cell<u32>,
    /// The answer to `connect`, while its entries are being answered.
    pub connecting: RefCell<Option<Box<Connecting>>>,
}

/// A session's subscription to one entity.
#[derive(Debug, Clone)]
pub struct Follow {
    pub entity: EntityId,
    /// The latest subscription that was requested.
    pub number: u32,
    /// Subscriptions before this number have ended, even if their answers have not arrived.
    since: u32,
    /// The number of subscriptions that are not answered yet.
    open: u32,
}

impl Follow {
    /// Whether a subscription has not ended.
    pub fn stands(&self) -> bool {
        self.number >= self.since
    }
}

impl Membership {
    /// `None` until the session has connected.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.get()
    }

    /// The session has connected and belongs to `owner` from now on.
    pub fn belongs_to(&self, owner: Owner) {
        // A session keeps its first owner.
        let _ = self.owner.set(owner);
    }

    /// The client does not come back, or another session has its place.
    pub fn leave_for_good(&self) {
        self.left.set(true);
    }

    pub fn has_left(&self) -> bool {
        self.left.get()
    }

    /// The subscriptions, including those that are being requested.
    pub fn follows(&self) -> Ref<'_, Vec<Follow>> {
        self.follows.borrow()
    }

    /// Removes and returns all subscriptions.
    pub fn take_follows(&self) -> Vec<Follow> {
        self.follows.take()
    }

    /// The entities that it has entered or is entering.
    pub fn present(&self) -> Ref<'_, Vec<Present>> {
        self.present.borrow()
    }

    /// Removes and returns all presence entries.
    pub fn take_present(&self) -> Vec<Present> {
        self.present.take()
    }

    /// The user and permissions; `None` until the session has connected.
    pub fn rights(&self) -> Option<Rc<Rights>> {
        self.rights.borrow().clone()
    }

    /// Replaces the user and permissions.
    pub fn set_rights(&self, rights: Rights) {
        self.rights.replace(Some(Rc::new(rights)));
    }

    /// The number of the latest subscription to `entity`, if there is one or one is being
    /// requested.
    pub fn following(&self, entity: &EntityId) -> Option<u32> {
        self.follows
            .borrow()
            .iter()
            .find(|follow| follow.entity == *entity && follow.stands())
            .map(|follow| follow.number)
    }

    /// Records a request to subscribe to `entity`. Returns its number, or `None` if there are
    /// `most` other subscriptions.
    pub fn follow(&self, entity: &EntityId, most: usize) -> Option<u32> {
        let mut follows = self.follows.borrow_mut();
        let full = follows.len() >= most;
        let number = self.subscriptions.get() + 1;
        match follows.iter_mut().find(|follow| follow.entity == *entity) {
            Some(follow) => (follow.number, follow.open) = (number, follow.open + 1),
            None if full => return None,
            None => follows.push(Follow { entity: entity.clone(), number, since: number, open: 1 }),
        }
        self.subscriptions.set(number);
        Some(number)
    }

    /// Records a request to subscribe to `entity` with this number.
    #[cfg(test)]
    pub(crate) fn follow_by(&self, entity: &EntityId, number: u32) {
        self.subscriptions.set(number - 1);
        self.follow(entity, usize::MAX);
    }

    /// Whether the subscription to `entity` with this number has not ended.
    pub fn follows_by(&self, entity: &EntityId, number: u32) -> bool {
        self.follows
            .borrow()
            .iter()
            .any(|follow| follow.entity == *entity && follow.since <= number)
    }

    /// Records the answer to a request to subscribe to `entity`. `followed` says whether there is a
    /// subscription now.
    pub fn follow_answered(&self, entity: &EntityId, followed: bool) {
        let mut follows = self.follows.borrow_mut();
        let Some(index) = follows.iter().position(|follow| follow.entity == *entity) else {
            return;
        };
        follows[index].open = follows[index].open.saturating_sub(1);
        if follows[index].open == 0 && !followed {
            follows.swap_remove(index);
        }
    }

    /// These subscriptions to `entity` have ended. The entry remains until all requests are
    /// answered.
    pub fn unfollow(&self, entity: &EntityId, which: Subscriptions) {
        let mut follows = self.follows.borrow_mut();
        let Some(index) = follows.iter().position(|follow| follow.entity == *entity) else {
            return;
        };
        let follow = &mut follows[index];
        let last = match which {
            Subscriptions::Through(number) => number,
            Subscriptions::All => follow.number,
        };
        follow.since = follow.since.max(last.saturating_add(1));
        if !follow.stands() && follow.open == 0 {
            follows.swap_remove(index);
        }
    }

    /// Records that the session enters `entity`, or changes its `meta` there. Returns the number of
    /// this enter, or `None` if it is present in `most` other entities.
    pub fn enter(&self, entity: &EntityId, meta: RawJson, most: usize) -> Option<u32> {
        let number = self.enters.get() + 1;
        let mut all = self.present.borrow_mut();
        let full = all.len() >= most;
        match all.iter_mut().find(|present| present.entity == *entity) {
            Some(present) => {
                present.meta = meta;
                present.standing += 1;
            }
            None if full => return None,
            None => all.push(Present { entity: entity.clone(), meta, since: number, standing: 1 }),
        }
        self.enters.set(number);
        Some(number)
    }

    /// The enter with this number was refused. Returns whether the session is therefore not
    /// present, whatever its entity was sent since.
    pub fn enter_refused(&self, entity: &EntityId, number: u32) -> bool {
        let mut all = self.present.borrow_mut();
        let refused = |present: &Present| present.entity == *entity && present.since <= number;
        let Some(index) = all.iter().position(refused) else { return false };
        all[index].standing -= 1;
        let none_stands = all[index].standing == 0;
        if none_stands {
            all.swap_remove(index);
        }
        none_stands
    }

    /// Records that the session has left `entity`; false if it was not present.
    pub fn leave(&self, entity: &EntityId) -> bool {
        let mut present = self.present.borrow_mut();
        let before = present.len();
        present.retain(|present| present.entity != *entity);
        present.len() < before
    }

    /// Ends the presence in `entity` on behalf of the server.
    pub fn take_out(&self, entity: &EntityId) {
        self.leave(entity);
        self.ended_enters.set(self.enters.get());
    }

    /// Whether the server has ended, or may have ended, what the enter with this number began.
    pub fn was_taken_out(&self, entity: &EntityId, number: u32) -> bool {
        let stands = |present: &Present| present.entity == *entity && present.since <= number;
        number <= self.ended_enters.get() && !self.present.borrow().iter().any(stands)
    }
}
