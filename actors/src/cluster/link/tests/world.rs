//! Two nodes, the links between them, and a wire that goes wrong as a script says. Judges all that
//! happens: see [`World::complain`]'s callers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::planted::Bug;
use super::super::{Counters, Event, Frame, Item, Link, NodeId, Pair, Refused};
use super::place::{Place, link, resets, settings};
use super::script::Step;
use crate::clock::Mono;

/// A subscription's bound: what arrives at a stopped process beyond it is dropped.
const INBOX: usize = 256;
/// Milliseconds between beats.
const BEAT: u64 = 250;

/// What travels: a frame, or a beat.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    Frame(Bytes),
    Beat(NodeId),
}

/// The way to one of the places.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way {
    /// Percentages of messages.
    pub loss: u8,
    pub late: u8,
    pub twice: u8,
    /// Milliseconds.
    pub delay: u64,
    pub is_cut: bool,
    /// For frames; beats have a subject of their own.
    pub is_deaf: bool,
    /// When the last message in order arrives.
    last: u64,
}

/// The whole, and the first complaint.
pub struct World {
    pub now: u64,
    rng: fastrand::Rng,
    bug: Option<Bug>,
    places: [Place; 2],
    pub ways: [Way; 2],
    flying: BinaryHeap<Reverse<(u64, u64, usize, Message)>>,
    sent: u64,
    complaint: Option<String>,
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let ids = [rng.u64(..), rng.u64(..)];
        let place = |at: usize, rng: &mut fastrand::Rng| {
            Place::new(ids[at], ids[1 - at], rng.u64(0..BEAT), link(ids[at], ids[1 - at], bug, rng))
        };
        let places = [place(0, &mut rng), place(1, &mut rng)];
        let (ways, flying) = ([Way::default(); 2], BinaryHeap::new());
        Self { now: 0, rng, bug, places, ways, flying, sent: 0, complaint: None }
    }

    /// Does what a step says.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Push { at, count, size } => {
                for _ in 0..count {
                    self.push(usize::from(at), usize::from(size));
                }
                self.poll(usize::from(at));
            }
            Step::Wait(ms) => self.run(u64::from(ms)),
            Step::Way { to, loss, late, twice, delay } => {
                let way = &mut self.ways[usize::from(to)];
                (way.loss, way.late, way.twice) = (loss, late, twice);
                way.delay = u64::from(delay);
            }
            Step::Cut { to } => self.ways[usize::from(to)].is_cut = true,
            Step::Deaf { to } => self.ways[usize::from(to)].is_deaf = true,
            Step::Heal => self.heal(),
            Step::WireRestart => {
                self.flying.clear();
                self.reconnected(0);
                self.reconnected(1);
            }
            Step::Reconnect { at } => {
                // What is on its way to others has left.
                self.flying.retain(|Reverse((_, _, to, _))| *to != usize::from(at));
                self.reconnected(usize::from(at));
            }
            Step::Restart { at } => self.restart(usize::from(at)),
            Step::Forget { at } => self.renew(usize::from(at)),
            Step::Pause { at, ms } => {
                self.places[usize::from(at)].paused_until = self.now + u64::from(ms);
            }
            Step::Lazy { at, ms } => {
                self.places[usize::from(at)].reads_at = self.now + u64::from(ms);
            }
        }
    }

    pub fn heal(&mut self) {
        self.ways = [Way::default(); 2];
    }

    /// What has been found wrong.
    pub fn verdict(&self) -> Result<(), String> {
        match &self.complaint {
            Some(complaint) => Err(format!("{complaint} (at {} ms)", self.now)),
            None => Ok(()),
        }
    }

    fn complain(&mut self, complaint: String) {
        self.complaint.get_or_insert(complaint);
    }

    /// Lets `ms` milliseconds pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.complaint.is_none() {
            let next = self.next().min(end);
            self.now = next.max(self.now);
            if next >= end && self.next() > end {
                break;
            }
            self.arrive();
            for at in 0..2 {
                self.wake(at);
            }
        }
    }

    /// When something happens next.
    fn next(&self) -> u64 {
        let mut next = self.flying.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        for place in &self.places {
            let deadline = place.link.next_deadline().unwrap_or(Mono::NEVER).nanos();
            let mut own = deadline.div_ceil(1_000_000).min(place.next_beat).min(place.renew_at);
            if place.reads_at != 0 {
                own = own.min(place.reads_at);
            }
            next = next.min(own.max(place.paused_until));
        }
        next
    }

    fn arrive(&mut self) {
        while let Some(Reverse((at, ..))) = self.flying.peek()
            && *at <= self.now
            && let Some(Reverse((.., to, message))) = self.flying.pop()
        {
            let place = &mut self.places[to];
            if place.paused_until > self.now {
                if place.inbox.len() < INBOX {
                    place.inbox.push_back(message);
                }
            } else {
                self.deliver(to, &message);
            }
        }
    }

    fn deliver(&mut self, at: usize, message: &Message) {
        match message {
            Message::Frame(bytes) => {
                let frame = Frame::decode(bytes.clone()).unwrap();
                self.with(at, |link, now| link.receive(&frame, now));
            }
            Message::Beat(from) if *from == self.places[at].peer => {
                self.with(at, Link::heard_beat);
            }
            Message::Beat(_) => {}
        }
        self.poll(at);
    }

    fn wake(&mut self, at: usize) {
        let now = self.now;
        let place = &mut self.places[at];
        if place.paused_until > now {
            return;
        }
        if place.reads_at <= now {
            place.reads_at = 0;
        }
        if place.renew_at <= now {
            self.renew(at);
        }
        if !self.places[at].inbox.is_empty() && self.rng.bool() {
            self.with(at, Link::tick);
        }
        while let Some(message) = self.places[at].inbox.pop_front() {
            self.deliver(at, &message);
        }
        let place = &mut self.places[at];
        if place.next_beat <= now {
            place.next_beat = now + BEAT;
            let id = place.id;
            self.send(1 - at, Message::Beat(id));
        }
        self.poll(at);
    }

    /// Reads events and sends what is to be sent.
    fn poll(&mut self, at: usize) {
        if self.places[at].paused_until > self.now {
            return;
        }
        for polled in 0.. {
            let now = Mono::at(self.now);
            let mut more = false;
            if self.places[at].reads_at == 0
                && let Some(event) = self.with(at, Link::poll_event)
            {
                self.event(at, event);
                more = true;
            }
            if let Some(bytes) = self.with(at, Link::poll_outgoing) {
                self.send(1 - at, Message::Frame(bytes));
                more = true;
            }
            if !more {
                break;
            }
            if polled == 20_000 {
                return self.complain("endless: a poll that does not end".into());
            }
            debug_assert_eq!(now, Mono::at(self.now));
        }
        let next = self.places[at].link.next_deadline();
        if next.is_some_and(|next| next <= Mono::at(self.now)) {
            self.complain(format!("endless: the deadline {next:?} has passed"));
        }
    }

    fn send(&mut self, to: usize, message: Message) {
        let way = &mut self.ways[to];
        let is_deaf = way.is_deaf && matches!(message, Message::Frame(_));
        if way.is_cut || is_deaf || self.rng.u8(0..100) < way.loss {
            return;
        }
        let copies = 1 + usize::from(self.rng.u8(0..100) < way.twice);
        for copy in 0..copies {
            let mut at = self.now + 1 + self.rng.u64(0..=way.delay);
            if copy > 0 || self.rng.u8(0..100) < way.late {
                // Half a minute of a frozen route, or just behind its successors.
                at += if self.rng.bool() { self.rng.u64(0..40) } else { self.rng.u64(0..8_000) };
            } else {
                at = at.max(way.last);
                way.last = at;
            }
            self.sent += 1;
            self.flying.push(Reverse((at, self.sent, to, message.clone())));
        }
    }

    /// Calls a link, and judges what that does to its pair and its bounds.
    fn with<T>(&mut self, at: usize, call: impl FnOnce(&mut Link, Mono) -> T) -> T {
        let other = self.places[1 - at].link.pair();
        let (peer, others) = (self.places[at].peer, self.places[1 - at].id);
        let mutual = peer == others && self.places[1 - at].peer == self.places[at].id;
        let place = &mut self.places[at];
        let (pair, before) = (place.link.pair(), *place.link.counters());
        let result = call(&mut place.link, Mono::at(self.now));
        let (left, after) = (pair.filter(|_| place.link.pair() != pair), place.link.counters());
        let resets = resets(after) - resets(&before);
        if resets > 0 {
            place.era += resets;
            place.pushed = 0;
        }
        place.ups += u64::from(place.link.pair().is_some() && place.link.pair() != pair);
        let nacks = after.frames_taken + after.overruns + place.asked + place.ups;
        let (out, inside) = (place.link.bytes_out(), place.link.bytes_in());
        let limits = settings();
        let is_storm = after.nacks_sent > nacks + 3;
        let garbled = after.resets_garbled > 0;
        let because_of_peer = after.resets_peer > before.resets_peer;
        let mirrored = other.map(|Pair { mine, theirs }| Pair { mine: theirs, theirs: mine });
        if is_storm {
            self.complain(format!("storm: more nacks than {nacks} gaps"));
        }
        if garbled {
            self.complain("garbled: a link was reset for a mistake of its peer".into());
        }
        if because_of_peer && mutual && left.is_some() && left == mirrored {
            self.complain(format!("unmatched: {left:?} left because of the peer, which is in it"));
        }
        if out > limits.link_bytes + limits.item_bytes + 22 * 53 {
            self.complain(format!("bounds: {out} bytes wait for the peer"));
        }
        if inside > limits.window_bytes + limits.item_bytes {
            self.complain(format!("bounds: {inside} bytes wait to be read"));
        }
        result
    }

    fn push(&mut self, at: usize, size: usize) {
        let place = &self.places[at];
        let (id, era, index) = (place.id, place.era, place.pushed);
        let mut body = BytesMut::new();
        body.put_u64_le(id);
        body.put_u64_le(era);
        body.put_u64_le(index);
        body.put_bytes(index as u8, size);
        let item = Item { kind: size as u8, body: body.freeze() };
        match self.with(at, |link, now| link.push(item, now)) {
            Ok(()) => self.places[at].pushed += 1,
            Err(Refused::Full) => {}
            Err(refused @ Refused::Long(_)) => self.complain(refused.to_string()),
        }
    }

    fn event(&mut self, at: usize, event: Event) {
        if let Err(complaint) = self.places[at].event(event) {
            self.complain(complaint);
        }
    }

    fn reconnected(&mut self, at: usize) {
        if self.places[at].paused_until <= self.now {
            self.places[at].asked += 1;
            self.with(at, Link::reconnected);
            self.poll(at);
        }
    }

    /// The process ends; another takes its place, and the other node learns of it after a while.
    fn restart(&mut self, at: usize) {
        self.places[at].id = self.rng.u64(..);
        self.places[at].paused_until = 0;
        self.places[at].inbox.clear();
        self.renew(at);
        self.places[1 - at].renew_at = self.now + self.rng.u64(0..600);
    }

    /// Makes the link to the other node anew.
    fn renew(&mut self, at: usize) {
        let peer = self.places[1 - at].id;
        let id = self.places[at].id;
        let link = link(id, peer, self.bug, &mut self.rng);
        self.places[at].renew(peer, link);
        self.poll(at);
    }

    /// Everybody is awake and reads.
    pub fn awaken(&mut self) {
        for at in 0..2 {
            self.places[at].paused_until = 0;
            self.places[at].reads_at = self.now;
        }
    }

    /// Complains unless both ends are up in one pair and have read all that was pushed since.
    pub fn settled(&mut self) -> Option<Pair> {
        let [a, b] = &self.places;
        let (one, two) = (a.link.pair(), b.link.pair());
        if !a.is_up || !b.is_up || one != two.map(|two| Pair { mine: two.theirs, theirs: two.mine })
        {
            self.complain(format!("down: {one:?} and {two:?}"));
            return None;
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to) = (&self.places[from], &self.places[to]);
            let read = to.read.get(&from.id).filter(|(era, _)| *era == from.era);
            let count = read.map_or(0, |(_, count)| *count);
            if count != from.pushed {
                let pushed = from.pushed;
                self.complain(format!("missing: {count} of {pushed} items have been read"));
            }
        }
        one
    }

    /// The counters of both ends' present links.
    pub fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.places.iter().map(|place| place.link.counters())
    }

    /// Frames of both ends so far.
    pub fn frames(&self) -> u64 {
        self.counters().map(|counters| counters.frames_sent).sum()
    }

    pub fn resets(&self) -> u64 {
        self.counters().map(resets).sum()
    }

    pub fn resends(&self) -> u64 {
        self.counters().map(|counters| counters.resends).sum()
    }
}
