use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

const QUEUED: SignalPush = SignalPush { queued: 1, replaced: 0, dropped: 0 };
const REPLACED: SignalPush = SignalPush { queued: 0, replaced: 1, dropped: 0 };
const DROPPED: SignalPush = SignalPush { queued: 0, replaced: 0, dropped: 1 };

fn outbox(limit: usize) -> Outbox {
    Outbox::new(crate::testing::session(1), limit, Outboxes::new(1_000_000))
}

fn drain(outbox: &Outbox) -> Vec<Bytes> {
    let mut out = VecDeque::new();
    outbox.take(&mut out, 100, usize::MAX);
    out.into()
}

#[test]
fn keeps_order_and_counts_bytes() {
    let outbox = outbox(10);
    outbox.push(Bytes::from_static(b"abc"));
    outbox.push(Bytes::from_static(b"defghij"));
    assert!(outbox.is_full());
    assert_eq!(drain(&outbox), [&b"abc"[..], b"defghij"]);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn all_together_are_bounded_and_nothing_stays_counted() {
    let all = Outboxes::new(20);
    let of = || Outbox::new(crate::testing::session(1), 32, Rc::clone(&all));
    let greedy = of();
    let modest = of();
    for _ in 0..3 {
        greedy.push(Bytes::from_static(b"1234567"));
    }
    assert!(
        all.are_full() && greedy.is_full() && !modest.is_full(),
        "it is not yet at its own limit"
    );
    modest.push(Bytes::from_static(b"12"));
    assert!(modest.is_full(), "every outbox keeps a share");
    assert_eq!(modest.push_signals(Bytes::from_static(b"s"), 1, None), DROPPED);
    greedy.starve();
    assert!(!greedy.take_starved());
    drop(greedy);
    assert!(!modest.is_full());
    assert_eq!(modest.push_signals(Bytes::from_static(b"s1"), 1, Some(1)), QUEUED);
    assert_eq!(modest.push_signals(Bytes::from_static(b"s"), 1, Some(1)), REPLACED);
    assert_eq!(all.used(), 3);
    drain(&modest);
    assert_eq!(all.used(), 3, "the pump has it, and the socket has not");
    modest.written(2);
    assert_eq!(all.used(), 1);
    drop(modest);
    assert_eq!(all.used(), 0);
}

#[test]
fn signals_drop_the_oldest_signal_and_never_an_event() {
    let outbox = outbox(6);
    outbox.push(Bytes::from_static(b"ev"));
    assert_eq!(outbox.push_signals(Bytes::from_static(b"s1"), 1, None), QUEUED);
    assert_eq!(outbox.push_signals(Bytes::from_static(b"s2"), 1, None), QUEUED);
    assert_eq!(
        outbox.push_signals(Bytes::from_static(b"s3"), 1, None),
        SignalPush { queued: 1, ..DROPPED }
    );
    assert_eq!(
        outbox.push_signals(Bytes::from_static(b"too-long"), 3, None),
        SignalPush { dropped: 5, ..SignalPush::default() }
    );
    assert_eq!(drain(&outbox), [&b"ev"[..]]);
}

#[test]
fn latest_replaces_in_place() {
    let outbox = outbox(100);
    assert_eq!(outbox.push_signals(Bytes::from_static(b"a1"), 1, Some(1)), QUEUED);
    outbox.push(Bytes::from_static(b"ev"));
    assert_eq!(outbox.push_signals(Bytes::from_static(b"b1"), 1, Some(2)), QUEUED);
    assert_eq!(outbox.push_signals(Bytes::from_static(b"a22"), 1, Some(1)), REPLACED);
    assert_eq!(outbox.bytes(), 7);
    assert_eq!(drain(&outbox), [&b"a22"[..], b"ev", b"b1"]);
}

#[test]
fn a_held_outbox_gives_the_first_answer_first() {
    let outbox = outbox(100);
    outbox.hold();
    outbox.push(Bytes::from_static(b"event"));
    assert!(drain(&outbox).is_empty());
    outbox.push_first(Bytes::from_static(b"answer"));
    outbox.release();
    assert_eq!(drain(&outbox), [&b"answer"[..], b"event"]);
}

#[test]
fn what_the_socket_takes_of_a_frame_stays_counted_until_it_has_all() {
    let all = Outboxes::new(1000);
    let outbox = Outbox::new(crate::testing::session(1), 100, Rc::clone(&all));
    outbox.push(Bytes::from_static(b"frame"));
    outbox.take(&mut VecDeque::new(), 1, 100);
    assert!(outbox.is_waiting() && outbox.bytes() == 0);
    outbox.written(3);
    assert!(outbox.is_waiting() && all.used() == 2);
    outbox.written(100);
    assert!(!outbox.is_waiting() && all.used() == 0, "a close frame is not counted here");
}

/// Counts wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A socket that takes this number of bytes a write, or nothing.
#[derive(Default)]
struct Takes(Cell<Option<usize>>, RefCell<Vec<u8>>);

impl Sink for Takes {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> Option<usize> {
        let all: Vec<u8> = frames.iter().flat_map(|frame| frame.to_vec()).collect();
        let taken = self.0.get()?.min(all.len());
        self.1.borrow_mut().extend(&all[..taken]);
        Some(taken)
    }
}

/// An outbox with a pump and a socket.
struct Rig {
    all: Rc<Outboxes>,
    outbox: Outbox,
    wakes: Arc<Wakes>,
    socket: Rc<Takes>,
}

impl Rig {
    fn new() -> Self {
        let all = Outboxes::new(1000);
        let outbox = Outbox::new(crate::testing::session(1), 100, Rc::clone(&all));
        let socket = Rc::new(Takes::default());
        outbox.attach(Some(Rc::clone(&socket) as Rc<dyn Sink>));
        Self { all, outbox, wakes: Arc::default(), socket }
    }

    /// A turn of the pump, whose socket takes everything. Returns what was written.
    fn turn(&self) -> String {
        self.turn_until(Waiting::Frames)
    }

    /// A turn of the pump that ends in this state.
    fn turn_until(&self, waiting: Waiting) -> String {
        self.outbox.attend(&Waker::from(Arc::clone(&self.wakes)));
        let taken = drain(&self.outbox);
        if waiting == Waiting::Frames {
            self.outbox.written(usize::MAX);
        }
        self.outbox.wait_for(waiting);
        String::from_utf8(taken.concat()).expect("the tests send text")
    }

    fn push(&self, frame: &'static str) {
        self.outbox.push(Bytes::from_static(frame.as_bytes()));
    }

    /// The relay sends these in one batch. Returns the number of sockets that it writes to, and
    /// what this one received.
    fn batch(&self, frames: &[&'static str]) -> (usize, String) {
        self.all.begin_batch(Vec::new());
        for frame in frames {
            self.outbox.push_signals(Bytes::from_static(frame.as_bytes()), 1, None);
        }
        let noted = self.all.end_batch();
        for _ in &noted {
            self.outbox.flush();
        }
        let got = String::from_utf8(self.socket.1.take()).expect("the tests send text");
        (noted.len(), got)
    }

    /// How often the pump was woken since this was last asked.
    fn wakes(&self) -> usize {
        self.wakes.0.swap(0, Ordering::Relaxed)
    }
}

#[test]
fn a_pump_that_waits_for_its_socket_is_woken_to_close_and_not_to_write() {
    let rig = Rig::new();
    rig.push("first");
    assert_eq!(rig.turn_until(Waiting::Socket), "first");
    rig.push("second");
    assert_eq!((rig.wakes(), rig.batch(&["third"]), rig.wakes()), (0, (0, "".into()), 0));
    rig.outbox.close(CloseCode::SlowConsumer);
    rig.outbox.close(CloseCode::Normal);
    assert_eq!((rig.wakes(), rig.outbox.closing()), (1, Some(CloseCode::SlowConsumer)));
    assert_eq!(rig.turn(), "secondthird");
    rig.push("fourth");
    rig.push("fifth");
    assert_eq!(rig.wakes(), 1, "it waits for frames, and is woken once");
}

#[test]
fn several_large_answers_are_made_at_once_and_no_more() {
    let rig = Rig::new();
    rig.turn();
    assert_eq!(rig.outbox.standing(), Standing::Clear);
    for _ in 0..queue::MAKING {
        rig.outbox.making();
    }
    assert!(rig.outbox.is_busy() && rig.outbox.standing() == Standing::Behind);
    rig.outbox.made();
    assert!(!rig.outbox.is_busy());
    assert_eq!(rig.wakes(), 1, "the pump reads requests again");
    rig.turn();
    rig.outbox.made();
    assert_eq!(rig.wakes(), 0);
}

#[test]
fn the_relay_writes_for_a_pump_that_waits_for_frames() {
    let rig = Rig::new();
    rig.socket.0.set(Some(100));
    assert_eq!(rig.batch(&["early"]), (0, "".into()), "the pump has not had its first turn");
    assert_eq!((rig.turn(), rig.turn()), ("early".into(), "".into()));
    assert_eq!(rig.batch(&["one", "two"]), (1, "onetwo".into()));
    assert_eq!((rig.wakes(), rig.all.used()), (0, 0));
    assert_eq!(rig.batch(&["three"]), (1, "three".into()), "it still waits for frames");
}

#[test]
fn the_pump_writes_what_the_socket_did_not_take_from_the_relay() {
    let rig = Rig::new();
    rig.turn();
    rig.socket.0.set(Some(4));
    assert_eq!(rig.batch(&["three", "four"]), (1, "thre".into()));
    assert_eq!((rig.wakes(), rig.all.used()), (1, 5));
    rig.outbox.push_signals(Bytes::from(vec![0; 99]), 1, None);
    assert_eq!(rig.turn()[..1], *"e", "a frame that is partly sent is not dropped");
    rig.socket.0.set(None);
    assert_eq!(rig.batch(&["five"]), (1, "".into()));
    assert_eq!((rig.wakes(), rig.turn()), (1, "five".into()));
}

#[test]
fn the_relay_leaves_the_end_and_what_is_held_to_the_pump() {
    let rig = Rig::new();
    rig.socket.0.set(Some(100));
    rig.turn();
    rig.outbox.hold();
    assert_eq!(rig.batch(&["held"]), (0, "".into()));
    rig.outbox.release();
    assert_eq!((rig.wakes(), rig.turn()), (1, "held".into()));

    rig.all.begin_batch(Vec::new());
    rig.push("last");
    rig.outbox.close(CloseCode::Normal);
    assert_eq!((rig.all.end_batch().len(), rig.wakes()), (1, 1), "it is woken at once");
    assert_eq!((rig.outbox.flush(), rig.turn()), (0, "last".into()));
    assert_eq!(rig.batch(&["late"]), (1, "".into()));
    assert_eq!(rig.wakes(), 1);
}

#[test]
fn a_paused_subscription_reads_on_by_way_of_the_pump() {
    let rig = Rig::new();
    rig.socket.0.set(Some(100));
    rig.turn();
    rig.outbox.starve();
    assert_eq!((rig.batch(&["all"]), rig.wakes()), ((1, "all".into()), 1));
}

#[test]
fn paused_subscriptions_read_on_once_the_queue_is_half_empty() {
    let outbox = outbox(4);
    outbox.push(Bytes::from_static(b"12345"));
    outbox.starve();
    assert!(!outbox.take_starved());
    drain(&outbox);
    assert!(outbox.take_starved());
    assert!(!outbox.take_starved());
}
