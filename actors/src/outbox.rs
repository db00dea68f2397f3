//! A session's queue of encoded frames on the way to its socket.
//!
//! Lives on one thread: the relay and the session push frames, the pump takes them. Its size in
//! bytes is bounded. Beyond the bound, events pause their subscription and are read from the
//! journal later, and a signal replaces older signals. Replies are always accepted, because their
//! bytes were reserved before they were made; no more requests are read while the outbox is over
//! its bound or several large answers are being made.
//!
//! [`queue`] is the queue itself, [`waiting`] knows what the pump waits for. An [`Outbox`] connects
//! the two: it changes the queue, and wakes the pump if the change concerns it. While the relay
//! handles a batch ([`Outboxes::begin_batch`]), a pump that waits for frames is not woken; its
//! session is noted instead. At the end of the batch the relay writes to those sockets itself
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

/// The number of frames that [`Outbox::flush`] writes at once.
const FLUSH_FRAMES: usize = 16;

/// The state that the outboxes of a thread share: their total size, and the relay's batch.
#[derive(Debug)]
pub struct Outboxes {
    used: Cell<usize>,
    budget: Arc<Budget>,
    /// `Some` while the relay handles a batch: the sessions that received frames and whose pumps
    /// wait for them.
    batch: RefCell<Option<Vec<SessionKey>>>,
}

impl Outboxes {
    /// `limit` is the total size in bytes.
    pub fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { used: Cell::new(0), budget: Budget::new(limit), batch: RefCell::default() })
    }

    /// Whether the limit is reached. Then requests with large answers are refused, and events pause
    /// sooner.
    pub fn are_full(&self) -> bool {
        self.budget.is_full()
    }

    /// The total size, including frames being written and answers being made.
    pub fn used(&self) -> usize {
        self.budget.used()
    }

    /// The budget from which answers reserve their bytes.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Begins a batch: sessions whose pump waits for frames are noted for [`Outbox::flush`] instead
    /// of being woken. `spare` is an empty vector to be reused for them.
    pub fn begin_batch(&self, spare: Vec<SessionKey>) {
        self.batch.replace(Some(spare));
    }

    /// Ends the batch. Returns the sessions that were noted.
    pub fn end_batch(&self) -> Vec<SessionKey> {
        self.batch.take().unwrap_or_default()
    }

    /// Notes `key` during a batch; otherwise returns false.
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
    /// Writes as much as the socket takes at once, in order. `None` if it takes nothing now or has
    /// failed; the pump finds out which.
    fn try_write(&self, frames: &[IoSlice<'_>]) -> Option<usize>;

    /// For how long, in ms, the peer's system has not acknowledged what it was sent; 0 if that is
    /// not known.
    fn unanswered_ms(&self) -> u64 {
        0
    }
}

/// See the module's documentation.
pub struct Outbox {
    key: SessionKey,
    queue: RefCell<Queue>,
    pump: RefCell<Pump>,
}

/// The outcome of pushed signals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalPush {
    /// The number added to the queue.
    pub queued: u64,
    /// The number that replaced an older one.
    pub replaced: u64,
    /// The number dropped, queued and pushed ones together.
    pub dropped: u64,
}

impl Outbox {
    /// An empty outbox of session `key` with its own limit in bytes; `all` are those of its thread.
    pub fn new(key: SessionKey, limit: usize, all: Rc<Outboxes>) -> Self {
        Self { key, queue: RefCell::new(Queue::new(limit, all)), pump: RefCell::default() }
    }

    /// Changes the queue, and wakes the pump if the change concerns it.
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

    /// The size of the frames that the pump has not taken.
    pub fn bytes(&self) -> usize {
        self.queue.borrow().bytes()
    }

    /// Whether any frames are unwritten, including those that the pump has taken.
    pub fn is_waiting(&self) -> bool {
        self.queue.borrow().unwritten() > 0
    }

    /// Whether events must pause.
    pub fn is_full(&self) -> bool {
        self.queue.borrow().is_full()
    }

    /// Whether the client has received everything that it requested.
    pub fn standing(&self) -> Standing {
        self.queue.borrow().standing()
    }

    /// Whether the outboxes of the thread have space for another answer.
    pub fn has_space(&self) -> bool {
        let queue = self.queue.borrow();
        queue.all().budget.has_space(1, queue.standing())
    }

    /// Counts an answer that may be large as being made.
    pub fn making(&self) {
        self.queue.borrow_mut().making();
    }

    /// Counts one of these answers as arrived, or as never arriving.
    pub fn made(&self) {
        self.change(Queue::made);
    }

    /// Whether no more requests should be read because several large answers are being made.
    pub fn is_busy(&self) -> bool {
        self.queue.borrow().is_busy()
    }

    /// Counts the bytes of an answer that is being collected outside the queue.
    pub fn set_aside(&self, bytes: usize) {
        self.queue.borrow_mut().set_aside(bytes);
    }

    /// Stops counting them.
    pub fn take_aside(&self, bytes: usize) {
        self.queue.borrow_mut().take_aside(bytes);
    }

    /// Queues a frame that must arrive. Callers that can do without check
    /// [`is_full`](Self::is_full) first.
    pub fn push(&self, bytes: Bytes) {
        self.change(|queue| queue.push(bytes, Class::Kept));
    }

    /// Queues the answer for which the others were held, before all of them.
    pub fn push_first(&self, bytes: Bytes) {
        self.change(|queue| queue.push_first(bytes));
    }

    /// Queues the frames of `count` signals. With `latest` it is one signal, and replaces a queued
    /// one with the same key.
    pub fn push_signals(&self, bytes: Bytes, count: u32, latest: Option<u64>) -> SignalPush {
        let mut queue = self.queue.borrow_mut();
        let (outcome, news) = queue.push_signals(bytes, count, latest);
        self.tell(&queue, news);
        outcome
    }

    /// Asks the pump to send the queued frames and close the connection. The first code counts.
    pub fn close(&self, code: CloseCode) {
        self.change(|queue| queue.close(code));
    }

    /// The code with which the pump was asked to close.
    pub fn closing(&self) -> Option<CloseCode> {
        self.queue.borrow().closing()
    }

    /// Wakes the pump because requests may be read again for a reason outside the queue.
    pub fn read_on(&self) {
        self.change(|_| News::Wake);
    }

    /// Holds all frames until [`release`](Self::release), because an answer that must come first is
    /// still being collected.
    pub fn hold(&self) {
        self.queue.borrow_mut().hold();
    }

    /// Releases the held frames.
    pub fn release(&self) {
        self.change(Queue::release);
    }

    /// Records that a subscription has paused and will read on once the queue has drained.
    pub fn starve(&self) {
        self.queue.borrow_mut().starve();
    }

    /// Whether paused subscriptions may read on. Clears the record.
    pub fn take_starved(&self) -> bool {
        self.queue.borrow_mut().take_starved()
    }

    /// Sets or removes the socket that [`flush`](Self::flush) writes to.
    pub fn attach(&self, socket: Option<Rc<dyn Sink>>) {
        self.pump.borrow_mut().socket = socket;
    }

    /// See [`Sink::unanswered_ms`].
    pub fn unanswered_ms(&self) -> u64 {
        self.pump.borrow().socket.as_ref().map_or(0, |socket| socket.unanswered_ms())
    }

    /// Begins a turn of the pump. It is not woken until it [waits](Self::wait_for) for something.
    pub fn attend(&self, waker: &Waker) {
        let mut pump = self.pump.borrow_mut();
        pump.waiting = Waiting::Nothing;
        match &mut pump.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// The pump has nothing to do until `waiting` ends.
    pub fn wait_for(&self, waiting: Waiting) {
        self.pump.borrow_mut().waiting = waiting;
    }

    /// Moves frames to `out` until it holds `max_frames` or about `max_bytes`. They count towards
    /// the total of the thread until [`written`](Self::written).
    pub fn take(&self, out: &mut VecDeque<Bytes>, max_frames: usize, max_bytes: usize) {
        self.queue.borrow_mut().take(out, max_frames, max_bytes);
    }

    /// Records that the socket has taken `bytes` from the pump.
    pub fn written(&self, bytes: usize) {
        self.queue.borrow_mut().written(bytes);
    }

    /// Writes the frames of a batch, as far as the socket takes them at once; the rest is left to
    /// the pump. Returns the number of bytes written.
    pub fn flush(&self) -> usize {
        let mut pump = self.pump.borrow_mut();
        if pump.waiting != Waiting::Batch {
            // The pump was woken in the meantime.
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
