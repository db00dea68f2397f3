//! Whose a session is and where it takes part: what it follows, where it is present, and whether it
//! will come back.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::rc::Rc;

use greenroom_protocol::{EntityId, RawJson};

use crate::messages::{Owner, Present};
use crate::relay::Connecting;
use crate::rights::Rights;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Membership {
    /// Whose it is, once it has connected.
    owner: OnceCell<Owner>,
    /// Its client has said that it goes, or has another session in its place.
    left: Cell<bool>,
    /// Who it acts for and what that one may do, once it has connected; the latest counts.
    rights: RefCell<Option<Rc<Rights>>>,
    /// Where it has entered, or is about to.
    present: RefCell<Vec<Present>>,
    /// Enters so far, so that what is told of an earlier one is told apart.
    enters: Cell<u32>,
    /// How many there had been when a presence was last ended by the server.
    ended_enters: Cell<u32>,
    /// What it follows, or is about to. Whatever the relay has of it is in here.
    follows: RefCell<Vec<Follow>>,
    /// Subscriptions so far, numbered in the order in which entities are asked.
    subscriptions: Cell<u32>,
    /// The answer to `connect`, while its entries are being answered.
    pub connecting: RefCell<Option<Box<Connecting>>>,
}

/// A session's subscription to one entity.
#[derive(Debug, Clone)]
pub struct Follow {
    /// What it follows.
    pub entity: EntityId,
    /// The latest subscription to it that was asked for.
    pub number: u32,
    /// Those before this one have ended, even if their answers are still on their way.
    since: u32,
    /// Subscriptions to it that are not answered yet.
    open: u32,
}

impl Follow {
    /// Whether any subscription to it has not ended.
    pub fn stands(&self) -> bool {
        self.number >= self.since
    }
}

impl Membership {
    /// Whose it is, once it has connected.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.get()
    }

    /// It has connected, and is `owner`'s from now on.
    pub fn belongs_to(&self, owner: Owner) {
        // It is set once: a session that has an owner keeps it.
        let _ = self.owner.set(owner);
    }

    /// Its client goes and does not come back, or has another session in its place.
    pub fn leave_for_good(&self) {
        self.left.set(true);
    }

    /// Whether it has left for good.
    pub fn has_left(&self) -> bool {
        self.left.get()
    }

    /// What it follows, or is about to.
    pub fn follows(&self) -> Ref<'_, Vec<Follow>> {
        self.follows.borrow()
    }

    /// The same, which it does not follow any more.
    pub fn take_follows(&self) -> Vec<Follow> {
        self.follows.take()
    }

    /// Where it has entered, or is about to.
    pub fn present(&self) -> Ref<'_, Vec<Present>> {
        self.present.borrow()
    }

    /// The same, where it is not present any more.
    pub fn take_present(&self) -> Vec<Present> {
        self.present.take()
    }

    /// Who it acts for and what that one may do; `None` until it has connected.
    pub fn rights(&self) -> Option<Rc<Rights>> {
        self.rights.borrow().clone()
    }

    /// From now on it acts by these rights.
    pub fn set_rights(&self, rights: Rights) {
        self.rights.replace(Some(Rc::new(rights)));
    }

    /// The number of the latest subscription to `entity`, if it follows that or is about to.
    pub fn following(&self, entity: &EntityId) -> Option<u32> {
        self.follows
            .borrow()
            .iter()
            .find(|follow| follow.entity == *entity && follow.stands())
            .map(|follow| follow.number)
    }

    /// Notes that it asks to follow `entity`, and numbers that. `None` if it follows `most` others.
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

    /// It has asked to follow `entity` as its subscription with this number.
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

    /// A request to follow `entity` is answered, and `followed` says whether there is a
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

    /// Its subscriptions to `entity` up to the one with this number have ended. What is not
    /// answered yet still has its place.
    pub fn unfollow(&self, entity: &EntityId, through: u32) {
        let mut follows = self.follows.borrow_mut();
        let Some(index) = follows.iter().position(|follow| follow.entity == *entity) else {
            return;
        };
        let follow = &mut follows[index];
        follow.since = follow.since.max(through.saturating_add(1));
        if !follow.stands() && follow.open == 0 {
            follows.swap_remove(index);
        }
    }

    /// Notes that it enters `entity`, or says something new of itself there. Returns the number of
    /// this enter; `None` if it is present in `most` others.
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

    /// The enter with this number was refused. True: so it is not there, whatever its entity was
    /// told meanwhile.
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

    /// Notes that it has left `entity`; false if it was not there.
    pub fn leave(&self, entity: &EntityId) -> bool {
        let mut present = self.present.borrow_mut();
        let before = present.len();
        present.retain(|present| present.entity != *entity);
        present.len() < before
    }

    /// The server ends its presence in `entity`.
    pub fn take_out(&self, entity: &EntityId) {
        self.leave(entity);
        self.ended_enters.set(self.enters.get());
    }

    /// Whether the server has ended what the enter with this number began, or may have.
    pub fn was_taken_out(&self, entity: &EntityId, number: u32) -> bool {
        let stands = |present: &Present| present.entity == *entity && present.since <= number;
        number <= self.ended_enters.get() && !self.present.borrow().iter().any(stands)
    }
}
