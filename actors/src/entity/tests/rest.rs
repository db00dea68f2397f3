//! History, snapshots, presence, sleep.

use super::*;
use crate::messages::{Answer, Body, Part};

#[test]
fn history_goes_both_ways_in_memory_and_in_the_store() {
    let mut rig = Rig::with_events(kind(), 10);
    assert_eq!(rig.history(None, None, 2), ["#103 events [9,10] more"]);
    assert_eq!(rig.history(Some(9), None, 2), ["#103 events [7,8] more"]);
    assert_eq!(rig.history(None, Some(8), 5), ["#103 events [9,10]"]);
    assert_eq!(rig.history(None, Some(10), 5), ["#103 events []"]);
    assert_eq!(rig.history(None, Some(99), 5), ["#103 events []"]);
    assert_eq!(rig.history(Some(1), None, 5), ["#103 events []"]);
    assert_eq!(rig.history(Some(0), None, 5), ["#103 events []"]);
    assert!(rig.fetches.is_empty(), "memory has all of these");

    for (before, after, limit, want) in [
        (Some(4), None, 2, "#103 events [2,3] more"),
        (Some(4), None, 9, "#103 events [1,2,3]"),
        (None, Some(0), 3, "#103 events [1,2,3] more"),
        (None, Some(4), 9, "#103 events [5,6,7,8,9,10]"),
        (Some(99), None, 20, "#103 events [1,2,3,4,5,6,7,8,9,10]"),
    ] {
        assert_eq!(rig.history(before, after, limit), nothing());
        assert_eq!(rig.fetch(), [want]);
    }
    rig.history(Some(4), None, 2);
    assert_eq!(
        rig.fetch_from(Err(StoreError::Unavailable("told to".into()))),
        ["#103 unavailable"]
    );
}

#[test]
fn history_shows_nothing_uncommitted() {
    let mut rig = Rig::with_events(kind(), 5);
    rig.post(0, 6);
    assert_eq!(rig.history(None, None, 1), ["#103 events [5] more"]);
    rig.history(None, Some(0), 9);
    assert_eq!(rig.fetch(), ["#103 events [1,2,3,4,5]"], "even though the store knows more");
}

#[test]
fn a_page_of_large_events_is_cut() {
    let mut rig = Rig::of(kind_of(Settings { ring_events: 0, ..settings() }), Loaded::default());
    for n in 1..=5 {
        let request = post("alice", Some(n), &"x".repeat(100_000), rig.line.reply(0, 1));
        rig.op(request);
        rig.commit(n);
    }
    rig.history(None, Some(0), 5);
    assert_eq!(rig.fetch(), ["#103 events [1,2] more"]);
    rig.history(None, None, 5);
    assert_eq!(rig.fetch(), ["#103 events [4,5] more"]);
}

#[test]
fn snapshots_come_when_the_events_outweigh_them() {
    let mut rig = Rig::of(
        kind_of(Settings {
            snapshot_every: 2,
            keep_events: NonZeroU64::new(5),
            resume_events: 5,
            ..settings()
        }),
        Loaded::default(),
    );
    for n in 1..=40 {
        let request = post("alice", None, &"x".repeat(100), rig.line.reply(0, 1));
        rig.op(request);
        rig.commit(n);
    }
    let seqs: Vec<_> = rig.snapshots.iter().map(|row| row.seq).collect();
    assert!(
        (2..=4).contains(&seqs.len()),
        "three messages of state weigh a quarter of twelve events: {seqs:?}"
    );
    assert!(rig.snapshots.iter().all(|row| row.epoch == epoch() && row.trimmed == Seq::ZERO));
    assert!(
        Rig::of(kind_of(Settings { snapshot_every: 1000, ..settings() }), Loaded::default())
            .snapshots
            .is_empty()
    );
}

#[test]
fn what_a_queued_snapshot_covers_is_deleted_but_for_what_is_kept() {
    let mut rig = Rig::of(
        kind_of(Settings {
            snapshot_every: 1000,
            keep_events: NonZeroU64::new(5),
            resume_events: 5,
            ..settings()
        }),
        Loaded::default(),
    );
    for n in 1..=20 {
        rig.op(post("alice", None, "x", rig.line.reply(0, 1)));
        rig.commit(n);
    }
    rig.entity.snapshot(&mut rig.fx);
    rig.out();
    assert_eq!(rig.entity.trim(), None, "the snapshot may be left out");
    rig.entity.snapshot_queued();
    let trims: Vec<_> =
        std::iter::from_fn(|| rig.entity.trim()).map(|trim| (trim.from, trim.through)).collect();
    assert_eq!(trims, [(Seq::FIRST, Seq::new(15))]);
    rig.op(post("alice", None, "x", rig.line.reply(0, 1)));
    rig.entity.snapshot(&mut rig.fx);
    rig.out();
    assert_eq!(
        rig.snapshots.last().map(|row| (row.trimmed, row.longest_row)),
        Some((Seq::new(15), 1)),
        "a later life goes on from there"
    );
}

#[test]
fn a_snapshot_on_request_covers_all_and_is_made_once() {
    let mut rig = Rig::with_events(kind(), 3);
    rig.entity.snapshot(&mut rig.fx);
    rig.out();
    rig.entity.snapshot(&mut rig.fx);
    rig.out();
    assert_eq!(rig.snapshots.iter().map(|row| row.seq).collect::<Vec<_>>(), [Seq::new(3)]);
}

#[test]
fn presence_is_told_when_the_interval_is_over() {
    let mut rig = Rig::new();
    rig.subscribe(SubSpec { presence: true, ..spec(9, 1) }, None);
    assert_eq!(rig.presence(1, PresenceAction::Enter, "alice"), ["#104 count 1"]);
    rig.presence(2, PresenceAction::Enter, "bob");
    rig.presence(2, PresenceAction::Leave, "bob");
    let told = |rig: &mut Rig| {
        rig.entity.flush_presence(&mut rig.fx);
        rig.out()
    };
    assert_eq!(told(&mut rig), ["presence count 1"], "bob came and went in between");
    assert_eq!(told(&mut rig), nothing());
    for slot in 2..=3 {
        rig.presence(slot, PresenceAction::Enter, &format!("user{slot}"));
    }
    assert_eq!(
        rig.presence(4, PresenceAction::Enter, "one too many"),
        ["#104 overloaded presence_full"]
    );
    rig.take(ToEntity::Gone(session(1)));
    rig.take(ToEntity::Leave(session(2)));
    assert_eq!(told(&mut rig), ["presence count 1"]);
}

#[test]
fn the_more_are_here_the_longer_news_gather() {
    let mut rig = Rig::of(kind_of(Settings { max_present: 2000, ..settings() }), Loaded::default());
    let mut here = 0;
    for (slot, intervals) in [(999, 1), (1000, 2), (1999, 2), (2000, 3)] {
        while here < slot {
            rig.presence(here, PresenceAction::Enter, &format!("user-{here}"));
            here += 1;
        }
        assert_eq!(
            rig.entity.presence_interval(),
            intervals * kind().presence_interval,
            "{slot} are here"
        );
    }
}

#[test]
fn it_is_idle_when_nobody_would_miss_it() {
    let mut rig = Rig::new();
    assert!(rig.entity.idle());
    rig.subscribe(spec(1, 1), None);
    assert!(!rig.entity.idle(), "somebody follows");
    rig.take(ToEntity::Gone(session(1)));
    assert!(rig.entity.idle());
    rig.presence(1, PresenceAction::Enter, "alice");
    assert!(!rig.entity.idle(), "somebody is there");
    rig.take(ToEntity::Gone(session(1)));
    assert!(rig.entity.idle(), "who came and went untold is nobody's news");
    rig.post(0, 1);
    assert!(!rig.entity.idle() && !rig.entity.settled(), "something waits for the disk");
    rig.commit(1);
    assert!(rig.entity.idle());
}

#[test]
fn a_crowd_of_senders_keeps_nobody_new_out() {
    let mut rig = Rig::of(kind_of(Settings { dedupe_clients: 2, ..settings() }), Loaded::default());
    let ask = |rig: &mut Rig, user: &str, n, first_sent| {
        let mut request = post(user, Some(n), "x", rig.line.reply(0, 1));
        request.first_sent = (first_sent > 0).then_some(first_sent);
        rig.op(request)
    };
    let mut seq = 0;
    for user in ["a", "b", "c"] {
        // All of them, and whoever comes later, have client ids of long ago.
        ask(&mut rig, user, 1, 4000);
        seq += 1;
        rig.commit(seq);
    }
    assert_eq!(
        ask(&mut rig, "d", 1, 0),
        ["#1 op_expired"],
        "it might be one of those who were forgotten"
    );
    assert_eq!(ask(&mut rig, "a", 1, 4000), ["#1 op_expired"], "which `a` is");
    assert_eq!(
        ask(&mut rig, "d", 1, 5000),
        ["#1 op_expired"],
        "not after the forgotten one's op, which was at 5000"
    );
    rig.now = 6000;
    assert_eq!(ask(&mut rig, "a", 1, u64::MAX), nothing(), "whoever lies has it twice");
    rig.commit(4);
    assert_eq!(ask(&mut rig, "e", 7, 5500), nothing(), "it cannot be one of them");
}

/// An event of a tagged op carries the tag to everybody, whichever way it takes, and nothing else
/// of who sent it.
#[test]
fn a_tag_comes_back_with_the_event() {
    fn texts(fx: &Effects) -> Vec<String> {
        let text = |frame: &bytes::Bytes| String::from_utf8_lossy(frame).into_owned();
        let shown = |part: &Part| match part {
            Part::Events { frames, .. } => text(frames.json.as_ref().unwrap()),
            Part::Joined { answer: Answer { body: Body::Frame(Some(frame)), .. }, .. }
            | Part::CaughtUp { frame: Some(frame), .. }
            | Part::Answer(Answer { body: Body::Frame(Some(frame)), .. }) => text(frame),
            other => format!("{other:?}"),
        };
        fx.parts.iter().flat_map(|(_, parts)| parts.iter().map(shown)).collect()
    }
    let has_tag = |texts: &[String], number: usize| {
        let tagged: Vec<_> = texts.iter().filter(|text| text.contains(r#""tag":"f3a9""#)).collect();
        assert_eq!(tagged.len(), number, "{texts:?}");
        assert!(texts.iter().all(|text| !text.contains(&*client(1000))), "{texts:?}");
    };
    // One with all events in memory, one with none.
    for ring_events in [4, 0] {
        let mut rig = Rig::of(kind_of(Settings { ring_events, ..settings() }), Loaded::default());
        rig.subscribe(spec(1, 1), None);
        let mut request = post("alice", Some(1), "hello", rig.line.reply(0, 1));
        request.tag = Some("f3a9".into());
        rig.op(request);
        rig.entity.committed_through(Seq::FIRST, &mut rig.fx);
        has_tag(&texts(&rig.fx), 1);
        rig.post(0, 2);
        rig.entity.committed_through(Seq::new(2), &mut rig.fx);
        has_tag(&texts(&rig.fx), 0);
        rig.out();

        // As the journal keeps it.
        let kept: Vec<EventRecord> = rig
            .written
            .iter()
            .map(|event| serde_json::from_slice(&event.to_text()).unwrap())
            .collect();
        assert_eq!(
            kept.iter().map(|event| event.tag.as_deref()).collect::<Vec<_>>(),
            [Some("f3a9"), None]
        );
        let loaded = Loaded {
            epoch: Some(epoch()),
            tail: kept.clone(),
            longest_row: 1,
            snapshot: None,
            erasures: Vec::new(),
        };
        let mut again = Rig::of(kind_of(Settings { ring_events, ..settings() }), loaded);
        for rig in [&mut rig, &mut again] {
            let read = |rig: &mut Rig| {
                for Fetch { page, purpose, .. } in std::mem::take(&mut rig.fx.fetches) {
                    rig.entity.fetched(purpose, Ok(page_of(&kept, page)), &mut rig.fx);
                }
                let shown = texts(&rig.fx);
                rig.out();
                shown
            };
            let reply = rig.line.reply(2, 1);
            let after = Some(Position { epoch: epoch(), seq: Seq::ZERO });
            rig.entity.take(
                ToEntity::Subscribe(Box::new(SubscribeRequest { spec: spec(2, 1), after, reply })),
                &mut rig.fx,
            );
            has_tag(&read(rig), 1);
            let after = Position { epoch: epoch(), seq: Seq::ZERO };
            let request =
                CatchUp { spec: spec(2, 1), codec: CodecKind::Json, after, presence: false };
            rig.entity.take(ToEntity::CatchUp(request), &mut rig.fx);
            has_tag(&read(rig), 1);
            let history = params::History {
                entity: entity("room:a"),
                before: None,
                after: None,
                limit: None,
            };
            let reply = rig.line.reply(0, 103);
            rig.entity.take(ToEntity::History(history, reply), &mut rig.fx);
            has_tag(&read(rig), 1);
        }
    }
}

#[test]
fn what_is_dated_ahead_waits_and_a_used_number_is_not_used_again() {
    let mut rig = Rig::of(kind_of(Settings { dedupe_clients: 1, ..settings() }), Loaded::default());
    let ask = |rig: &mut Rig, user: &str, text: &str, first_sent| {
        let mut request = post(user, Some(1), text, rig.line.reply(0, 1));
        request.first_sent = Some(first_sent);
        rig.op(request)
    };
    assert_eq!(ask(&mut rig, "early", "x", 9000), nothing());
    rig.commit(1);
    assert_eq!(rig.written[0].began, Some(9000));
    assert_eq!(
        ask(&mut rig, "other", "x", 9000),
        ["#1 overloaded dated_ahead"],
        "nothing was done"
    );
    assert_eq!(ask(&mut rig, "honest", "x", 5000), nothing());
    assert_eq!(
        ask(&mut rig, "early", "y", 9000),
        nothing(),
        "a refusal waits for what it depends on"
    );
    assert_eq!(rig.commit(2), ["#1 seq 2", "#1 invalid_params n_reused"]);
    assert_eq!(ask(&mut rig, "early", "x", 9000), ["#1 seq 1 duplicate"]);
    rig.now = 9000;
    assert_eq!(ask(&mut rig, "other", "x", 9000), nothing());
}
