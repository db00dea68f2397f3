//! A session's queue of encoded frames on the way to its socket.
//!
//! Owned by one thread: the relay and the session push, the socket's pump takes. Bounded in bytes:
//! events past the bound pause their subscription and are read from the journal later, signals drop
//! an older signal, replies are always taken: their bytes were reserved before they were made, and
//! no more requests are read while the outbox is over its bound or several large answers are being
//! made.
//!
//! [`queue`] is the queue itself, [`waiting`] what the pump waits for. An [`Outbox`] ties the two
//! together: it changes the queue, and wakes the pump if the news are for it. While the relay works
//! off a batch ([`Outboxes::begin_batch`]) it does not wake a pump that waits for frames, but notes
//! its session; at the end of the batch the relay writes to those sockets itself
//! ([`Outbox::flush`]), which is cheaper than a turn of the pump (docs/adr/0018).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use greenroom_protocol::close::CloseCode;

use self::queue::{Class, Queue};
use self::waiting::{News, Pump};
use crate::budget::{Budget, Standing};
use crate::ids::SessionKey;

mod queue;
mod waiting;

pub use waiting::Waiting;

/// Frames that [`Outbox::flush`] writes at once.
const FLUSH_FRAMES: usize = 16;

/// What the outboxes of a thread share: bytes that they may hold together, and the relay's batch.
#[derive(Debug)]
pub struct Outboxes {
    used: Cell<usize>,
    budget: Arc<Budget>,
    /// While the relay works off a batch: whose pump waits for frames and has got some.
    batch: RefCell<Option<Vec<SessionKey>>>,
}

impl Outboxes {
    /// Nothing of `limit` bytes is used yet.
    pub fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { used: Cell::new(0), budget: Budget::new(limit), batch: RefCell::default() })
    }

    /// Whether the limit is reached: requests for something large are refused, and events pause
    /// sooner.
    pub fn are_full(&self) -> bool {
        self.budget.is_full()
    }

    /// Bytes that wait for sockets, those being written and answers being made included.
    pub fn used(&self) -> usize {
        self.budget.used()
    }

    /// What answers reserve their bytes from.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// From now on a pump that waits for frames is not woken for them: its session is noted, for
    /// [`Outbox::flush`]. `spare` is an empty vector, which is used for the notes.
    pub fn begin_batch(&self, spare: Vec<SessionKey>) {
        self.batch.replace(Some(spare));
    }

    /// Ends the batch. Returns the sessions that were noted.
    pub fn end_batch(&self) -> Vec<SessionKey> {
        self.batch.take().unwrap_or_default()
    }

    /// Notes `key` if there is a batch; otherwise false.
    fn note(&self, key: SessionKey) -> bool {
        let mut batch = self.batch.borrow_mut();
        batch.as_mut().map(|noted| noted.push(key)).is_some()
    }

    fn add(&self, bytes: usize) {
        self.set(self.used.get() + bytes);
    }

    fn give_back(&self, bytes: usize) {
        self.set(self.used.get() - bytes);
    }

    fn set(&self, used: usize) {
        self.used.set(used);
        self.budget.holds(used);
    }
}

/// The socket of an outbox.
pub trait Sink {
    /// Writes what the socket takes at once, in order; none if it takes nothing now, or has failed.
    /// The pump finds out which.
    fn try_write(&self, frames: &[IoSlice<'_>]) -> Option<usize>;

    /// For how long, in ms, the peer's system has acknowledged nothing although it was sent
    /// something; 0 where that is not known.
    fn unanswered_ms(&self) -> u64 {
        0
    }
}

/// See the module's head.
pub struct Outbox {
    key: SessionKey,
    queue: RefCell<Queue>,
    pump: RefCell<Pump>,
}

/// What became of pushed signals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalPush {
    /// How many wait for the socket now that did not before.
    pub queued: u64,
    /// How many took the place of an older one.
    pub replaced: u64,
    /// How many were dropped, of those that waited or of these.
    pub dropped: u64,
}

impl Outbox {
    /// An empty outbox of session `key`, bounded at `limit` bytes, and together with `all` of its
    /// thread.
    pub fn new(key: SessionKey, limit: usize, all: Rc<Outboxes>) -> Self {
        Self { key, queue: RefCell::new(Queue::new(limit, all)), pump: RefCell::default() }
    }

    /// Changes the queue, and wakes the pump if that has to know.
    fn change(&self, change: impl FnOnce(&mut Queue) -> News) {
        let mut queue = self.queue.borrow_mut();
        let news = change(&mut queue);
        self.tell(&queue, news);
    }

    fn tell(&self, queue: &Queue, news: News) {
        let mut pump = self.pump.borrow_mut();
        if !pump.waiting.is_for(news) {
            return;
        }
        if news == News::Frames && queue.all().note(self.key) {
            pump.waiting = Waiting::Batch;
        } else {
            pump.wake();
        }
    }

    /// Bytes waiting that the pump has not taken.
    pub fn bytes(&self) -> usize {
        self.queue.borrow().bytes()
    }

    /// Whether anything waits for the socket, taken by the pump or not.
    pub fn is_waiting(&self) -> bool {
        self.queue.borrow().unwritten() > 0
    }

    /// Whether events must pause.
    pub fn is_full(&self) -> bool {
        self.queue.borrow().is_full()
    }

    /// Whether the client has taken all that it has asked for.
    pub fn standing(&self) -> Standing {
        self.queue.borrow().standing()
    }

    /// Whether there is room for any answer at all, over all outboxes of the thread.
    pub fn has_space(&self) -> bool {
        let queue = self.queue.borrow();
        queue.all().budget.has_space(1, queue.standing())
    }

    /// An answer that may be large is asked for.
    pub fn making(&self) {
        self.queue.borrow_mut().making();
    }

    /// It is here, or never will be.
    pub fn made(&self) {
        self.change(Queue::made);
    }

    /// Whether so many large answers are being made that no more should be asked for.
    pub fn is_busy(&self) -> bool {
        self.queue.borrow().is_busy()
    }

    /// Counts bytes of an answer that is being gathered outside of the queue.
    pub fn set_aside(&self, bytes: usize) {
        self.queue.borrow_mut().set_aside(bytes);
    }

    /// Counts them no more.
    pub fn take_aside(&self, bytes: usize) {
        self.queue.borrow_mut().take_aside(bytes);
    }

    /// Queues a frame that must arrive. The caller asks [`is_full`](Self::is_full) first where it
    /// has a choice.
    pub fn push(&self, bytes: Bytes) {
        self.change(|queue| queue.push(bytes, Class::Kept));
    }

    /// Queues a frame before all others: the answer that the rest was held for.
    pub fn push_first(&self, bytes: Bytes) {
        self.change(|queue| queue.push_first(bytes));
    }

    /// Queues the frames of `count` signals; with `latest` it is one, and takes the place of a
    /// waiting one with the same key.
    pub fn push_signals(&self, bytes: Bytes, count: u32, latest: Option<u64>) -> SignalPush {
        let mut queue = self.queue.borrow_mut();
        let (outcome, news) = queue.push_signals(bytes, count, latest);
        self.tell(&queue, news);
        outcome
    }

    /// Asks the pump to send what waits and then close. The first code stands.
    pub fn close(&self, code: CloseCode) {
        self.change(|queue| queue.close(code));
    }

    /// The code that the pump was asked to close with.
    pub fn closing(&self) -> Option<CloseCode> {
        self.queue.borrow().closing()
    }

    /// Requests may be read again, for another reason than the queue's own.
    pub fn read_on(&self) {
        self.change(|_| News::Wake);
    }

    /// Lets nothing be taken until [`release`](Self::release): an answer that must come first is
    /// still being gathered.
    pub fn hold(&self) {
        self.queue.borrow_mut().hold();
    }

    /// Lets what was held be taken.
    pub fn release(&self) {
        self.change(Queue::release);
    }

    /// Notes that a subscription has paused, and reads on once the queue has drained.
    pub fn starve(&self) {
        self.queue.borrow_mut().starve();
    }

    /// Whether a paused subscription may read on. Clears the note.
    pub fn take_starved(&self) -> bool {
        self.queue.borrow_mut().take_starved()
    }

    /// Sets the socket that [`flush`](Self::flush) writes to, or that there is none any more.
    pub fn attach(&self, socket: Option<Rc<dyn Sink>>) {
        self.pump.borrow_mut().socket = socket;
    }

    /// For how long, in ms, its socket's peer has acknowledged nothing although it was sent
    /// something.
    pub fn unanswered_ms(&self) -> u64 {
        self.pump.borrow().socket.as_ref().map_or(0, |socket| socket.unanswered_ms())
    }

    /// A turn of the pump begins. Until it [waits](Self::wait_for) for something it is not woken.
    pub fn attend(&self, waker: &Waker) {
        let mut pump = self.pump.borrow_mut();
        pump.waiting = Waiting::Nothing;
        match &mut pump.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// The pump has nothing to do before `waiting` ends.
    pub fn wait_for(&self, waiting: Waiting) {
        self.pump.borrow_mut().waiting = waiting;
    }

    /// Moves waiting frames to `out` until that holds `max_frames` or about `max_bytes`. They count
    /// for all outboxes until [`written`](Self::written) says that the socket has them.
    pub fn take(&self, out: &mut VecDeque<Bytes>, max_frames: usize, max_bytes: usize) {
        self.queue.borrow_mut().take(out, max_frames, max_bytes);
    }

    /// The socket has taken `bytes` from the pump.
    pub fn written(&self, bytes: usize) {
        self.queue.borrow_mut().written(bytes);
    }

    /// Writes what a batch has left for a pump that waits, as far as the socket takes it at once;
    /// the rest is the pump's. Returns how many bytes the socket took.
    pub fn flush(&self) -> usize {
        let mut pump = self.pump.borrow_mut();
        if pump.waiting != Waiting::Batch {
            // It was woken meanwhile.
            return 0;
        }
        let mut queue = self.queue.borrow_mut();
        let written = pump.socket.as_deref().map_or(0, |socket| write(socket, &mut queue));
        if queue.is_at_rest() {
            pump.waiting = Waiting::Frames;
        } else {
            pump.wake();
        }
        written
    }
}

fn write(socket: &dyn Sink, queue: &mut Queue) -> usize {
    let mut slices = [IoSlice::new(&[]); FLUSH_FRAMES];
    let count = queue.front(&mut slices);
    if count == 0 {
        return 0;
    }
    let written = socket.try_write(&slices[..count]).unwrap_or(0);
    queue.advance(written);
    written
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("key", &self.key)
            .field("bytes", &self.bytes())
            .field("close", &self.closing())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
