//! The frames that wait for one client, in order and bounded in bytes.
//!
//! The queue does not wake the pump or write to the socket. Methods that may concern the pump
//! return [`News`], which the [`Outbox`](super::Outbox) passes on.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use greenroom_protocol::close::CloseCode;

use super::waiting::News;
use super::{Outboxes, SignalPush};
use crate::budget::Standing;

/// The capacity, in frames, that an empty queue keeps.
const KEEP_FRAMES: usize = 8;
/// The number of frames among which a `latest` signal looks for the one to replace.
const REPLACE_WITHIN: usize = 256;
/// The number of large answers being made for one client at which no more of its requests are read.
pub(super) const MAKING: u32 = 8;
/// While the outboxes of the thread are full, each may hold its own limit divided by this.
const SHARE: usize = 16;

/// What may happen to a frame when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It must arrive: replies, events, presence.
    Kept,
    /// It contains this many signals and may be dropped.
    Signals(u32),
    /// It is a signal that may be dropped, or replaced by a newer one with the same key.
    Latest(u64),
}

#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    class: Class,
}

#[derive(Debug)]
pub(super) struct Queue {
    frames: VecDeque<Frame>,
    /// The size of `frames`.
    bytes: usize,
    limit: usize,
    /// All outboxes of the thread.
    all: Rc<Outboxes>,
    /// Set if the connection must be closed with this code once the frames are sent.
    closing: Option<CloseCode>,
    /// Whether an answer that must come first is still being collected, so that nothing can be
    /// taken.
    held: bool,
    /// Whether a subscription has paused until the queue has drained.
    starved: bool,
    /// The bytes that the pump has taken and the socket has not. They count towards the total of
    /// the thread, not towards this queue's limit.
    taken: usize,
    /// The bytes of an answer that is being collected. They count in the same way.
    aside: usize,
    /// The number of potentially large answers that have not arrived.
    making: u32,
}

impl Queue {
    pub(super) fn new(limit: usize, all: Rc<Outboxes>) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            limit,
            all,
            closing: None,
            held: false,
            starved: false,
            taken: 0,
            aside: 0,
            making: 0,
        }
    }

    pub(super) fn all(&self) -> &Outboxes {
        &self.all
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes that are not written yet, including those that the pump has taken.
    pub(super) fn unwritten(&self) -> usize {
        self.bytes + self.taken
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.bound()
    }

    /// The queue's own limit, or less while the outboxes of the thread are full.
    fn bound(&self) -> usize {
        if self.all.are_full() { self.limit / SHARE } else { self.limit }
    }

    pub(super) fn standing(&self) -> Standing {
        if self.unwritten() == 0 && self.aside == 0 && self.making == 0 {
            Standing::Clear
        } else {
            Standing::Behind
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.making >= MAKING
    }

    pub(super) fn making(&mut self) {
        self.making += 1;
    }

    pub(super) fn made(&mut self) -> News {
        let busy = self.is_busy();
        self.making = self.making.saturating_sub(1);
        if busy { News::Wake } else { News::None }
    }

    pub(super) fn set_aside(&mut self, bytes: usize) {
        self.aside += bytes;
        self.all.add(bytes);
    }

    pub(super) fn take_aside(&mut self, bytes: usize) {
        let bytes = bytes.min(self.aside);
        self.aside -= bytes;
        self.all.give_back(bytes);
    }

    pub(super) fn push(&mut self, bytes: Bytes, class: Class) -> News {
        self.count(bytes.len());
        self.frames.push_back(Frame { bytes, class });
        self.more()
    }

    pub(super) fn push_first(&mut self, bytes: Bytes) -> News {
        self.count(bytes.len());
        self.frames.push_front(Frame { bytes, class: Class::Kept });
        self.more()
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.all.add(bytes);
    }

    fn uncount(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.all.give_back(bytes);
    }

    fn more(&self) -> News {
        if self.held { News::None } else { News::Frames }
    }

    pub(super) fn push_signals(
        &mut self,
        bytes: Bytes,
        count: u32,
        latest: Option<u64>,
    ) -> (SignalPush, News) {
        let mut outcome = SignalPush::default();
        let class = latest.map_or(Class::Signals(count), Class::Latest);
        if latest.is_some() && self.replace(&bytes, class) {
            outcome.replaced = 1;
            return (outcome, News::None);
        }
        while self.bytes + bytes.len() > self.bound() {
            let Some(dropped) = self.drop_oldest() else {
                outcome.dropped += u64::from(count);
                return (outcome, News::None);
            };
            outcome.dropped += dropped;
        }
        outcome.queued = u64::from(count);
        (outcome, self.push(bytes, class))
    }

    /// Replaces the queued signal with the same key; false if there is none.
    fn replace(&mut self, bytes: &Bytes, class: Class) -> bool {
        let mut recent = self.frames.iter_mut().rev().take(REPLACE_WITHIN);
        let Some(old) = recent.find(|frame| frame.class == class) else { return false };
        let old = std::mem::replace(&mut old.bytes, bytes.clone());
        self.count(bytes.len());
        self.uncount(old.len());
        true
    }

    /// Drops the oldest frame that may be dropped. Returns the number of signals in it.
    fn drop_oldest(&mut self) -> Option<u64> {
        let oldest = self.frames.iter().position(|frame| frame.class != Class::Kept)?;
        let Frame { bytes, class } = self.frames.remove(oldest)?;
        self.uncount(bytes.len());
        Some(if let Class::Signals(count) = class { u64::from(count) } else { 1 })
    }

    pub(super) fn close(&mut self, code: CloseCode) -> News {
        self.closing.get_or_insert(code);
        // A connection must close even if its socket takes nothing.
        News::Wake
    }

    pub(super) fn closing(&self) -> Option<CloseCode> {
        self.closing
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    pub(super) fn release(&mut self) -> News {
        self.held = false;
        if self.frames.is_empty() { News::None } else { News::Frames }
    }

    pub(super) fn starve(&mut self) {
        self.starved = true;
    }

    pub(super) fn take_starved(&mut self) -> bool {
        self.starved
            && self.bytes <= self.bound() / 2
            && std::mem::replace(&mut self.starved, false)
    }

    /// Moves frames to `out` until it holds `max_frames` or about `max_bytes`.
    pub(super) fn take(&mut self, out: &mut VecDeque<Bytes>, max_frames: usize, max_bytes: usize) {
        let mut taken = 0;
        while !self.held && out.len() < max_frames && taken < max_bytes {
            let Some(frame) = self.frames.pop_front() else { break };
            taken += frame.bytes.len();
            out.push_back(frame.bytes);
        }
        self.bytes -= taken;
        self.taken += taken;
        self.tidy();
    }

    /// Records that the socket has taken `bytes` from the pump. This may be more than the pump took
    /// from here, because a close frame does not come from the queue.
    pub(super) fn written(&mut self, bytes: usize) {
        let bytes = bytes.min(self.taken);
        self.taken -= bytes;
        self.all.give_back(bytes);
    }

    /// Fills `slices` with the first frames and returns their number: 0 while the queue is held,
    /// and once the connection must close, which the pump does.
    pub(super) fn front<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.held || self.closing.is_some() {
            return 0;
        }
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&frame.bytes);
            count += 1;
        }
        count
    }

    /// Removes the first `bytes`, which the socket has taken.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.uncount(bytes);
        let mut rest = bytes;
        while let Some(frame) = self.frames.front_mut() {
            if rest < frame.bytes.len() {
                if rest > 0 {
                    // A part of the frame is sent, so the rest must follow.
                    frame.bytes.advance(rest);
                    frame.class = Class::Kept;
                }
                break;
            }
            rest -= frame.bytes.len();
            self.frames.pop_front();
        }
        self.tidy();
    }

    /// Whether the pump has nothing to do for this queue.
    pub(super) fn is_at_rest(&self) -> bool {
        self.frames.is_empty() && !self.starved
    }

    fn tidy(&mut self) {
        if self.frames.is_empty() && self.frames.capacity() > KEEP_FRAMES {
            self.frames.shrink_to(KEEP_FRAMES);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.all.give_back(self.unwritten() + self.aside);
    }
}
