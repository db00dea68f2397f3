//! A session's queue of encoded frames on the way to its socket.
//!
//! Owned by one thread: the relay and the session push, the socket's pump takes. Bounded in bytes:
//! events past the bound pause their subscription and are read from the journal later, signals drop
//! an older signal, replies are always taken: their bytes were reserved before they were made, and
//! no more requests are read while the outbox is over its bound or several large answers are being
//! made.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use greenroom_protocol::close::CloseCode;

use crate::budget::{Budget, Standing};
use crate::ids::SessionKey;

/// An empty queue keeps room for this many frames; more is given back.
const KEEP_FRAMES: usize = 8;
/// Frames that are written past the pump at once.
const FLUSH_FRAMES: usize = 16;
/// How far back a `latest` signal looks for the one it replaces.
const REPLACE_WITHIN: usize = 256;

/// Large answers that one client may wait for at once, before no more of its requests are read.
const MAKING: u32 = 8;

/// An outbox over its share holds this part of its own limit at least.
const SHARE: usize = 16;

/// What the outboxes of a thread share: bytes that they may hold together, and who among them has
/// something new.
#[derive(Debug)]
pub struct Outboxes {
    used: Cell<usize>,
    budget: Arc<Budget>,
    gathering: Cell<bool>,
    touched: RefCell<Vec<SessionKey>>,
}

impl Outboxes {
    /// Nothing of `limit` bytes is used yet.
    pub fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self {
            used: Cell::new(0),
            budget: Budget::new(limit),
            gathering: Cell::new(false),
            touched: RefCell::default(),
        })
    }

    /// Whether the limit is reached: who asks for something large is refused, and events pause
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

    /// From now on nobody's pump is woken: who has something new is noted, for [`Outbox::flush`].
    pub fn gather(&self) {
        self.gathering.set(true);
    }

    /// Ends that. Returns who was noted; `emptied` is kept for the next time.
    pub fn gathered(&self, emptied: Vec<SessionKey>) -> Vec<SessionKey> {
        self.gathering.set(false);
        self.touched.replace(emptied)
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

/// The socket of an outbox: a way past its pump while that has nothing to do.
pub trait Sink {
    /// Writes what the socket takes at once, in order; none where it takes nothing now, or has
    /// failed. The pump finds out which.
    fn try_write(&self, frames: &[IoSlice<'_>]) -> Option<usize>;

    /// For how long, in ms, the peer's system has acknowledged nothing although it was sent
    /// something; 0 where that is not known.
    fn unanswered_ms(&self) -> u64 {
        0
    }
}

/// What a frame is, for the policies at the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Must arrive: replies, events, presence.
    Kept,
    /// A number of signals, which may be dropped.
    Signals(u32),
    /// One that may be dropped, and replaced by a newer one with the same key.
    Latest(u64),
}

#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    class: Class,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    waker: Option<Waker>,
    sink: Option<Rc<dyn Sink>>,
    /// The pump has found nothing to take and waits for more. While it waits for the socket
    /// instead, what is pushed need not wake it.
    wanted: bool,
}

/// See the module's head.
pub struct Outbox {
    key: SessionKey,
    queue: RefCell<Queue>,
    limit: usize,
    all: Rc<Outboxes>,
    close: Cell<Option<CloseCode>>,
    /// While set, `take` hands out nothing: an answer that must come first is still being gathered.
    held: Cell<bool>,
    starved: Cell<bool>,
    /// Bytes that the socket has taken past the pump and that nobody has asked about.
    flushed: Cell<usize>,
    /// Bytes taken by the pump that its socket has not taken, and of an answer that is being
    /// gathered: they count for all outboxes, and not for this one.
    aside: Cell<usize>,
    /// Answers that may be large and are not here yet.
    making: Cell<u32>,
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
        let (close, held, starved) = (Cell::new(None), Cell::new(false), Cell::new(false));
        let (aside, making) = (Cell::new(0), Cell::new(0));
        Self {
            key,
            queue: RefCell::default(),
            limit,
            all,
            close,
            held,
            starved,
            flushed: Cell::new(0),
            aside,
            making,
        }
    }

    /// Lets frames go straight to the socket while the pump has nothing to do; without a sink, no
    /// more.
    pub fn attach(&self, sink: Option<Rc<dyn Sink>>) {
        self.queue.borrow_mut().sink = sink;
    }

    /// For how long, in ms, its socket's peer has acknowledged nothing although it was sent
    /// something.
    pub fn unanswered_ms(&self) -> u64 {
        self.queue.borrow().sink.as_ref().map_or(0, |sink| sink.unanswered_ms())
    }

    /// The pump is at work: what is pushed now need not wake it.
    pub fn attend(&self) {
        self.queue.borrow_mut().wanted = false;
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.queue.borrow().bytes
    }

    /// Whether events must pause.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.bound()
    }

    /// Whether the client has taken all that it has asked for.
    pub fn standing(&self) -> Standing {
        if self.bytes() == 0 && self.aside.get() == 0 && self.making.get() == 0 {
            Standing::Clear
        } else {
            Standing::Behind
        }
    }

    /// Whether there is room for any answer at all, over all outboxes of the thread.
    pub fn has_room(&self) -> bool {
        self.all.budget.has_room(1, self.standing())
    }

    /// An answer that may be large is asked for.
    pub fn making(&self) {
        self.making.set(self.making.get() + 1);
    }

    /// It is here, or never will be.
    pub fn made(&self) {
        let busy = self.is_busy();
        self.making.set(self.making.get().saturating_sub(1));
        if busy {
            self.rouse();
        }
    }

    /// Whether so many large answers are being made that no more should be asked for.
    pub fn is_busy(&self) -> bool {
        self.making.get() >= MAKING
    }

    /// Counts bytes that wait for the client outside of this queue.
    pub fn set_aside(&self, bytes: usize) {
        self.aside.set(self.aside.get() + bytes);
        self.all.add(bytes);
    }

    /// They wait no more.
    pub fn take_aside(&self, bytes: usize) {
        let bytes = bytes.min(self.aside.get());
        self.aside.set(self.aside.get() - bytes);
        self.all.give_back(bytes);
    }

    /// Its own limit, or less while all together hold too much.
    fn bound(&self) -> usize {
        if self.all.are_full() { self.limit / SHARE } else { self.limit }
    }

    /// Queues a frame that must arrive. The caller asks [`is_full`](Self::is_full) first where it
    /// has a choice.
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
        self.all.add(bytes.len());
        let frame = Frame { bytes, class };
        if first {
            queue.frames.push_front(frame);
        } else {
            queue.frames.push_back(frame);
        }
        if self.held.get() {
            return;
        }
        if queue.wanted && self.all.gathering.get() {
            queue.wanted = false;
            self.all.touched.borrow_mut().push(self.key);
        } else {
            wake(&mut queue);
        }
    }

    /// Writes what waits to the socket as far as that takes it at once; the rest is the pump's. For
    /// those that were noted while gathering: their pumps had nothing to do, so nothing is
    /// overtaken.
    pub fn flush(&self) {
        let mut queue = self.queue.borrow_mut();
        if self.close.get().is_none() && !self.held.get() {
            self.write(&mut queue);
        }
        if queue.frames.is_empty() && self.close.get().is_none() && !self.starved.get() {
            queue.wanted = true;
        } else if let Some(waker) = &queue.waker {
            waker.wake_by_ref();
        }
    }

    fn write(&self, queue: &mut Queue) {
        let Some(sink) = &queue.sink else { return };
        let mut slices = [IoSlice::new(&[]); FLUSH_FRAMES];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&queue.frames) {
            *slice = IoSlice::new(&frame.bytes);
            count += 1;
        }
        let Some(mut written) = sink.try_write(&slices[..count]) else { return };
        self.flushed.set(self.flushed.get() + written);
        queue.bytes -= written;
        self.all.give_back(written);
        while let Some(frame) = queue.frames.front_mut() {
            if written < frame.bytes.len() {
                if written > 0 {
                    // A part of it is on its way, so the rest must follow.
                    frame.bytes.advance(written);
                    frame.class = Class::Kept;
                }
                break;
            }
            written -= frame.bytes.len();
            queue.frames.pop_front();
        }
        if queue.frames.is_empty() && queue.frames.capacity() > KEEP_FRAMES {
            queue.frames.shrink_to(KEEP_FRAMES);
        }
    }

    /// Queues the frames of `count` signals; with `latest` it is one, and takes the place of a
    /// waiting one with the same key.
    pub fn push_signals(&self, bytes: Bytes, count: u32, latest: Option<u64>) -> SignalPush {
        let mut guard = self.queue.borrow_mut();
        let queue = &mut *guard;
        let class = latest.map_or(Class::Signals(count), Class::Latest);
        if latest.is_some()
            && let Some(old) = queue
                .frames
                .iter_mut()
                .rev()
                .take(REPLACE_WITHIN)
                .find(|frame| frame.class == class)
        {
            queue.bytes = queue.bytes - old.bytes.len() + bytes.len();
            self.all.add(bytes.len());
            self.all.give_back(old.bytes.len());
            old.bytes = bytes;
            return SignalPush { replaced: 1, ..SignalPush::default() };
        }
        let mut outcome = SignalPush::default();
        while queue.bytes + bytes.len() > self.bound() {
            let Some(oldest) = queue.frames.iter().position(|frame| frame.class != Class::Kept)
            else {
                outcome.dropped += u64::from(count);
                return outcome;
            };
            let dropped = queue.frames.remove(oldest).expect("the index was just found");
            queue.bytes -= dropped.bytes.len();
            self.all.give_back(dropped.bytes.len());
            outcome.dropped +=
                if let Class::Signals(count) = dropped.class { u64::from(count) } else { 1 };
        }
        drop(guard);
        self.enqueue(bytes, class, false);
        outcome.queued = u64::from(count);
        outcome
    }

    /// Asks the pump to send what waits and then close.
    pub fn close(&self, code: CloseCode) {
        if self.close.get().is_none() {
            self.close.set(Some(code));
        }
        // A socket that takes nothing must not keep a connection from closing.
        self.rouse();
    }

    /// Bytes that the socket has taken past the pump since this was last asked.
    pub fn take_flushed(&self) -> usize {
        self.flushed.take()
    }

    /// Wakes the pump, whatever it waits for.
    pub fn rouse(&self) {
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
        self.starved.get() && self.bytes() <= self.bound() / 2 && self.starved.replace(false)
    }

    /// Moves waiting frames to `out` until that holds `max_frames` or about `max_bytes`; pending
    /// while there are none. What is taken counts for all outboxes until
    /// [`take_aside`](Self::take_aside) says that the socket has it.
    pub fn poll_take(
        &self,
        cx: &mut Context<'_>,
        out: &mut VecDeque<Bytes>,
        max_frames: usize,
        max_bytes: usize,
    ) -> Poll<()> {
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
        if queue.frames.is_empty() && queue.frames.capacity() > KEEP_FRAMES {
            queue.frames.shrink_to(KEEP_FRAMES);
        }
        self.aside.set(self.aside.get() + taken);
        if taken > 0 {
            return Poll::Ready(());
        }
        queue.wanted = true;
        Poll::Pending
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("key", &self.key)
            .field("bytes", &self.bytes())
            .field("close", &self.close)
            .finish_non_exhaustive()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.all.give_back(self.bytes() + self.aside.get());
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
mod tests;
