//! The sending half of a link, for one epoch: keeps items until they are sent and frames until they
//! are acknowledged.
//!
//! Frames are numbered from 1. A nack or a new connection sends everything again from the first
//! unacknowledged frame; a timeout sends only that one, and the rest follows if its acknowledgement
//! shows that more is missing. Frames sent again are the same bytes, so the acknowledgement in them
//! may be old. The peer's credit is how far the bytes of numbered frames may go, so that it never
//! has to be taken back. A sender that has credit for nothing and waits for no acknowledgement
//! sends one frame past the credit now and then, since the peer's new credit may not have arrived.
//!
//! Bounds: `link_bytes`, and one item of up to `item_bytes`. A large item that does not fit is
//! accepted beyond `link_bytes` if no other such one is on its way, so that a link can carry it at
//! all.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::frame::{HEADER, Header, Item, PIECE_OVERHEAD, Part, Writer};
use super::settings::Settings;
use crate::clock::Mono;

/// Bytes that an item takes besides its body, waiting or in a frame of its own, and each of its
/// parts.
const OVERHEAD: usize = HEADER + PIECE_OVERHEAD;
/// An item of more than this part of `link_bytes` is large.
const LARGE: usize = 4;
/// Items for which an empty queue keeps its memory.
const KEPT: usize = 1_024;

/// An item that was accepted beyond `link_bytes`.
#[derive(Debug)]
struct Extra {
    bytes: usize,
    /// How many items of the queue go before it.
    behind: usize,
    /// The frame with the end of it, once that is sent.
    ends: Option<u64>,
}

/// Why an item was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The link was reset because too much waits for the peer; what waited is dropped.
    #[error("too much waits for the peer: the link was reset")]
    Full,
    /// The item is larger than `item_bytes`; the link goes on.
    #[error("an item of {0} bytes is too long")]
    Long(usize),
}

/// An acknowledgement of what was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NeverSent;

#[derive(Debug)]
struct Sent {
    seq: u64,
    message: Bytes,
}

/// Which frames go out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resend {
    Nothing,
    /// The first unacknowledged one.
    First,
    /// All from this one on.
    From(u64),
}

#[derive(Debug)]
pub(super) struct Sender {
    settings: Settings,
    /// Not sent yet.
    queue: VecDeque<Item>,
    /// How much of the first item has been sent.
    offset: usize,
    /// What `queue` costs, without what has been sent.
    queued: usize,
    extra: Option<Extra>,
    /// Sent and not acknowledged, in order.
    out: VecDeque<Sent>,
    out_bytes: usize,
    /// The last number used.
    last: u64,
    /// The last number acknowledged.
    acked: u64,
    /// Bytes of all numbered frames.
    sent: u64,
    /// How far they may go.
    credit: u32,
    resend: Resend,
    /// After a timeout: the last frame that was out then.
    doubtful: u64,
    /// When the peer last made progress, or the first frame was last sent.
    waiting_since: Mono,
    /// When the peer last made progress, or there was nothing for it to do.
    progress: Mono,
    /// A frame that was sent once, and when: the next whose acknowledgement is timed.
    timed: Option<(u64, Mono)>,
    /// What that took the last time, until somebody looks.
    round_trip: Option<Duration>,
}

impl Sender {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            queue: VecDeque::new(),
            offset: 0,
            queued: 0,
            extra: None,
            out: VecDeque::new(),
            out_bytes: 0,
            last: 0,
            acked: 0,
            sent: 0,
            credit: 0,
            resend: Resend::Nothing,
            doubtful: 0,
            waiting_since: Mono::ZERO,
            progress: Mono::ZERO,
            timed: None,
            round_trip: None,
        }
    }

    /// Bytes held for the peer.
    pub fn held(&self) -> usize {
        self.queued + self.out_bytes
    }

    /// Bytes that this much of a body takes: at most as much in frames as in the queue.
    fn cost(&self, length: usize) -> usize {
        length + OVERHEAD * (1 + length / (self.settings.frame_bytes - OVERHEAD))
    }

    /// The time from the sending of a frame to its acknowledgement, if one has been timed since the
    /// last call.
    pub const fn take_round_trip(&mut self) -> Option<Duration> {
        self.round_trip.take()
    }

    /// The link is up, with this credit.
    pub fn open(&mut self, credit: u32, now: Mono) {
        self.credit = credit;
        self.waiting_since = now;
    }

    pub fn push(&mut self, item: Item, now: Mono) -> Result<(), Refused> {
        let length = item.body.len();
        if length > self.settings.item_bytes {
            return Err(Refused::Long(length));
        }
        let bytes = self.cost(length);
        let limit = self.settings.link_bytes;
        if self.held() + bytes > limit + self.extra.as_ref().map_or(0, |extra| extra.bytes) {
            if self.extra.is_some() || length <= limit / LARGE {
                return Err(Refused::Full);
            }
            self.extra = Some(Extra { bytes, behind: self.queue.len(), ends: None });
        }
        if self.held() == 0 {
            self.waiting_since = now;
        }
        self.queued += bytes;
        self.queue.push_back(item);
        Ok(())
    }

    /// The peer has taken everything up to `ack`, and grants `credit`.
    pub fn acknowledged(&mut self, ack: u64, credit: u32, now: Mono) -> Result<(), NeverSent> {
        if ack > self.last {
            return Err(NeverSent);
        }
        // It only grows: a smaller one is from a frame that came late or again.
        if credit.wrapping_sub(self.credit).cast_signed() > 0 {
            self.credit = credit;
        }
        if ack <= self.acked {
            return Ok(());
        }
        while self.out.front().is_some_and(|sent| sent.seq <= ack) {
            if let Some(sent) = self.out.pop_front() {
                self.out_bytes -= sent.message.len();
            }
        }
        if self.extra.as_ref().and_then(|extra| extra.ends).is_some_and(|ends| ends <= ack) {
            self.extra = None;
        }
        if let Some((_, sent)) = self.timed.take_if(|(seq, _)| *seq <= ack) {
            self.round_trip = Some(now.elapsed_since(sent));
        }
        self.acked = ack;
        self.waiting_since = now;
        self.progress = now;
        match self.resend {
            Resend::First => self.resend = Resend::Nothing,
            Resend::From(seq) => self.resend = Resend::From(seq.max(ack + 1)),
            Resend::Nothing => {}
        }
        if self.doubtful > ack {
            self.go_back(now);
        }
        self.doubtful = 0;
        Ok(())
    }

    /// Sends everything again that is not acknowledged. Returns whether there is something.
    pub fn go_back(&mut self, now: Mono) -> bool {
        let is_out = !self.out.is_empty();
        if is_out {
            self.resend = Resend::From(self.acked + 1);
            self.waiting_since = now;
        }
        is_out
    }

    /// The peer missed what comes after `ack`. That is old news if more has been acknowledged.
    /// Returns whether something is sent again.
    pub fn missed(&mut self, ack: u64, now: Mono) -> bool {
        ack == self.acked && self.go_back(now)
    }

    /// Whether nothing has been acknowledged for too long.
    pub fn is_stalled(&self, now: Mono) -> bool {
        !self.out.is_empty() && now >= self.progress.after(self.settings.stall)
    }

    /// When [`next`](Self::next) or [`is_stalled`](Self::is_stalled) has to be asked again.
    pub fn deadline(&self) -> Mono {
        if self.held() == 0 {
            return Mono::NEVER;
        }
        let resend = self.waiting_since.after(self.settings.resend);
        if self.out.is_empty() {
            resend
        } else {
            resend.min(self.progress.after(self.settings.stall))
        }
    }

    /// The next frame, and whether it is sent again. `header` is that of a new one, without its
    /// number.
    pub fn next(&mut self, header: Header, now: Mono) -> Option<(Bytes, bool)> {
        let late = now >= self.waiting_since.after(self.settings.resend);
        if late && !self.out.is_empty() && self.resend == Resend::Nothing {
            self.resend = Resend::First;
            self.doubtful = self.last;
        }
        if let Some(message) = self.again(now) {
            return Some((message, true));
        }
        let most = self
            .allowed()
            .or_else(|| (late && self.out.is_empty()).then_some(self.settings.frame_bytes))?;
        let message = self.fill(most, header)?;
        if self.out.is_empty() {
            self.waiting_since = now;
            self.progress = now;
        }
        self.last += 1;
        self.timed.get_or_insert((self.last, now));
        self.sent += message.len() as u64;
        self.out_bytes += message.len();
        self.out.push_back(Sent { seq: self.last, message: message.clone() });
        Some((message, false))
    }

    fn again(&mut self, now: Mono) -> Option<Bytes> {
        let first = self.out.front()?.seq;
        let seq = match self.resend {
            Resend::Nothing => return None,
            Resend::First => first,
            Resend::From(seq) => seq,
        };
        let index = usize::try_from(seq.saturating_sub(first)).ok()?;
        let Some(sent) = self.out.get(index) else {
            self.resend = Resend::Nothing;
            return None;
        };
        self.resend = match self.resend {
            Resend::From(_) => Resend::From(seq + 1),
            _ => Resend::Nothing,
        };
        self.waiting_since = now;
        // Its acknowledgement may be that of the first time.
        self.timed = None;
        Some(sent.message.clone())
    }

    /// Bytes that the next frame may have, if the peer has credit for all that waits or for a full
    /// frame. Smaller pieces of credit are not used up.
    fn allowed(&self) -> Option<usize> {
        let left = self.credit.wrapping_sub(self.sent as u32).cast_signed();
        let left = usize::try_from(left).ok()?;
        let wanted = self.settings.frame_bytes.min(HEADER + self.queued);
        (left >= wanted).then_some(self.settings.frame_bytes.min(left))
    }

    /// A frame of up to `most` bytes with what waits.
    fn fill(&mut self, most: usize, header: Header) -> Option<Bytes> {
        let mut writer = Writer::new(most.min(HEADER + self.queued));
        while let Some(item) = self.queue.front() {
            let Some(space) = most.checked_sub(writer.len() + PIECE_OVERHEAD) else { break };
            let rest = &item.body[self.offset..];
            if rest.len() <= space {
                let part = if self.offset == 0 { Part::Whole } else { Part::Last };
                writer.push(part, item.kind, rest);
                self.queued -= self.cost(rest.len());
                self.offset = 0;
                self.queue.pop_front();
                match &mut self.extra {
                    Some(Extra { behind: 0, ends: ends @ None, .. }) => *ends = Some(self.last + 1),
                    Some(Extra { behind, ends: None, .. }) => *behind -= 1,
                    _ => {}
                }
            } else if writer.is_empty() {
                let part = if self.offset == 0 { Part::First } else { Part::Middle };
                writer.push(part, item.kind, &rest[..space]);
                self.queued -= self.cost(rest.len()) - self.cost(rest.len() - space);
                self.offset += space;
            } else {
                break;
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
        (!writer.is_empty()).then(|| writer.finish(&Header { seq: self.last + 1, ..header }))
    }
}
