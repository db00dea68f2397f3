//! What a client of a drill is told of who is present, and which of that cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use greenroom_protocol::notify::PresenceChange;
use greenroom_protocol::results::PresenceList;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub struct Presence {
    /// When to enter again.
    pub due: Option<Instant>,
    /// The request to enter that waits for its answer.
    pub entering: Option<i64>,
    /// How often each user was said to have left.
    pub left: BTreeMap<String, u64>,
    /// The users at each target, where there was a list.
    present: BTreeMap<usize, BTreeSet<String>>,
}

impl Presence {
    /// The connection is lost, and with it what was asked for.
    pub fn lost(&mut self) {
        (self.due, self.entering) = (None, None);
        self.present.clear();
    }

    /// It could not enter, and is to come again after so many milliseconds, if at all.
    pub fn refused(&mut self, after_ms: Option<u64>) {
        self.due = after_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    }

    /// Takes an answer, if it is that to entering; an error says when to come again.
    pub fn answered(&mut self, id: i64, after_ms: Option<u64>) -> bool {
        let own = self.entering.take_if(|entering| *entering == id).is_some();
        if own {
            self.refused(after_ms);
        }
        own
    }

    /// A subscription has begun, with this list.
    pub fn listed(&mut self, target: usize, list: Option<PresenceList>) {
        if let Some(members) = list.and_then(|list| list.members) {
            self.present.insert(target, members.into_iter().map(|member| member.user).collect());
        }
    }

    /// Takes a change; returns what of it cannot be, in words.
    pub fn changed(
        &mut self,
        target: usize,
        change: PresenceChange,
    ) -> impl Iterator<Item = String> + use<> {
        let present = self.present.entry(target).or_default();
        let mut wrong = Vec::new();
        for user in change.left {
            if !present.remove(&user) {
                wrong.push(format!("that `{user}` left, who was not present"));
            }
            *self.left.entry(user).or_default() += 1;
        }
        for member in change.joined {
            if !present.insert(member.user.clone()) {
                wrong.push(format!("that `{}` joined, who was present", member.user));
            }
        }
        if let Some(members) = change.members {
            *present = members.into_iter().map(|member| member.user).collect();
        }
        wrong.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::RawJson;
    use greenroom_protocol::results::Member;

    use super::*;

    fn member(user: &str) -> Member {
        Member { user: user.into(), meta: RawJson::empty_object(), sessions: 1 }
    }

    #[test]
    fn nobody_joins_twice_or_leaves_who_is_not_there() {
        let mut presence = Presence::default();
        let mut told = |joined: &[&str], left: &[&str], members: Option<&[&str]>| {
            let list = |users: &[&str]| users.iter().map(|user| member(user)).collect::<Vec<_>>();
            let change = PresenceChange {
                entity: "room:a".parse().expect("it is an entity id"),
                joined: list(joined),
                updated: Vec::new(),
                left: left.iter().map(|user| (*user).to_owned()).collect(),
                count: 0,
                members: members.map(list),
            };
            presence.changed(0, change).count()
        };
        assert_eq!(told(&["a", "b"], &[], None), 0);
        assert_eq!(told(&["a"], &[], None), 1, "it is there");
        assert_eq!(told(&[], &["a"], None), 0);
        assert_eq!(told(&[], &["a"], None), 1, "it is gone");
        assert_eq!(told(&["b"], &["b"], None), 0, "it left and came back");
        assert_eq!(told(&[], &[], Some(&["c"])), 0);
        assert_eq!(told(&["b"], &["c"], None), 0, "the list replaced what was known");
        assert_eq!(presence.left["a"], 2);
        presence.lost();
        let members = Some(vec![member("a")]);
        presence.listed(0, Some(PresenceList { count: 1, members }));
        assert_eq!(presence.present[&0].len(), 1);
    }

    #[test]
    fn it_enters_again_when_it_is_told_to() {
        let mut presence = Presence { entering: Some(7), ..Presence::default() };
        assert!(!presence.answered(6, Some(100)));
        assert!(presence.answered(7, Some(100)));
        assert!(presence.due.is_some());
        assert!(!presence.answered(7, None), "it is answered already");
    }
}
