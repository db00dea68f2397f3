//! Sessions that have lost their connection, and where they were present, kept so that they can be
//! resumed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::RandomState;
use greenroom_protocol::EntityId;

use crate::clock::Mono;
use crate::ids::{NodeIndex, SessionKey};
use crate::messages::{Owner, Present};

/// The limits of lost sessions.
#[derive(Debug, Clone, Copy)]
pub struct ParkedLimits {
    /// How long a lost session can be resumed; zero never parks one.
    pub window: Duration,
    /// How long its presence lasts meanwhile, at most as long as the window.
    pub grace: Duration,
    /// The number of parked sessions on one thread; beyond it the oldest is dropped.
    pub most: usize,
}

#[derive(Debug)]
struct Lost {
    key: SessionKey,
    owner: Owner,
    present: Vec<Present>,
    since: Mono,
    /// Who has its place: itself, or the session that took it last. That session may have been lost
    /// before its client learnt of it, so the client may ask again.
    holder: SessionKey,
    /// Whether its presence has ended, because the grace is over or another session has its place.
    left: bool,
}

/// The end of a presence entry.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaves {
    pub session: SessionKey,
    pub entity: EntityId,
}

/// The lost sessions of one thread, in the order in which they were lost.
#[derive(Debug)]
pub struct Parked {
    limits: ParkedLimits,
    lost: BTreeMap<u64, Lost>,
    tickets: HashMap<SessionKey, u64, RandomState>,
    next: u64,
    /// The grace of all sessions before this ticket is over.
    present_from: u64,
}

impl Parked {
    pub fn new(limits: ParkedLimits) -> Self {
        Self {
            limits,
            lost: BTreeMap::new(),
            tickets: HashMap::default(),
            next: 0,
            present_from: 0,
        }
    }

    /// Whether sessions are parked at all.
    pub fn is_open(&self) -> bool {
        self.limits.most > 0 && !self.limits.window.is_zero()
    }

    /// The number of parked sessions.
    pub fn len(&self) -> usize {
        self.lost.len()
    }

    /// Parks a session. At the limit the oldest is dropped, and its presence ends.
    pub fn add(
        &mut self,
        key: SessionKey,
        owner: Owner,
        present: Vec<Present>,
        now: Mono,
    ) -> Vec<Leaves> {
        self.insert(Lost { key, owner, present, since: now, holder: key, left: false })
    }

    /// Remembers a session whose place was taken by `holder` before it was lost. If that is of another
    /// node, the presence ends here with the grace, unless the other node adopts it before.
    pub fn add_replaced(
        &mut self,
        key: SessionKey,
        holder: SessionKey,
        owner: Owner,
        present: Vec<Present>,
        now: Mono,
    ) -> Vec<Leaves> {
        let left = holder.node == NodeIndex::HERE;
        self.insert(Lost { key, owner, present, since: now, holder, left })
    }

    fn insert(&mut self, lost: Lost) -> Vec<Leaves> {
        if !self.is_open() {
            return self.forget(lost);
        }
        if let Some(known) =
            self.tickets.get(&lost.key).and_then(|ticket| self.lost.get_mut(ticket))
        {
            known.present.extend(lost.present);
            return Vec::new();
        }
        let evicted =
            if self.lost.len() >= self.limits.most { self.lost.pop_first() } else { None };
        self.tickets.insert(lost.key, self.next);
        self.lost.insert(self.next, lost);
        self.next += 1;
        evicted.map(|(_, lost)| self.forget(lost)).unwrap_or_default()
    }

    /// Gives the place of `key` to session `to` of the same owner. Returns the session that had it,
    /// and where it was present.
    pub fn resume(
        &mut self,
        key: SessionKey,
        owner: &Owner,
        to: SessionKey,
    ) -> Option<(SessionKey, Vec<Present>)> {
        let lost =
            self.lost.get_mut(self.tickets.get(&key)?).filter(|lost| lost.owner == *owner)?;
        lost.left |= to.node == NodeIndex::HERE;
        Some((std::mem::replace(&mut lost.holder, to), lost.present.clone()))
    }

    /// Ends the presence of sessions whose grace is over, and forgets those whose window is over.
    pub fn sweep(&mut self, now: Mono) -> Vec<Leaves> {
        let over =
            |since: Mono, length: Duration| u128::from(now.since(since)) >= length.as_millis();
        let mut leaves = Vec::new();
        while let Some(first) = self.lost.first_entry()
            && over(first.get().since, self.limits.window)
        {
            let lost = first.remove();
            leaves.extend(self.forget(lost));
        }
        for (ticket, lost) in self.lost.range_mut(self.present_from..) {
            if !over(lost.since, self.limits.grace) {
                break;
            }
            self.present_from = ticket + 1;
            if std::mem::replace(&mut lost.left, true) {
                continue;
            }
            leaves.extend(
                lost.present
                    .iter()
                    .map(|present| Leaves { session: lost.key, entity: present.entity.clone() }),
            );
        }
        leaves
    }

    /// The lost sessions that are still present in `entity`.
    pub fn present_in<'a>(
        &'a self,
        concerned: &'a impl Fn(&EntityId) -> bool,
    ) -> impl Iterator<Item = (SessionKey, &'a Owner, &'a Present)> + 'a {
        self.lost.values().filter(|lost| !lost.left).flat_map(move |lost| {
            lost.present
                .iter()
                .filter(|present| concerned(&present.entity))
                .map(|present| (lost.key, &lost.owner, present))
        })
    }

    fn forget(&mut self, lost: Lost) -> Vec<Leaves> {
        self.tickets.remove(&lost.key);
        let still_present = if lost.left { Vec::new() } else { lost.present };
        still_present
            .into_iter()
            .map(|present| Leaves { session: lost.key, entity: present.entity })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::RawJson;

    use super::*;
    use crate::testing::{entity, session};

    const LIMITS: ParkedLimits = ParkedLimits {
        window: Duration::from_millis(100),
        grace: Duration::from_millis(10),
        most: 2,
    };

    fn owner(user: &str) -> Owner {
        Owner { user: user.into(), client: "c".into() }
    }

    fn present(name: &str) -> Vec<Present> {
        vec![Present::settled(entity(name), RawJson::NULL)]
    }

    fn leaves(slot: u32, name: &str) -> Vec<Leaves> {
        vec![Leaves { session: session(slot), entity: entity(name) }]
    }

    #[test]
    fn presence_ends_with_the_grace_and_the_rest_with_the_window() {
        let mut parked = Parked::new(LIMITS);
        assert_eq!(parked.add(session(1), owner("a"), present("room:a"), Mono::at(1000)), []);
        assert_eq!(parked.add(session(2), owner("b"), present("room:b"), Mono::at(1005)), []);
        assert_eq!(parked.sweep(Mono::at(1009)), []);
        assert_eq!(parked.present_in(&|other| *other == entity("room:a")).count(), 1);
        assert_eq!(parked.sweep(Mono::at(1012)), leaves(1, "room:a"));
        assert_eq!(parked.present_in(&|other| *other == entity("room:a")).count(), 0);
        assert_eq!(parked.sweep(Mono::at(1050)), leaves(2, "room:b"));
        assert_eq!(parked.sweep(Mono::at(1099)), []);
        assert_eq!(
            parked.resume(session(1), &owner("a"), session(3)),
            Some((session(1), present("room:a"))),
            "known until the window ends"
        );
        assert_eq!(parked.sweep(Mono::at(1105)), [], "a session leaves only once");
        assert_eq!((parked.len(), parked.resume(session(2), &owner("b"), session(3))), (0, None));
    }

    #[test]
    fn only_its_owner_takes_a_place_and_may_ask_again() {
        let mut parked = Parked::new(LIMITS);
        parked.add(session(1), owner("a"), present("room:a"), Mono::at(0));
        assert_eq!(parked.resume(session(1), &owner("b"), session(2)), None);
        assert_eq!(
            parked.resume(session(1), &Owner { client: "d".into(), ..owner("a") }, session(2)),
            None
        );
        assert_eq!(
            parked.resume(session(1), &owner("a"), session(2)),
            Some((session(1), present("room:a")))
        );
        assert_eq!(
            parked.present_in(&|other| *other == entity("room:a")).count(),
            0,
            "another session has the place"
        );
        let again = parked.resume(session(1), &owner("a"), session(3));
        assert_eq!(again, Some((session(2), present("room:a"))), "the holder gives the place up");
        assert_eq!(parked.sweep(Mono::at(1000)), []);
        parked.add_replaced(session(4), session(5), owner("a"), present("room:a"), Mono::at(1000));
        assert_eq!(parked.sweep(Mono::at(1050)), []);
        assert_eq!(
            parked.resume(session(4), &owner("a"), session(6)),
            Some((session(5), present("room:a")))
        );
    }

    #[test]
    fn presence_that_another_node_is_to_adopt_ends_with_the_grace_here() {
        let elsewhere = SessionKey { node: NodeIndex(1), ..session(9) };
        let mut parked = Parked::new(LIMITS);
        parked.add(session(1), owner("a"), present("room:a"), Mono::at(0));
        parked.add_replaced(session(2), elsewhere, owner("b"), present("room:b"), Mono::at(0));
        let taken = parked.resume(session(1), &owner("a"), elsewhere);
        assert_eq!(taken, Some((session(1), present("room:a"))));
        let both: Vec<_> = leaves(1, "room:a").into_iter().chain(leaves(2, "room:b")).collect();
        assert_eq!(parked.sweep(Mono::at(10)), both);
        let again = parked.resume(session(1), &owner("a"), session(3));
        assert_eq!(again, Some((elsewhere, present("room:a"))));
    }

    #[test]
    fn the_first_gives_way_at_the_bound() {
        let mut parked = Parked::new(LIMITS);
        parked.add(session(1), owner("a"), present("room:a"), Mono::at(0));
        parked.add(session(2), owner("b"), present("room:b"), Mono::at(0));
        assert_eq!(
            parked.add(session(3), owner("c"), Vec::new(), Mono::at(0)),
            leaves(1, "room:a")
        );
        assert_eq!((parked.len(), parked.resume(session(1), &owner("a"), session(9))), (2, None));
        let mut shut = Parked::new(ParkedLimits { window: Duration::ZERO, ..LIMITS });
        assert_eq!(
            shut.add(session(1), owner("a"), present("room:a"), Mono::at(0)),
            leaves(1, "room:a")
        );
    }

    #[test]
    fn a_grace_beyond_the_window_ends_with_it() {
        let mut parked = Parked::new(ParkedLimits { grace: Duration::from_secs(1), ..LIMITS });
        parked.add(session(1), owner("a"), present("room:a"), Mono::at(0));
        assert_eq!(parked.sweep(Mono::at(99)), []);
        assert_eq!(parked.sweep(Mono::at(100)), leaves(1, "room:a"));
        assert_eq!(parked.len(), 0);
    }
}
