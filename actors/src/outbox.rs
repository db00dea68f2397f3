//! A session's queue of encoded frames on the way to its socket.
//!
//! Owned by one thread: the relay and the session push, the socket's pump takes. Bounded in bytes: events past the
//! bound pause their subscription and are read from the journal later, signals drop an older signal, replies are
//! always taken (a session has a bounded number of requests in flight, and the pump stops reading requests while
//! the outbox is over its bound).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use greenroom_protocol::close::CloseCode;

/// An empty queue keeps room for this many frames; more is given back.
const KEEP_FRAMES: usize = 8;
/// How far back a `latest` signal looks for the one it replaces.
const REPLACE_WITHIN: usize = 256;

/// What a frame is, for the policies at the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Must arrive: replies, events, presence.
    Kept,
    /// May be dropped.
    Signal,
    /// May be dropped, and replaced by a newer one with the same key.
    Latest(u64),
}

#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    class: Class,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    waker: Option<Waker>,
    /// The pump has found nothing to take and waits for more. While it waits for the socket instead, what is pushed need
    /// not wake it.
    wanted: bool,
}

/// See the module's head.
#[derive(Debug)]
pub struct Outbox {
    queue: RefCell<Queue>,
    limit: usize,
    close: Cell<Option<CloseCode>>,
    /// While set, `take` hands out nothing: an answer that must come first is still being gathered.
    held: Cell<bool>,
    starved: Cell<bool>,
}

/// What became of a pushed signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalPush {
    /// It waits for the socket.
    Queued,
    /// It took the place of an older one.
    Replaced,
    /// Another signal, or this one, was dropped.
    Dropped,
}

impl Outbox {
    /// An empty outbox bounded at `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { queue: RefCell::default(), limit, close: Cell::new(None), held: Cell::new(false), starved: Cell::new(false) }
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.queue.borrow().bytes
    }

    /// Whether events must pause.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.limit
    }

    /// Queues a frame that must arrive. The caller asks [`is_full`](Self::is_full) first where it has a choice.
    pub fn push(&self, bytes: Bytes) {
        self.enqueue(bytes, Class::Kept, false);
    }

    /// Queues a frame before all others: the answer that the rest was held for.
    pub fn push_first(&self, bytes: Bytes) {
        self.enqueue(bytes, Class::Kept, true);
    }

    fn enqueue(&self, bytes: Bytes, class: Class, first: bool) {
        let mut queue = self.queue.borrow_mut();
        queue.bytes += bytes.len();
        let frame = Frame { bytes, class };
        if first {
            queue.frames.push_front(frame);
        } else {
            queue.frames.push_back(frame);
        }
        if !self.held.get() {
            wake(&mut queue);
        }
    }

    /// Queues a signal; with `latest`, in place of a waiting one with the same key.
    pub fn push_signal(&self, bytes: Bytes, latest: Option<u64>) -> SignalPush {
        let mut guard = self.queue.borrow_mut();
        let queue = &mut *guard;
        let class = latest.map_or(Class::Signal, Class::Latest);
        if latest.is_some()
            && let Some(old) = queue.frames.iter_mut().rev().take(REPLACE_WITHIN).find(|frame| frame.class == class)
        {
            queue.bytes = queue.bytes - old.bytes.len() + bytes.len();
            old.bytes = bytes;
            return SignalPush::Replaced;
        }
        let mut outcome = SignalPush::Queued;
        while queue.bytes + bytes.len() > self.limit {
            let Some(oldest) = queue.frames.iter().position(|frame| frame.class != Class::Kept) else {
                return SignalPush::Dropped;
            };
            let dropped = queue.frames.remove(oldest).expect("the index was just found");
            queue.bytes -= dropped.bytes.len();
            outcome = SignalPush::Dropped;
        }
        drop(guard);
        self.enqueue(bytes, class, false);
        outcome
    }

    /// Asks the pump to send what waits and then close.
    pub fn close(&self, code: CloseCode) {
        if self.close.get().is_none() {
            self.close.set(Some(code));
        }
        // Whatever the pump waits for: a socket that takes nothing must not keep a connection from closing.
        if let Some(waker) = &self.queue.borrow().waker {
            waker.wake_by_ref();
        }
    }

    /// The code that the pump was asked to close with.
    pub fn closing(&self) -> Option<CloseCode> {
        self.close.get()
    }

    /// Holds everything back, or lets it go.
    pub fn hold(&self, held: bool) {
        self.held.set(held);
        if !held {
            wake(&mut self.queue.borrow_mut());
        }
    }

    /// Notes that a subscription paused, so that draining is worth telling.
    pub fn starve(&self) {
        self.starved.set(true);
    }

    /// Whether a paused subscription may read on: asked by the pump after a write. Clears the note.
    pub fn take_starved(&self) -> bool {
        self.starved.get() && self.bytes() <= self.limit / 2 && self.starved.replace(false)
    }

    /// Moves waiting frames to `out` until that holds `max_frames` or about `max_bytes`; pending while there are none.
    pub fn poll_take(&self, cx: &mut Context<'_>, out: &mut VecDeque<Bytes>, max_frames: usize, max_bytes: usize) -> Poll<()> {
        let mut queue = self.queue.borrow_mut();
        if !queue.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            queue.waker = Some(cx.waker().clone());
        }
        let mut taken = 0;
        while !self.held.get() && out.len() < max_frames && taken < max_bytes {
            let Some(frame) = queue.frames.pop_front() else { break };
            queue.bytes -= frame.bytes.len();
            taken += frame.bytes.len();
            out.push_back(frame.bytes);
        }
        if queue.frames.is_empty() {
            queue.frames.shrink_to(KEEP_FRAMES);
        }
        if taken > 0 {
            return Poll::Ready(());
        }
        queue.wanted = true;
        Poll::Pending
    }
}

fn wake(queue: &mut Queue) {
    if std::mem::take(&mut queue.wanted)
        && let Some(waker) = &queue.waker
    {
        waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn drain(outbox: &Outbox) -> Vec<Bytes> {
        let mut out = VecDeque::new();
        let _ = outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut out, 100, usize::MAX);
        out.into()
    }

    #[test]
    fn keeps_order_and_counts_bytes() {
        let outbox = Outbox::new(10);
        outbox.push(Bytes::from_static(b"abc"));
        outbox.push(Bytes::from_static(b"defghij"));
        assert!(outbox.is_full());
        assert_eq!(drain(&outbox), [&b"abc"[..], b"defghij"]);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn signals_drop_the_oldest_signal_and_never_an_event() {
        let outbox = Outbox::new(6);
        outbox.push(Bytes::from_static(b"ev"));
        assert_eq!(outbox.push_signal(Bytes::from_static(b"s1"), None), SignalPush::Queued);
        assert_eq!(outbox.push_signal(Bytes::from_static(b"s2"), None), SignalPush::Queued);
        assert_eq!(outbox.push_signal(Bytes::from_static(b"s3"), None), SignalPush::Dropped);
        assert_eq!(outbox.push_signal(Bytes::from_static(b"too-long"), None), SignalPush::Dropped);
        assert_eq!(drain(&outbox), [&b"ev"[..]]);
    }

    #[test]
    fn latest_replaces_in_place() {
        let outbox = Outbox::new(100);
        assert_eq!(outbox.push_signal(Bytes::from_static(b"a1"), Some(1)), SignalPush::Queued);
        outbox.push(Bytes::from_static(b"ev"));
        assert_eq!(outbox.push_signal(Bytes::from_static(b"b1"), Some(2)), SignalPush::Queued);
        assert_eq!(outbox.push_signal(Bytes::from_static(b"a22"), Some(1)), SignalPush::Replaced);
        assert_eq!(outbox.bytes(), 7);
        assert_eq!(drain(&outbox), [&b"a22"[..], b"ev", b"b1"]);
    }

    #[test]
    fn a_held_outbox_gives_the_first_answer_first() {
        let outbox = Outbox::new(100);
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
        let (outbox, waker) = (Outbox::new(10), Waker::from(std::sync::Arc::clone(&wakes)));
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

    #[test]
    fn starvation_is_told_once_the_queue_is_half_empty() {
        let outbox = Outbox::new(4);
        outbox.push(Bytes::from_static(b"12345"));
        outbox.starve();
        assert!(!outbox.take_starved());
        drain(&outbox);
        assert!(outbox.take_starved());
        assert!(!outbox.take_starved());
    }
}
