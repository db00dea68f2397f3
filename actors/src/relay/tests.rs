use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::codec::{Method, ServerMessage};
use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use greenroom_protocol::results::{
    Connected, Empty, Rates, SessionLimits, SnapshotReason, Subscribed, SubscriptionOutcome,
};
use greenroom_protocol::{
    CodecKind, EntityId, Epoch, ErrorCode, RawJson, RequestId, Seq, WireError, notify, params,
};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::capability::Permissions;
use crate::clock::Mono;
use crate::entity::{Effects, Entity, JournalSpace};
use crate::frames::{Frames, Wants, signal_key};
use crate::ids::WorkerId;
use crate::kind::{Kinds, Settings};
use crate::limits::Rate;
use crate::messages::{
    Asker, Directory, Noted, Owner, Part, RelayHandle, Responder, SubSpec, SubscribeRequest,
    Subscriptions, ToDirectory, ToEntity, ToRelay,
};
use crate::metrics::recorded::Recorded;
use crate::outbox::Outbox;
use crate::rights::Rights;
use crate::store::Loaded;
use crate::testing::{self, encoder, kind_of, messages, post, settings, shown};

const LIMIT: usize = 1000;

/// A relay, and its messages to entities.
struct Rig {
    relay: Rc<RefCell<Relay>>,
    directory: Directory,
    routed: mpsc::Receiver<ToDirectory>,
    entity: EntityId,
}

fn epoch() -> Epoch {
    Epoch::from_bits(7)
}

fn spec(seat: &Seat, number: u32) -> SubSpec {
    SubSpec {
        session: seat.key,
        number,
        events: EventPolicy::Replay,
        signals: SignalPolicy::DropOldest,
        presence: false,
    }
}

fn event(seq: u64, size: usize) -> Frames {
    let params = notify::Event {
        entity: Some(testing::entity("room:a")),
        seq: Seq::new(seq),
        at: 1,
        from: "alice".into(),
        r#type: "post".into(),
        body: RawJson::from_text(format!(r#""{}""#, "x".repeat(size))).unwrap(),
        tag: None,
        deleted: false,
    };
    encoder().notification(Wants::only(CodecKind::Json), Method::Event, &params)
}

fn events(seq: u64, size: usize) -> Part {
    let frames = event(seq, size);
    let seq = Seq::new(seq);
    Part::Events { frames, first: seq, last: seq }
}

impl Rig {
    fn new() -> Self {
        let (directory, mut queues) = Directory::channels(1, 1000);
        let relay = Relay::new(WorkerId(0), directory.clone(), encoder());
        Self { relay, directory, routed: queues.remove(0), entity: testing::entity("room:a") }
    }

    fn seat(&self) -> Rc<Seat> {
        self.seat_with(CodecKind::Json, LIMIT)
    }

    /// The seat of a session with this codec, and an outbox of `limit` bytes.
    fn seat_with(&self, codec: CodecKind, limit: usize) -> Rc<Seat> {
        let all = self.relay.borrow().outboxes();
        let liveness = Liveness::new(Mono::ZERO, Mono::NEVER);
        let admission = Admission::new(Rate::new(1, 1), Rate::new(1, 1));
        self.relay
            .borrow_mut()
            .seat(|key| Seat::new(key, codec, Outbox::new(key, limit, all), liveness, admission))
    }

    fn parts(&self, parts: Vec<Part>) {
        self.relay.borrow_mut().receive(ToRelay::Parts { entity: self.entity.clone(), parts });
    }

    fn joins(&self, spec: SubSpec, seq: u64) {
        let seat = self.relay.borrow().seats().find(|seat| seat.key == spec.session).cloned();
        if let Some(seat) =
            seat.filter(|seat| seat.membership.following(&self.entity) < Some(spec.number))
        {
            seat.membership.follow_by(&self.entity, spec.number);
        }
        let answer = testing::no_answer(spec.session);
        self.parts(vec![Part::Joined { spec, epoch: epoch(), seq: Seq::new(seq), answer }]);
    }

    /// A page that brings a paused subscription from `after` to `seq` without an event: a snapshot,
    /// or a presence list.
    fn reset(&self, spec: SubSpec, after: u64, seq: u64) {
        let frame = Some(event(seq, 1).json.unwrap());
        self.parts(vec![Part::CaughtUp {
            spec,
            frame,
            events: 0,
            epoch: epoch(),
            after: Seq::new(after),
            seq: Seq::new(seq),
            live: true,
            presence: false,
        }]);
    }

    fn caught_up(&self, spec: SubSpec, after: u64, seq: u64, live: bool) {
        self.caught_up_with(spec, after, seq, live, false);
    }

    fn caught_up_with(&self, spec: SubSpec, after: u64, seq: u64, live: bool, presence: bool) {
        let frame =
            (after + 1..=seq).flat_map(|seq| event(seq, 1).json.unwrap()).collect::<Vec<_>>();
        let frame = Some(frame.into());
        let events = seq - after;
        self.parts(vec![Part::CaughtUp {
            spec,
            frame,
            events,
            epoch: epoch(),
            after: Seq::new(after),
            seq: Seq::new(seq),
            live,
            presence,
        }]);
    }

    /// A summary of the messages to the entity.
    fn asked(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(ToDirectory::Route(_, message)) = self.routed.try_recv() {
            all.push(match message {
                ToEntity::CatchUp(ask) => {
                    let presence = if ask.presence { " with presence" } else { "" };
                    format!("{} reads after {}{presence}", ask.spec.session.slot, ask.after.seq)
                }
                ToEntity::Unfollow(session, Subscriptions::All) => {
                    format!("{} unfollows all", session.slot)
                }
                ToEntity::Unfollow(session, Subscriptions::Through(number)) => {
                    format!("{} unfollows {number}", session.slot)
                }
                ToEntity::Gone(session) => format!("{} has gone", session.slot),
                ToEntity::Leave(session) => format!("{} leaves", session.slot),
                ToEntity::Adopt(adopt) => format!(
                    "{} is {} at {} now",
                    adopt.from.slot,
                    adopt.to.slot,
                    adopt.meta.as_str()
                ),
                other => format!("{other:?}"),
            });
        }
        all
    }

    fn drained(&self, seat: &Seat) {
        assert!(
            seat.outbox.take_starved(),
            "a paused subscription reads on when the outbox drains"
        );
        self.relay.borrow_mut().drained(seat);
    }
}

/// A summary of the messages in an outbox.
fn got(seat: &Seat) -> Vec<String> {
    let mut out = VecDeque::new();
    seat.outbox.take(&mut out, 1000, usize::MAX);
    out.iter()
        .flat_map(|frame| messages(seat.codec, frame))
        .map(|message| shown(&message))
        .collect()
}

#[test]
fn a_live_subscription_gets_events_once_and_in_order() {
    let mut rig = Rig::new();
    let a = rig.seat();
    let b = rig.seat();
    rig.joins(spec(&a, 1), 4);
    rig.parts(vec![events(5, 1), events(6, 1)]);
    rig.joins(spec(&b, 1), 6);
    rig.parts(vec![events(7, 1)]);
    rig.parts(vec![events(7, 1)]);
    let of = |seqs: &[u64]| {
        seqs.iter().map(|seq| format!("event seq {seq} type post")).collect::<Vec<_>>()
    };
    assert_eq!((got(&a), got(&b)), (of(&[5, 6, 7]), of(&[7])));
    assert_eq!(rig.asked(), [""; 0]);
}

#[test]
fn a_gap_is_read_and_not_skipped() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.joins(spec(&a, 1), 4);
    rig.parts(vec![events(7, 1)]);
    assert_eq!((got(&a), rig.asked()), (Vec::new(), vec!["0 reads after 4".to_owned()]));
    rig.parts(vec![events(8, 1)]);
    rig.caught_up(spec(&a, 1), 4, 8, true);
    rig.parts(vec![events(9, 1)]);
    assert_eq!(got(&a).len(), 5);
}

#[test]
fn a_full_outbox_pauses_and_reads_on_when_it_drains() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.joins(spec(&a, 1), 0);
    rig.parts(vec![events(1, LIMIT), events(2, 1), events(3, 1)]);
    assert!(!a.outbox.take_starved(), "it is full");
    assert_eq!(got(&a), ["event seq 1 type post"]);
    assert_eq!(rig.asked(), [""; 0]);
    rig.drained(&a);
    assert_eq!(rig.asked(), ["0 reads after 1"]);
    rig.caught_up(spec(&a, 1), 1, 3, false);
    assert_eq!(rig.asked(), ["0 reads after 3"], "there is more");
    rig.caught_up(spec(&a, 1), 3, 4, true);
    rig.parts(vec![events(5, 1)]);
    assert_eq!(got(&a).len(), 4);
}

#[test]
fn reading_on_pauses_too() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.joins(spec(&a, 1), 0);
    rig.relay
        .borrow_mut()
        .receive(ToRelay::AudienceForgotten { entity: rig.entity.clone(), ended: false });
    a.outbox.push(vec![0; LIMIT].into());
    rig.asked();
    rig.caught_up(spec(&a, 1), 0, 2, false);
    assert_eq!(rig.asked(), [""; 0]);
    let mut out = VecDeque::new();
    a.outbox.take(&mut out, 100, usize::MAX);
    rig.drained(&a);
    assert_eq!(rig.asked(), ["0 reads after 2"]);
}

#[test]
fn a_paused_subscription_ends_with_its_right() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.joins(spec(&a, 1), 0);
    rig.parts(vec![events(1, LIMIT), events(2, 1)]);
    got(&a);
    rig.drained(&a);
    let nothing = kind_of(Settings { default_permissions: Permissions::NONE, ..settings() });
    a.membership.set_rights(Rights { kinds: Kinds::new([nothing]), ..testing::rights() });
    rig.relay.borrow_mut().revise(&a);
    rig.caught_up(spec(&a, 1), 1, 2, true);
    rig.parts(vec![events(3, 1)]);
    assert_eq!(
        got(&a),
        ["unsubscribed reason forbidden"],
        "nothing of what it has missed comes any more"
    );
    assert_eq!(rig.asked(), ["0 reads after 1", "0 unfollows 1", "0 unfollows 1"]);
}

#[test]
fn a_presence_list_that_comes_late_is_asked_for_again() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.joins(SubSpec { presence: true, ..spec(&a, 1) }, 4);
    let spec = SubSpec { presence: true, ..spec(&a, 1) };
    rig.parts(vec![events(7, 1)]);
    rig.relay
        .borrow_mut()
        .receive(ToRelay::AudienceForgotten { entity: rig.entity.clone(), ended: true });
    assert_eq!(rig.asked(), ["0 reads after 4", "0 reads after 4 with presence"]);
    rig.caught_up_with(spec, 4, 7, true, false);
    rig.caught_up_with(spec, 4, 7, true, true);
    assert_eq!(
        rig.asked(),
        ["0 reads after 7 with presence"],
        "what came with the second answer was left out"
    );
    assert_eq!(got(&a).len(), 3);
}

#[test]
fn a_subscription_that_its_entity_has_replaced_ends_with_notice() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.joins(spec(&a, 1), 0);
    rig.parts(vec![Part::Replaced(spec(&a, 1))]);
    assert_eq!(got(&a), [""; 0], "it has not asked");
    rig.parts(vec![events(7, 1)]);
    rig.joins(spec(&a, 2), 7);
    rig.parts(vec![Part::Replaced(spec(&a, 1))]);
    assert_eq!(got(&a), [""; 0], "it was replaced here too");
    rig.parts(vec![events(9, 1)]);
    rig.parts(vec![Part::Replaced(spec(&a, 2))]);
    assert_eq!(got(&a), ["unsubscribed reason unavailable"]);
    assert_eq!(rig.asked(), ["0 reads after 0", "0 reads after 7", "0 unfollows 2"]);
    assert_eq!(
        (rig.relay.borrow().followers(&rig.entity).count(), a.membership.following(&rig.entity)),
        (0, None)
    );
}

#[test]
fn policies_differ_at_the_bound() {
    let rig = Rig::new();
    let strict = rig.seat();
    let uninterested = rig.seat();
    rig.joins(SubSpec { events: EventPolicy::Disconnect, ..spec(&strict, 1) }, 0);
    rig.joins(SubSpec { events: EventPolicy::None, ..spec(&uninterested, 1) }, 0);
    rig.parts(vec![events(1, LIMIT), events(2, 1)]);
    assert_eq!(strict.outbox.closing(), Some(CloseCode::SlowConsumer));
    assert_eq!((got(&uninterested), uninterested.outbox.closing()), (Vec::new(), None));
}

#[test]
fn signals_go_to_others_by_their_policy() {
    let rig = Rig::new();
    let sender = rig.seat();
    let all = rig.seat();
    let latest = rig.seat();
    let none = rig.seat();
    rig.joins(spec(&sender, 1), 0);
    rig.joins(spec(&all, 1), 0);
    rig.joins(SubSpec { signals: SignalPolicy::Latest, ..spec(&latest, 1) }, 0);
    rig.joins(SubSpec { signals: SignalPolicy::None, ..spec(&none, 1) }, 0);
    for body in ["1", "2"] {
        let body = RawJson::from_text(body).unwrap();
        let params = notify::Signal {
            entity: rig.entity.clone(),
            from: "alice".into(),
            r#type: "typing".into(),
            body,
            key: None,
        };
        let frames = encoder().notification(Wants::only(CodecKind::Json), Method::Signal, &params);
        rig.parts(vec![Part::Signal {
            frames,
            from: sender.key,
            key: signal_key(sender.key, "room:a", "typing", ""),
        }]);
    }
    let counts = [&sender, &all, &latest, &none].map(|seat| got(seat).len());
    assert_eq!(counts, [0, 2, 1, 0]);
}

fn signal_of(from: &Seat, entity: &EntityId, number: usize) -> ToRelay {
    let body = RawJson::from_value(&number).unwrap();
    let params = notify::Signal {
        entity: entity.clone(),
        from: "alice".into(),
        r#type: format!("t{number}"),
        body,
        key: None,
    };
    let frames =
        encoder().notification(Wants { json: true, msgpack: true }, Method::Signal, &params);
    let part = Part::Signal {
        frames,
        from: from.key,
        key: signal_key(from.key, entity.as_str(), "t", ""),
    };
    ToRelay::Parts { entity: entity.clone(), parts: vec![part] }
}

proptest! {
    /// However messages are batched, every session receives the same as one by one.
    #[test]
    fn signals_that_gather_are_the_same_signals(sent in proptest::collection::vec((0usize..4, 0usize..3), 1..80)) {
        let mut all: Vec<Vec<Vec<String>>> = Vec::new();
        for together in [false, true] {
            let rig = Rig::new();
            let rooms = ["room:a", "room:b"].map(testing::entity);
            let seats: Vec<_> = (0..4).map(|slot| rig.seat_with(CodecKind::ALL[slot % 2], 100_000)).collect();
            for room in &rooms {
                for (seat, signals) in seats.iter().zip([SignalPolicy::DropOldest, SignalPolicy::DropOldest, SignalPolicy::Latest, SignalPolicy::None]) {
                    let spec = SubSpec { signals, ..spec(seat, 1) };
                    let answer = testing::no_answer(seat.key);
                    rig.relay.borrow_mut().receive(ToRelay::Parts { entity: room.clone(), parts: vec![Part::Joined { spec, epoch: epoch(), seq: Seq::ZERO, answer }] });
                }
            }
            let messages = sent.iter().enumerate().map(|(number, (from, what))| match what {
                2 => ToRelay::Parts { entity: rooms[0].clone(), parts: vec![Part::Presence(Frames::default()), events(number as u64 + 1, 1)] },
                room => signal_of(&seats[*from], &rooms[*room], number),
            });
            if together {
                rig.relay.borrow_mut().receive_all(messages.collect());
            } else {
                for message in messages {
                    rig.relay.borrow_mut().receive(message);
                }
            }
            all.push(seats.iter().map(|seat| got(seat)).collect());
        }
        prop_assert_eq!(&all[0], &all[1]);
    }
}

#[test]
fn queued_messages_are_written_at_once() {
    let rig = Rig::new();
    let sender = rig.seat();
    let other = rig.seat();
    rig.joins(spec(&sender, 1), 0);
    rig.joins(spec(&other, 1), 0);
    let messages = (0..5).map(|number| signal_of(&sender, &rig.entity, number)).collect();
    rig.relay.borrow_mut().receive_all(messages);
    let mut out = VecDeque::new();
    other.outbox.take(&mut out, 1000, usize::MAX);
    assert_eq!((out.len(), messages_in(&out), sender.outbox.bytes()), (1, 5, 0));
}

fn messages_in(frames: &VecDeque<bytes::Bytes>) -> usize {
    frames.iter().map(|frame| messages(CodecKind::Json, frame).len()).sum()
}

#[test]
fn presence_that_was_left_out_comes_as_the_list() {
    let mut rig = Rig::new();
    let a = rig.seat();
    let b = rig.seat();
    rig.joins(SubSpec { presence: true, ..spec(&a, 1) }, 0);
    rig.joins(spec(&b, 1), 0);
    let change = || Part::Presence(Frames { json: Some(vec![0, 0, 0, 0].into()), msgpack: None });
    rig.parts(vec![change()]);
    assert_eq!((a.outbox.bytes(), b.outbox.bytes()), (4, 0));
    a.outbox.push(vec![0; LIMIT].into());
    rig.parts(vec![change()]);
    let mut out = VecDeque::new();
    a.outbox.take(&mut out, 100, usize::MAX);
    rig.drained(&a);
    assert_eq!(rig.asked(), ["0 reads after 0 with presence"]);
}

#[test]
fn late_messages_for_an_ended_session_reach_nobody() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.relay.borrow_mut().unseat(&a, Leaving::Ended);
    let b = rig.seat();
    assert_eq!((a.key.slot, b.key.slot), (0, 0), "the slot is used again");
    rig.joins(spec(&a, 1), 3);
    assert_eq!(rig.asked(), ["0 unfollows 1"], "the entity is notified");
    rig.caught_up(spec(&a, 1), 3, 5, true);
    assert_eq!(rig.asked(), ["0 unfollows 1"]);
    rig.parts(vec![events(4, 1)]);
    assert_eq!((got(&b), rig.relay.borrow().followers(&rig.entity).count()), (Vec::new(), 0));
}

#[test]
fn only_what_is_put_into_an_outbox_counts_as_delivered() {
    use crate::metrics::{EVENTS_DELIVERED, OUTBOX_OVERFLOWS, SIGNALS_DELIVERED, SIGNALS_REPLACED};
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let mut rig = Rig::new();
        let a = rig.seat();
        let deaf = rig.seat();
        rig.joins(SubSpec { signals: SignalPolicy::Latest, ..spec(&a, 1) }, 0);
        rig.joins(
            SubSpec { events: EventPolicy::None, signals: SignalPolicy::None, ..spec(&deaf, 1) },
            0,
        );
        let signal = |rig: &Rig, bytes: usize| {
            let frames = Frames { json: Some(vec![0; bytes].into()), msgpack: None };
            rig.parts(vec![Part::Signal { frames, from: deaf.key, key: 1 }]);
        };
        let counted = || {
            [&EVENTS_DELIVERED, &SIGNALS_DELIVERED, &SIGNALS_REPLACED, &OUTBOX_OVERFLOWS]
                .map(|metric| recorded.value(metric))
        };
        rig.parts(vec![events(1, 1)]);
        signal(&rig, 4);
        assert_eq!(
            counted(),
            [1.0, 1.0, 0.0, 0.0],
            "a session that follows neither receives neither"
        );
        signal(&rig, 4);
        assert_eq!(
            counted(),
            [1.0, 1.0, 1.0, 0.0],
            "a newer signal took a waiting one's place, in an outbox with room"
        );
        a.outbox.push(vec![0; LIMIT].into());
        rig.parts(vec![events(2, 1), events(3, 1)]);
        assert_eq!(
            counted(),
            [1.0, 1.0, 1.0, 1.0],
            "it pauses once, and what it did not get is not delivered"
        );
        a.outbox.take(&mut VecDeque::new(), 100, usize::MAX);
        rig.drained(&a);
        rig.asked();
        rig.reset(SubSpec { signals: SignalPolicy::Latest, ..spec(&a, 1) }, 1, 3);
        assert_eq!(
            counted(),
            [1.0, 1.0, 1.0, 1.0],
            "a snapshot is no event, whatever it stands for"
        );
        rig.parts(vec![events(4, 1)]);
        assert_eq!(counted()[0], 2.0);
    });
}

#[test]
fn an_answer_that_comes_too_late_changes_nothing() {
    let mut rig = Rig::new();
    let a = rig.seat();
    rig.joins(spec(&a, 1), 3);
    rig.caught_up(spec(&a, 1), 3, 5, true);
    assert_eq!(got(&a), [""; 0], "it was not requested");
    rig.relay
        .borrow_mut()
        .receive(ToRelay::AudienceForgotten { entity: rig.entity.clone(), ended: false });
    rig.relay
        .borrow_mut()
        .receive(ToRelay::AudienceForgotten { entity: rig.entity.clone(), ended: false });
    assert_eq!(rig.asked(), ["0 reads after 3", "0 reads after 3"]);
    rig.caught_up(spec(&a, 1), 3, 5, false);
    rig.caught_up(spec(&a, 1), 3, 6, true);
    assert_eq!(got(&a).len(), 2, "the second answer would repeat 4 and 5");
    rig.joins(spec(&a, 2), 9);
    rig.caught_up(spec(&a, 1), 5, 7, true);
    assert_eq!(got(&a), [""; 0]);
    assert_eq!(rig.asked(), ["0 reads after 5", "0 unfollows 1"]);
}

#[test]
fn a_restarted_entity_learns_who_is_present() {
    let mut rig = Rig::new();
    let here = rig.seat();
    let lost = rig.seat();
    let elsewhere = rig.seat();
    for (seat, user) in [(&here, "alice"), (&lost, "bob"), (&elsewhere, "carol")] {
        seat.membership.belongs_to(Owner { user: user.into(), client: "c".into() });
    }
    here.membership.enter(&rig.entity, RawJson::from_text("1").unwrap(), 9);
    here.membership.enter(&rig.entity, RawJson::from_text("2").unwrap(), 9);
    lost.membership.enter(&rig.entity, RawJson::from_text("3").unwrap(), 9);
    elsewhere.membership.enter(&testing::entity("room:b"), RawJson::NULL, 9);
    rig.relay.borrow_mut().unseat(&lost, Leaving::Resumable);
    assert_eq!(rig.asked(), [""; 0]);
    let forgotten = |ended| ToRelay::AudienceForgotten { entity: testing::entity("room:a"), ended };
    rig.relay.borrow_mut().receive(forgotten(false));
    assert_eq!(rig.asked(), [""; 0], "it has only loaded its state again");
    rig.relay.borrow_mut().receive(forgotten(true));
    assert_eq!(rig.asked(), ["0 is 0 at 2 now", "1 is 1 at 3 now"]);
    rig.relay.borrow_mut().sweep(Mono::at(16_000));
    assert_eq!(rig.asked(), ["1 leaves"]);
    rig.relay.borrow_mut().receive(forgotten(true));
    assert_eq!(rig.asked(), ["0 is 0 at 2 now"]);
}

#[test]
fn a_refused_enter_is_undone_unless_another_stands() {
    let mut rig = Rig::new();
    let a = rig.seat();
    let (handle, mut queue) = RelayHandle::channel(10);
    let asker = Arc::new(Asker::new(a.key, CodecKind::Json, encoder(), handle));
    let enter = || {
        let number = a.membership.enter(&rig.entity, RawJson::NULL, 9).unwrap();
        Responder::request(&asker, "presence", None)
            .noting(Noted::Enter(rig.entity.clone(), number))
    };
    let first = enter();
    let second = enter();
    first.send_error(crate::messages::overloaded("entity"));
    second.send_ok(&Empty {});
    let third = enter();
    let _ = a.membership.leave(&rig.entity);
    let fourth = enter();
    third.send_error(crate::messages::overloaded("entity"));
    let mut presences = Vec::new();
    while let Ok(answer) = queue.try_recv() {
        rig.relay.borrow_mut().receive(answer);
        presences.push(a.membership.present().len());
    }
    assert_eq!(presences, [1, 1, 1], "the second is valid, and the third is from before it left");
    drop(fourth);
    rig.relay.borrow_mut().receive(queue.try_recv().unwrap());
    assert_eq!(a.membership.present().len(), 1, "its outcome is unknown");
    a.membership.leave(&rig.entity);
    enter().send_error(crate::messages::overloaded("entity"));
    rig.relay.borrow_mut().receive(queue.try_recv().unwrap());
    assert_eq!((a.membership.present().len(), rig.asked()), (0, vec!["0 leaves".to_owned()]));
}

#[test]
fn a_connect_whose_answer_has_become_large_refuses_the_rest() {
    let mut rig = Rig::new();
    let a = rig.seat();
    a.admission.asked();
    let (handle, mut queue) = RelayHandle::channel(10);
    let asker = Arc::new(Asker::new(a.key, CodecKind::Json, encoder(), handle));
    a.membership.set_rights(testing::rights());
    rig.relay.borrow().begin_connect(&a, connecting(&asker, &rig.entity, 10));
    let asked = subscribes(&mut rig);
    assert_eq!(asked.len(), 8);
    let mut asked = asked.into_iter();
    let first = asked.next().unwrap().reply.subscribed(Subscribed {
        entity: rig.entity.clone(),
        epoch: epoch(),
        seq: Seq::FIRST,
        events: None,
        snapshot: Some(RawJson::from_value(&"x".repeat(5_000_000)).unwrap()),
        reason: Some(SnapshotReason::NoPosition),
        presence: None,
    });
    rig.relay.borrow_mut().receive(ToRelay::Answer(first));
    drop(asked);
    while let Ok(answer) = queue.try_recv() {
        rig.relay.borrow_mut().receive(answer);
    }
    assert_eq!(
        (rig.asked(), a.membership.follows().len(), a.admission.in_flight()),
        (Vec::new(), 0, 0)
    );
    let mut out = VecDeque::new();
    a.outbox.take(&mut out, 100, usize::MAX);
    let [ServerMessage::Result { result, .. }] = &messages(CodecKind::Json, &out[0])[..] else {
        panic!()
    };
    let codes: Vec<_> = result
        .parse::<Connected>()
        .unwrap()
        .subscriptions
        .into_iter()
        .map(|outcome| outcome.error.map(|error| error.data.code))
        .collect();
    assert_eq!((codes[0], codes[7]), (None, Some(ErrorCode::Unavailable)));
    assert_eq!(codes[8..], [Some(ErrorCode::Overloaded), Some(ErrorCode::Overloaded)]);
}

/// The subscriptions that entities were asked for.
fn subscribes(rig: &mut Rig) -> Vec<SubscribeRequest> {
    let mut all = Vec::new();
    while let Ok(ToDirectory::Route(_, ToEntity::Subscribe(request))) = rig.routed.try_recv() {
        all.push(*request);
    }
    all
}

#[test]
fn leaving_ends_what_was_asked_for_before_it_alone() {
    let mut rig = Rig::new();
    let a = rig.seat();
    for number in [2, 3] {
        a.membership.follow_by(&rig.entity, number);
    }
    rig.joins(spec(&a, 2), 0);
    rig.parts(vec![Part::Left { session: a.key, which: Subscriptions::Through(2) }]);
    assert_eq!(rig.relay.borrow().followers(&rig.entity).count(), 0);
    assert_eq!(a.membership.following(&rig.entity), Some(3), "a later subscription is under way");
    rig.joins(spec(&a, 3), 0);
    rig.parts(vec![Part::Left { session: a.key, which: Subscriptions::Through(2) }]);
    assert_eq!(rig.relay.borrow().followers(&rig.entity).collect::<Vec<_>>(), [(a.key, 3)]);
    rig.relay.borrow_mut().unseat(&a, Leaving::Ended);
    assert_eq!(rig.asked(), ["0 has gone"], "its entities are notified");
    assert_eq!(rig.relay.borrow().followers(&rig.entity).count(), 0);
}

#[test]
fn a_new_name_of_the_log_is_asked_about() {
    let mut rig = Rig::new();
    let a = rig.seat();
    let b = rig.seat();
    rig.joins(spec(&a, 1), 0);
    let answer = testing::no_answer(b.key);
    rig.parts(vec![
        Part::Joined { spec: spec(&b, 1), epoch: Epoch::from_bits(8), seq: Seq::ZERO, answer },
        events(1, 1),
    ]);
    assert_eq!(rig.asked(), ["0 reads after 0"], "the position may mean nothing in the new epoch");
    assert_eq!((got(&a).len(), got(&b).len()), (0, 1));
}

fn connected() -> Connected {
    let limits = SessionLimits {
        max_message_bytes: 1,
        max_body_bytes: 1,
        max_subscriptions: 1,
        max_in_flight: 1,
        ping_interval_ms: 1,
        rates: Rates::default(),
    };
    Connected {
        session: "s".into(),
        client: "c".into(),
        user: "u".into(),
        resumed: false,
        expires_at: None,
        now: 1,
        server: "test".into(),
        limits,
        subscriptions: Vec::new(),
        presence: Vec::new(),
    }
}

/// A `connect` with this number of subscriptions to the same entity.
fn connecting(asker: &Arc<Asker>, entity: &EntityId, subscriptions: u16) -> Connecting {
    let ahead = (0..subscriptions).map(|index| {
        let (events, signals) = Default::default();
        let subscribe = params::Subscribe {
            entity: entity.clone(),
            after: None,
            events,
            signals,
            presence: false,
        };
        (Ask::Subscribe(subscribe), Responder::subscription(asker, index, entity.clone()))
    });
    Connecting::new(Some(RequestId::Number(1)), connected(), ahead.collect(), false)
}

#[test]
fn connect_is_answered_first_and_once_all_its_subscriptions_are() {
    let rig = Rig::new();
    let a = rig.seat();
    a.admission.asked();
    a.membership.set_rights(testing::rights());
    let (handle, _queue) = RelayHandle::channel(1);
    let asker = Arc::new(Asker::new(a.key, CodecKind::Json, encoder(), handle));
    rig.relay.borrow().begin_connect(&a, connecting(&asker, &rig.entity, 2));
    let part = |index| {
        let reply = Responder::subscription(&asker, index, rig.entity.clone());
        ToRelay::Answer(reply.error(WireError::new(ErrorCode::Forbidden, "no")))
    };
    rig.relay.borrow_mut().receive(part(1));
    rig.joins(spec(&a, 1), 0);
    rig.parts(vec![events(1, 1)]);
    assert_eq!(got(&a), [""; 0]);
    rig.relay.borrow_mut().receive(part(0));
    let mut out = VecDeque::new();
    a.outbox.take(&mut out, 100, usize::MAX);
    let all: Vec<_> = out.iter().flat_map(|frame| messages(CodecKind::Json, frame)).collect();
    let [ServerMessage::Result { result, .. }, ServerMessage::Notification { method, .. }] =
        &all[..]
    else {
        panic!("{all:?}")
    };
    let outcomes: Vec<SubscriptionOutcome> = result.parse::<Connected>().unwrap().subscriptions;
    assert!(outcomes.len() == 2 && outcomes.iter().all(|outcome| outcome.error.is_some()));
    assert_eq!((method.as_str(), a.admission.in_flight()), ("event", 0));
    rig.relay.borrow_mut().receive(part(0));
    assert_eq!(got(&a), [""; 0], "a second answer is ignored");
}

#[test]
fn an_answer_counts_down_even_if_it_is_not_sent() {
    let rig = Rig::new();
    let a = rig.seat();
    for _ in 0..2 {
        a.admission.asked();
    }
    let (handle, _queue) = RelayHandle::channel(1);
    let asker = Arc::new(Asker::new(a.key, CodecKind::Json, encoder(), handle));
    for id in [None, Some(RequestId::Number(4))] {
        let reply = Responder::request(&asker, "signal", id);
        rig.relay.borrow_mut().receive(ToRelay::Answer(reply.ok(&Empty {})));
    }
    assert_eq!((got(&a), a.admission.in_flight()), (vec!["#4".to_owned()], 0));
}

/// The things that can happen between two sessions, their relay and an entity.
#[derive(Debug, Clone, Copy)]
enum Step {
    Subscribe(usize),
    Unsubscribe(usize),
    /// The session ends, or its connection is lost.
    End(usize, Leaving),
    Op,
    Commit,
    /// The relay takes one message.
    Relay,
    /// The entity takes one message.
    Entity,
    /// A socket takes everything that waits for it.
    Drain(usize),
    /// A commit fails.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    let leaving = prop_oneof![Just(Leaving::Ended), Just(Leaving::Resumable)];
    prop_oneof![
        2 => (0usize..2).prop_map(Step::Subscribe),
        1 => (0usize..2).prop_map(Step::Unsubscribe),
        1 => (0usize..2, leaving).prop_map(|(who, leaving)| Step::End(who, leaving)),
        4 => Just(Step::Op),
        4 => Just(Step::Commit),
        8 => Just(Step::Relay),
        6 => Just(Step::Entity),
        3 => (0usize..2).prop_map(Step::Drain),
        1 => Just(Step::Fail),
    ]
}

/// One entity, one relay, two sessions, and the queues between them.
struct Pair {
    rig: Rig,
    entity: Entity,
    line: testing::Line,
    to_relay: VecDeque<Vec<Part>>,
    seats: [Rc<Seat>; 2],
    log: Vec<crate::record::EventRecord>,
    decided: Seq,
    /// The position of each session's client, by its seat.
    positions: BTreeMap<crate::ids::SessionKey, Option<Seq>>,
}

impl Pair {
    fn new() -> Self {
        let rig = Rig::new();
        let kind = kind_of(Settings { max_pending_ops: 1000, ..settings() });
        let entity =
            Entity::wake(rig.entity.clone(), Arc::new(kind), encoder(), Loaded::default(), epoch())
                .unwrap();
        let seats = [rig.seat(), rig.seat()];
        let to_relay = VecDeque::new();
        let log = Vec::new();
        Self {
            rig,
            entity,
            line: testing::Line::new(),
            to_relay,
            seats,
            log,
            decided: Seq::ZERO,
            positions: BTreeMap::new(),
        }
    }

    fn apply(&mut self, fx: Effects) {
        self.to_relay.extend(fx.parts.into_iter().map(|(_, parts)| parts));
        for fetch in fx.fetches {
            let crate::store::Page::After { after, limit } = fetch.page else {
                panic!("only gaps are read")
            };
            let page =
                self.log.iter().filter(|event| event.seq > after).take(limit).cloned().collect();
            self.with(|entity, fx| entity.fetched(fetch.purpose, Ok(page), fx));
        }
    }

    fn with(&mut self, happen: impl FnOnce(&mut Entity, &mut Effects)) {
        let mut fx = Effects::at(Mono::ZERO);
        happen(&mut self.entity, &mut fx);
        self.apply(fx);
    }

    fn reply(&self, seat: &Seat) -> Responder {
        let asker =
            Arc::new(Asker::new(seat.key, CodecKind::Json, encoder(), self.line.handle.clone()));
        Responder::request(&asker, "subscribe", Some(RequestId::Number(1)))
    }

    fn route(&self, message: ToEntity) {
        self.rig.directory.route_control(&self.rig.entity, message);
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Subscribe(who) => {
                let seat = &self.seats[who];
                let number = seat.membership.follow(&self.rig.entity, 1).unwrap();
                let after = self
                    .positions
                    .get(&seat.key)
                    .copied()
                    .flatten()
                    .map(|seq| greenroom_protocol::Position { epoch: epoch(), seq });
                let request =
                    SubscribeRequest { spec: spec(seat, number), after, reply: self.reply(seat) };
                self.route(ToEntity::Subscribe(Box::new(request)));
            }
            Step::Unsubscribe(who) => {
                let seat = &self.seats[who];
                if let Some(through) = seat.membership.following(&self.rig.entity) {
                    self.route(ToEntity::Unsubscribe { through, reply: self.reply(seat) });
                }
            }
            Step::End(who, leaving) => {
                self.rig.relay.borrow_mut().unseat(&self.seats[who], leaving);
                self.seats[who] = self.rig.seat();
            }
            Step::Op => {
                let request = post("alice", None, "x", self.line.reply(9, 1));
                let mut fx = Effects::at(Mono::ZERO);
                self.entity.op(request, 1, JournalSpace::Free, &mut fx);
                self.log.push((*fx.event.take().unwrap()).clone());
                self.apply(fx);
            }
            Step::Commit => {
                self.decided = Seq::new(self.log.len() as u64);
                let through = self.decided;
                self.with(|entity, fx| {
                    entity.committed_through(through, fx);
                });
            }
            Step::Relay => self.relay()?,
            Step::Entity => {
                if let Ok(ToDirectory::Route(_, message)) = self.rig.routed.try_recv() {
                    self.with(|entity, fx| entity.take(message, fx));
                }
            }
            Step::Drain(who) => self.drain(who)?,
            Step::Fail => {
                let committed = usize::try_from(self.entity.released().get()).unwrap();
                self.log.truncate(committed);
                let loaded = Loaded {
                    snapshot: None,
                    epoch: Some(epoch()),
                    tail: self.log.clone(),
                    longest_row: 1,
                    erasures: Vec::new(),
                };
                let unsettled = self.entity.fail();
                self.with(|entity, fx| entity.reload(loaded, unsettled, fx).unwrap());
                self.to_relay.push_back(Vec::new());
            }
        }
        Ok(())
    }

    fn relay(&mut self) -> Result<(), TestCaseError> {
        let Some(parts) = self.to_relay.pop_front() else { return Ok(()) };
        // No parts stand for `AudienceForgotten`.
        if parts.is_empty() {
            self.rig.relay.borrow_mut().receive(ToRelay::AudienceForgotten {
                entity: self.rig.entity.clone(),
                ended: false,
            });
        }
        for part in parts {
            if let Part::Joined { spec, seq, .. } = &part {
                // Earlier events belong to the old subscription.
                if let Some(who) = self.seats.iter().position(|seat| seat.key == spec.session) {
                    self.drain(who)?;
                    self.positions.insert(spec.session, Some(*seq));
                }
            }
            self.rig.parts(vec![part]);
        }
        Ok(())
    }

    fn drain(&mut self, who: usize) -> Result<(), TestCaseError> {
        let seat = Rc::clone(&self.seats[who]);
        let mut out = VecDeque::new();
        seat.outbox.take(&mut out, 1000, usize::MAX);
        for message in out.iter().flat_map(|frame| messages(CodecKind::Json, frame)) {
            let ServerMessage::Notification { method, params } = &message else { continue };
            let params = params.parse::<serde_json::Value>().unwrap();
            let seq = Seq::new(params["seq"].as_u64().unwrap());
            let position = self.positions.get_mut(&seat.key).and_then(Option::as_mut);
            let Some(position) = position else {
                return Err(TestCaseError::fail(format!(
                    "`{method}` {seq} without a subscription"
                )));
            };
            prop_assert!(seq <= self.decided, "event {} is not on disk", seq);
            if method == "reset" {
                prop_assert!(seq >= *position);
            } else {
                prop_assert_eq!(seq, position.next(), "each event once and in order");
            }
            *position = seq;
        }
        if seat.outbox.take_starved() {
            self.rig.relay.borrow_mut().drained(&seat);
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..1000 {
            let before = self.to_relay.len() + self.rig.routed.len();
            for step in [Step::Commit, Step::Relay, Step::Entity, Step::Drain(0), Step::Drain(1)] {
                self.step(step)?;
            }
            if before == 0 && self.to_relay.is_empty() && self.rig.routed.is_empty() {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("it does not come to rest"))
    }
}

proptest! {
    #[test]
    fn relay_and_entity_agree_and_every_follower_sees_everything_once(steps in proptest::collection::vec(step(), 0..120)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step)?;
        }
        pair.rest()?;
        pair.line.take();
        let mut by_entity: Vec<_> = pair.entity.followers().collect();
        let mut by_relay: Vec<_> = pair.rig.relay.borrow().followers(&pair.rig.entity).collect();
        by_entity.sort_unstable();
        by_relay.sort_unstable();
        prop_assert_eq!(&by_entity, &by_relay);
        for (session, number) in by_relay {
            let seat = pair.seats.iter().find(|seat| seat.key == session);
            prop_assert!(seat.is_some_and(|seat| seat.membership.following(&pair.rig.entity) >= Some(number)), "an ended session follows nothing");
            prop_assert_eq!(pair.positions[&session], Some(pair.decided));
        }
    }
}
