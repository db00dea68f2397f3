use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::switchboard::{Plug, Switchboard, Way};
use super::{BadClusterName, Messages, SUBSCRIPTION_CAPACITY, Subjects, Unsent, Wire, WireState};
use crate::clock::Mono;
use crate::cluster::link::frame::MAX_FRAME;
use crate::cluster::link::{Event, Frame, Item, Link, NodeId, Settings};

#[test]
fn subjects_have_these_names() {
    let subjects = Subjects::new("prod-1_A").unwrap();
    assert_eq!(subjects.node(0xab), "gr.prod-1_A.n.00000000000000ab");
    assert_eq!(subjects.all(), "gr.prod-1_A.all");
    for name in ["", "a.b", "a b", "*", ">", "ä", &"x".repeat(33)] {
        assert_eq!(Subjects::new(name), Err(BadClusterName(name.into())));
    }
    assert!(Subjects::new(&"x".repeat(32)).is_ok());
}

fn subscribe(plug: &Plug, subject: &str) -> Messages {
    plug.subscribe(subject).now_or_never().unwrap().unwrap()
}

fn read(messages: &mut Messages) -> Vec<Bytes> {
    std::iter::from_fn(|| messages.next().now_or_never().flatten()).collect()
}

fn publish(plug: &Plug, text: &'static str) -> Result<(), Unsent> {
    plug.publish("s", Bytes::from_static(text.as_bytes()))
}

#[test]
fn messages_reach_all_subscribers_of_their_subject() {
    let board = Switchboard::new(1);
    let (a, b) = (board.plug(), board.plug());
    let (mut at_a, mut at_b, mut other) =
        (subscribe(&a, "s"), subscribe(&b, "s"), subscribe(&b, "t"));
    publish(&a, "one").unwrap();
    publish(&b, "two").unwrap();
    assert_eq!(read(&mut at_a), ["one", "two"]);
    assert_eq!(read(&mut at_b), ["one", "two"]);
    assert_eq!(read(&mut other), [""; 0]);
    let long = Bytes::from(vec![0; MAX_FRAME + 1]);
    assert_eq!(a.publish("s", long), Err(Unsent::Long(MAX_FRAME + 1)));
    for _ in 0..=SUBSCRIPTION_CAPACITY {
        a.publish("t", Bytes::new()).unwrap();
    }
    assert_eq!((read(&mut other).len(), board.dropped()), (SUBSCRIPTION_CAPACITY, 1));
}

#[test]
fn trouble_is_as_ordered() {
    let board = Switchboard::new(1);
    let (a, b) = (board.plug(), board.plug());
    let (mut at_a, mut at_b) = (subscribe(&a, "s"), subscribe(&b, "s"));
    board.cut(&a, &b);
    publish(&a, "cut").unwrap();
    publish(&b, "other way").unwrap();
    assert_eq!(read(&mut at_a), ["cut", "other way"]);
    assert_eq!(read(&mut at_b), ["other way"]);
    board.heal();
    board.set_way(&a, &b, Way { delay: (10, 10), ..Way::default() });
    publish(&a, "slow").unwrap();
    assert_eq!(board.next_at(), Some(Mono::at(10)));
    board.advance(Mono::at(9));
    assert_eq!(read(&mut at_b), [""; 0]);
    board.advance(Mono::at(10));
    assert_eq!(read(&mut at_b), ["slow"]);
    board.set_way(&a, &b, Way { loss: 100, ..Way::default() });
    publish(&a, "lost").unwrap();
    board.set_way(&a, &b, Way { twice: 100, ..Way::default() });
    publish(&a, "twice").unwrap();
    assert_eq!(read(&mut at_b), ["twice", "twice"]);
    board.set_way(&a, &b, Way { late: 100, late_by: 0, delay: (5, 5), ..Way::default() });
    publish(&a, "late").unwrap();
    board.set_way(&a, &b, Way::default());
    publish(&a, "overtakes").unwrap();
    board.advance(Mono::at(20));
    assert_eq!(read(&mut at_b), ["overtakes", "late"]);
}

#[test]
fn a_lost_connection_shows() {
    let board = Switchboard::new(1);
    let (a, b) = (board.plug(), board.plug());
    let (mut at_a, mut at_b) = (subscribe(&a, "s"), subscribe(&b, "s"));
    board.set_way(&a, &b, Way { delay: (5, 5), ..Way::default() });
    publish(&a, "under way").unwrap();
    board.disconnect(&b);
    assert_eq!(*b.state().borrow(), WireState { is_connected: false, reconnects: 0 });
    assert_eq!(publish(&b, "no"), Err(Unsent::Disconnected));
    assert_eq!(b.subscribe("t").now_or_never().unwrap().err(), Some(Unsent::Disconnected));
    board.reconnect(&b);
    board.advance(Mono::at(5));
    assert_eq!(read(&mut at_b), [""; 0]);
    publish(&a, "under way again").unwrap();
    board.restart();
    board.advance(Mono::at(10));
    assert_eq!(read(&mut at_b), [""; 0]);
    assert_eq!(*b.state().borrow(), WireState { is_connected: true, reconnects: 2 });
    assert_eq!(*a.state().borrow(), WireState { is_connected: true, reconnects: 1 });
    board.set_full(&b, true);
    assert_eq!(publish(&b, "no"), Err(Unsent::Full));
    board.set_full(&b, false);
    publish(&b, "yes").unwrap();
    assert_eq!(read(&mut at_a).last().unwrap(), "yes");
}

/// A link and its connection, as the exchange will have them.
struct Node {
    link: Link,
    plug: Plug,
    inbox: Messages,
    to: String,
    read: Vec<u8>,
    reconnects: u64,
}

impl Node {
    fn new(board: &Switchboard, me: NodeId, peer: NodeId) -> Self {
        let (plug, subjects) = (board.plug(), Subjects::new("test").unwrap());
        Self {
            link: Link::new(me, peer, Settings::default(), fastrand::Rng::with_seed(me)),
            inbox: subscribe(&plug, &subjects.node(me)),
            to: subjects.node(peer),
            plug,
            read: Vec::new(),
            reconnects: 0,
        }
    }

    fn work(&mut self, now: Mono) {
        let reconnects = self.plug.state().borrow().reconnects;
        if std::mem::replace(&mut self.reconnects, reconnects) != reconnects {
            self.link.reconnected(now);
        }
        self.link.heard_beat(now);
        for message in read(&mut self.inbox) {
            self.link.receive(&Frame::decode(message).unwrap(), now);
        }
        while let Some(event) = self.link.poll_event(now) {
            match event {
                Event::Item(item) => self.read.extend(item.body),
                Event::Up => {}
                Event::Silent | Event::Reset(_) => panic!("{event:?}"),
            }
        }
        while let Some(message) = self.link.poll_outgoing(now) {
            // What is not sent counts as lost.
            let _unsent = self.plug.publish(&self.to, message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A server that is restarted again and again costs time, and no reset.
    #[test]
    fn links_survive_restarts_of_the_wire(
        seed: u64, at in proptest::collection::vec(0u64..2_000, 0..6),
    ) {
        let board = Switchboard::new(seed);
        let mut nodes = [Node::new(&board, 1, 2), Node::new(&board, 2, 1)];
        for (from, to) in [(0, 1), (1, 0)] {
            let way = Way { delay: (1, 5), loss: 5, ..Way::default() };
            board.set_way(&nodes[from].plug, &nodes[to].plug, way);
        }
        for ms in 0..6_000 {
            let now = Mono::at(ms);
            board.advance(now);
            if at.contains(&ms) {
                board.restart();
            }
            for node in &mut nodes {
                if ms < 2_000 && ms % 10 == 0 {
                    let body = Bytes::copy_from_slice(&[(ms / 10) as u8]);
                    node.link.push(Item { kind: 1, body }, now).unwrap();
                }
                node.work(now);
            }
        }
        let all: Vec<u8> = (0..200).collect();
        prop_assert_eq!(&nodes[0].read, &all);
        prop_assert_eq!(&nodes[1].read, &all);
    }
}
