//! Rights that end while subscriptions, presence or requests depend on them.

use super::*;

const ALL: &str = r#"{"token":"alice/{\"closed:*\":[\"read\",\"presence\"]}"}"#;
const NOTHING: &str = r#"{"token":"alice"}"#;

fn roomy() -> SessionBounds {
    let mut roomy = bounds();
    roomy.announced.max_subscriptions = 100;
    roomy.announced.max_in_flight = 100;
    roomy
}

impl Rig {
    /// A session of alice's that may read and enter `closed:*`.
    fn entitled() -> Self {
        let mut rig = Self::new(roomy());
        rig.ask("connect", ALL);
        rig
    }
}

#[test]
fn a_refresh_with_fewer_rights_ends_what_they_covered() {
    let mut rig = Rig::entitled();
    for (method, params) in [
        ("subscribe", r#"{"entity":"closed:x"}"#),
        ("subscribe", r#"{"entity":"room:a"}"#),
        ("presence", r#"{"entity":"closed:x","action":"enter"}"#),
        ("presence", r#"{"entity":"room:a","action":"enter"}"#),
    ] {
        rig.ask(method, params);
    }
    let (_, asked) = rig.asked();
    rig.granted(asked);
    assert_eq!(rig.got().len(), 4);
    assert_eq!(
        rig.ask("connect", &ALL.replace("read", r#"send\",\"read"#)),
        ["#6"],
        "more rights end nothing"
    );
    assert_eq!(
        rig.ask("connect", NOTHING),
        ["unsubscribed reason forbidden", "left reason forbidden", "#7"]
    );
    assert_eq!((rig.followers("closed:x"), rig.closing()), (0, None), "the connection stays");
    assert_eq!(rig.asked().0, ["closed:x: unfollow 1", "closed:x: is out"]);
    assert_eq!(rig.session().seat().membership.following(&entity("room:a")), Some(2));
    assert_eq!(rig.session().seat().membership.present().len(), 1);
    assert_eq!(rig.ask("connect", NOTHING), ["#8"], "nothing is ended twice");
}

#[test]
fn answers_in_transit_when_the_right_ends_are_withheld() {
    let mut rig = Rig::entitled();
    for (method, params) in [
        ("subscribe", r#"{"entity":"closed:x"}"#),
        ("read", r#"{"entity":"closed:x"}"#),
        ("history", r#"{"entity":"closed:x"}"#),
        ("presence", r#"{"entity":"closed:x"}"#),
        ("presence", r#"{"entity":"closed:x","action":"enter"}"#),
    ] {
        rig.ask(method, params);
    }
    let (_, asked) = rig.asked();
    assert_eq!(rig.ask("connect", NOTHING), ["left reason forbidden", "#7"]);
    rig.granted(asked);
    assert_eq!(
        rig.got(),
        ["#2 forbidden", "#3 forbidden", "#4 forbidden", "#5 forbidden", "#6 forbidden"]
    );
    assert_eq!((rig.followers("closed:x"), rig.in_flight()), (0, 0));
    let told = rig.asked().0;
    assert_eq!(
        told[..2],
        ["closed:x: unfollow 1", "closed:x: is out"],
        "behind what was asked of the entity: {told:?}"
    );
}

#[test]
fn a_right_that_comes_back_does_not_revive_what_it_ended() {
    let mut rig = Rig::entitled();
    rig.ask("subscribe", r#"{"entity":"closed:x"}"#);
    rig.ask("presence", r#"{"entity":"closed:x","action":"enter"}"#);
    let (_, asked) = rig.asked();
    rig.ask("connect", NOTHING);
    rig.ask("connect", ALL);
    rig.granted(asked);
    assert_eq!(
        rig.got(),
        ["#2 unavailable", "#3 unavailable"],
        "its entity has ended it: it is to be asked for again"
    );
    assert_eq!(
        (rig.followers("closed:x"), rig.session().seat().membership.present().len()),
        (0, 0)
    );
    rig.asked();
    rig.ask("subscribe", r#"{"entity":"closed:x"}"#);
    rig.ask("presence", r#"{"entity":"closed:x","action":"enter"}"#);
    let (_, asked) = rig.asked();
    rig.granted(asked);
    assert_eq!(rig.got(), ["#6 seq 0", "#7 count 1"]);
    assert_eq!(rig.followers("closed:x"), 1);
}

#[test]
fn the_queue_of_a_connect_is_checked_when_its_turn_comes() {
    let mut rig = Rig::new(roomy());
    let list = |prefix: &str, count: usize| {
        (0..count).map(|index| format!(r#"{{"entity":"{prefix}{index}"}}"#)).collect::<Vec<_>>()
    };
    let subscriptions = [list("room:", 8), list("closed:", 20)].concat().join(",");
    let presence = list("closed:", 3).join(",");
    let token = r#""token":"alice/{\"closed:*\":[\"read\",\"presence\"]}""#;
    rig.ask(
        "connect",
        &format!(r#"{{{token},"subscriptions":[{subscriptions}],"presence":[{presence}]}}"#),
    );
    let (first, asked) = rig.asked();
    assert_eq!(first.len(), 8);
    assert_eq!(rig.ask("connect", NOTHING), [""; 0], "it waits for the first one's answer");
    drop(asked);
    assert_eq!(rig.got().len(), 2);
    assert_eq!(rig.asked().0, [""; 0], "entities are not asked for what is forbidden now");
    let seat = Rc::clone(rig.session().seat());
    assert_eq!((seat.membership.follows().len(), seat.membership.present().len()), (0, 0));
}

#[test]
fn leaving_needs_no_right() {
    let mut rig = Rig::entitled();
    assert_eq!(
        rig.ask("presence", r#"{"entity":"closed:x","action":"leave"}"#),
        [""; 0],
        "who may read is told how many are there"
    );
    drop(rig.routed());
    rig.got();
    rig.ask("connect", NOTHING);
    assert_eq!(rig.ask("presence", r#"{"entity":"closed:x","action":"leave"}"#), ["#4 count 0"]);
    assert_eq!(rig.asked().0, [""; 0], "its entity is not woken for that");
    assert_eq!(
        rig.ask("presence", r#"{"entity":"nosuch:x","action":"leave"}"#),
        ["#5 unknown_kind"]
    );
    assert_eq!(rig.ask("unsubscribe", r#"{"entity":"closed:x"}"#), ["#6"]);
}
