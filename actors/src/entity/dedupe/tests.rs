use proptest::prelude::*;

use super::*;

fn event(user: &str, client: &str, n: u64, seq: Seq) -> EventRecord {
    EventRecord {
        seq,
        at: 1000 + seq,
        from: user.into(),
        r#type: "post".into(),
        body: RawJson::NULL,
        client: Some(client.into()),
        n: Some(n),
        tag: None,
        result: n.is_multiple_of(2).then(|| RawJson::from_text(n.to_string()).unwrap()),
    }
}

fn known(dedupe: &Dedupe, user: &str, client: &str, made: Millis, n: u64) -> &'static str {
    match dedupe.look_up(&user.into(), &client.into(), || made, n) {
        Known::New => "new",
        Known::Done(_) => "done",
        Known::Expired => "expired",
    }
}

#[test]
fn an_outcome_is_known_by_user_client_and_number() {
    let mut dedupe = Dedupe::new(10, 10);
    assert_eq!(known(&dedupe, "alice", "a", 0, 4), "new", "even where a client's time is none");
    dedupe.record(&event("alice", "a", 4, 1));
    let done = Outcome { n: 4, seq: 1, at: 1001, result: Some(RawJson::from_text("4").unwrap()) };
    assert_eq!(dedupe.look_up(&"alice".into(), &"a".into(), || 0, 4), Known::Done(done));
    for (user, client, n) in [("bob", "a", 4), ("alice", "b", 4), ("alice", "a", 3), ("alice", "a", 5)] {
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
    assert_eq!(all, ["expired", "expired", "new", "done", "new", "done", "new", "new", "new", "done", "new"]);
    dedupe.record(&event("alice", "a", 2, 5));
    assert_eq!(known(&dedupe, "alice", "a", 500, 2), "expired", "it came so late that it was forgotten at once, and not executed again");
    assert_eq!(dedupe.len(), 3);
}

#[test]
fn a_client_whose_clock_is_ahead_expires_too() {
    let mut dedupe = Dedupe::new(1, 10);
    // Events are of the time 1000; this id says that it was made later.
    let early = ulid::Ulid::from_parts(60_000, 1).to_string();
    dedupe.record(&event("alice", &early, 1, 1));
    dedupe.record(&event("bob", "b", 1, 2));
    assert_eq!(known(&dedupe, "alice", &early, 60_000, 1), "expired");
    assert_eq!(known(&dedupe, "carol", "c", 60_001, 1), "new");
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
    /// Against a list of all that ever happened: an executed op is never new, and what is done is told as it was.
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
            match dedupe.look_up(&key.0, &key.1, || made[*client], *n) {
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
