//! One end of the link to one peer: the handshake's timers, silence, resets, and what goes out
//! next.
//!
//! Pure: its owner passes in what arrives, with the time. After every call, and when
//! [`next_deadline`](Link::next_deadline) has come, the owner polls outgoing frames and events
//! until there are none. Memory is bounded by [`Settings`]; unread events other than items are at
//! most three, since a reset replaces those before it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::calls::Calls;
use super::counters::{Cause, Counters};
use super::frame::{Frame, Header, Item, Kind, NodeId};
use super::pairing::{Meaning, Pair, Pairing};
use super::planted::{Bug, Planted};
use super::receiver::Receiver;
use super::sender::{Refused, Sender};
use super::settings::Settings;
use crate::clock::Mono;

/// What a link reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Items are on their way again. Those pushed since the last reset come first.
    Up,
    /// The next item of the peer. Its body is usually a slice of the message it came in: copy it if
    /// it is kept for long.
    Item(Item),
    /// Nothing has been heard from the peer for `silence`. The link will be reset when it is heard.
    Silent,
    /// What was pushed and not answered may or may not have arrived, nothing of it will still
    /// arrive, and the peer is told the same.
    Reset(Cause),
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It calls, or waits to be called.
    Hello,
    /// Items are on their way.
    Up,
    /// It is up, but the peer has not been heard for too long.
    Silent,
}

/// One end of the link between this node and a peer.
#[derive(Debug)]
pub struct Link {
    me: NodeId,
    peer: NodeId,
    settings: Settings,
    planted: Planted,
    pairing: Pairing,
    sender: Sender,
    receiver: Receiver,
    /// Before the items of `receiver`.
    events: VecDeque<Event>,
    /// Behind them: the silence has not been reported yet.
    report_silence: bool,
    /// When the peer was last heard, and whether that is too long ago.
    heard: Mono,
    is_silent: bool,
    /// The pairs to be answered with a welcome, and with a bye.
    welcome: Option<Pair>,
    bye: Option<Pair>,
    /// When the next bye may go out.
    bye_at: Mono,
    calls: Calls,
    counters: Counters,
}

impl Link {
    /// A link that is down and calls at once. `me` and `peer` must differ.
    ///
    /// # Panics
    ///
    /// If the settings cannot work: see [`Settings::check`].
    pub fn new(me: NodeId, peer: NodeId, settings: Settings, mut rng: fastrand::Rng) -> Self {
        assert_ne!(me, peer, "a node has no link to itself");
        assert_eq!(settings.check(), Ok(()), "settings are checked where they are read");
        let planted = Planted::default();
        Self {
            me,
            peer,
            settings,
            planted,
            pairing: Pairing::new(me, peer, rng.u32(..)),
            calls: Calls::new(settings, rng),
            sender: Sender::new(settings),
            receiver: Receiver::new(settings, planted),
            events: VecDeque::new(),
            report_silence: false,
            heard: Mono::ZERO,
            is_silent: false,
            welcome: None,
            bye: None,
            bye_at: Mono::ZERO,
            counters: Counters::default(),
        }
    }

    /// What has been counted since the link was made.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// See [`Sender::take_round_trip`].
    pub const fn take_round_trip(&mut self) -> Option<Duration> {
        self.sender.take_round_trip()
    }

    /// Bytes that wait for the peer or its acknowledgement: at most `link_bytes` and one item, which
    /// costs its body and 53 bytes for each frame it needs.
    pub fn bytes_out(&self) -> usize {
        self.sender.held()
    }

    /// Bytes received and not yet read: at most `window_bytes` and `item_bytes`.
    pub fn bytes_in(&self) -> usize {
        self.receiver.held()
    }

    /// How the link is.
    pub fn state(&self) -> LinkState {
        match self.pair() {
            None => LinkState::Hello,
            Some(_) if self.is_silent => LinkState::Silent,
            Some(_) => LinkState::Up,
        }
    }

    /// The epochs that the link is in; `None` while it is down.
    pub fn pair(&self) -> Option<Pair> {
        self.pairing.pair()
    }

    /// Sends an item, as soon as the link is up and the peer has credit for it.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] if it does not fit into `link_bytes`. The link has then been reset, and
    /// this item is dropped with the others. [`Refused::Long`] drops only this item.
    pub fn push(&mut self, item: Item, now: Mono) -> Result<(), Refused> {
        let pushed = self.sender.push(item, now);
        match pushed {
            Ok(()) => self.counters.items_pushed += 1,
            Err(Refused::Full) => self.reset(Cause::Full, now),
            Err(Refused::Long(_)) => {}
        }
        pushed
    }

    /// A frame has arrived.
    pub fn receive(&mut self, frame: &Frame, now: Mono) {
        let Header { kind, from, to, epoch, heard, .. } = frame.header;
        if (from, to) != (self.peer, self.me) {
            self.counters.strays += 1;
            return;
        }
        self.counters.frames_received += 1;
        self.counters.bytes_received += frame.len() as u64;
        let pair = Pair { mine: heard, theirs: epoch };
        if self.planted.has(Bug::OldEpochTaken) && frame.header.seq > 0 {
            let _misfit = self.receiver.take(frame, &mut self.counters, now);
        }
        match self.read(kind, pair) {
            Meaning::Stale => self.counters.stale += 1,
            Meaning::Disown(pair) => {
                self.counters.stale += 1;
                self.bye = Some(pair);
            }
            // The pair has just ended, so this frame may have become stale, or a new call.
            _ if self.hear(now) => {
                let meaning = self.read(kind, pair);
                self.obey(meaning, frame, now);
            }
            meaning => self.obey(meaning, frame, now),
        }
    }

    /// A beat of the peer has arrived.
    pub fn heard_beat(&mut self, now: Mono) {
        self.hear(now);
    }

    /// This node's own connection to the wire was lost and is back: what was sent, and what was on
    /// its way here, may be gone.
    pub fn reconnected(&mut self, now: Mono) {
        self.sender.go_back(now);
        if self.pair().is_some() {
            self.receiver.ask_again();
        }
        self.calls.soon(now);
    }

    /// Looks at the time. [`poll_outgoing`](Self::poll_outgoing) does that, too.
    pub fn tick(&mut self, now: Mono) {
        if self.pair().is_none() {
            return;
        }
        if !self.is_silent && now >= self.heard.after(self.settings.silence) {
            self.is_silent = true;
            self.report_silence = true;
            self.counters.silences += 1;
            self.calls.soon(now);
        }
        if !self.is_silent && self.sender.is_stalled(now) {
            self.reset(Cause::Stalled, now);
        }
    }

    /// When [`tick`](Self::tick) and [`poll_outgoing`](Self::poll_outgoing) have something to do
    /// again, if nothing else happens. To be asked when there is nothing left to poll.
    pub fn next_deadline(&self) -> Option<Mono> {
        let mut next = Mono::NEVER;
        if self.bye.is_some() {
            next = next.min(self.bye_at);
        }
        if self.must_call() {
            next = next.min(self.calls.at());
        }
        if self.pair().is_some() {
            next = next.min(self.receiver.ack_at());
            if !self.is_silent {
                next =
                    next.min(self.heard.after(self.settings.silence)).min(self.sender.deadline());
            }
        }
        (next != Mono::NEVER).then_some(next)
    }

    /// The next message for the peer. It counts as sent, whether or not the wire takes it: what is
    /// lost is sent again.
    pub fn poll_outgoing(&mut self, now: Mono) -> Option<Bytes> {
        self.tick(now);
        let message = self.next_message(now)?;
        self.counters.frames_sent += 1;
        self.counters.bytes_sent += message.len() as u64;
        Some(message)
    }

    /// The next event. Items are reported in the order in which the peer pushed them.
    pub fn poll_event(&mut self, now: Mono) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if let Some(item) = self.receiver.read(now) {
            self.counters.items_read += 1;
            return Some(Event::Item(item));
        }
        std::mem::take(&mut self.report_silence).then_some(Event::Silent)
    }

    /// Ends the link for good. Returns what tells the peer so, if it is up.
    pub fn close(self) -> Option<Bytes> {
        Some(self.header(Kind::Bye, self.pair()?).encode())
    }

    fn read(&mut self, kind: Kind, pair: Pair) -> Meaning {
        match kind {
            Kind::Data | Kind::Nack => self.pairing.data(pair),
            Kind::Hello => self.pairing.hello(pair.theirs),
            Kind::Welcome => self.pairing.welcome(pair),
            Kind::Bye => self.pairing.bye(pair),
        }
    }

    fn obey(&mut self, meaning: Meaning, frame: &Frame, now: Mono) {
        let kind = frame.header.kind;
        match meaning {
            Meaning::Enter(pair) => {
                if self.pair().is_some() {
                    self.reset(Cause::Peer, now);
                }
                self.enter(pair, frame, now);
                self.take(frame, now);
            }
            Meaning::Ours => match kind {
                Kind::Data | Kind::Nack => self.take(frame, now),
                // The caller does not know yet that this end has entered their pair.
                Kind::Hello => self.receiver.acknowledge_within(0, now),
                Kind::Welcome => {}
                Kind::Bye => self.reset(Cause::Peer, now),
            },
            Meaning::Welcome(pair) => {
                if self.planted.has(Bug::LateHelloResets) && self.pair().is_some() {
                    self.reset(Cause::Peer, now);
                }
                self.welcome = Some(pair);
            }
            // If the other end is really down, it disowns the pair of the acknowledgement.
            Meaning::CallMe if self.pair().is_some() => {
                self.receiver.acknowledge_within(self.settings.ack_delay, now);
            }
            Meaning::CallMe => self.calls.soon(now),
            // Leaving the pair has said so already.
            Meaning::Disown(_) | Meaning::Stale => self.counters.stale += 1,
        }
    }

    fn enter(&mut self, pair: Pair, frame: &Frame, now: Mono) {
        self.pairing.enter(pair);
        self.sender.open(frame.header.credit, now);
        self.receiver.acknowledge_within(0, now);
        self.heard = now;
        self.calls.begin(now);
        self.events.push_back(Event::Up);
    }

    /// What data, nacks and a welcome say about the items of both directions.
    fn take(&mut self, frame: &Frame, now: Mono) {
        let Header { kind, ack, credit, seq, .. } = frame.header;
        if self.sender.acknowledged(ack, credit, now).is_err() {
            return self.reset(Cause::Garbled, now);
        }
        // A nack is always answered: with what is missing, or with an acknowledgement.
        if kind == Kind::Nack && !self.sender.missed(ack, now) {
            self.receiver.acknowledge_within(0, now);
        }
        if seq > 0 && self.receiver.take(frame, &mut self.counters, now).is_err() {
            self.reset(Cause::Garbled, now);
        }
    }

    /// The peer lives. Returns whether the pair has ended, since it was silent before.
    fn hear(&mut self, now: Mono) -> bool {
        let before = self.pair();
        // Time may have passed without a tick, for example in a process that was stopped.
        self.tick(now);
        self.heard = now;
        if self.is_silent {
            self.reset(Cause::Silence, now);
        } else if before.is_none() && self.calls.are_rare() {
            // It may have been away.
            self.calls.soon(now);
        }
        self.pair() != before
    }

    fn reset(&mut self, cause: Cause, now: Mono) {
        self.counters.reset(cause);
        if let Some(pair) = self.pairing.leave() {
            self.bye = Some(pair);
        }
        self.sender = Sender::new(self.settings);
        self.receiver = Receiver::new(self.settings, self.planted);
        self.is_silent = false;
        self.report_silence = false;
        self.events.clear();
        self.events.push_back(Event::Reset(cause));
        self.calls.soon(now);
    }

    /// Whether the other end may not know about this one, so that it is called again and again.
    fn must_call(&self) -> bool {
        self.pair().is_none() || self.pairing.is_unconfirmed() || self.is_silent
    }

    fn next_message(&mut self, now: Mono) -> Option<Bytes> {
        if now >= self.bye_at
            && let Some(pair) = self.bye.take()
        {
            self.bye_at = now.after(self.settings.ack_delay);
            return Some(self.header(Kind::Bye, pair).encode());
        }
        if let Some(pair) = self.welcome.take() {
            return Some(self.header(Kind::Welcome, pair).encode());
        }
        let due = self.must_call() && now >= self.calls.at();
        if due {
            self.calls.made(now);
        }
        let Some(pair) = self.pair() else {
            let mine = self.pairing.calling().filter(|_| due)?;
            return Some(self.header(Kind::Hello, Pair { mine, theirs: 0 }).encode());
        };
        if !self.is_silent {
            if self.receiver.take_nack() {
                self.receiver.acknowledged();
                self.counters.nacks_sent += 1;
                return Some(self.header(Kind::Nack, pair).encode());
            }
            if let Some((message, again)) = self.sender.next(self.header(Kind::Data, pair), now) {
                if again {
                    self.counters.resends += 1;
                } else {
                    self.receiver.acknowledged();
                }
                return Some(message);
            }
        }
        if !due && now < self.receiver.ack_at() {
            return None;
        }
        self.receiver.acknowledged();
        // A call wants an answer.
        Some(self.header(if due { Kind::Nack } else { Kind::Data }, pair).encode())
    }

    fn header(&self, kind: Kind, pair: Pair) -> Header {
        let acks = matches!(kind, Kind::Data | Kind::Nack);
        Header {
            kind,
            from: self.me,
            to: self.peer,
            epoch: pair.mine,
            heard: pair.theirs,
            seq: 0,
            ack: if acks { self.receiver.ack() } else { 0 },
            credit: if kind == Kind::Bye { 0 } else { self.receiver.credit() },
        }
    }

    /// Makes a mistake from now on.
    #[cfg(test)]
    pub(super) fn plant(&mut self, bug: Bug) {
        self.planted.bug = Some(bug);
        self.receiver = Receiver::new(self.settings, self.planted);
    }
}
