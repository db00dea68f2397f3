use std::task::Waker;

use super::*;

const QUEUED: SignalPush = SignalPush { queued: 1, replaced: 0, dropped: 0 };
const REPLACED: SignalPush = SignalPush { queued: 0, replaced: 1, dropped: 0 };
const DROPPED: SignalPush = SignalPush { queued: 0, replaced: 0, dropped: 1 };

fn outbox(limit: usize) -> Outbox {
    Outbox::new(crate::testing::session(1), limit, Outboxes::new(1_000_000))
}

fn drain(outbox: &Outbox) -> Vec<Bytes> {
    let mut out = VecDeque::new();
    let _ = outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut out, 100, usize::MAX);
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
    let (greedy, modest) = (of(), of());
    (0..3).for_each(|_| greedy.push(Bytes::from_static(b"1234567")));
    assert!(
        all.are_full() && greedy.is_full() && !modest.is_full(),
        "it is not yet at its own limit"
    );
    modest.push(Bytes::from_static(b"12"));
    assert!(modest.is_full(), "a share is left to everybody");
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
    modest.take_aside(2);
    assert_eq!(all.used(), 1);
    drop(modest);
    assert_eq!(all.used(), 0);
}

#[test]
fn several_large_answers_are_made_at_once_and_no_more() {
    let (outbox, wakes) = (outbox(100), std::sync::Arc::new(Wakes::default()));
    let _ = outbox.poll_take(
        &mut Context::from_waker(&Waker::from(std::sync::Arc::clone(&wakes))),
        &mut VecDeque::new(),
        1,
        1,
    );
    assert_eq!(outbox.standing(), Standing::Clear);
    (0..MAKING).for_each(|_| outbox.making());
    assert!(outbox.is_busy() && outbox.standing() == Standing::Behind);
    outbox.made();
    assert!(!outbox.is_busy());
    assert_eq!(
        wakes.0.load(std::sync::atomic::Ordering::Relaxed),
        1,
        "whoever waits to read on is told"
    );
    outbox.made();
    assert_eq!(wakes.0.load(std::sync::atomic::Ordering::Relaxed), 1);
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
    outbox.hold(true);
    outbox.push(Bytes::from_static(b"event"));
    assert!(drain(&outbox).is_empty());
    outbox.push_first(Bytes::from_static(b"answer"));
    outbox.hold(false);
    assert_eq!(drain(&outbox), [&b"answer"[..], b"event"]);
}

/// Counts wakes.
#[derive(Default)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn closing_wakes_a_pump_that_waits_for_its_socket() {
    let wakes = std::sync::Arc::new(Wakes::default());
    let count = || wakes.0.load(std::sync::atomic::Ordering::Relaxed);
    let (outbox, waker) = (outbox(10), Waker::from(std::sync::Arc::clone(&wakes)));
    let mut out = VecDeque::new();
    outbox.push(Bytes::from_static(b"first"));
    assert!(outbox.poll_take(&mut Context::from_waker(&waker), &mut out, 1, 100).is_ready());
    // The pump writes `first` and waits for the socket: more to write is no news.
    outbox.push(Bytes::from_static(b"second"));
    assert_eq!(count(), 0);
    outbox.close(CloseCode::SlowConsumer);
    assert_eq!(count(), 1);
    drain(&outbox);
    assert!(outbox.poll_take(&mut Context::from_waker(&waker), &mut out, 9, 100).is_pending());
    outbox.push(Bytes::from_static(b"third"));
    outbox.push(Bytes::from_static(b"fourth"));
    assert_eq!(count(), 2, "waiting for more, it is woken once");
}

/// A socket that takes so many bytes a write.
struct Takes(Cell<Option<usize>>, RefCell<Vec<u8>>);

impl Sink for Takes {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> Option<usize> {
        let all: Vec<u8> = frames.iter().flat_map(|frame| frame.to_vec()).collect();
        let taken = self.0.get()?.min(all.len());
        self.1.borrow_mut().extend(&all[..taken]);
        Some(taken)
    }
}

#[test]
fn while_the_pump_rests_frames_go_past_it() {
    let all = Outboxes::new(1000);
    let (outbox, wakes) = (
        Outbox::new(crate::testing::session(1), 100, Rc::clone(&all)),
        std::sync::Arc::new(Wakes::default()),
    );
    let count = || wakes.0.load(std::sync::atomic::Ordering::Relaxed);
    let waker = Waker::from(std::sync::Arc::clone(&wakes));
    let rest = |outbox: &Outbox| {
        let mut out = VecDeque::new();
        let _ = outbox.poll_take(&mut Context::from_waker(&waker), &mut out, 9, 100);
        outbox.take_aside(usize::MAX);
        out.iter().flat_map(|frame| frame.to_vec()).collect::<Vec<u8>>()
    };
    let sink = Rc::new(Takes(Cell::new(Some(100)), RefCell::default()));
    outbox.attach(Some(sink.clone()));
    let push = |frames: &[&'static [u8]]| {
        all.gather();
        for frame in frames {
            outbox.push_signals(Bytes::from_static(frame), 1, None);
        }
        let touched = all.gathered(Vec::new());
        touched.iter().for_each(|_| outbox.flush());
        touched.len()
    };

    assert_eq!(push(&[b"early"]), 0, "its pump has not asked yet");
    assert_eq!((rest(&outbox), rest(&outbox)), (b"early".to_vec(), Vec::new()));
    assert_eq!(push(&[b"one", b"two"]), 1);
    assert_eq!((&sink.1.take()[..], count(), all.used()), (&b"onetwo"[..], 0, 0));

    sink.0.set(Some(4));
    push(&[b"three", b"four"]);
    assert_eq!((&sink.1.take()[..], count(), all.used()), (&b"thre"[..], 1, 5));
    outbox.push_signals(Bytes::from(vec![0; 99]), 1, None);
    assert_eq!(rest(&outbox)[..1], *b"e", "what has begun is not dropped");

    rest(&outbox);
    sink.0.set(None);
    push(&[b"five"]);
    assert_eq!(
        (count(), rest(&outbox)),
        (2, b"five".to_vec()),
        "a socket that takes nothing is the pump's affair"
    );

    rest(&outbox);
    sink.0.set(Some(100));
    outbox.close(CloseCode::Normal);
    push(&[b"six"]);
    assert_eq!((sink.1.take(), rest(&outbox)), (Vec::new(), b"six".to_vec()), "so is the end");
}

#[test]
fn starvation_is_told_once_the_queue_is_half_empty() {
    let outbox = outbox(4);
    outbox.push(Bytes::from_static(b"12345"));
    outbox.starve();
    assert!(!outbox.take_starved());
    drain(&outbox);
    assert!(outbox.take_starved());
    assert!(!outbox.take_starved());
}
