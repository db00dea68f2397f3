//! Single scenes over a wire that a test moves by hand.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::super::frame::{Header, Kind, Part, Writer};
use super::super::{Cause, Event, Frame, Item, Link, Refused, Settings};
use crate::clock::Mono;

/// Both ends: 0 is the caller, with the smaller id.
struct Pairs {
    now: Mono,
    ends: [Link; 2],
    /// On their way to each end.
    ways: [VecDeque<Bytes>; 2],
}

impl Pairs {
    /// Two links that have shaken hands.
    fn up(settings: Settings) -> Self {
        let mut pairs = Self::down(settings);
        pairs.settle();
        for end in 0..2 {
            assert_eq!(pairs.events(end), [Event::Up]);
        }
        pairs
    }

    fn down(settings: Settings) -> Self {
        let link = |me, peer| Link::new(me, peer, settings, fastrand::Rng::with_seed(me));
        let ways = [VecDeque::new(), VecDeque::new()];
        Self { now: Mono::at(1_000), ends: [link(1, 2), link(2, 1)], ways }
    }

    /// Moves what `end` has to send onto the wire, and says what it is.
    fn send(&mut self, end: usize) -> Vec<Header> {
        let mut sent = Vec::new();
        while let Some(message) = self.ends[end].poll_outgoing(self.now) {
            sent.push(Frame::decode(message.clone()).unwrap().header);
            self.ways[1 - end].push_back(message);
        }
        sent
    }

    fn kinds(&mut self, end: usize) -> Vec<Kind> {
        self.send(end).into_iter().map(|header| header.kind).collect()
    }

    /// Lets everything arrive that is on its way to `end`.
    fn arrive(&mut self, end: usize) {
        while let Some(message) = self.ways[end].pop_front() {
            self.ends[end].receive(&Frame::decode(message).unwrap(), self.now);
        }
    }

    /// Until nobody has anything to send.
    fn settle(&mut self) {
        loop {
            let sent = [self.send(0), self.send(1)];
            if sent.concat().is_empty() {
                return;
            }
            self.arrive(0);
            self.arrive(1);
        }
    }

    fn events(&mut self, end: usize) -> Vec<Event> {
        let link = &mut self.ends[end];
        std::iter::from_fn(|| link.poll_event(self.now)).collect()
    }

    fn push(&mut self, end: usize, body: impl Into<Bytes>) -> Result<(), Refused> {
        self.ends[end].push(Item { kind: 1, body: body.into() }, self.now)
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(ms);
    }
}

fn item(body: impl Into<Bytes>) -> Event {
    Event::Item(Item { kind: 1, body: body.into() })
}

#[test]
fn the_handshake_goes_as_the_diagram_shows() {
    let mut pairs = Pairs::down(Settings::default());
    assert_eq!(pairs.kinds(0), [Kind::Hello]);
    pairs.arrive(1);
    assert_eq!(pairs.ends[1].pair(), None, "a hello alone changes nothing");
    // The answerer asks to be called, too.
    assert_eq!(pairs.kinds(1), [Kind::Welcome, Kind::Hello]);
    pairs.arrive(0);
    assert_eq!(pairs.events(0), [Event::Up]);
    pairs.wait(20);
    assert_eq!(pairs.kinds(0), [Kind::Data]);
    pairs.arrive(1);
    assert_eq!(pairs.events(1), [Event::Up]);
    assert_eq!(pairs.kinds(1), [Kind::Data]);
    pairs.arrive(0);
    // All is said.
    pairs.wait(900);
    assert_eq!((pairs.kinds(0), pairs.kinds(1)), (vec![], vec![]));
    let [a, b] = &pairs.ends;
    assert_eq!(
        a.pair().map(|pair| (pair.mine, pair.theirs)),
        b.pair().map(|pair| (pair.theirs, pair.mine))
    );
}

#[test]
fn what_is_pushed_before_the_link_is_up_goes_first() {
    let mut pairs = Pairs::down(Settings::default());
    pairs.push(0, "early").unwrap();
    pairs.push(1, "bird").unwrap();
    pairs.settle();
    assert_eq!(pairs.events(0), [Event::Up, item("bird")]);
    assert_eq!(pairs.events(1), [Event::Up, item("early")]);
}

#[test]
fn items_are_acknowledged_after_a_while_or_once_there_are_many() {
    let mut pairs = Pairs::up(Settings::default());
    pairs.push(0, "one").unwrap();
    assert_eq!(pairs.kinds(0), [Kind::Data]);
    pairs.arrive(1);
    assert_eq!(pairs.events(1), [item("one")]);
    pairs.wait(19);
    assert_eq!(pairs.kinds(1), []);
    assert_eq!(pairs.ends[1].next_deadline(), Some(pairs.now.after(1)));
    pairs.wait(1);
    assert_eq!(pairs.kinds(1), [Kind::Data]);
    pairs.arrive(0);
    assert_eq!(pairs.ends[0].bytes_out(), 0);
    // More than 256 KiB are acknowledged at once.
    pairs.push(0, vec![7; 300_000]).unwrap();
    assert_eq!(pairs.send(0).len(), 5);
    pairs.arrive(1);
    assert_eq!(pairs.send(1).iter().map(|header| header.ack).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_gap_is_asked_for_once_and_what_is_sent_again_is_not_copied() {
    let mut pairs = Pairs::up(Settings::default());
    for body in ["a", "b", "c", "d"] {
        pairs.push(0, body).unwrap();
        pairs.send(0);
    }
    let missing = pairs.ways[1].remove(1).unwrap();
    pairs.arrive(1);
    assert_eq!(pairs.events(1), [item("a")]);
    let nacks = pairs.send(1);
    assert_eq!(
        nacks.iter().map(|header| (header.kind, header.ack)).collect::<Vec<_>>(),
        [(Kind::Nack, 1)]
    );
    pairs.arrive(0);
    assert_eq!(pairs.send(0).iter().map(|header| header.seq).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(pairs.ways[1][0].as_ptr(), missing.as_ptr(), "the same bytes");
    pairs.arrive(1);
    assert_eq!(pairs.events(1), [item("b"), item("c"), item("d")]);
    assert_eq!(pairs.ends[0].counters().resends, 3);
}

#[test]
fn the_first_frame_is_sent_again_after_a_timeout_and_the_rest_once_it_arrives() {
    let mut pairs = Pairs::up(Settings::default());
    for body in ["a", "b", "c"] {
        pairs.push(0, body).unwrap();
        pairs.send(0);
    }
    pairs.ways[1].clear();
    pairs.wait(299);
    assert_eq!(pairs.send(0), []);
    pairs.wait(1);
    assert_eq!(pairs.send(0).iter().map(|header| header.seq).collect::<Vec<_>>(), [1]);
    pairs.arrive(1);
    pairs.wait(20);
    pairs.settle();
    assert_eq!(pairs.events(1), [item("a"), item("b"), item("c")]);
}

#[test]
fn the_largest_item_goes_over_a_link_in_parts() {
    let mut pairs = Pairs::up(Settings::default());
    let body = Bytes::from(vec![9; 16 << 20]);
    pairs.push(0, body.clone()).unwrap();
    pairs.push(0, "behind").unwrap();
    let mut read = Vec::new();
    for _ in 0..10 {
        for _ in 0..4 {
            assert!(pairs.send(0).iter().all(|header| header.kind == Kind::Data));
            assert!(pairs.ways[1].iter().all(|message| message.len() <= 65_536));
            pairs.arrive(1);
            read.extend(pairs.events(1));
            pairs.send(1);
            pairs.arrive(0);
        }
        pairs.wait(20);
    }
    assert_eq!(read, [item(body), item("behind")]);
    assert_eq!(pairs.ends[0].bytes_out(), 0);
    assert_eq!(pairs.ends[0].counters().resends, 0);
    let long = pairs.push(0, vec![0; (16 << 20) + 1]);
    assert_eq!(long, Err(Refused::Long((16 << 20) + 1)));
    assert_eq!(pairs.events(0), []);
}

#[test]
fn items_take_no_more_in_frames_than_in_the_queue() {
    // Of which the second fills a frame and the third two.
    for length in [0, 65_483, 2 * 65_483, 200_000] {
        let mut pairs = Pairs::up(Settings::default());
        pairs.push(0, vec![0; length]).unwrap();
        let queued = pairs.ends[0].bytes_out();
        let frames = pairs.send(0).len();
        let out = pairs.ends[0].bytes_out();
        let slack = 53 + 6 * frames;
        assert!(out <= queued && queued <= out + slack, "{length}: {queued} became {out}");
        assert_eq!(queued, length + 53 * (1 + length / 65_483));
        assert_eq!(frames, length.div_ceil(65_483).max(1));
    }
}

#[test]
fn a_full_link_is_reset_at_both_ends() {
    for end in 0..2 {
        let mut pairs = Pairs::up(Settings::default());
        while pairs.push(end, vec![0; 1 << 20]).is_ok() {}
        assert_eq!(pairs.ends[end].bytes_out(), 0, "what waited is dropped");
        pairs.push(end, "after").unwrap();
        assert_eq!(pairs.events(end), [Event::Reset(Cause::Full)]);
        pairs.wait(100);
        pairs.settle();
        assert_eq!(pairs.events(end), [Event::Up]);
        assert_eq!(pairs.events(1 - end), [Event::Reset(Cause::Peer), Event::Up, item("after")]);
    }
}

#[test]
fn a_peer_that_does_not_read_gets_no_more_than_its_window() {
    let mut pairs = Pairs::up(Settings { link_bytes: 32 << 20, ..Settings::default() });
    for _ in 0..12 {
        pairs.push(0, vec![1; 1 << 20]).unwrap();
    }
    for _ in 0..20 {
        pairs.settle();
        pairs.wait(20);
    }
    let held = pairs.ends[1].bytes_in();
    assert!((8 << 20) - held < 65_536, "{held} bytes wait");
    // A frame past the credit finds no place, and neither does its repetition.
    pairs.wait(300);
    pairs.ends[0].heard_beat(pairs.now);
    pairs.ends[1].heard_beat(pairs.now);
    pairs.settle();
    assert_eq!(pairs.ends[1].counters().overruns, 2);
    assert_eq!(pairs.ends[1].bytes_in(), held);
    let mut read = 0;
    for _ in 0..4 {
        read += pairs.events(1).len();
        pairs.settle();
        pairs.wait(20);
    }
    assert_eq!(read, 12);
}

#[test]
fn a_silent_peer_resets_the_link_when_it_is_heard_again() {
    let mut pairs = Pairs::up(Settings::default());
    pairs.wait(900);
    for end in &mut pairs.ends {
        end.heard_beat(pairs.now);
    }
    pairs.wait(999);
    pairs.send(0);
    assert_eq!(pairs.events(0), []);
    pairs.wait(1);
    pairs.send(0);
    assert_eq!(pairs.events(0), [Event::Silent]);
    pairs.push(0, "void").unwrap();
    assert!(pairs.send(0).iter().all(|header| header.kind == Kind::Nack), "no data into the void");
    pairs.ways = Default::default();
    pairs.wait(4_000);
    pairs.ends[0].heard_beat(pairs.now);
    assert_eq!(pairs.events(0), [Event::Reset(Cause::Silence)]);
    pairs.settle();
    assert_eq!(pairs.events(0), [Event::Up]);
    // The other end has not looked at the time since then.
    assert_eq!(pairs.events(1), [Event::Reset(Cause::Silence), Event::Up]);
}

#[test]
fn a_late_hello_or_bye_does_not_reset_a_healthy_link() {
    let mut pairs = Pairs::down(Settings::default());
    pairs.send(0);
    let hello = Frame::decode(pairs.ways[1][0].clone()).unwrap();
    pairs.settle();
    while pairs.push(0, vec![0; 1 << 20]).is_ok() {}
    pairs.wait(100);
    pairs.settle();
    let (healthy, _) = (pairs.ends[1].pair().unwrap(), pairs.events(1));
    pairs.ends[1].receive(&hello, pairs.now);
    pairs.settle();
    assert_eq!(pairs.ends[1].pair(), Some(healthy));
    let old = Header { kind: Kind::Bye, heard: 1, credit: 0, ..hello.header };
    pairs.ends[1].receive(&Frame::decode(old.encode()).unwrap(), pairs.now);
    assert_eq!(pairs.events(1), []);
    assert_eq!(pairs.ends[1].counters().stale, 1);
}

#[test]
fn a_closed_link_says_goodbye() {
    let mut pairs = Pairs::up(Settings::default());
    let closed = Pairs::up(Settings::default()).ends.into_iter().next().unwrap().close().unwrap();
    let bye = Frame::decode(closed).unwrap();
    pairs.ends[1].receive(&bye, pairs.now);
    assert_eq!(pairs.events(1), [Event::Reset(Cause::Peer)]);
}

#[test]
fn nonsense_from_the_peer_resets_the_link() {
    let nonsense: [fn(Header) -> Bytes; 4] = [
        |header| Header { ack: 5, ..header }.encode(),
        |header| {
            let mut writer = Writer::new(100);
            writer.push(Part::Last, 1, b"of nothing");
            writer.finish(&Header { seq: 1, ..header })
        },
        |header| {
            let mut writer = Writer::new(100);
            writer.push(Part::First, 1, b"not finished");
            writer.push(Part::Whole, 1, b"another");
            writer.finish(&Header { seq: 1, ..header })
        },
        |header| {
            let mut writer = Writer::new(100);
            writer.push(Part::First, 1, b"of one kind");
            writer.push(Part::Last, 2, b"and another");
            writer.finish(&Header { seq: 1, ..header })
        },
    ];
    for make in nonsense {
        let mut pairs = Pairs::up(Settings::default());
        let pair = pairs.ends[0].pair().unwrap();
        let header = Header {
            kind: Kind::Data,
            from: 1,
            to: 2,
            epoch: pair.mine,
            heard: pair.theirs,
            seq: 0,
            ack: 0,
            credit: 0,
        };
        pairs.ends[1].receive(&Frame::decode(make(header)).unwrap(), pairs.now);
        assert_eq!(pairs.events(1), [Event::Reset(Cause::Garbled)]);
        // Frames of others are none of its business.
        pairs.ends[1]
            .receive(&Frame::decode(Header { from: 3, ..header }.encode()).unwrap(), pairs.now);
        assert_eq!(pairs.ends[1].counters().strays, 1);
    }
}

#[test]
fn only_a_frame_that_was_sent_once_is_timed() {
    let mut pairs = Pairs::up(Settings::default());
    pairs.push(0, "timed").unwrap();
    pairs.send(0);
    pairs.wait(7);
    pairs.arrive(1);
    pairs.wait(20);
    pairs.settle();
    assert_eq!(pairs.ends[0].take_round_trip(), Some(Duration::from_millis(27)));
    assert_eq!(pairs.ends[0].take_round_trip(), None);

    pairs.push(0, "lost").unwrap();
    pairs.send(0);
    pairs.ways[1].clear();
    pairs.wait(300);
    pairs.settle();
    pairs.wait(20);
    pairs.settle();
    assert_eq!((pairs.ends[0].counters().resends, pairs.ends[0].bytes_out()), (1, 0));
    assert_eq!(pairs.ends[0].take_round_trip(), None);
}
