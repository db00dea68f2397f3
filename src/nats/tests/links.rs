//! Two links over a real server.

use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use greenroom_actors::clock::Mono;
use greenroom_actors::cluster::link::wire::{Messages, Subjects, Wire, WireState};
use greenroom_actors::cluster::link::{Counters, Event, Frame, Item, Link, NodeId, Settings};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::server::Server;
use super::{connect, in_time, until};
use crate::nats::NatsWire;

const ITEMS: u32 = 10_000;

/// Bytes of an item. With the number in front of it, it fills a frame with 18 others.
const BYTES: usize = 200;

/// The server is away for less than the silence, however busy the machine is. Small frames, so that
/// there are many: a subscription holds less than half of the items.
fn settings() -> Settings {
    Settings { silence: 30_000, stall: 30_000, frame_bytes: 4_096, ..Settings::default() }
}

/// One node: pushes half of its items at once and the rest when the wire is cut, and reads those of
/// its peer.
struct Node {
    link: Link,
    wire: NatsWire,
    state: watch::Receiver<WireState>,
    inbox: Messages,
    to: String,
    push: Range<u32>,
    was_cut: bool,
    read: u32,
    progress: watch::Sender<Progress>,
    began: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Items read, all in order.
    read: u32,
    /// All items have been pushed and acknowledged.
    is_acknowledged: bool,
    counters: Counters,
}

impl Progress {
    fn is_done(&self) -> bool {
        self.read == ITEMS && self.is_acknowledged
    }
}

impl Node {
    async fn new(server: &Server, me: NodeId, peer: NodeId) -> Self {
        let wire = connect(&server.config()).await;
        let subjects = Subjects::new("test").unwrap();
        Self {
            link: Link::new(me, peer, settings(), fastrand::Rng::with_seed(me)),
            state: wire.state(),
            inbox: wire.subscribe(&subjects.node(me)).await.unwrap(),
            wire,
            to: subjects.node(peer),
            push: 0..ITEMS,
            was_cut: false,
            read: 0,
            progress: watch::Sender::default(),
            began: Instant::now(),
        }
    }

    fn now(&self) -> Mono {
        Mono::at(u64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    /// Runs until nobody watches the progress.
    async fn run(mut self) {
        let mut reconnects = 0;
        while self.progress.receiver_count() > 0 {
            self.work();
            let wake =
                self.link.next_deadline().map_or(Duration::MAX, |at| at.elapsed_since(self.now()));
            tokio::select! {
                message = self.inbox.next() => {
                    let frame = Frame::decode(message.expect("the wire lives")).unwrap();
                    self.link.receive(&frame, self.now());
                }
                changed = self.state.changed() => {
                    changed.expect("the wire lives");
                    let state = *self.state.borrow_and_update();
                    self.was_cut |= !state.is_connected;
                    if state.reconnects > reconnects {
                        reconnects = state.reconnects;
                        self.link.reconnected(self.now());
                    }
                }
                () = tokio::time::sleep(wake) => {}
                () = self.progress.closed() => {}
            }
        }
    }

    fn work(&mut self) {
        let now = self.now();
        while (self.was_cut || self.push.start < ITEMS / 2)
            && let Some(number) = self.push.next()
        {
            let mut body = vec![0; BYTES];
            body[..4].copy_from_slice(&number.to_le_bytes());
            let body = body.into();
            self.link.push(Item { kind: 1, body }, now).unwrap();
        }
        while let Some(event) = self.link.poll_event(now) {
            match event {
                Event::Item(item) => {
                    let number = u32::from_le_bytes(item.body[..4].try_into().unwrap());
                    assert_eq!(number, self.read, "items arrive once and in order");
                    self.read += 1;
                }
                Event::Up => {}
                Event::Silent | Event::Reset(_) => panic!("{event:?}"),
            }
        }
        while let Some(message) = self.link.poll_outgoing(now) {
            // What is not sent counts as lost.
            let _unsent = self.wire.publish(&self.to, message);
        }
        self.progress.send_replace(Progress {
            read: self.read,
            is_acknowledged: self.push.is_empty() && self.link.bytes_out() == 0,
            counters: *self.link.counters(),
        });
    }
}

fn spawn(node: Node) -> (watch::Receiver<Progress>, JoinHandle<()>) {
    let progress = node.progress.subscribe();
    (progress, tokio::spawn(node.run()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_survive_a_restart_of_the_server() {
    let mut server = Server::start("");
    let one = Node::new(&server, 1, 2).await;
    let other = Node::new(&server, 2, 1).await;
    let mut states = [one.state.clone(), other.state.clone()];
    let (mut at_one, one) = spawn(one);
    let (mut at_other, other) = spawn(other);

    in_time(at_one.wait_for(|progress| progress.read > ITEMS / 5)).await.unwrap();
    server.kill();
    for progress in [&mut at_one, &mut at_other] {
        // What is pushed now is lost at first.
        let all_pushed = progress.wait_for(|at| at.counters.items_pushed == u64::from(ITEMS));
        in_time(all_pushed).await.unwrap();
    }
    server.restart();

    for progress in [&mut at_one, &mut at_other] {
        let done = in_time(progress.wait_for(Progress::is_done)).await.unwrap();
        assert_eq!(done.counters.items_read, u64::from(ITEMS));
        assert!(done.counters.resends > 0, "nothing was lost: {:?}", done.counters);
    }
    for state in &mut states {
        until(state, |state| state.is_connected && state.reconnects == 1).await;
    }
    drop((at_one, at_other));
    in_time(one).await.unwrap();
    in_time(other).await.unwrap();
}
