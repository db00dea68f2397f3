//! A relay: passes one message to the outboxes of a whole room.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use divan::Bencher;
use divan::counter::ItemsCount;
use greenroom_actors::clock::Mono;
use greenroom_actors::entity::{Effects, Entity};
use greenroom_actors::frames::{Frames, Wants};
use greenroom_actors::ids::WorkerId;
use greenroom_actors::limits::Rate;
use greenroom_actors::messages::{Directory, Part, SubscribeRequest, ToEntity, ToRelay};
use greenroom_actors::outbox::{Outbox, Sink, Waiting};
use greenroom_actors::relay::{Admission, Liveness, Relay, Seat};
use greenroom_actors::store::Loaded;
use greenroom_protocol::codec::Method;
use greenroom_protocol::{CodecKind, Seq, notify};

use crate::rig;

/// The number of the room's subscribers.
const SEATS: usize = 1000;

/// A socket that accepts everything.
struct AcceptsAll;

impl Sink for AcceptsAll {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> Option<usize> {
        Some(frames.iter().map(|frame| frame.len()).sum())
    }
}

/// A relay whose seats are all subscribed to one room. Their pumps wait for frames, so the relay
/// writes to the sockets itself.
fn relay() -> Rc<RefCell<Relay>> {
    let (directory, _) = Directory::channels(1, 1);
    let relay = Relay::new(WorkerId(0), directory, rig::encoder());
    let mut entity = Entity::wake(
        rig::room(0),
        rig::kind().into(),
        rig::encoder(),
        Loaded::default(),
        rig::epoch(),
    )
    .expect("an empty log is sound");
    let all = relay.borrow().outboxes();
    for _ in 0..SEATS {
        let outbox = |key| Outbox::new(key, 256 * 1024, Rc::clone(&all));
        let liveness = Liveness::new(Mono::ZERO, Mono::NEVER);
        let admission = Admission::new(Rate::new(1, 1), Rate::new(1, 1));
        let seat = relay
            .borrow_mut()
            .seat(|key| Seat::new(key, CodecKind::Json, outbox(key), liveness, admission));
        let asker = rig::asker(seat.key);
        let request = SubscribeRequest {
            spec: rig::spec(seat.key),
            after: None,
            reply: rig::reply(&asker, 1),
        };
        let mut fx = Effects::at(Mono::ZERO);
        entity.take(ToEntity::Subscribe(Box::new(request)), &mut fx);
        for (_, parts) in fx.parts {
            relay.borrow_mut().receive(ToRelay::Parts { entity: rig::room(0), parts });
        }
        seat.outbox.attach(Some(Rc::new(AcceptsAll)));
        seat.outbox.take(&mut VecDeque::new(), usize::MAX, usize::MAX);
        seat.outbox.wait_for(Waiting::Frames);
    }
    relay
}

/// A chat message as a signal.
fn signal() -> Frames {
    let params = notify::Signal {
        entity: rig::room(0),
        from: "alice".into(),
        r#type: "typing".into(),
        body: rig::body(),
        key: None,
    };
    rig::encoder().notification(Wants::only(CodecKind::Json), Method::Signal, &params)
}

/// One iteration passes `gathered` signals to the outboxes of 1,000 seats, whose sockets accept
/// them at once.
#[divan::bench(args = [1, 16])]
fn signals(bencher: Bencher<'_, '_>, gathered: usize) {
    let relay = relay();
    let frames = signal();
    let from = rig::session(u32::MAX);
    let message = || {
        let parts = vec![Part::Signal { frames: frames.clone(), from, key: 0 }];
        ToRelay::Parts { entity: rig::room(0), parts }
    };
    bencher
        .counter(ItemsCount::new(gathered * SEATS))
        .with_inputs(|| (0..gathered).map(|_| message()).collect::<Vec<_>>())
        .bench_local_values(|messages| relay.borrow_mut().receive_all(messages));
    assert_eq!(relay.borrow().counts().outbox_bytes, 0, "everything went to the sockets");
}

/// The same for `released` consecutive events that were released together.
#[divan::bench(args = [1, 16])]
fn events(bencher: Bencher<'_, '_>, released: u64) {
    let relay = relay();
    let frame = signal();
    let mut all = Vec::new();
    for _ in 0..released {
        all.extend_from_slice(frame.json.as_deref().unwrap_or_default());
    }
    let frames = Frames { json: Some(all.into()), msgpack: None };
    let seq = std::cell::Cell::new(Seq::ZERO);
    bencher
        .counter(ItemsCount::new(released as usize * SEATS))
        .with_inputs(|| {
            let first = seq.get().next();
            seq.set(seq.get() + released);
            vec![ToRelay::Parts {
                entity: rig::room(0),
                parts: vec![Part::Events { frames: frames.clone(), first, last: seq.get() }],
            }]
        })
        .bench_local_values(|messages| relay.borrow_mut().receive_all(messages));
    assert_eq!(relay.borrow().counts().outbox_bytes, 0, "everything went to the sockets");
}
