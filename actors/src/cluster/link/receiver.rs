//! The receiving half of a link, for one epoch: takes the frame after the last one and nothing
//! else, says what is to be acknowledged, and puts items together.
//!
//! A frame further ahead is answered with one nack for the gap, one further behind with another
//! acknowledgement. Frames that have been taken stay as they are until their items are read, so
//! what waits is bounded by the bytes of frames that the peer has credit for (`window_bytes`), and
//! one item that is being put together (`item_bytes`).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::counters::Counters;
use super::frame::{Frame, Item, Part, Piece, Pieces};
use super::planted::{Bug, Planted};
use super::settings::Settings;
use crate::clock::Mono;

/// What no correct peer sends: parts that do not fit together, or an item that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

/// The items of a frame that has been taken, and its bytes.
#[derive(Debug)]
struct Taken {
    pieces: Pieces,
    length: usize,
}

#[derive(Debug)]
pub(super) struct Receiver {
    settings: Settings,
    planted: Planted,
    /// The number of the last frame that was taken.
    last: u64,
    /// Bytes of all frames that were taken, and of those that were read.
    taken: u64,
    read: u64,
    frames: VecDeque<Taken>,
    /// The item that the last taken frame leaves unfinished: its kind, and its bytes so far.
    open: Option<(u8, usize)>,
    /// The item that the last read piece leaves unfinished.
    assembly: BytesMut,
    /// When an acknowledgement is due.
    ack_at: Mono,
    /// Bytes of frames that have not been acknowledged.
    unacked: usize,
    /// The credit in the last acknowledgement.
    granted: u64,
    /// Whether a nack is due.
    nack: bool,
    /// The frame behind the gap of the last nack.
    nacked: u64,
    /// Whether a frame found no space.
    overrun: bool,
    /// The highest number seen.
    seen: u64,
}

impl Receiver {
    pub fn new(settings: Settings, planted: Planted) -> Self {
        Self {
            settings,
            planted,
            last: 0,
            taken: 0,
            read: 0,
            frames: VecDeque::new(),
            open: None,
            assembly: BytesMut::new(),
            ack_at: Mono::NEVER,
            unacked: 0,
            granted: 0,
            nack: false,
            nacked: 0,
            overrun: false,
            seen: 0,
        }
    }

    /// Bytes held until they are read.
    pub fn held(&self) -> usize {
        usize::try_from(self.taken - self.read).unwrap_or(usize::MAX) + self.assembly.len()
    }

    /// What an acknowledgement says: the last frame taken.
    pub fn ack(&self) -> u64 {
        if self.planted.has(Bug::AckBeforeTake) { self.seen } else { self.last }
    }

    /// What an acknowledgement says: how far the bytes of numbered frames may go.
    pub fn credit(&self) -> u32 {
        (self.read + self.settings.window_bytes as u64) as u32
    }

    /// An acknowledgement goes out.
    pub fn acknowledged(&mut self) {
        self.ack_at = Mono::NEVER;
        self.unacked = 0;
        self.granted = self.read + self.settings.window_bytes as u64;
    }

    /// When an acknowledgement is due.
    pub fn ack_at(&self) -> Mono {
        self.ack_at
    }

    /// An acknowledgement is due within `ms` milliseconds.
    pub fn acknowledge_within(&mut self, ms: u64, now: Mono) {
        self.ack_at = self.ack_at.min(now.after(ms));
    }

    /// Whether a nack is due. It goes out now.
    pub fn take_nack(&mut self) -> bool {
        std::mem::take(&mut self.nack)
    }

    /// Frames may have been missed: asks for the next one even if no gap shows.
    pub fn ask_again(&mut self) {
        self.nack = true;
    }

    /// Takes a numbered frame if it is the next one.
    pub fn take(
        &mut self,
        frame: &Frame,
        counters: &mut Counters,
        now: Mono,
    ) -> Result<(), Misfit> {
        let seq = frame.header.seq;
        self.seen = self.seen.max(seq);
        if seq <= self.last {
            counters.repeats += 1;
            self.acknowledge_within(self.settings.ack_delay, now);
            return Ok(());
        }
        if seq > self.last + 1 && !self.planted.has(Bug::GapTaken) {
            counters.gaps += 1;
            if self.last >= self.nacked || self.planted.has(Bug::NackStorm) {
                self.nack = true;
                self.nacked = seq;
            }
            return Ok(());
        }
        let length = frame.len();
        if self.taken + length as u64 > self.read + self.settings.window_bytes as u64 {
            counters.overruns += 1;
            self.overrun = true;
            self.acknowledge_within(0, now);
            return Ok(());
        }
        self.open = self.parts(frame)?;
        counters.frames_taken += 1;
        self.last = seq;
        self.taken += length as u64;
        self.frames.push_back(Taken { pieces: frame.pieces(), length });
        self.unacked += length;
        let delay =
            if self.unacked >= self.settings.ack_bytes { 0 } else { self.settings.ack_delay };
        self.acknowledge_within(delay, now);
        Ok(())
    }

    /// Checks that the parts in a frame continue what is unfinished, and returns what it leaves so.
    fn parts(&self, frame: &Frame) -> Result<Option<(u8, usize)>, Misfit> {
        let mut open = self.open;
        for Piece { part, kind, body } in frame.pieces() {
            let before = match (part, open) {
                (Part::Whole | Part::First, None) => 0,
                (Part::Middle | Part::Last, Some((of, length))) if of == kind => length,
                _ => return Err(Misfit),
            };
            let length = before + body.len();
            if length > self.settings.item_bytes {
                return Err(Misfit);
            }
            open = matches!(part, Part::First | Part::Middle).then_some((kind, length));
        }
        Ok(open)
    }

    /// The next item that has been taken.
    pub fn read(&mut self, now: Mono) -> Option<Item> {
        while let Some(frame) = self.frames.front_mut() {
            let Some(Piece { part, kind, body }) = frame.pieces.next() else {
                self.read += frame.length as u64;
                self.frames.pop_front();
                self.reopen(now);
                continue;
            };
            match part {
                Part::Whole => return Some(Item { kind, body }),
                Part::First | Part::Middle => self.assembly.extend_from_slice(&body),
                Part::Last => {
                    self.assembly.extend_from_slice(&body);
                    let body: Bytes = std::mem::take(&mut self.assembly).freeze();
                    return Some(Item { kind, body });
                }
            }
        }
        None
    }

    /// Grants new credit at once if the peer may be waiting for it.
    fn reopen(&mut self, now: Mono) {
        let window = self.settings.window_bytes as u64;
        let free = self.read + window - self.taken;
        if free < window / 2 {
            return;
        }
        if std::mem::take(&mut self.overrun) {
            self.nack = true;
        }
        if self.granted.saturating_sub(self.taken) < window / 2 {
            self.acknowledge_within(0, now);
        }
    }
}
