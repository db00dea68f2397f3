//! What a cluster does when nodes come, go, stop and do not hear each other.

use super::*;

#[test]
fn nodes_that_start_together_share_all_slots() {
    let mut world = World::new(3);
    world.until(20_000, "each has its share", World::is_balanced);
    let maps: Vec<_> =
        world.machines.iter().map(|machine| machine.node.membership().map()).collect();
    assert!(maps.iter().all(|map| map.peers().len() == 3));
    world.start();
    world.until(20_000, "the fourth has its share", World::is_balanced);
    assert_eq!(world.shares(), [256; 4]);
}

#[test]
fn a_request_finds_its_owner_and_the_answer_its_relay() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    world.machines[0].ask(&room, 7);
    world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
    assert_eq!(world.machines[1].local[0].0, room);
    assert_eq!(world.machines[1].answer_all(5), 1);
    world.until(100, "it is answered", |world| !world.machines[0].relayed.is_empty());
    let answers = world.machines[0].answers();
    assert!(answers[0].contains(r#"\"id\":7,\"result\":5"#), "{answers:?}");
    world.run(1000);
    assert!(world.machines[0].answers().is_empty(), "once");
}

#[test]
fn what_an_entity_releases_reaches_the_workers_that_follow() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    world.machines[0].ask(&room, 1);
    world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
    let (_, message) = world.machines[1].local.pop().unwrap();
    let reply = message.into_reply().unwrap();
    let session = reply.session();
    assert_ne!(session.node, NodeIndex::HERE);
    let frames = Frames { json: Some(Bytes::from_static(b"event")), msgpack: None };
    let workers = [0, 3, 64].map(WorkerId);
    let mut all = Workers::default();
    workers.iter().for_each(|worker| all.add(*worker));
    let parts = vec![
        (all, Part::Events { frames, first: Seq::FIRST, last: Seq::FIRST }),
        (Workers::only(session.worker), Part::Answer(reply.ok(&1))),
    ];
    let pushed = |world: &World| {
        let links = world.machines[1].node.links.values();
        links.map(|link| link.counters().items_pushed).sum::<u64>()
    };
    let before = pushed(&world);
    let elsewhere = RelayHandle::elsewhere(world.machines[1].exchange.clone(), session.place());
    let message = ToRelay::PartsByWorker { entity: room.clone(), parts };
    elsewhere.try_send(message).unwrap();
    world.until(100, "they arrive", |world| world.machines[0].relayed.len() == 3);
    assert_eq!(pushed(&world) - before, 1, "one item, for three workers");
    let reached: Vec<_> = world.machines[0].relayed.iter().map(|(worker, _)| *worker).collect();
    assert_eq!(reached, workers);
    let parts = world.machines[0].answers();
    assert!(parts[0].starts_with("Events") && parts[0].contains("event"), "{parts:?}");
    assert!(parts[1].contains(r#"\"id\":1,\"result\":1"#), "in their order: {parts:?}");
    assert!(parts.len() == 4 && parts[3].starts_with("Events"), "{parts:?}");
}

#[test]
fn a_dead_owner_is_taken_over_and_what_it_was_asked_is_asked_again() {
    let mut world = World::new(3);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(2);
    world.machines[0].ask(&room, 3);
    world.until(100, "it arrives", |world| !world.machines[2].local.is_empty());
    world.machines[2].stopped = true;
    let took = world.until(3000, "somebody else is asked", |world| {
        world.machines[..2].iter().any(|machine| !machine.local.is_empty())
    });
    let now = Mono::at(world.now);
    assert!(!world.machines[2].validity.holds(now), "its lease was not over after {took} ms");
    for machine in &mut world.machines[..2] {
        machine.answer_all(9);
    }
    world.until(1000, "all slots are served", World::is_balanced);
    // A reset of the link makes the relays follow anew, and so does the new owner.
    let changed = |machine: &Machine| machine.changed.iter().any(|scope| scope.contains(&room));
    assert!(world.machines[..2].iter().all(changed));
}

#[test]
fn a_node_that_was_stopped_serves_nothing_when_it_wakes_and_joins_again() {
    let mut world = World::new(3);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(2);
    world.machines[2].stopped = true;
    world.until(4000, "the others have its slots", World::is_balanced);
    world.run(6000);
    world.machines[2].stopped = false;
    assert!(!world.machines[2].validity.holds(Mono::at(world.now)), "its lease is over");
    world.until(2000, "it has noticed", |world| world.shares()[2] == 0);
    world.until(20_000, "it has its share again", World::is_balanced);
    assert!(world.machines[2].term > 1, "under a later term");
    world.machines[2].ask(&room, 3);
    world.until(200, "whoever owns the room is asked", |world| {
        world.machines.iter().any(|machine| !machine.local.is_empty())
    });
}

#[test]
fn nodes_that_do_not_hear_each_other_start_over() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    world.run(1000);
    for machine in &mut world.machines {
        machine.owned.clear();
        machine.changed.clear();
    }
    let ids = (world.machines[0].id, world.machines[1].id);
    world.cut.push(ids);
    world.run(2000);
    world.machines[0].ask(&room, 4);
    world.run(1000);
    assert!(world.machines[1].local.is_empty());
    world.cut.clear();
    world.until(1000, "it arrives after all", |world| !world.machines[1].local.is_empty());
    let lost = |machine: &Machine| {
        machine.owned.iter().filter(|own| matches!(own, Own::LinkReset(_))).count()
    };
    assert!(lost(&world.machines[1]) >= 1, "the owner forgets its followers");
    assert!(world.machines[0].changed.iter().any(|scope| scope.contains(&room)), "and they return");
    assert_eq!(world.machines[1].answer_all(1), 1);
    world.until(100, "it is answered", |world| !world.machines[0].relayed.is_empty());
    world.run(16_000);
    let gone = world.machines[1].owned.iter().filter(|own| matches!(own, Own::LinkOver(_))).count();
    assert_eq!(gone, lost(&world.machines[1]), "what did not return has left after the grace");
}

#[test]
fn control_messages_and_answers_of_an_old_link_concern_nobody() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    world.machines[0].ask(&room, 4);
    world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
    let (_, old) = world.machines[1].local.pop().unwrap();
    let ids = (world.machines[0].id, world.machines[1].id);
    world.cut.push(ids);
    world.run(2000);
    world.cut.clear();
    world.until(1000, "it is asked again", |world| !world.machines[1].local.is_empty());
    old.into_reply().unwrap().send_ok(&1);
    world.run(100);
    assert!(world.machines[0].answers().is_empty(), "that answer was for the link before");
    world.machines[1].answer_all(2);
    world.until(100, "the repeat is answered", |world| !world.machines[0].relayed.is_empty());
    let answers = world.machines[0].answers();
    assert!(answers.len() == 1 && answers[0].contains(r#"\"id\":4,\"result\":2"#), "{answers:?}");

    let key = SessionKey::here(WorkerId(0), 4, 1);
    let catch_up = CatchUp {
        spec: SubSpec { session: key, ..spec(4, 1) },
        codec: CodecKind::Json,
        after: Position { epoch: Epoch::from_bits(1), seq: Seq::ZERO },
        presence: false,
    };
    world.machines[0].exchange.elsewhere(room, ToEntity::CatchUp(catch_up));
    world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
    let (_, message) = world.machines[1].local.pop().unwrap();
    let ToEntity::CatchUp(arrived) = message else { panic!("{message:?}") };
    let place: Place = arrived.spec.session.place();
    assert!(place.node != NodeIndex::HERE && place.worker == WorkerId(0));
}

#[test]
fn what_a_node_owns_waits_while_its_lease_is_over() {
    let mut world = World::new(1);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    world.machines[0].commits = false;
    world.run(2500);
    world.machines[0].ask(&room, 1);
    world.run(2000);
    assert!(world.machines[0].local.is_empty(), "no shard would serve it");
    world.machines[0].commits = true;
    world.until(1000, "it goes on", |world| !world.machines[0].local.is_empty());

    world.machines[0].commits = false;
    world.run(2500);
    let (asker, mut queue) = world.machines[0].asker(0);
    let reply = Responder::request(&asker, "read", Some(RequestId::Number(1)));
    world.machines[0].exchange.elsewhere(room, ToEntity::Read(reply));
    world.run(4900);
    assert!(queue.try_recv().is_err(), "it waits");
    world.run(200);
    let Ok(ToRelay::Answer(answer)) = queue.try_recv() else { panic!("it is answered") };
    assert_eq!(answer.error(), Some(ErrorCode::Unavailable));
}

#[test]
fn slots_that_are_opened_when_the_lease_is_back_let_those_go_on_that_waited() {
    let mut world = World::new(1);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    world.machines[0].commits = false;
    world.run(2500);
    let now = Mono::at(world.now);
    let machine = &mut world.machines[0];
    assert!(!machine.validity.holds(now));
    machine.validity.extend(now);
    machine.node.opened(Scope::EMPTY, now);
    machine.exchange.mark(room.clone());
    machine.ask(&room, 1);
    world.until(20, "it is given", |world| !world.machines[0].local.is_empty());
    assert_eq!(world.machines[0].marked, [(room, true)]);
}

#[test]
fn an_op_that_is_refused_when_it_is_repeated_may_have_happened() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    for (cut, code) in [(false, ErrorCode::Overloaded), (true, ErrorCode::Unavailable)] {
        let (asker, _) = world.machines[0].asker(0);
        let op = OpRequest {
            sender: Sender { user: "alice".into(), client: "c".into(), moderator: false },
            r#type: "post".into(),
            body: RawJson::NULL,
            n: Some(1),
            first_sent: None,
            if_seq: None,
            tag: None,
            reply: Responder::request(&asker, "send", Some(RequestId::Number(1))),
        };
        world.machines[0].exchange.elsewhere(room.clone(), ToEntity::Op(Box::new(op)));
        world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
        if cut {
            let (_, taken) = world.machines[1].local.pop().unwrap();
            taken.into_reply().unwrap().discard();
            let ids = (world.machines[0].id, world.machines[1].id);
            world.cut.push(ids);
            world.run(2000);
            world.cut.clear();
            world.until(1000, "it is repeated", |world| !world.machines[1].local.is_empty());
        }
        let (_, message) = world.machines[1].local.pop().unwrap();
        assert!(message.refuse(overloaded("journal")).is_none());
        world.until(100, "it is answered", |world| !world.machines[0].relayed.is_empty());
        let Some((_, ToRelay::Answer(answer))) = world.machines[0].relayed.pop() else {
            panic!("only answers are relayed");
        };
        assert_eq!(answer.error(), Some(code));
    }
}

#[test]
fn what_a_shard_does_not_serve_after_all_goes_back() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    world.machines[0].ask(&room, 4);
    world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
    let (entity, message) = world.machines[1].local.pop().unwrap();
    world.machines[1].exchange.elsewhere(entity, message);
    world.until(200, "it is asked again", |world| !world.machines[1].local.is_empty());
    world.machines[1].answer_all(3);
    world.until(100, "it is answered", |world| !world.machines[0].relayed.is_empty());

    // A control message has nobody who would ask again: the nodes start over.
    let gone = ToEntity::Gone(SessionKey::here(WorkerId(0), 4, 1));
    world.machines[0].exchange.elsewhere(room, gone);
    world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
    let (entity, message) = world.machines[1].local.pop().unwrap();
    world.machines[1].owned.clear();
    world.machines[0].changed.clear();
    world.machines[1].exchange.elsewhere(entity.clone(), message);
    world.until(500, "both start over", |world| {
        let reset = |own: &Own| matches!(own, Own::LinkReset(_));
        world.machines[1].owned.iter().any(reset)
            && world.machines[0].changed.iter().any(|scope| scope.contains(&entity))
    });
}

#[test]
fn a_node_that_drains_serves_its_sessions_until_it_leaves() {
    let mut world = World::new(3);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(2);
    let now = Mono::at(world.now);
    assert_eq!(world.machines[2].node.order(Order::Yield, now), Ok(()));
    assert_eq!(world.machines[2].node.order(Order::Yield, now), Err(BadOrder::Busy));
    world.machines[2].node.order(Order::Drain, now).unwrap();
    world.until(5000, "it has handed everything over", |world| {
        world.machines[2].node.membership().is_drained()
    });
    assert_eq!(world.shares()[2], 0);
    world.run(30_000);
    world.machines[2].ask(&room, 5);
    world.until(200, "its session's request arrives", |world| {
        world.machines.iter().any(|machine| !machine.local.is_empty())
    });
    for machine in &mut world.machines {
        machine.answer_all(1);
    }
    world.until(100, "it is answered", |world| !world.machines[2].relayed.is_empty());
    let now = Mono::at(world.now);
    world.machines[2].node.order(Order::Leave, now).unwrap();
    world.until(100, "it has left", |world| world.machines[2].ended == Some(Ended::Left));
    world.until(1000, "nobody misses it", |world| {
        world.machines[..2].iter().all(|machine| machine.node.membership().map().peers().len() == 2)
    });
}

#[test]
fn an_entity_that_forgets_its_audience_tells_the_followers_of_all_nodes() {
    let mut world = World::new(3);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    let (here, _queue) = RelayHandle::channel(16);
    let relays = Relays::new([here]).with_others(world.machines[1].exchange.clone());
    let others = relays.everywhere().filter(|place| place.node != NodeIndex::HERE);
    for relay in others.filter_map(|place| relays.get(place)) {
        let forgotten = ToRelay::AudienceForgotten { entity: room.clone(), ended: false };
        relay.try_send(forgotten).unwrap();
    }
    world.run(100);
    let told: Vec<_> = world.machines.iter().map(|machine| machine.forgotten.clone()).collect();
    assert_eq!(told, [vec![(room.clone(), false)], vec![], vec![(room, false)]]);
}

#[test]
fn nodes_tell_each_other_who_uses_much_of_a_limit() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let payers: Vec<_> = world
        .machines
        .iter()
        .map(|machine| {
            let now = Mono::at(world.now);
            machine.node.accounts.payer(Some(&"alice".into()), [192, 0, 2, 1].into(), now)
        })
        .collect();
    let request = |world: &World, at: usize| payers[at].account().request(1, Mono::at(world.now));
    payers[0].account().begin(3_000_000, 0, Mono::at(world.now)).unwrap();
    request(&world, 1).unwrap();
    world.run(1100);
    request(&world, 0).unwrap_err();
    request(&world, 1).unwrap_err();
    world.run(3000);
    request(&world, 0).unwrap();
    request(&world, 1).unwrap();
}

#[test]
fn a_pinned_slot_goes_to_its_node_and_comes_back_to_it() {
    let mut world = World::new(3);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    let name = world.machines[1].node.membership().me().name.clone();
    let order = |world: &mut World, order| {
        let now = Mono::at(world.now);
        world.machines[2].node.order(order, now)
    };
    // Whoever is asked writes it down, and the owner hands the slot over.
    order(&mut world, Order::Pin(room.clone(), name.clone())).unwrap();
    let serves =
        |world: &World, at: usize| world.machines[at].node.membership().open().contains(&room);
    world.until(5000, "it is where it is pinned", |world| serves(world, 1));
    world.run(20_000);
    assert!(serves(&world, 1), "and stays there");
    order(&mut world, Order::Unpin(room.clone())).unwrap();
    world.run(1000);
    assert!(world.machines[0].node.membership().map().pins().is_empty());
    let again = order(&mut world, Order::Unpin(room));
    assert!(matches!(again, Err(BadOrder::Map(_))), "{again:?}");
}

/// How often this node's relays were told to follow this entity again.
fn followed_again(machine: &Machine, entity: &EntityId) -> usize {
    machine.changed.iter().filter(|scope| scope.contains(entity)).count()
}

#[test]
fn what_was_announced_before_its_new_owner_knew_is_announced_again() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    let slots = [crate::cluster::slot::slot_of(&room)].into_iter().collect();
    let (now, other) = (Mono::at(world.now), world.machines[1].id);
    // The new owner reads the map late.
    world.machines[1].polls = false;
    world.machines[0].node.order(Order::Move(slots, other), now).unwrap();
    world.until(2000, "it is handed over", |world| {
        world.machines[0].node.membership().map().owner_of(&room).is_some_and(|p| p.id == other)
    });
    let adopt = ToEntity::Leave(SessionKey::here(WorkerId(0), 4, 1));
    world.machines[0].exchange.elsewhere(room.clone(), adopt);
    world.run(300);
    assert!(world.machines[1].local.is_empty(), "it does not know that it owns the room");
    let before = followed_again(&world.machines[0], &room);
    world.machines[1].polls = true;
    world.until(2000, "it knows", |world| {
        world.machines[1].node.membership().open().contains(&room)
    });
    world.run(100);
    assert_eq!(followed_again(&world.machines[0], &room), before + 1);
}

#[test]
fn slots_are_followed_again_when_their_hand_off_is_given_up() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    let slots = [crate::cluster::slot::slot_of(&room)].into_iter().collect();
    let (now, other) = (Mono::at(world.now), world.machines[1].id);
    world.machines[0].flushes = false;
    world.machines[0].node.order(Order::Move(slots, other), now).unwrap();
    world.until(2000, "it is closed", |world| {
        !world.machines[0].node.membership().open().contains(&room)
    });
    let before = followed_again(&world.machines[1], &room);
    for machine in &mut world.machines {
        machine.owned.clear();
    }
    world.until(10_000, "it is open again", |world| {
        world.machines[0].node.membership().open().contains(&room)
    });
    world.run(500);
    assert!(followed_again(&world.machines[1], &room) > before, "the entity may have forgotten");
    let reset = |own: &Own| matches!(own, Own::LinkReset(_));
    let resets = world.machines.iter().flat_map(|machine| &machine.owned).filter(|own| reset(own));
    assert_eq!(resets.count(), 0, "whatever else goes by the link is not concerned");
}

#[test]
fn slots_that_were_moved_by_order_stay_until_a_node_joins() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    // Until the map has settled, all that is over a node's share goes back.
    world.run(500);
    let (now, other) = (Mono::at(world.now), world.machines[1].id);
    let some = world.machines[0].node.membership().open().slots.iter().take(12).collect();
    world.machines[0].node.order(Order::Move(some, other), now).unwrap();
    world.until(2000, "they are moved", |world| world.shares() == [500, 524]);
    world.run(5000);
    assert_eq!(world.shares(), [500, 524]);
    world.start();
    world.until(20_000, "each has its share", World::is_balanced);
}

#[test]
fn few_answers_that_may_be_large_are_made_for_a_node_at_once() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    for id in 0..40 {
        world.machines[1].ask(&room, id);
    }
    world.run(100);
    assert_eq!(world.machines[0].answer_all(1), 16, "the rest waits");
    world.run(100);
    assert_eq!(world.machines[0].answer_all(2), 16);
    world.run(100);
    assert_eq!(world.machines[0].answer_all(3), 8);
    world.run(100);
    assert_eq!(world.machines[1].answers().len(), 40, "all are answered");
}

#[test]
fn ops_do_not_queue_behind_large_answers_of_other_slots() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    let owned = |world: &World, room: &EntityId| world.machines[0].node.open.contains(room);
    let mut others = (0..).map(|n| entity(&format!("room:other-{n}")));
    let other = others.find(|room| owned(&world, room)).unwrap();
    for id in 0..20 {
        world.machines[1].ask(&room, id);
    }
    let signal = |world: &World, room: &EntityId| {
        let (asker, queue) = world.machines[1].asker(0);
        let (r#type, body) = ("typing".to_owned(), RawJson::NULL);
        let signal = params::Signal { entity: room.clone(), r#type, body, key: None };
        let reply = Responder::request(&asker, "signal", Some(RequestId::Number(1)));
        let request = SignalRequest { session: asker.session, user: "anna".into(), signal, reply };
        let message = ToEntity::Signal(Box::new(request));
        world.machines[1].exchange.elsewhere(room.clone(), message);
        queue
    };
    let _queues = [signal(&world, &room), signal(&world, &other)];
    world.run(100);
    let local = &world.machines[0].local;
    let signals = local.iter().filter(|(_, message)| matches!(message, ToEntity::Signal(_)));
    let signalled: Vec<_> = signals.map(|(room, _)| room.clone()).collect();
    assert_eq!(signalled, [other], "and nothing overtakes what is for its own slot");
    assert_eq!(world.machines[0].local.len(), 17);
    world.machines[0].answer_all(1);
    world.run(100);
    let local = &world.machines[0].local;
    assert_eq!(local.len(), 5);
    assert!(matches!(local[4].1, ToEntity::Signal(_)), "in order");
}

#[test]
fn a_node_that_is_heard_before_it_joins_has_another_link_when_it_has_joined() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    world.start();
    world.machines[2].polls = false;
    world.run(1000);
    let now = Mono::at(world.now);
    world.machines[0].owned.clear();
    world.machines[0].node.order(Order::Cordon, now).unwrap();
    let resets = |world: &World| -> Vec<NodeIndex> {
        let reset = |own: &Own| match own {
            Own::LinkReset(node) => Some(*node),
            _ => None,
        };
        world.machines[0].owned.iter().filter_map(reset).collect()
    };
    world.until(2000, "it is not in the map", |world| !resets(world).is_empty());
    let before = resets(&world);
    world.machines[2].polls = true;
    world.until(20_000, "it has joined", |world| world.shares()[2] > 0);
    let room = world.entity_of(0);
    world.machines[2].ask(&room, 1);
    world.until(200, "it arrives", |world| !world.machines[0].local.is_empty());
    let (_, message) = world.machines[0].local.pop().unwrap();
    let session = message.into_reply().unwrap().session();
    assert!(!before.contains(&session.node), "{session:?} of {before:?}");
}

#[test]
fn a_signal_is_not_repeated() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    let (asker, mut queue) = world.machines[0].asker(0);
    let signal = params::Signal {
        entity: room.clone(),
        r#type: "typing".into(),
        body: RawJson::NULL,
        key: None,
    };
    let reply = Responder::request(&asker, "signal", Some(RequestId::Number(1)));
    let (session, user) = (SessionKey::here(WorkerId(0), 4, 1), "anna".into());
    let signal = SignalRequest { session, user, signal, reply };
    world.machines[0].exchange.elsewhere(room, ToEntity::Signal(Box::new(signal)));
    world.until(100, "it arrives", |world| !world.machines[1].local.is_empty());
    let ids = (world.machines[0].id, world.machines[1].id);
    world.cut.push(ids);
    world.run(2000);
    world.cut.clear();
    world.run(2000);
    assert_eq!(world.machines[1].local.len(), 1, "it was passed on, or may have been");
    let Ok(ToRelay::Answer(answer)) = queue.try_recv() else { panic!("it is answered") };
    assert_eq!(answer.error(), Some(ErrorCode::Unavailable));
}
