use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::WorkerId;

fn session(slot: u32) -> SessionKey {
    SessionKey::here(WorkerId(0), slot, 1)
}

fn user(name: &str) -> Arc<str> {
    name.into()
}

fn meta(n: u32) -> RawJson {
    RawJson::from_text(format!(r#"{{"n":{n}}}"#)).unwrap()
}

/// The changes since the last call.
fn changes(presence: &mut Presence) -> Option<PresenceChangeParts> {
    presence.take_news().map(|news| match news {
        News::Changes(changes) => changes,
        other => panic!("{other:?} instead of changes"),
    })
}

fn member(name: &str, n: u32, sessions: u32) -> Member {
    Member { user: name.into(), meta: meta(n), sessions }
}

#[test]
fn joins_updates_and_leaves_are_reported_once() {
    let mut presence = Presence::new(10, 10);
    assert_eq!(changes(&mut presence), None);
    presence.enter(session(1), &user("bob"), meta(1)).unwrap();
    presence.enter(session(2), &user("alice"), meta(2)).unwrap();
    assert!(presence.is_dirty() && presence.contains(session(1)) && !presence.contains(session(3)));
    let told = changes(&mut presence).unwrap();
    assert_eq!(told.joined, [member("alice", 2, 1), member("bob", 1, 1)]);
    assert_eq!((told.updated, told.left, told.count), (vec![], vec![], 2));
    assert!(!presence.is_dirty());

    presence.enter(session(3), &user("alice"), meta(3)).unwrap();
    presence.enter(session(1), &user("bob"), meta(4)).unwrap();
    let told = changes(&mut presence).unwrap();
    assert_eq!(told.updated, [member("alice", 3, 2), member("bob", 4, 1)]);
    assert_eq!(told.count, 2, "users are counted, not sessions");

    assert!(presence.leave(session(3)));
    assert!(!presence.leave(session(3)), "it left already");
    assert!(presence.leave(session(1)));
    let told = changes(&mut presence).unwrap();
    assert_eq!(told.updated, [member("alice", 2, 1)], "a session's meta ends with it");
    assert_eq!((told.left, told.count), (vec!["bob".to_owned()], 1));
    assert_eq!(presence.list(), Some(vec![member("alice", 2, 1)]));
}

#[test]
fn shown_is_what_was_set_last_by_a_session_that_is_here() {
    let mut presence = Presence::new(10, 10);
    let shown = |presence: &Presence| presence.list().unwrap()[0].meta.clone();
    for n in 1..=3 {
        presence.enter(session(n), &user("alice"), meta(n)).unwrap();
    }
    presence.enter(session(1), &user("alice"), meta(11)).unwrap();
    presence.leave(session(2));
    assert_eq!(shown(&presence), meta(11), "another session has left");
    presence.adopt(session(1), session(7), &user("alice"), meta(11));
    presence.adopt(session(3), session(8), &user("alice"), meta(3));
    presence.leave(session(7));
    assert_eq!(
        shown(&presence),
        meta(3),
        "sessions that took the place of others have what those had set"
    );
    presence.leave(session(8));
    assert_eq!(presence.count(), 0);

    // Of many sessions only so many are known; what was set last stays when no other is.
    for n in 1..100 {
        presence.enter(session(n), &user("alice"), meta(n)).unwrap();
    }
    for n in (2..100).rev() {
        presence.leave(session(n));
    }
    let oldest = 99 - u32::try_from(OTHERS).unwrap();
    assert_eq!(presence.list(), Some(vec![member("alice", oldest, 1)]));
}

#[test]
fn changes_that_cancel_out_are_not_reported() {
    let mut presence = Presence::new(10, 10);
    presence.enter(session(1), &user("alice"), meta(1)).unwrap();
    presence.leave(session(1));
    assert!(!presence.is_dirty(), "nobody ever knew");
    assert_eq!(changes(&mut presence), None);

    presence.enter(session(1), &user("alice"), meta(1)).unwrap();
    changes(&mut presence).unwrap();
    presence.leave(session(1));
    presence.enter(session(2), &user("alice"), meta(1)).unwrap();
    assert_eq!(changes(&mut presence), None, "a reload between two flushes");

    presence.leave(session(2));
    presence.enter(session(3), &user("alice"), meta(2)).unwrap();
    let told = changes(&mut presence).unwrap();
    assert_eq!(
        (told.joined, told.updated, told.left),
        (vec![], vec![member("alice", 2, 1)], vec![])
    );
}

#[test]
fn the_number_of_users_is_bounded() {
    let mut presence = Presence::new(1, 1);
    presence.enter(session(1), &user("alice"), meta(1)).unwrap();
    assert_eq!(presence.enter(session(2), &user("bob"), meta(1)), Err(Full { max_users: 1 }));
    assert!(!presence.contains(session(2)));
    presence
        .enter(session(3), &user("alice"), meta(2))
        .expect("another session of a user who is here");
    presence.leave(session(1));
    presence.leave(session(3));
    presence.enter(session(2), &user("bob"), meta(1)).expect("there is room again");
}

#[test]
fn a_crowd_passing_through_leaves_nothing_behind() {
    let mut presence = Presence::new(5, 5);
    for i in 0..1000 {
        presence.enter(session(i), &user(&format!("user-{i}")), meta(0)).unwrap();
        presence.leave(session(i));
    }
    assert!(presence.is_idle() && presence.before.is_empty() && presence.sessions.is_empty());
}

#[test]
fn only_the_number_of_a_crowd_is_reported() {
    let mut presence = Presence::new(100, 8);
    let enter = |presence: &mut Presence, slots: std::ops::Range<u32>| {
        for slot in slots {
            presence.enter(session(slot), &user(&format!("user-{slot:02}")), meta(slot)).unwrap();
        }
    };
    let leave = |presence: &mut Presence, slots: std::ops::Range<u32>| {
        for slot in slots {
            assert!(presence.leave(session(slot)));
        }
    };
    enter(&mut presence, 0..8);
    assert_eq!(changes(&mut presence).unwrap().joined.len(), 8);
    enter(&mut presence, 8..9);
    assert_eq!(
        presence.list(),
        None,
        "a crowd at once: whoever asks now is not told who comes and goes next"
    );
    assert_eq!(presence.take_news(), Some(News::Count(9)));
    assert_eq!(presence.take_news(), None);

    enter(&mut presence, 9..10);
    leave(&mut presence, 0..1);
    assert!(presence.is_dirty());
    assert_eq!(presence.take_news(), None, "the number is unchanged");
    assert!(!presence.is_dirty());
    leave(&mut presence, 1..3);
    assert_eq!(
        (presence.take_news(), presence.list()),
        (Some(News::Count(7)), None),
        "fewer than a crowd, and a crowd still"
    );
    leave(&mut presence, 3..4);
    assert_eq!(presence.list(), None, "not before all get the list");
    let all: Vec<_> = (4..10).map(|slot| member(&format!("user-{slot:02}"), slot, 1)).collect();
    assert_eq!(presence.take_news(), Some(News::List(all.clone())));
    assert_eq!(presence.list(), Some(all));
    leave(&mut presence, 4..5);
    assert_eq!(changes(&mut presence).unwrap().left, ["user-04"], "changes continue from there");

    leave(&mut presence, 5..10);
    enter(&mut presence, 0..20);
    leave(&mut presence, 0..20);
    assert!(!presence.is_idle(), "a watcher may still assume a crowd");
    assert_eq!(presence.take_news(), Some(News::List(vec![])));
    assert!(presence.is_idle() && presence.before.is_empty());
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
    /// A mirror that only receives changes always shows the list, and receives nothing that it
    /// already knows.
    #[test]
    fn changes_lead_to_the_list(steps in prop::collection::vec(step(), 0..80), most_told in 0..4usize) {
        let mut presence = Presence::new(3, most_told);
        // Each user's sessions and what they have set, in the order of setting.
        let mut model: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
        let mut mirror: Option<BTreeMap<String, Member>> = Some(BTreeMap::new());
        let mut mirror_count = 0;
        for step in steps.into_iter().chain([Step::Flush]) {
            match step {
                Step::Enter { slot, name, n } => {
                    let fits = model.contains_key(name) || model.len() < 3;
                    prop_assert_eq!(presence.enter(session(slot), &user(name), meta(n)).is_ok(), fits);
                    if fits {
                        // A session that enters as another user leaves as the first one.
                        for sessions in model.values_mut() {
                            sessions.retain(|(known, _)| *known != slot);
                        }
                        model.entry(name).or_default().push((slot, n));
                        model.retain(|_, sessions| !sessions.is_empty());
                    }
                }
                Step::Leave { slot } => {
                    let was_here = model.values().flatten().any(|(known, _)| *known == slot);
                    prop_assert_eq!(presence.leave(session(slot)), was_here);
                    for sessions in model.values_mut() {
                        sessions.retain(|(known, _)| *known != slot);
                    }
                    model.retain(|_, sessions| !sessions.is_empty());
                }
                Step::Flush => {
                    match presence.take_news() {
                        Some(News::Changes(changes)) => {
                            let known = mirror.as_mut().expect("changes are for those who know what changes");
                            prop_assert!(!(changes.joined.is_empty() && changes.updated.is_empty() && changes.left.is_empty()));
                            for joined in changes.joined {
                                prop_assert!(known.insert(joined.user.clone(), joined).is_none(), "joined twice");
                            }
                            for updated in changes.updated {
                                let before = known.insert(updated.user.clone(), updated.clone());
                                prop_assert!(before.is_some_and(|before| before != updated), "an update changes something");
                            }
                            for left in changes.left {
                                prop_assert!(known.remove(&left).is_some(), "left without being here");
                            }
                            mirror_count = changes.count;
                        }
                        Some(News::Count(count)) => {
                            prop_assert!(mirror.take().is_some() || mirror_count != count, "it was reported already");
                            mirror_count = count;
                        }
                        Some(News::List(members)) => {
                            mirror_count = members.len() as u64;
                            mirror = Some(members.into_iter().map(|member| (member.user.clone(), member)).collect());
                        }
                        None => {}
                    }
                    prop_assert_eq!(mirror.as_ref().map(|known| known.values().cloned().collect::<Vec<_>>()), presence.list());
                    prop_assert_eq!(mirror_count, presence.count() as u64);
                    prop_assert!(!presence.is_dirty());
                }
            }
            if let (Some(known), (count, Some(members))) = (&mirror, presence.as_announced()) {
                prop_assert_eq!(count, members.len() as u64);
                prop_assert_eq!(&known.values().cloned().collect::<Vec<_>>(), &members, "a new subscriber knows what all others know");
            }
            let want: Vec<_> = model.iter().map(|(name, sessions)| member(name, sessions.last().unwrap().1, sessions.len() as u32)).collect();
            prop_assert_eq!(presence.everybody(), want);
            prop_assert_eq!(presence.count(), model.len());
        }
    }
}

#[test]
fn taking_a_place_is_not_reported() {
    let mut presence = Presence::new(1, 1);
    presence.enter(session(1), &user("alice"), meta(1)).unwrap();
    changes(&mut presence).unwrap();
    presence.adopt(session(1), session(2), &user("alice"), meta(1));
    assert!(
        !presence.is_dirty() && presence.contains(session(2)) && !presence.contains(session(1))
    );

    presence.adopt(session(2), session(2), &user("alice"), meta(1));
    assert!(!presence.is_dirty(), "repeating it changes nothing");

    presence.enter(session(3), &user("alice"), meta(1)).unwrap();
    presence.adopt(session(2), session(3), &user("alice"), meta(1));
    assert_eq!(
        changes(&mut presence),
        None,
        "it has entered by itself before the other's place was free"
    );

    presence.adopt(session(9), session(4), &user("bob"), meta(1));
    assert!(!presence.contains(session(4)), "there is no room");
    presence.leave(session(3));
    presence.adopt(session(9), session(4), &user("bob"), meta(5));
    assert_eq!(
        changes(&mut presence).unwrap().joined,
        [member("bob", 5, 1)],
        "the other's grace was over"
    );
}
