//! What a node says of itself, and what it records.

use super::*;
use crate::cluster::link::LinkState;
use crate::cluster::map::PeerState;
use crate::metrics::cluster::*;
use crate::metrics::recorded::Recorded;

#[test]
fn the_status_names_everybody_and_how_they_are() {
    let mut world = World::new(3);
    world.until(20_000, "balanced", World::is_balanced);
    world.run(1000);
    let status = |world: &World| world.machines[0].node.status(Mono::at(world.now));
    let all = status(&world);
    assert_eq!((all.id, all.phase, all.state), (NodeId(1000), "member", PeerState::Up));
    assert_eq!((all.term, all.map), (Some(1), world.machines[0].node.membership().map().version()));
    assert!(all.lease_ms > 1000 && all.lease_ms <= 1800 && !all.deaf, "{all:?}");
    assert_eq!((all.slots.open, all.slots.closed, all.slots.unowned), (world.shares()[0], 0, 0));
    let slots: Vec<_> = all.members.iter().map(|member| member.slots).collect();
    assert_eq!(slots, world.shares());
    assert_eq!(all.members[0].link, None, "to itself");
    let other = &all.members[2];
    let link = other.link.as_ref().unwrap();
    assert_eq!((link.state, link.queued_bytes), (LinkState::Up, 0));
    assert!(other.silent_ms.unwrap() < 600 && other.lease.unwrap().number > 0, "{other:?}");

    world.machines[2].stopped = true;
    world.run(1500);
    let other = status(&world).members.remove(2);
    assert_eq!(other.link.unwrap().state, LinkState::Silent);
    assert!(other.silent_ms.unwrap() >= 1000);
    let json = serde_json::to_value(status(&world)).unwrap();
    assert_eq!(json["id"], "00000000000003e8");
    assert_eq!(json["members"][2]["link"]["state"], "silent");
}

#[test]
fn what_happens_in_a_cluster_is_recorded() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let mut world = World::new(2);
        world.until(20_000, "balanced", World::is_balanced);
        world.start();
        world.until(20_000, "balanced", World::is_balanced);
        world.run(1100);
        assert_eq!(recorded.value(&MEMBERS), 3.0);
        let version = world.machines[0].node.membership().map().version();
        assert_eq!(recorded.value(&MAP_VERSION), version as f64);
        assert!(recorded.value(&SLOT_MOVES) >= 1024.0);
        let pauses = recorded.observed(&HANDOFF_SECONDS);
        assert!(!pauses.is_empty() && pauses.iter().all(|pause| *pause < 0.1), "{pauses:?}");
        assert_eq!((recorded.value(&TAKEOVERS), recorded.value(&LINK_RESETS)), (0.0, 0.0));

        let room = world.entity_of(2);
        let (frames, moves) = (recorded.value(&LINK_FRAMES), recorded.value(&SLOT_MOVES));
        // One of these two will own the room, and the other will ask it.
        world.machines[0].ask(&room, 3);
        world.machines[1].ask(&room, 4);
        world.until(100, "they arrive", |world| world.machines[2].local.len() == 2);
        world.machines[2].stopped = true;
        world.until(4000, "the others have its slots", World::is_balanced);
        for machine in &mut world.machines[..2] {
            machine.answer_all(9);
        }
        world.run(1100);
        assert!(recorded.value(&LINK_FRAMES) > frames && recorded.value(&LINK_BYTES) > 0.0);
        assert!(recorded.value(&LINK_ITEMS) >= 2.0);
        let trips = recorded.observed(&LINK_RTT_SECONDS);
        assert!(!trips.is_empty() && trips.iter().all(|trip| *trip < 0.1), "{trips:?}");
        assert_eq!(recorded.value(&TAKEOVERS), 1.0);
        assert!(recorded.value(&SLOT_MOVES) >= moves + 341.0);
        assert_eq!((recorded.value(&ASKS), recorded.value(&ASKS_AGAIN)), (1.0, 2.0));
        let asked = recorded.observed(&ASK_SECONDS);
        assert!(asked.len() == 1 && asked[0] > 1.5, "{asked:?}");
        assert_eq!(recorded.value(&DEMOTIONS), 0.0);
        world.machines[2].stopped = false;
        world.run(1100);
        assert_eq!(recorded.value(&DEMOTIONS), 1.0);
    });
}

#[test]
fn the_metrics_of_a_quiet_cluster_stand_still() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let mut world = World::new(2);
        world.until(20_000, "balanced", World::is_balanced);
        world.run(3000);
        let still = [
            MEMBERS,
            MAP_VERSION,
            DEMOTIONS,
            TAKEOVERS,
            SLOTS,
            SLOT_MOVES,
            LINK_FRAMES,
            LINK_BYTES,
            LINK_ITEMS,
            LINK_RESENDS,
            LINK_RESETS,
            LINK_QUEUE_BYTES,
            ASKS,
            ASKS_HELD,
            ASKS_AGAIN,
        ];
        let values = || still.map(|metric| recorded.value(&metric));
        let times = || {
            [HANDOFF_SECONDS, ASK_SECONDS, LINK_RTT_SECONDS]
                .map(|metric| recorded.observed(&metric))
        };
        let before = (values(), times());
        for _ in 0..20 {
            world.run(1000);
            assert_eq!((values(), times()), before);
            let lease = recorded.value(&LEASE_VALID_SECONDS);
            assert!((1.2..=1.8).contains(&lease), "{lease}");
            let age = recorded.value(&MAP_AGE_SECONDS);
            assert!((0.0..0.4).contains(&age), "{age}");
        }
    });
}
