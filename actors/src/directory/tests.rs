use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::clock::Mono;
use crate::entity::Load;
use crate::kind::{Kind, Kinds, Settings};
use crate::limits::{Accounts, Allowance, Payer, Rate};
use crate::messages::{CatchUp, Subscriptions, ToDirectory, ToEntity};
use crate::testing::{Line, entity, kind, kind_of, session, settings, spec};
use greenroom_protocol::{CodecKind, EntityId, Epoch, Position, Seq};
use tokio::sync::mpsc;

/// A test's mailbox: its messages and its capacity.
#[derive(Debug, Clone)]
struct Mailbox {
    letters: Rc<RefCell<Vec<String>>>,
    room: Rc<RefCell<usize>>,
    ended: Rc<RefCell<bool>>,
}

/// Records what it was asked to do.
#[derive(Default)]
struct Fake {
    started: Vec<(String, u64, Load, Mailbox)>,
    loading: usize,
    later: Vec<(EntityId, u64, ToEntity)>,
    lost: Vec<String>,
    /// What went to the exchange.
    elsewhere: Vec<String>,
    /// Dropping a request would answer it.
    delivered: Vec<ToEntity>,
}

fn name(message: &ToEntity) -> String {
    match message {
        ToEntity::Read(_) => "read".into(),
        ToEntity::Gone(session) => format!("gone {}", session.slot),
        ToEntity::CatchUp(_) => "catch up".into(),
        ToEntity::Leave(session) => format!("leave {}", session.slot),
        ToEntity::Sleep { drain, mark } => format!("sleep {drain} {mark}"),
        other => format!("{other:?}"),
    }
}

impl Host for Fake {
    type Mailbox = Mailbox;

    fn start(
        &mut self,
        entity: &EntityId,
        _: &Arc<Kind>,
        incarnation: u64,
        first_load: Load,
        _: Mono,
    ) -> Mailbox {
        let mailbox = Mailbox {
            letters: Rc::default(),
            room: Rc::new(RefCell::new(9)),
            ended: Rc::default(),
        };
        self.started.push((entity.to_string(), incarnation, first_load, mailbox.clone()));
        self.loading += 1;
        mailbox
    }

    fn loading(&self) -> usize {
        self.loading
    }

    fn deliver(&mut self, to: &Mailbox, message: ToEntity) -> Result<(), Undelivered> {
        if *to.ended.borrow() {
            return Err(Undelivered::Ended(message));
        }
        if *to.room.borrow() == 0 {
            return Err(Undelivered::Full(message));
        }
        *to.room.borrow_mut() -= 1;
        to.letters.borrow_mut().push(name(&message));
        self.delivered.push(message);
        Ok(())
    }

    fn deliver_later(
        &mut self,
        entity: &EntityId,
        incarnation: u64,
        _: &Mailbox,
        message: ToEntity,
    ) {
        self.later.push((entity.clone(), incarnation, message));
    }

    fn stop(&mut self, to: &Mailbox) -> bool {
        to.letters.borrow_mut().push("stop".into());
        true
    }

    fn elsewhere(&mut self, entity: EntityId, message: ToEntity) {
        self.elsewhere.push(format!("{entity} {}", name(&message)));
        self.delivered.push(message);
    }

    fn mark(&mut self, entity: EntityId) {
        self.elsewhere.push(format!("{entity} mark"));
    }

    fn end(&mut self, to: &Mailbox) {
        to.letters.borrow_mut().push("end".into());
    }

    fn audience_forgotten(&mut self, entity: &EntityId) {
        self.lost.push(entity.to_string());
    }
}

mod owning;

struct Rig {
    slots: Slots<Mailbox>,
    host: Fake,
    line: Line,
    now: u64,
}

impl Rig {
    fn new(max_awake: usize, max_loading: usize) -> Self {
        let slots = Slots::new(Kinds::new([kind()]), DirectoryLimits { max_awake, max_loading });
        Self { slots, host: Fake::default(), line: Line::new(), now: 1 }
    }

    fn tell(&mut self, message: ToDirectory) {
        self.slots.receive(message, Mono::at(self.now), &mut self.host);
    }

    fn route(&mut self, to: &str, message: ToEntity) {
        self.tell(ToDirectory::Route(entity(to), message));
    }

    fn read(&mut self, to: &str) {
        let reply = self.line.reply(0, 1);
        self.route(to, ToEntity::Read(reply));
    }

    fn idle(&mut self, to: &str, incarnation: u64, mark: u64) {
        self.tell(ToDirectory::Idle { entity: entity(to), incarnation, mark });
    }

    fn ended(&mut self, to: &str, incarnation: u64, crashed: bool) {
        self.tell(ToDirectory::Ended { entity: entity(to), incarnation, crashed });
    }

    fn sweep(&mut self) {
        self.slots.sweep(Mono::at(self.now), &mut self.host);
    }

    fn mailbox(&self, index: usize) -> Mailbox {
        self.host.started[index].3.clone()
    }

    fn letters(&self, index: usize) -> Vec<String> {
        std::mem::take(&mut *self.mailbox(index).letters.borrow_mut())
    }
}

fn catch_up() -> ToEntity {
    let after = Position { epoch: Epoch::from_bits(1), seq: Seq::ZERO };
    ToEntity::CatchUp(CatchUp { spec: spec(1, 1), codec: CodecKind::Json, after, presence: false })
}

#[test]
fn an_entity_is_woken_once_and_then_found() {
    let mut rig = Rig::new(9, 9);
    rig.read("room:a");
    rig.read("room:a");
    rig.read("room:b");
    assert_eq!(
        rig.host.started.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(),
        ["room:a", "room:b"]
    );
    assert_eq!((rig.letters(0), rig.letters(1)), (vec!["read".into(); 2], vec!["read".to_owned()]));
}

#[test]
fn the_end_of_a_session_wakes_no_entity() {
    let mut rig = Rig::new(9, 9);
    rig.route("room:a", ToEntity::Gone(session(1)));
    rig.route("room:a", ToEntity::Unfollow(session(1), Subscriptions::Through(1)));
    rig.route("room:a", ToEntity::Leave(session(1)));
    assert!(rig.host.started.is_empty());
}

#[test]
fn requests_for_entities_that_cannot_wake_are_refused_and_control_messages_retried() {
    for (awake, loading) in [(1, 9), (9, 1)] {
        let mut rig = Rig::new(awake, loading);
        rig.read("room:a");
        rig.read("room:b");
        assert_eq!(rig.line.take(), ["#1 overloaded directory"]);
        rig.route("room:b", catch_up());
        rig.sweep();
        assert_eq!(rig.host.started.len(), 1, "still no room");
        rig.host.loading = 0;
        rig.ended("room:a", 1, false);
        rig.sweep();
        assert_eq!(rig.host.started.len(), 2);
        assert_eq!(rig.letters(1)[0], "catch up");
    }
}

#[test]
fn unknown_kinds_wake_no_entity() {
    let mut rig = Rig::new(9, 9);
    rig.read("nosuch:a");
    assert_eq!(rig.line.take(), ["#1 overloaded directory"]);
}

#[test]
fn an_idle_entity_sleeps() {
    let mut rig = Rig::new(9, 9);
    rig.read("room:a");
    rig.sweep();
    assert_eq!(rig.letters(0), ["read", "sleep false 1"]);
    rig.idle("room:a", 1, 1);
    assert_eq!((rig.letters(0), rig.slots.awake()), (vec!["stop".to_owned()], 0));
    rig.read("room:a");
    assert_eq!(rig.host.started[1].1, 2, "its next life has another number");
    rig.idle("room:a", 1, 1);
    assert_eq!(rig.slots.awake(), 1, "a message of the last life is ignored");
}

#[test]
fn whatever_was_sent_after_the_question_keeps_it_awake() {
    let mut rig = Rig::new(9, 9);
    rig.read("room:a");
    rig.sweep();
    rig.read("room:a");
    rig.idle("room:a", 1, 1);
    assert_eq!(rig.slots.awake(), 1);
    rig.sweep();
    rig.idle("room:a", 1, 1);
    assert_eq!(
        rig.slots.awake(),
        1,
        "though it was asked again, this is the answer to the first question"
    );
    rig.idle("room:a", 1, 2);
    assert_eq!(rig.slots.awake(), 0);
}

#[test]
fn entities_are_not_asked_to_sleep_before_the_idle_timeout() {
    let mut rig = Rig::new(9, 9);
    rig.slots = Slots::new(
        Kinds::new([kind_of(Settings {
            idle_timeout: std::time::Duration::from_millis(50),
            ..settings()
        })]),
        DirectoryLimits { max_awake: 9, max_loading: 9 },
    );
    rig.read("room:a");
    rig.now = 50;
    rig.sweep();
    assert_eq!(rig.letters(0), ["read"]);
    rig.now = 51;
    rig.sweep();
    assert_eq!(rig.letters(0), ["sleep false 1"]);
}

#[test]
fn a_full_mailbox_refuses_requests_and_keeps_control_messages_in_order() {
    let mut rig = Rig::new(9, 9);
    rig.read("room:a");
    *rig.mailbox(0).room.borrow_mut() = 0;
    rig.read("room:a");
    assert_eq!(rig.line.take(), ["#1 overloaded entity"]);
    rig.route("room:a", ToEntity::Gone(session(1)));
    rig.route("room:a", ToEntity::Gone(session(2)));
    *rig.mailbox(0).room.borrow_mut() = 9;
    rig.read("room:a");
    assert_eq!(rig.line.take(), ["#1 overloaded entity"], "nothing overtakes waiting messages");
    let waiting =
        |rig: &Rig| rig.host.later.iter().map(|(_, _, message)| name(message)).collect::<Vec<_>>();
    assert_eq!(waiting(&rig), ["gone 1"]);
    rig.slots.worked_off(&entity("room:a"), 7, &mut rig.host);
    assert_eq!(waiting(&rig), ["gone 1"], "a message of another life");
    rig.slots.worked_off(&entity("room:a"), 1, &mut rig.host);
    assert_eq!(waiting(&rig), ["gone 1", "gone 2"]);
    rig.sweep();
    assert_eq!(rig.letters(0), ["read"], "it is not asked to sleep past them either");
    rig.slots.worked_off(&entity("room:a"), 1, &mut rig.host);
    rig.read("room:a");
    assert_eq!(rig.letters(0), ["read"]);
}

#[test]
fn a_refused_leave_leaves_all_the_same() {
    let mut rig = Rig::new(9, 9);
    rig.read("room:a");
    *rig.mailbox(0).room.borrow_mut() = 0;
    let action = greenroom_protocol::params::PresenceAction::Leave;
    let reply = rig.line.reply(3, 1);
    rig.route("room:a", ToEntity::Presence { action, meta: None, user: "alice".into(), reply });
    assert_eq!(rig.line.take(), ["#1 overloaded entity"]);
    assert_eq!(
        rig.host.later.iter().map(|(_, _, message)| name(message)).collect::<Vec<_>>(),
        ["leave 3"]
    );
}

#[test]
fn after_a_crash_the_relays_are_notified_and_the_next_life_waits_for_the_journal() {
    let mut rig = Rig::new(9, 9);
    rig.read("room:a");
    *rig.mailbox(0).ended.borrow_mut() = true;
    rig.read("room:a");
    assert_eq!(rig.line.take(), ["#1 unavailable"], "its end is on the way here");
    rig.ended("room:a", 1, true);
    rig.ended("room:a", 1, true);
    assert_eq!(rig.host.lost, ["room:a"]);
    rig.read("room:a");
    rig.ended("room:a", 2, false);
    rig.read("room:a");
    let lives: Vec<_> =
        rig.host.started.iter().map(|(_, life, first_load, _)| (*life, *first_load)).collect();
    assert_eq!(lives, [(1, Load::Now), (2, Load::AfterCrash), (3, Load::Now)]);
}

#[test]
fn draining_puts_everybody_to_sleep_and_then_says_so() {
    let mut rig = Rig::new(9, 9);
    rig.read("room:a");
    rig.read("room:b");
    *rig.mailbox(1).room.borrow_mut() = 0;
    let (done, mut all_done) = mpsc::channel(1);
    rig.tell(ToDirectory::Drain(done));
    assert_eq!(rig.letters(0), ["read", "sleep true 1"]);
    assert_eq!(
        rig.host.later.iter().map(|(_, _, message)| name(message)).collect::<Vec<_>>(),
        ["sleep true 1"]
    );
    rig.read("room:a");
    assert_eq!(rig.line.take(), ["#1 shutting_down"]);
    rig.idle("room:a", 1, 1);
    assert_eq!(all_done.try_recv(), Err(mpsc::error::TryRecvError::Empty));
    rig.ended("room:b", 2, false);
    assert_eq!(all_done.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

#[test]
fn draining_an_empty_shard_is_done_at_once() {
    let mut rig = Rig::new(9, 9);
    let (done, mut all_done) = mpsc::channel(1);
    rig.tell(ToDirectory::Drain(done));
    assert_eq!(all_done.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

fn payers(wakes: u32, awake: usize) -> Accounts {
    Accounts::alike(Allowance {
        requests: Rate::new(1000, 1000),
        wakes: Rate::new(1, wakes),
        awake,
    })
}

fn somebody(accounts: &Accounts, last: u8) -> Payer {
    accounts.payer(None, [192, 0, 2, last].into(), Mono::ZERO)
}

#[test]
fn waking_is_paid_for_and_what_is_awake_is_free() {
    let mut rig = Rig::new(99, 99);
    let accounts = payers(2, 9);
    let greedy = somebody(&accounts, 1);
    let other = somebody(&accounts, 2);
    let read = |rig: &mut Rig, id, to: &str, payer| {
        let reply = rig.line.paid_reply(0, id, payer);
        rig.route(to, ToEntity::Read(reply));
    };
    for (id, to) in ["room:a", "room:b", "room:a", "room:c", "room:b"].into_iter().enumerate() {
        read(&mut rig, id as i64, to, &greedy);
    }
    assert_eq!(rig.line.take(), ["#3 rate_limited waking"]);
    assert_eq!((rig.slots.awake(), greedy.account().awake()), (2, 2));
    read(&mut rig, 9, "room:c", &other);
    assert_eq!((rig.slots.awake(), other.account().awake()), (3, 1));
    rig.idle("room:a", 1, 2);
    rig.ended("room:b", 2, true);
    assert_eq!(greedy.account().awake(), 0, "sleeping and ended entities cost nothing");
}

#[test]
fn each_payer_has_a_share_of_awake_entities_and_the_last_places_are_for_others() {
    let mut rig = Rig::new(16, 99);
    let accounts = payers(99, 16);
    let greedy = somebody(&accounts, 1);
    let newcomer = somebody(&accounts, 2);
    let other = somebody(&accounts, 3);
    let wake = |rig: &mut Rig, name: String, payer| {
        let reply = rig.line.paid_reply(0, 1, payer);
        rig.route(&name, ToEntity::Read(reply));
        rig.line.take()
    };
    for index in 0..14 {
        assert_eq!(wake(&mut rig, format!("room:{index}"), &greedy), [""; 0]);
    }
    assert_eq!(wake(&mut rig, "room:14".into(), &greedy), ["#1 rate_limited awake"]);
    assert_eq!(wake(&mut rig, "room:14".into(), &newcomer), [""; 0]);
    assert_eq!(
        wake(&mut rig, "room:15".into(), &newcomer),
        ["#1 rate_limited awake"],
        "one of sixteen, while there are few places"
    );
    assert_eq!(wake(&mut rig, "room:15".into(), &other), [""; 0]);
    assert_eq!(rig.slots.awake(), 16);
}

#[test]
fn the_longest_unused_are_asked_to_make_room() {
    let mut rig = Rig::new(8, 99);
    let kind = kind_of(Settings { idle_timeout: std::time::Duration::from_secs(60), ..settings() });
    rig.slots =
        Slots::new(Kinds::new([kind]), DirectoryLimits { max_awake: 100, max_loading: 999 });
    for index in 0..100 {
        rig.now += 1;
        rig.read(&format!("room:{index}"));
    }
    for (.., mailbox) in &rig.host.started {
        *mailbox.room.borrow_mut() = 99;
    }
    for index in 0..20 {
        rig.now += 1;
        rig.read(&format!("room:{index}"));
    }
    let before: Vec<_> = (0..100).map(|index| rig.letters(index)).collect();
    assert!(before.iter().flatten().all(|letter| letter == "read" || letter.starts_with("sleep")));
    rig.now += 1;
    rig.read("room:new");
    assert_eq!(rig.line.take(), ["#1 overloaded directory"]);
    let asked: Vec<_> = (0..100)
        .filter(|index| rig.letters(*index).iter().any(|letter| letter.starts_with("sleep")))
        .collect();
    assert_eq!(asked, (20..84).collect::<Vec<_>>());
    rig.idle("room:20", 21, 1);
    rig.read("room:new");
    assert_eq!((rig.line.take(), rig.slots.awake()), (Vec::new(), 100), "one has made room");
}
