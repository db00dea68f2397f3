//! What one member believes of who is here, from the lists and changes that it is told.

use std::collections::HashMap;

use greenroom_protocol::notify::PresenceChange;
use greenroom_protocol::results::{Member, PresenceList};
use serde::{Deserialize, Serialize};

/// What a member says of itself when it enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Its number.
    pub m: u32,
    /// When it entered, in microseconds of the board.
    pub t: u64,
}

/// The numbers of those whose user names are known.
pub type People = HashMap<String, u32>;

/// Numbers of members: a bit for each, since thousands remember thousands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crowd(Vec<u64>);

impl Crowd {
    /// Adds one; false where it was here already.
    pub fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Removes one; false where it was not here.
    pub fn remove(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        let Some(bits) = self.0.get_mut(word) else { return false };
        let was = *bits & bit != 0;
        *bits &= !bit;
        was
    }

    /// Whether both hold the same.
    pub fn same(&self, other: &Self) -> bool {
        let word = |crowd: &Self, i: usize| crowd.0.get(i).copied().unwrap_or(0);
        (0..self.0.len().max(other.0.len())).all(|i| word(self, i) == word(other, i))
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Mirror {
    /// How many are here.
    pub count: u64,
    /// Who they are; nothing where they are too many to be told.
    pub here: Option<Crowd>,
}

/// What a notification told that was not known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Who came.
    pub joined: Vec<Meta>,
    /// Who went.
    pub left: Vec<u32>,
}

impl Mirror {
    /// Takes a list, which replaces what was believed.
    pub fn list(&mut self, list: &PresenceList) -> Result<(), serde_json::Error> {
        self.count = list.count;
        self.here = list.members.as_deref().map(crowd).transpose()?;
        Ok(())
    }

    /// Whether it holds what the server says: how many are here, and who, unless they are a crowd.
    pub fn agrees(&self, count: u64, crowd: Option<&Crowd>) -> bool {
        // Between a crowd and a list there is a while in which only the one who asks is told who is
        // here.
        let same = crowd.zip(self.here.as_ref()).is_none_or(|(server, member)| server.same(member));
        self.count == count && same && crowd.is_some() == self.here.is_some()
    }

    /// Takes a notification.
    pub fn hear(
        &mut self,
        change: PresenceChange,
        people: &People,
    ) -> Result<Heard, serde_json::Error> {
        let PresenceChange { joined, updated, left, count, members, .. } = change;
        let changes = !(joined.is_empty() && updated.is_empty() && left.is_empty());
        let mut heard = Heard::default();
        if !changes {
            self.list(&PresenceList { count, members })?;
            return Ok(heard);
        }
        self.count = count;
        let Some(here) = &mut self.here else { return Ok(heard) };
        for member in &joined {
            let meta: Meta = member.meta.parse()?;
            if here.insert(meta.m) {
                heard.joined.push(meta);
            }
        }
        heard.left.extend(
            left.iter().filter_map(|user| people.get(user)).filter(|number| here.remove(**number)),
        );
        Ok(heard)
    }
}

/// The numbers of a list's members.
pub fn crowd(members: &[Member]) -> Result<Crowd, serde_json::Error> {
    let mut crowd = Crowd::default();
    for member in members {
        crowd.insert(member.meta.parse::<Meta>()?.m);
    }
    Ok(crowd)
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::{EntityId, RawJson};

    use super::*;

    fn members(numbers: &[u32]) -> Vec<Member> {
        let member = |m: &u32| Member {
            user: format!("user-{m}"),
            meta: RawJson::from_value(&Meta { m: *m, t: 7 }).expect("it serializes"),
            sessions: 1,
        };
        numbers.iter().map(member).collect()
    }

    fn change(joined: &[u32], left: &[u32], count: u64, all: Option<&[u32]>) -> PresenceChange {
        PresenceChange {
            entity: EntityId::parse("room:a").expect("it is one"),
            joined: members(joined),
            updated: Vec::new(),
            left: left.iter().map(|m| format!("user-{m}")).collect(),
            count,
            members: all.map(members),
        }
    }

    #[test]
    fn changes_lists_and_counts_lead_to_who_is_here() {
        let people: People = (0..200).map(|m| (format!("user-{m}"), m)).collect();
        let mut mirror = Mirror::default();
        let mut hear = |change| {
            let heard = mirror.hear(change, &people).expect("it is understood");
            let joined: Vec<_> = heard.joined.iter().map(|meta| meta.m).collect();
            (joined, heard.left, mirror.count, mirror.here.clone())
        };
        let here = |numbers: &[u32]| Some(crowd(&members(numbers)).expect("it is understood"));
        assert_eq!(
            hear(change(&[], &[], 2, Some(&[1, 150]))),
            (vec![], vec![], 2, here(&[1, 150]))
        );
        assert_eq!(
            hear(change(&[3, 1], &[], 3, None)),
            (vec![3], vec![], 3, here(&[1, 3, 150])),
            "1 was known"
        );
        let (_, left, count, now) = hear(change(&[], &[150, 9], 2, None));
        assert_eq!((left, count), (vec![150], 2), "9 was not here");
        assert!(now.is_some_and(|now| now.same(&here(&[1, 3]).expect("a list"))));
        assert_eq!(hear(change(&[], &[], 5000, None)), (vec![], vec![], 5000, None), "a crowd");
        assert_eq!(
            hear(change(&[4], &[], 5001, None)),
            (vec![], vec![], 5001, None),
            "and nothing to apply a change to"
        );
        assert_eq!(hear(change(&[], &[], 1, Some(&[4]))), (vec![], vec![], 1, here(&[4])));
    }
}
