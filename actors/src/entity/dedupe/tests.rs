use proptest::prelude::*;

use super::*;

fn event(user: &str, client: &str, n: u64, seq: u64) -> EventRecord {
    EventRecord {
        seq: Seq::new(seq),
        at: 1000 + seq,
        from: user.into(),
        r#type: "post".into(),
        body: RawJson::NULL,
        deleted: None,
        client: Some(client.into()),
        n: Some(n),
        began: None,
        tag: None,
        result: n.is_multiple_of(2).then(|| RawJson::from_text(n.to_string()).unwrap()),
    }
}

fn known(dedupe: &Dedupe, user: &str, client: &str, made: Millis, n: u64) -> &'static str {
    match dedupe.clone().look_up(user, client, made, n, 2000) {
        Known::New => "new",
        Known::Done(_) => "done",
        Known::Expired => "expired",
        Known::TooEarly(_) => "too early",
    }
}

#[test]
fn an_outcome_is_known_by_user_client_and_number() {
    let mut dedupe = Dedupe::new(10, 10);
    assert_eq!(known(&dedupe, "alice", "a", 0, 4), "new", "even where a client's time is none");
    dedupe.record(&event("alice", "a", 4, 1));
    let done = Outcome {
        n: 4,
        seq: Seq::FIRST,
        at: 1001,
        result: Some(RawJson::from_text("4").unwrap()),
        hash: Some(op_hash("post", &RawJson::NULL)),
    };
    assert_eq!(dedupe.look_up("alice", "a", 0, 4, 2000), Known::Done(done));
    for (user, client, n) in
        [("bob", "a", 4), ("alice", "b", 4), ("alice", "a", 3), ("alice", "a", 5)]
    {
        assert_eq!(known(&dedupe, user, client, 500, n), "new", "{user} {client} {n}");
    }
    dedupe.record(&EventRecord { n: None, ..event("alice", "a", 5, 2) });
    assert_eq!(dedupe.len(), 1, "an op without a number is nobody's repeat");
}

#[test]
fn the_lowest_numbers_expire() {
    let mut dedupe = Dedupe::new(10, 3);
    for (seq, n) in [(1, 1), (2, 5), (3, 3), (4, 9)] {
        dedupe.record(&event("alice", "a", n, seq));
    }
    let all: Vec<_> = (0..=10).map(|n| known(&dedupe, "alice", "a", 500, n)).collect();
    assert_eq!(
        all,
        ["expired", "expired", "new", "done", "new", "done", "new", "new", "new", "done", "new"]
    );
    dedupe.record(&event("alice", "a", 2, 5));
    assert_eq!(
        known(&dedupe, "alice", "a", 500, 2),
        "expired",
        "it came so late that it was forgotten at once, and not executed again"
    );
    assert_eq!(dedupe.len(), 3);
}

/// An op of a client of its own that began later than it was executed.
fn ahead(client: &str, seq: u64, began: Millis) -> EventRecord {
    EventRecord { began: Some(began), ..event("alice", client, 1, seq) }
}

#[test]
fn a_date_ahead_of_the_clock_refuses_nobody_else() {
    let mut dedupe = Dedupe::new(2, 10);
    dedupe.record(&event("bob", "b", 1, 1));
    dedupe.record(&ahead("early", 2, 1500));
    dedupe.record(&ahead("late", 3, 9000));
    let look_up = |dedupe: &mut Dedupe, client: &str, began, now| {
        dedupe.look_up("alice", client, began, 1, now)
    };
    assert_eq!(
        look_up(&mut dedupe, "third", 1400, 1100),
        Known::TooEarly(300),
        "two are ahead already"
    );
    assert_eq!(
        look_up(&mut dedupe, "third", 1100, 1100),
        Known::New,
        "nobody who keeps to the time is held up"
    );
    // Two more whose dates are right: they and `bob` are all that count.
    dedupe.record(&event("carol", "c", 1, 4));
    dedupe.record(&event("dora", "d", 1, 5));
    assert_eq!(known(&dedupe, "bob", "b", 900, 1), "expired");
    assert_eq!(
        known(&dedupe, "someone", "s", 1005, 1),
        "new",
        "the horizon is where the clock was"
    );
    assert_eq!(
        known(&dedupe, "alice", "early", 1500, 1),
        "done",
        "it is not forgotten, since it would not be behind the horizon"
    );
    // When their time has come they are like the others.
    assert_eq!(
        look_up(&mut dedupe, "third", 1600, 1550),
        Known::New,
        "one of them is not ahead any more"
    );
    for (seq, client) in [(600, "e"), (601, "f"), (602, "g")] {
        dedupe.record(&event("alice", client, 1, seq));
    }
    assert_eq!(known(&dedupe, "alice", "early", 1500, 1), "expired");
    assert_eq!(known(&dedupe, "alice", "late", 9000, 1), "done");
    assert!(dedupe.horizon <= 1602, "{}", dedupe.horizon);
}

#[test]
fn a_forgotten_client_that_comes_back_has_nothing_executed_twice() {
    let mut dedupe = Dedupe::new(1, 10);
    let restart = |dedupe: &mut Dedupe| *dedupe = Dedupe::unpack(1, 10, &dedupe.pack()).unwrap();
    for n in [1, 2] {
        dedupe.record(&event("alice", "a", n, n));
    }
    dedupe.record(&event("bob", "b", 1, 3));
    // Ops 1 and 2 began before 1002, op 3 later.
    assert_eq!(known(&dedupe, "alice", "a", 1003, 3), "new");
    dedupe.record(&event("alice", "a", 3, 4));
    for _ in 0..2 {
        let known = [(900, 1), (1002, 2), (1003, 3), (1005, 4)]
            .map(|(began, n)| known(&dedupe, "alice", "a", began, n));
        assert_eq!(known, ["expired", "expired", "done", "new"]);
        restart(&mut dedupe);
    }
}

#[test]
fn what_an_earlier_version_packed_is_read() {
    let packed = |floor: u64, first: u64| {
        let text = format!(
            r#"{{"horizon":1000,"last_at":2000,"clients":[{{"user":"alice","client":"a","floor":{floor},"outcomes":[{{"n":{first},"seq":9,"at":1900}}]}}]}}"#
        );
        Dedupe::unpack(4, 4, &RawJson::from_text(text).unwrap()).unwrap()
    };
    assert_eq!(known(&packed(0, 1), "alice", "a", 900, 2), "new", "it was never forgotten");
    assert_eq!(known(&packed(0, 3), "alice", "a", 900, 2), "expired", "it may have been");
    assert_eq!(known(&packed(0, 3), "alice", "a", 1001, 2), "new", "but this op is younger");
    assert_eq!(known(&packed(2, 3), "alice", "a", 900, 2), "expired");
    let outcome = packed(0, 3).look_up("alice", "a", 900, 3, 2000);
    assert!(matches!(outcome, Known::Done(Outcome { hash: None, .. })), "{outcome:?}");
}

#[test]
fn smaller_bounds_hold_for_what_was_kept_under_larger_ones() {
    let mut dedupe = Dedupe::new(10, 10);
    for n in 1..=10 {
        dedupe.record(&event("alice", "a", n, n));
    }
    let mut dedupe = Dedupe::unpack(10, 3, &dedupe.pack()).unwrap();
    dedupe.record(&event("alice", "a", 11, 11));
    assert_eq!(dedupe.len(), 3);
    assert_eq!(known(&dedupe, "alice", "a", 500, 8), "expired");
}

#[test]
fn forgotten_clients_expire_as_a_whole_and_newer_ones_do_not() {
    let mut dedupe = Dedupe::new(4, 10);
    for (seq, client) in [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "a"), (6, "e")] {
        dedupe.record(&event("alice", client, seq, seq));
    }
    // `b`, `c` and `d` were the quieter ones; the last of them to go was heard of at 1004.
    assert_eq!(known(&dedupe, "alice", "a", 500, 1), "done");
    assert_eq!(known(&dedupe, "alice", "e", 500, 6), "done");
    assert_eq!(known(&dedupe, "alice", "b", 500, 2), "expired");
    assert_eq!(known(&dedupe, "alice", "z", 1004, 1), "expired", "it may be a forgotten one");
    assert_eq!(known(&dedupe, "alice", "z", 1005, 1), "new", "it cannot be");
    assert_eq!(known(&dedupe, "alice", "a", 500, 99), "new", "who is known is not held to it");
}

#[test]
fn what_is_no_packed_form_is_refused() {
    let empty = Dedupe::unpack(1, 1, &RawJson::from_text("{}").unwrap()).unwrap();
    assert_eq!(empty.len(), 0);
    for bad in ["3", r#"{"clients":[{}]}"#, r#"{"horizon":-1}"#] {
        assert!(Dedupe::unpack(1, 1, &RawJson::from_text(bad).unwrap()).is_err(), "{bad}");
    }
}

proptest! {
    /// Against a list of all that ever happened: an executed op is never new, and what is done is
    /// told as it was.
    #[test]
    fn no_executed_op_is_ever_new(
        ops in proptest::collection::vec((0usize..6, 1u64..30), 0..80), max_clients in 1usize..5, max_ops in 1usize..6, pack_every in 1usize..9,
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        // A client is made before its first op.
        let made: Vec<Millis> = (0u64..6).map(|client| 900 + client).collect();
        let mut dedupe = Dedupe::new(max_clients, max_ops);
        let mut executed: Vec<EventRecord> = Vec::new();
        for (step, (client, n)) in ops.iter().enumerate() {
            let (name, key): (&str, (Arc<str>, Arc<str>)) = (names[*client], ("alice".into(), names[*client].into()));
            match dedupe.look_up(&key.0, &key.1, made[*client], *n, 2000) {
                Known::New => {
                    prop_assert!(!executed.iter().any(|event| event.client.as_deref() == Some(name) && event.n == Some(*n)), "executed twice");
                    let event = event("alice", name, *n, executed.len() as u64 + 1);
                    dedupe.record(&event);
                    executed.push(event);
                }
                Known::Done(outcome) => {
                    let first = executed.iter().find(|event| event.client.as_deref() == Some(name) && event.n == Some(*n)).unwrap();
                    prop_assert_eq!((outcome.seq, outcome.at, outcome.result), (first.seq, first.at, first.result.clone()));
                }
                Known::Expired => {}
                Known::TooEarly(_) => prop_assert!(false, "nobody is ahead"),
            }
            prop_assert!(dedupe.clients.len() <= max_clients);
            prop_assert!(dedupe.clients.values().all(|window| window.outcomes.len() <= max_ops));
            prop_assert_eq!(dedupe.len(), dedupe.clients.values().map(|window| window.outcomes.len()).sum::<usize>());
            if step % pack_every == 0 {
                let packed = dedupe.pack();
                dedupe = Dedupe::unpack(max_clients, max_ops, &packed).unwrap();
                prop_assert_eq!(dedupe.pack(), packed, "packing what was unpacked gives the same");
            }
        }
    }
}
