//! An entity: ops through the gate, and repeated ops.

use std::cell::Cell;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use greenroom_actors::clock::Mono;
use greenroom_actors::entity::{Effects, Entity, JournalSpace};
use greenroom_actors::messages::{Asker, OpRequest, Sender, SubscribeRequest, ToEntity};
use greenroom_actors::store::Loaded;
use greenroom_protocol::{RawJson, Seq};

use crate::rig;

/// The time of all ops; any time works.
const NOW: u64 = 1_763_800_000_000;

/// Users who post in turn, each with one client id.
struct Posters {
    asker: Arc<Asker>,
    clients: Vec<(Arc<str>, Arc<str>)>,
    body: RawJson,
    made: Cell<u64>,
}

impl Posters {
    fn new(count: u64) -> Self {
        let client = |i: u64| {
            (format!("user-{i}").into(), ulid::Ulid::from_parts(NOW, i.into()).to_string().into())
        };
        Self {
            asker: rig::asker(rig::session(0)),
            clients: (0..count).map(client).collect(),
            body: rig::body(),
            made: Cell::new(0),
        }
    }

    /// The next user's next post.
    fn next(&self) -> OpRequest {
        let made = self.made.replace(self.made.get() + 1);
        self.post(made % self.clients.len() as u64, made / self.clients.len() as u64 + 1)
    }

    /// Post number `n` of the user `who`.
    fn post(&self, who: u64, n: u64) -> OpRequest {
        let (user, client) = self.clients[who as usize].clone();
        OpRequest {
            sender: Sender { user, client, moderator: false },
            r#type: "post".into(),
            body: self.body.clone(),
            n: Some(n),
            first_sent: None,
            if_seq: None,
            tag: None,
            reply: rig::reply(&self.asker, n as i64),
        }
    }
}

/// A room with one JSON subscriber, so that events are encoded.
fn entity() -> Entity {
    let mut entity = Entity::wake(
        rig::room(0),
        Arc::new(rig::kind()),
        rig::encoder(),
        Loaded::default(),
        rig::epoch(),
    )
    .expect("an empty log is sound");
    let asker = rig::asker(rig::session(1));
    let request = SubscribeRequest {
        spec: rig::spec(asker.session),
        after: None,
        reply: rig::reply(&asker, 1),
    };
    entity.take(ToEntity::Subscribe(Box::new(request)), &mut Effects::at(Mono::ZERO));
    entity
}

/// Decides ops one by one, then reports that everything up to `seq` is on disk.
fn decide(entity: &mut Entity, requests: Vec<OpRequest>, seq: Seq) -> Vec<Effects> {
    let mut effects = Vec::with_capacity(requests.len() + 1);
    for request in requests {
        let mut fx = Effects::at(Mono::ZERO);
        entity.op(request, NOW, JournalSpace::Free, &mut fx);
        effects.push(fx);
    }
    let mut released = Effects::at(Mono::ZERO);
    entity.committed_through(seq, &mut released);
    effects.push(released);
    effects
}

/// One iteration decides `ops` numbered posts of 64 clients and then reports that they are on disk,
/// so that events and answers are encoded and released. Snapshots are made when they are due, and
/// everything that the entity remembers is at its limit. The work of the journal and the relay is
/// not included.
#[divan::bench(args = [1, 16, 256])]
fn post(bencher: Bencher<'_, '_>, ops: usize) {
    let mut entity = entity();
    let posters = Posters::new(64);
    let mut seq = Seq::ZERO;
    for _ in 0..64 * rig::kind().dedupe_ops {
        seq = seq.next();
        decide(&mut entity, vec![posters.next()], seq);
    }
    let requests = || (0..ops).map(|_| posters.next()).collect::<Vec<_>>();
    bencher.counter(ItemsCount::new(ops)).with_inputs(requests).bench_local_values(|requests| {
        seq += ops as u64;
        decide(&mut entity, requests, seq)
    });
}

/// One iteration looks up one repeated op among the outcomes of 1,000 clients and answers it with
/// its first outcome.
#[divan::bench]
fn repeat(bencher: Bencher<'_, '_>) {
    const CLIENTS: u64 = 1000;
    const EACH: u64 = 8;
    let mut entity = entity();
    let posters = Posters::new(CLIENTS);
    for seq in Seq::FIRST.through(Seq::new(CLIENTS * EACH)) {
        decide(&mut entity, vec![posters.next()], seq);
    }
    let turn = Cell::new(0);
    bencher
        .with_inputs(|| {
            // A step that shares no factor with the number of clients visits all of them, in an
            // order that is bad for caches.
            let turn = turn.replace(turn.get() + 617);
            posters.post(turn % CLIENTS, turn % EACH + 1)
        })
        .bench_local_values(|request| {
            let mut fx = Effects::at(Mono::ZERO);
            entity.op(request, NOW, JournalSpace::Free, &mut fx);
            assert!(fx.event.is_none(), "a repeat causes no event");
            fx
        });
}
