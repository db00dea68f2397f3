//! Every history of a few clients, a few ops and a clock that is set back and forth, against a
//! reference that remembers everything.
//!
//! An op has one word for when it began, the same with every repeat: the truth, or ahead of it, or
//! always the time of the client's id. Only the liar says something else each time.

use std::collections::{BTreeMap, HashSet};

use super::*;

/// Whose word is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// The server's time when the op was first sent.
    Now,
    /// Always the same, as that of a client that says nothing but its id.
    Id(Millis),
    /// The server's time when the op was first sent, and so much more.
    Ahead(Millis),
    /// The server's time at each repeat, and so much more.
    Lies(Millis),
}

/// What is tried.
struct Scope {
    words: &'static [Word],
    max_clients: usize,
    max_ops: usize,
    /// The numbers that clients use.
    numbers: u64,
    steps: usize,
}

/// Where the wall's clock begins, and how far it may go.
const BEGIN: Millis = 10;
const SPAN: Millis = 6;

#[derive(Clone)]
struct World {
    dedupe: Dedupe,
    journal: Vec<EventRecord>,
    now: Millis,
    /// The latest time that the clock has shown.
    latest: Millis,
    /// When ops began, by their clients' words.
    words: BTreeMap<(usize, u64), Millis>,
}

fn client_id(client: usize) -> Arc<str> {
    format!("client {client}").into()
}

fn client_number(event: &EventRecord) -> u64 {
    event.client.as_ref().and_then(|client| client.bytes().next_back()).unwrap_or(0).into()
}

impl World {
    fn new(scope: &Scope) -> Self {
        let dedupe = Dedupe::new(scope.max_clients, scope.max_ops);
        Self { dedupe, journal: Vec::new(), now: BEGIN, latest: BEGIN, words: BTreeMap::new() }
    }

    /// All that what follows depends on; what is remembered follows from the journal.
    fn key(&self) -> Vec<u64> {
        let mut key = vec![self.now, self.latest];
        key.extend(self.words.iter().flat_map(|((client, n), word)| [*client as u64, *n, *word]));
        key.push(u64::MAX);
        key.extend(self.journal.iter().flat_map(|event| {
            [client_number(event), event.n.unwrap_or(0), event.at, event.began.unwrap_or(0)]
        }));
        key
    }

    fn clock(&self, now: Millis) -> Self {
        Self { now, latest: self.latest.max(now), ..self.clone() }
    }

    fn is_executed(&self, client: usize, n: u64) -> Option<&EventRecord> {
        self.journal
            .iter()
            .find(|event| event.client == Some(client_id(client)) && event.n == Some(n))
    }

    /// What an entity does with an op, and what is wrong with it.
    fn send(&self, scope: &Scope, client: usize, n: u64) -> Result<Self, String> {
        let mut world = self.clone();
        let word = match scope.words[client] {
            Word::Now => *world.words.entry((client, n)).or_insert(self.now),
            Word::Ahead(by) => *world.words.entry((client, n)).or_insert(self.now + by),
            Word::Id(made) => made,
            Word::Lies(by) => self.now + by,
        };
        let lies = matches!(scope.words[client], Word::Lies(_));
        let known = world.dedupe.look_up("alice", &client_id(client), word, n, self.now);
        match (known, self.is_executed(client, n)) {
            (Known::New, Some(_)) if !lies => return Err("it is executed twice".into()),
            (Known::New, _) => world.execute(client, n, word),
            (Known::Done(outcome), Some(event))
                if lies || (outcome.seq, outcome.at) == (event.seq, event.at) => {}
            (Known::Expired, Some(_)) => {}
            (Known::Expired, None) if self.may_expire(scope, client, n, word) => {}
            (Known::TooEarly(wait), _)
                if word > self.now && self.clients_ahead() >= scope.max_clients =>
            {
                let later = world.dedupe.clone().look_up(
                    "alice",
                    &client_id(client),
                    word,
                    n,
                    self.now.max(self.dedupe.last_at) + wait,
                );
                if matches!(later, Known::TooEarly(_)) {
                    return Err("it is put off again when its time has come".into());
                }
            }
            (known, executed) => return Err(format!("it gets {known:?} with {executed:?}")),
        }
        world.check(scope)?;
        Ok(world)
    }

    fn execute(&mut self, client: usize, n: u64, word: Millis) {
        let seq = Seq::FIRST + self.journal.len() as u64;
        let at = self.now.max(self.dedupe.last_at());
        let event = EventRecord {
            seq,
            at,
            from: "alice".into(),
            r#type: "post".into(),
            body: RawJson::NULL,
            deleted: None,
            client: Some(client_id(client)),
            n: Some(n),
            began: Some(word).filter(|began| *began > at),
            tag: None,
            result: None,
        };
        self.dedupe.record(&event);
        self.journal.push(event);
    }

    /// Whether the documents allow it: it is below what its client's window holds, or there were
    /// more clients than are remembered, one of which was active when the op began or later.
    fn may_expire(&self, scope: &Scope, client: usize, n: u64, word: Millis) -> bool {
        let own = self.journal.iter().filter(|event| event.client == Some(client_id(client)));
        let higher = own.filter(|event| event.n > Some(n)).count();
        let clients: HashSet<_> = self.journal.iter().map(|event| &event.client).collect();
        let active = self
            .journal
            .iter()
            .any(|event| event.at.max(event.began.unwrap_or(0)) >= word && word <= self.latest);
        higher >= scope.max_ops || (clients.len() > scope.max_clients && active)
    }

    fn clients_ahead(&self) -> usize {
        let now = self.now.max(self.dedupe.last_at());
        let ahead =
            self.journal.iter().filter(|event| event.began > Some(now)).map(|event| &event.client);
        ahead.collect::<HashSet<_>>().len()
    }

    fn check(&self, scope: &Scope) -> Result<(), String> {
        let Dedupe { clients, horizon, outcomes, .. } = &self.dedupe;
        if *horizon > self.latest {
            return Err(format!(
                "the horizon is at {horizon}, and the clock has shown {}",
                self.latest
            ));
        }
        if clients.len() > 2 * scope.max_clients
            || clients.values().any(|window| window.outcomes.len() > scope.max_ops)
        {
            return Err("the bounds are passed".into());
        }
        if *outcomes != clients.values().map(|window| window.outcomes.len()).sum::<usize>() {
            return Err("the outcomes are not counted right".into());
        }
        Ok(())
    }

    /// The same after a restart, from a snapshot with the events after it.
    fn restarted(&self, scope: &Scope, events: usize) -> Self {
        let mut before = Dedupe::new(scope.max_clients, scope.max_ops);
        for event in &self.journal[..events] {
            before.record(event);
        }
        let mut dedupe = Dedupe::unpack(scope.max_clients, scope.max_ops, &before.pack()).unwrap();
        for event in &self.journal[events..] {
            dedupe.record(event);
        }
        Self { dedupe, ..self.clone() }
    }
}

/// Goes through every history, and tells how many worlds there are.
fn explore(scope: &Scope) -> usize {
    let mut seen = HashSet::new();
    let mut edge = vec![World::new(scope)];
    for step in 0..scope.steps {
        let mut next = Vec::new();
        for world in &edge {
            for client in 0..scope.words.len() {
                for n in 1..=scope.numbers {
                    let sent = world.send(scope, client, n).unwrap_or_else(|why| {
                        panic!(
                            "{:?} sends {n} at {}: {why}, after {:#?}",
                            scope.words[client], world.now, world.journal
                        );
                    });
                    next.push(sent);
                }
            }
            for now in [world.now + 1, world.now + 3, world.now.saturating_sub(2)] {
                if (BEGIN - 2..=BEGIN + SPAN).contains(&now) {
                    next.push(world.clock(now));
                }
            }
        }
        next.retain(|world| seen.insert(world.key()));
        for (number, world) in next.iter_mut().enumerate() {
            let again = world.restarted(scope, world.journal.len() / 2);
            assert_eq!(
                again.dedupe.pack(),
                world.dedupe.pack(),
                "what is remembered follows from the journal"
            );
            // Half of the worlds go on after a restart.
            if number % 2 == step % 2 {
                world.dedupe = again.dedupe;
            }
        }
        edge = next;
    }
    seen.len()
}

/// How long histories are.
const STEPS: usize = 4;
const ID: Word = Word::Id(BEGIN);
const OLD: Word = Word::Id(1);
const EARLY: Word = Word::Id(BEGIN + 2);

#[test]
fn no_history_has_an_op_executed_twice_or_refused_without_reason() {
    let words: [&'static [Word]; 6] = [
        &[Word::Now, Word::Now, Word::Now],
        &[Word::Now, Word::Ahead(2), Word::Now],
        &[Word::Ahead(1), Word::Ahead(3), Word::Now],
        &[ID, Word::Now, EARLY],
        &[OLD, EARLY, Word::Ahead(2)],
        &[Word::Lies(0), Word::Now, Word::Lies(3)],
    ];
    let mut worlds = 0;
    for words in words {
        for (max_clients, max_ops) in [(1, 2), (2, 1)] {
            worlds += explore(&Scope { words, max_clients, max_ops, numbers: 2, steps: STEPS });
        }
        // Longer ones of two clients.
        for max_ops in [1, 2] {
            worlds += explore(&Scope {
                words: &words[..2],
                max_clients: 1,
                max_ops,
                numbers: 2,
                steps: STEPS + 1,
            });
        }
    }
    println!("{worlds} worlds");
    assert!(worlds > 10_000);
}
