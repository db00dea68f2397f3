//! What a shard of a cluster serves, and what it passes on.

use greenroom_protocol::RawJson;

use super::*;
use crate::cluster::lease::{Lease, Validity};
use crate::cluster::membership::Scope;
use crate::cluster::slot::slot_of;
use crate::directory::Ownership;
use crate::ids::{NodeIndex, SessionKey};
use crate::messages::{Adopt, Own, SubSpec};

/// A shard of a node whose lease holds until 1,800 ms.
fn rig() -> Rig {
    let validity = Arc::new(Validity::new(Lease::default()));
    validity.extend(Mono::ZERO);
    let mut rig = Rig::new(100, 100);
    let limits = DirectoryLimits { max_awake: 100, max_loading: 100 };
    rig.slots = Slots::new(Kinds::new([kind()]), limits).owning(Ownership::new(validity));
    rig
}

fn slot(of: &str) -> Scope {
    Scope::of_slots([slot_of(&entity(of))].into_iter().collect())
}

impl Rig {
    fn own(&mut self, own: Own) {
        self.tell(ToDirectory::Own(own));
    }

    fn open(&mut self, of: &str) {
        self.own(Own::Open(slot(of)));
    }

    /// The exchange answers a mark.
    fn marked(&mut self, of: &str, settled: bool) {
        self.tell(ToDirectory::Marked(entity(of), settled));
    }

    /// What went elsewhere since this was last called.
    fn elsewhere(&mut self) -> Vec<String> {
        std::mem::take(&mut self.host.elsewhere)
    }
}

#[test]
fn only_open_slots_are_served() {
    let mut rig = rig();
    rig.read("room:a");
    assert_eq!(rig.elsewhere(), ["room:a read"]);
    rig.open("room:a");
    rig.marked("room:a", true);
    rig.read("room:a");
    rig.read("room:b");
    rig.route("room:b", ToEntity::Gone(session(1)));
    assert_eq!(rig.elsewhere(), ["room:b read", "room:b gone 1"], "in the order of arrival");
    assert_eq!(rig.host.started.len(), 1);
    rig.own(Own::Close(slot("room:a")));
    rig.read("room:a");
    assert_eq!(rig.elsewhere(), ["room:a read"]);
    rig.open("room:a");
    rig.marked("room:a", true);
    rig.read("room:a");
    assert_eq!(rig.host.started.len(), 1, "its life goes on");
}

#[test]
fn nothing_overtakes_what_the_exchange_gives_back() {
    let mut rig = rig();
    rig.read("room:a");
    assert_eq!(rig.elsewhere(), ["room:a read"]);
    rig.open("room:a");
    rig.route("room:a", ToEntity::Leave(session(1)));
    rig.route("room:a", ToEntity::Gone(session(1)));
    assert_eq!(rig.elsewhere(), ["room:a leave 1", "room:a mark"], "the way of those before");
    assert!(rig.host.started.is_empty(), "and the rest waits");
    rig.marked("room:a", false);
    assert_eq!(rig.elsewhere(), ["room:a gone 1"], "the exchange still holds some");
    rig.read("room:a");
    rig.route("room:a", ToEntity::Gone(session(2)));
    assert_eq!(rig.elsewhere(), ["room:a read", "room:a mark"]);
    let reply = rig.line.reply(0, 1);
    rig.tell(ToDirectory::Given(entity("room:a"), ToEntity::Read(reply)));
    rig.marked("room:a", true);
    assert_eq!(rig.letters(0), ["read", "gone 2"], "first what was given");
    rig.read("room:a");
    assert!(rig.elsewhere().is_empty(), "nothing goes to the exchange any more");
    rig.own(Own::Close(slot("room:a")));
    rig.read("room:a");
    assert_eq!(rig.elsewhere(), ["room:a read"]);
}

#[test]
fn nothing_is_served_once_the_lease_is_over() {
    let mut rig = rig();
    rig.open("room:a");
    rig.now = 1799;
    rig.read("room:a");
    assert!(rig.elsewhere().is_empty());
    rig.now = 1800;
    rig.read("room:a");
    assert_eq!(rig.elsewhere(), ["room:a read"]);
}

#[test]
fn what_was_served_when_the_exchange_took_it_does_not_mind_the_lease() {
    let mut rig = rig();
    rig.open("room:a");
    rig.now = 1800;
    let reply = rig.line.reply(0, 1);
    rig.tell(ToDirectory::Given(entity("room:a"), ToEntity::Read(reply)));
    assert!(rig.elsewhere().is_empty(), "what is given next could overtake it");
    assert_eq!(rig.letters(0), ["read"]);
    let reply = rig.line.reply(0, 2);
    rig.tell(ToDirectory::Given(entity("room:b"), ToEntity::Read(reply)));
    assert_eq!(rig.elsewhere(), ["room:b read"], "its slot is not open");
}

#[test]
fn flushing_is_done_when_all_of_them_are_asleep() {
    let mut rig = rig();
    for room in ["room:a", "room:b", "room:c"] {
        rig.open(room);
        rig.read(room);
    }
    let scope = slot("room:a").with(&slot("room:b"));
    rig.own(Own::Close(scope.clone()));
    let (done, mut flushed) = mpsc::channel(1);
    rig.own(Own::Flush(scope, done));
    let asked = |rig: &Rig, index: usize| rig.host.started[index].3.letters.borrow().clone();
    assert_eq!(asked(&rig, 0), ["read", "sleep true 1"]);
    assert_eq!(asked(&rig, 2), ["read"], "it is not among them");
    rig.idle("room:a", 1, 1);
    assert!(flushed.try_recv().is_err_and(|error| error == mpsc::error::TryRecvError::Empty));
    // The other one crashes instead.
    let b = entity("room:b");
    rig.tell(ToDirectory::Ended { entity: b, incarnation: 2, crashed: true });
    assert_eq!(flushed.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    assert_eq!(rig.slots.awake(), 1);

    let (done, mut flushed) = mpsc::channel(1);
    rig.own(Own::Flush(slot("room:a"), done));
    assert_eq!(flushed.try_recv(), Err(mpsc::error::TryRecvError::Disconnected), "nobody is left");
}

#[test]
fn a_node_without_a_lease_ends_all_lives() {
    let mut rig = rig();
    for room in ["room:a", "room:b"] {
        rig.open(room);
        rig.read(room);
    }
    let (done, mut ended) = mpsc::channel(1);
    rig.own(Own::Abandon(done));
    assert_eq!(ended.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    assert_eq!(rig.slots.awake(), 0);
    for started in &rig.host.started {
        assert_eq!(*started.3.letters.borrow(), ["read", "end"]);
    }
    rig.read("room:a");
    assert_eq!(rig.elsewhere(), ["room:a read"]);
    // What its old actors still say concerns nobody.
    rig.tell(ToDirectory::Ended { entity: entity("room:a"), incarnation: 1, crashed: false });
    assert!(rig.host.lost.is_empty());
}

/// The same with no room for an entity that is awake.
fn crowded() -> Rig {
    let mut rig = rig();
    let limits = DirectoryLimits { max_awake: 0, max_loading: 0 };
    let validity = Arc::new(Validity::new(Lease::default()));
    validity.extend(Mono::ZERO);
    rig.slots = Slots::new(Kinds::new([kind()]), limits).owning(Ownership::new(validity));
    rig.open("room:a");
    rig
}

#[test]
fn postponed_messages_follow_the_entity() {
    let mut rig = crowded();
    let reply = rig.line.reply(4, 1);
    let leave = ToEntity::Presence {
        action: greenroom_protocol::params::PresenceAction::Leave,
        meta: None,
        user: "alice".into(),
        reply,
    };
    rig.route("room:a", leave);
    assert!(rig.elsewhere().is_empty(), "it waits here for room");
    rig.own(Own::Close(slot("room:a")));
    assert_eq!(rig.elsewhere(), ["room:a leave 4"]);
}

#[test]
fn what_is_postponed_ends_with_its_link() {
    let mut rig = crowded();
    let link = NodeIndex(3);
    for node in [link, NodeIndex(4)] {
        let key = SessionKey { node, ..session(1) };
        let after = Position { epoch: Epoch::from_bits(1), seq: Seq::ZERO };
        let spec = SubSpec { session: key, ..spec(1, 1) };
        let catch_up = CatchUp { spec, codec: CodecKind::Json, after, presence: false };
        rig.tell(ToDirectory::Given(entity("room:a"), ToEntity::CatchUp(catch_up)));
        rig.tell(ToDirectory::Given(entity("room:a"), ToEntity::Leave(key)));
    }
    rig.own(Own::LinkReset(link));
    rig.own(Own::Close(slot("room:a")));
    assert_eq!(rig.elsewhere(), ["room:a leave 1", "room:a catch up", "room:a leave 1"]);

    rig.open("room:a");
    let key = SessionKey { node: link, ..session(1) };
    let adopt = Adopt { from: key, to: key, user: "alice".into(), meta: RawJson::NULL };
    rig.tell(ToDirectory::Given(entity("room:a"), ToEntity::Adopt(Box::new(adopt))));
    rig.own(Own::LinkReset(link));
    rig.own(Own::LinkOver(link));
    rig.own(Own::Close(slot("room:a")));
    assert!(rig.elsewhere().is_empty(), "nobody would ever end that presence");
}

#[test]
fn an_entity_that_is_served_again_need_not_sleep() {
    let mut rig = rig();
    rig.open("room:a");
    rig.read("room:a");
    let (done, mut flushed) = mpsc::channel(1);
    rig.own(Own::Close(slot("room:a")));
    rig.own(Own::Flush(slot("room:a"), done));
    rig.now = 1000;
    rig.slots.sweep(Mono::at(rig.now), &mut rig.host);
    // The hand-off is given up.
    rig.open("room:a");
    assert_eq!(flushed.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    rig.slots.sweep(Mono::at(rig.now), &mut rig.host);
    let asked = ["read", "sleep true 1", "sleep true 1", "sleep false 1"];
    assert_eq!(rig.letters(0), asked);
}
