use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::WorkerId;

fn session(slot: u32) -> SessionKey {
    SessionKey { worker: WorkerId(0), slot, generation: 1 }
}

fn user(name: &str) -> Arc<str> {
    name.into()
}

fn meta(n: u32) -> RawJson {
    RawJson::from_text(format!(r#"{{"n":{n}}}"#)).unwrap()
}

fn member(name: &str, n: u32, sessions: u32) -> Member {
    Member { user: name.into(), meta: meta(n), sessions }
}

#[test]
fn joins_updates_and_leaves_are_told_once() {
    let mut presence = Presence::new(10);
    assert_eq!(presence.take_changes(), None);
    presence.enter(session(1), &user("bob"), meta(1)).unwrap();
    presence.enter(session(2), &user("alice"), meta(2)).unwrap();
    assert!(presence.is_dirty() && presence.contains(session(1)) && !presence.contains(session(3)));
    let changes = presence.take_changes().unwrap();
    assert_eq!(changes.joined, [member("alice", 2, 1), member("bob", 1, 1)]);
    assert_eq!((changes.updated, changes.left, changes.count), (vec![], vec![], 2));
    assert!(!presence.is_dirty());

    presence.enter(session(3), &user("alice"), meta(3)).unwrap();
    presence.enter(session(1), &user("bob"), meta(4)).unwrap();
    let changes = presence.take_changes().unwrap();
    assert_eq!(changes.updated, [member("alice", 3, 2), member("bob", 4, 1)]);
    assert_eq!(changes.count, 2, "users are counted, not sessions");

    assert!(presence.leave(session(3)));
    assert!(!presence.leave(session(3)), "it left already");
    assert!(presence.leave(session(1)));
    let changes = presence.take_changes().unwrap();
    assert_eq!(changes.updated, [member("alice", 3, 1)], "the meta set last stays, whoever set it");
    assert_eq!((changes.left, changes.count), (vec!["bob".to_owned()], 1));
    assert_eq!(presence.list(1), Some(vec![member("alice", 3, 1)]));
    assert_eq!(presence.list(0), None);
}

#[test]
fn what_cancels_out_is_not_told() {
    let mut presence = Presence::new(10);
    presence.enter(session(1), &user("alice"), meta(1)).unwrap();
    presence.leave(session(1));
    assert!(!presence.is_dirty(), "nobody ever knew");
    assert_eq!(presence.take_changes(), None);

    presence.enter(session(1), &user("alice"), meta(1)).unwrap();
    presence.take_changes().unwrap();
    presence.leave(session(1));
    presence.enter(session(2), &user("alice"), meta(1)).unwrap();
    assert_eq!(presence.take_changes(), None, "a reload between two flushes");

    presence.leave(session(2));
    presence.enter(session(3), &user("alice"), meta(2)).unwrap();
    let changes = presence.take_changes().unwrap();
    assert_eq!((changes.joined, changes.updated, changes.left), (vec![], vec![member("alice", 2, 1)], vec![]));
}

#[test]
fn the_number_of_users_is_bounded() {
    let mut presence = Presence::new(1);
    presence.enter(session(1), &user("alice"), meta(1)).unwrap();
    assert_eq!(presence.enter(session(2), &user("bob"), meta(1)), Err(Full { max_users: 1 }));
    assert!(!presence.contains(session(2)));
    presence.enter(session(3), &user("alice"), meta(2)).expect("another session of a user who is here");
    presence.leave(session(1));
    presence.leave(session(3));
    presence.enter(session(2), &user("bob"), meta(1)).expect("there is room again");
}

#[test]
fn a_crowd_passing_through_leaves_nothing_behind() {
    let mut presence = Presence::new(5);
    for i in 0..1000 {
        presence.enter(session(i), &user(&format!("user-{i}")), meta(0)).unwrap();
        presence.leave(session(i));
    }
    assert!(presence.is_idle() && presence.before.is_empty() && presence.sessions.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Enter { slot: u32, name: &'static str, n: u32 },
    Leave { slot: u32 },
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u32, prop::sample::select(vec!["a", "b", "c", "d"]), 0..3u32).prop_map(|(slot, name, n)| Step::Enter { slot, name, n }),
        4 => (0..6u32).prop_map(|slot| Step::Leave { slot }),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    /// A mirror that only hears of changes always shows the list, and hears nothing that it knows.
    #[test]
    fn changes_lead_to_the_list(steps in prop::collection::vec(step(), 0..80)) {
        let mut presence = Presence::new(3);
        let mut model: BTreeMap<&str, (u32, Vec<u32>)> = BTreeMap::new();
        let mut mirror: BTreeMap<String, Member> = BTreeMap::new();
        for step in steps.into_iter().chain([Step::Flush]) {
            match step {
                Step::Enter { slot, name, n } => {
                    let fits = model.contains_key(name) || model.len() < 3;
                    prop_assert_eq!(presence.enter(session(slot), &user(name), meta(n)).is_ok(), fits);
                    if fits {
                        // A session that comes as another user leaves as the first one.
                        for (other, (_, slots)) in &mut model {
                            slots.retain(|known| *other == name || *known != slot);
                        }
                        let (known, slots) = model.entry(name).or_default();
                        *known = n;
                        if !slots.contains(&slot) {
                            slots.push(slot);
                        }
                        model.retain(|_, (_, slots)| !slots.is_empty());
                    }
                }
                Step::Leave { slot } => {
                    let was_here = model.values().any(|(_, slots)| slots.contains(&slot));
                    prop_assert_eq!(presence.leave(session(slot)), was_here);
                    for (_, slots) in model.values_mut() {
                        slots.retain(|known| *known != slot);
                    }
                    model.retain(|_, (_, slots)| !slots.is_empty());
                }
                Step::Flush => {
                    if let Some(changes) = presence.take_changes() {
                        prop_assert!(!(changes.joined.is_empty() && changes.updated.is_empty() && changes.left.is_empty()));
                        for joined in changes.joined {
                            prop_assert!(mirror.insert(joined.user.clone(), joined).is_none(), "joined twice");
                        }
                        for updated in changes.updated {
                            let known = mirror.insert(updated.user.clone(), updated.clone());
                            prop_assert!(known.is_some_and(|known| known != updated), "an update changes something");
                        }
                        for left in changes.left {
                            prop_assert!(mirror.remove(&left).is_some(), "left without being here");
                        }
                        prop_assert_eq!(changes.count, mirror.len() as u64);
                    }
                    let list = presence.list(usize::MAX).unwrap();
                    prop_assert_eq!(&mirror.values().cloned().collect::<Vec<_>>(), &list);
                }
            }
            let want: Vec<_> = model.iter().map(|(name, (n, slots))| member(name, *n, slots.len() as u32)).collect();
            prop_assert_eq!(presence.list(usize::MAX).unwrap(), want);
            prop_assert_eq!(presence.count(), model.len());
        }
    }
}
